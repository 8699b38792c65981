/*
 * bench_floor.c: what the kernel itself costs: two processes that exchange the bytes and descriptors of a GET, without parsing,
 * without looking anything up. No server can be faster over the same socket.
 */
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench/bench.h"
#include "common/proto/om_proto.h"

#define REQUEST_MAX (OM_PROTO_EXT_HDR + BENCH_DEPTH_MAX * (OM_PROTO_TLV_HDR + BENCH_URI_MAX))
#define RESPONSE_MAX (BENCH_DEPTH_MAX * OM_PROTO_GET_ANSWER_MAX)

/* The bytes of a GET of so many objects through the extension: one frame with a URI each. */
static size_t request_bytes(const struct bench_opts *o)
{
	char uri[BENCH_URI_MAX];

	return OM_PROTO_EXT_HDR + (size_t)o->depth * (OM_PROTO_TLV_HDR + bench_uri(o, o->objects / 2, uri));
}

/* And of its answers: a frame each. */
static size_t response_bytes(const struct bench_opts *o)
{
	return (size_t)o->depth * (o->depth > 1 ? OM_PROTO_GET_ANSWER_MAX : OM_PROTO_GET_ANSWER);
}

/* Exactly `len` bytes; false at the end of the stream. */
static bool read_all(int sock, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = recv(sock, (char *)buf + done, len - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int) * BENCH_DEPTH_MAX)];
};

static bool send_fds(int sock, void *buf, size_t len, const int *fds, unsigned n)
{
	union control control;
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t sent;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	if (sent < 0)
		return false;
	for (size_t done = (size_t)sent; done < len; done += (size_t)sent)
		if ((sent = send(sock, (char *)buf + done, len - done, MSG_NOSIGNAL)) < 0)
			return false;
	return true;
}

/*
 * Whose descriptors are passed: --objects files of our own on tmpfs, or those of a directory tree. Different files, as a GET's are:
 * closing one touches its own structures, and the same one over and over would stay in the processor's cache.
 */
struct files {
	int dirfd;
	char **names; /* relative to it */
	int *fds;     /* without --open: all of them, open */
	size_t count; /* that are used */
	size_t named; /* that have a name here */
	char own[64]; /* directory to be removed; "": none */
};

static uint64_t walk_most; /* nftw() has no argument for its user */
static struct files *walk_files;
static size_t walk_skip;

static int walk(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct files *f = walk_files;

	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode) || f->count >= walk_most)
		return 0;
	f->names[f->count] = strdup(path + walk_skip);
	return f->names[f->count++] ? 0 : -1;
}

static bool make_own(struct files *f, uint64_t n, uint64_t size)
{
	char name[32];

	(void)snprintf(f->own, sizeof(f->own), "/dev/shm/objm-bench-XXXXXX");
	if (!mkdtemp(f->own)) {
		f->own[0] = '\0';
		return false;
	}
	f->dirfd = open(f->own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (; f->dirfd >= 0 && f->count < n; f->count++) {
		(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)f->count);
		OM_AUTO_FD fd = openat(f->dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0400);

		f->names[f->count] = strdup(name);
		if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || !f->names[f->count])
			return false;
	}
	return f->dirfd >= 0;
}

static bool open_all(struct files *f)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l); /* what does not fit is left out below */
	}
	f->fds = calloc(f->count, sizeof(*f->fds));
	for (size_t i = 0; f->fds && i < f->count; i++) {
		f->fds[i] = openat(f->dirfd, f->names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (f->fds[i] < 0) {
			f->count = i;
			return i > 0 && errno == EMFILE;
		}
		if (f->fds[i] > 15000 && f->fds[i] + 600 > (int)OM_MIN(l.rlim_cur, (rlim_t)INT32_MAX)) /* room for a batch at the other end */
			f->count = i + 1;
	}
	return f->fds != NULL;
}

static bool files_open(const struct bench_opts *o, struct files *f)
{
	uint64_t most = o->open || o->files ? o->objects : OM_MIN(o->objects, (uint64_t)10000);

	f->names = calloc(most, sizeof(*f->names));
	if (!f->names)
		return false;
	if (o->files) {
		f->dirfd = open(o->files, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		walk_most = most;
		walk_files = f;
		walk_skip = strlen(o->files) + 1;
		if (f->dirfd < 0 || nftw(o->files, walk, 16, FTW_PHYS) != 0)
			return false;
	} else if (!make_own(f, most, o->size)) {
		return false;
	}
	f->named = f->count;
	return f->count > 0 && (o->open || open_all(f));
}

static void files_close(struct files *f)
{
	f->named = OM_MAX(f->named, f->count);
	for (size_t i = 0; f->own[0] && i < f->named; i++)
		(void)unlinkat(f->dirfd, f->names[i], 0);
	if (f->own[0])
		(void)rmdir(f->own);
	om_close(&f->dirfd);
	for (size_t i = 0; i < f->named; i++)
		free(f->names[i]);
	free(f->names);
	free(f->fds);
}

static int pick_fd(const struct bench_opts *o, const struct files *f, uint64_t *random)
{
	size_t i = (size_t)((unsigned __int128)bench_random(random) * f->count >> 64);

	return o->open ? openat(f->dirfd, f->names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : f->fds[i];
}

/* The server: reads a batch of requests, answers with a batch of descriptors. Ends with its peer. */
static void serve(int sock, const struct bench_opts *o, const struct files *files)
{
	static char in[REQUEST_MAX], out[RESPONSE_MAX];
	int fds[BENCH_DEPTH_MAX];
	uint64_t random = 1;
	size_t asked = request_bytes(o), answered = response_bytes(o);

	while (read_all(sock, in, asked)) {
		bool ok;

		for (unsigned i = 0; i < o->depth; i++)
			fds[i] = pick_fd(o, files, &random);
		ok = send_fds(sock, out, answered, fds, o->depth);
		for (unsigned i = 0; o->open && i < o->depth; i++)
			(void)close(fds[i]);
		if (!ok)
			break;
	}
}

/* A batch's answers: all bytes, and every descriptor closed again. False at the end. */
static bool receive(int sock, size_t len, unsigned *ret_fds)
{
	static char buf[RESPONSE_MAX];
	unsigned fds = 0;

	for (size_t done = 0; done < len;) {
		union control control;
		struct iovec iov = {.iov_base = buf, .iov_len = len - done};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);

		if (n <= 0)
			return false;
		done += (size_t)n;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
			unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			int fd[BENCH_DEPTH_MAX];

			memcpy(fd, CMSG_DATA(c), count * sizeof(int));
			for (unsigned i = 0; i < count; i++)
				(void)close(fd[i]);
			fds += count;
		}
	}
	*ret_fds = fds;
	return true;
}

static int ask(int sock, const struct bench_opts *o, struct bench_result *r)
{
	static char request[REQUEST_MAX];
	size_t asks = request_bytes(o), answers = response_bytes(o);
	uint64_t start = om_now_ns(), end = start + (uint64_t)(o->seconds * 1e9), now = start;

	while (now < end) {
		uint64_t before = om_now_ns();
		unsigned fds = 0;

		errno = 0; /* stays so when the other end is gone */
		if (send(sock, request, asks, MSG_NOSIGNAL) < 0 || !receive(sock, answers, &fds))
			return bench_fail("floor: the pair broke: %s", errno ? strerror(errno) : "the second process has ended");
		now = om_now_ns();
		bench_hist_add(&r->hist[BENCH_GETS], now - before, 1);
		r->ops += fds;
		r->errors += o->depth - OM_MIN(fds, o->depth);
	}
	r->seconds = (double)(now - start) / 1e9;
	return BENCH_OK;
}

int bench_floor(const struct bench_opts *o)
{
	static struct bench_result result;
	int pair[2], r = BENCH_FAILED, cpu = o->client_cpu;
	struct files files = {.dirfd = -1};
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return bench_fail("floor: %s", strerror(errno));
	if (!files_open(o, &files)) {
		files_close(&files);
		return bench_fail("floor: %s: no files that can be opened: %s", o->files ? o->files : "/dev/shm", strerror(errno));
	}
	if (o->same_cpu && cpu < 0)
		cpu = 0;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(pair[0]);
		int at = o->same_cpu ? cpu : o->server_cpu;
		if (bench_pin(at) < 0)
			_exit(bench_fail("floor: CPU %d: %s", at, strerror(errno)));
		serve(pair[1], o, &files);
		_exit(0);
	}
	(void)close(pair[1]);
	for (size_t i = 0; files.fds && i < files.count; i++)
		om_close(&files.fds[i]); /* the other process has them */
	if (pid > 0) {
		r = bench_pin(cpu) < 0 ? bench_fail("floor: CPU %d: %s", cpu, strerror(errno)) : ask(pair[0], o, &result);
	} else {
		(void)bench_fail("floor: fork: %s", strerror(errno));
	}
	(void)close(pair[0]);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	files_close(&files);
	return r == BENCH_OK ? bench_print("floor", o, &result) : r;
}
