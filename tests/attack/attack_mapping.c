/*
 * attack_mapping.c: commit an object while something that can still write to it is kept. The commit must be refused as long
 * as that lives, the object must not appear, and when it is let go the same put can be committed.
 */
#include "tests/attack/atk.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define REFUSED_MS 5000 /* a refusal takes the server's commit_wait_ms, 100 by default; this is for a busy machine */

/* What is kept. */
struct kept {
	int fd; /* the writable descriptor: borrowed */
	void *map;
	pid_t child;
	int pair[2], ring_fd;
};

/* ---------------------------------------------------------------- ways to keep it */

static bool keep_mapping(struct kept *k, int prot, int flags)
{
	k->map = mmap(NULL, ATK_LEN, prot, flags, k->fd, 0);
	return k->map != MAP_FAILED;
}

static bool keep_shared(struct kept *k)
{
	return keep_mapping(k, PROT_READ | PROT_WRITE, MAP_SHARED);
}

/* Can be made writable later by mprotect(). */
static bool keep_readable(struct kept *k)
{
	return keep_mapping(k, PROT_READ, MAP_SHARED);
}

/* Writing to it changes nobody's bytes: the only one that a commit need not wait for, though it may. */
static bool keep_private(struct kept *k)
{
	return keep_mapping(k, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static bool fork_child(struct kept *k, bool unmap)
{
	k->child = fork();
	if (k->child == 0) {
		if (unmap)
			(void)close(k->fd); /* the mapping stays, alone */
		for (;;)
			(void)pause();
	}
	return k->child > 0;
}

static bool keep_child(struct kept *k)
{
	return fork_child(k, false);
}

static bool keep_child_mapping(struct kept *k)
{
	bool ok = keep_shared(k) && fork_child(k, true);

	if (k->map)
		(void)munmap(k->map, ATK_LEN);
	k->map = NULL;
	return ok;
}

static bool keep_in_flight(struct kept *k)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (char[]){'x'}, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};

	memcpy(CMSG_DATA(&control.h), &k->fd, sizeof(int));
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, k->pair) == 0 && sendmsg(k->pair[0], &msg, 0) == 1;
}

/* io_uring's table of files: a descriptor that is in no descriptor table. */
static bool keep_registered(struct kept *k)
{
	struct io_uring_params p = {0};

	k->ring_fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	return k->ring_fd >= 0 && syscall(SYS_io_uring_register, k->ring_fd, IORING_REGISTER_FILES, &k->fd, 1) == 0;
}

static void let_go(struct kept *k)
{
	if (k->map && k->map != MAP_FAILED)
		(void)munmap(k->map, ATK_LEN);
	if (k->child > 0) {
		(void)kill(k->child, SIGKILL);
		(void)waitpid(k->child, NULL, 0);
	}
	om_close(&k->pair[0]);
	om_close(&k->pair[1]);
	om_close(&k->ring_fd);
	k->map = NULL;
	k->child = 0;
}

struct way {
	const char *name;
	bool (*keep)(struct kept *k);
	bool harmless; /* the commit may succeed beside it */
	bool optional; /* a kernel may not have it */
};

static const struct way ways[] = {
	{"a shared writable mapping", keep_shared, false, false},
	{"a shared mapping, readable so far", keep_readable, false, false},
	{"a descriptor in a forked child", keep_child, false, false},
	{"a mapping in a forked child", keep_child_mapping, false, false},
	{"a descriptor in flight in another socket", keep_in_flight, false, false},
	{"a descriptor registered with io_uring", keep_registered, false, true},
	{"a private mapping", keep_private, true, false},
};

/* ---------------------------------------------------------------- the attack */

static bool absent(struct atk_target *t)
{
	int fd;

	if (atk_target_get(t, &fd) == -OBJM_STATUS_NOT_FOUND)
		return true;
	return false;
}

/* It was committed although something was kept: that something must not be the object's. */
static void scribble(const struct kept *k)
{
	if (k->map && mprotect(k->map, ATK_LEN, PROT_READ | PROT_WRITE) == 0)
		memset(k->map, 'p', ATK_LEN);
}

/* Let go, commit: closing may be deferred a little (a child's exit, a socket's queue), which is TRY LATER, not an error. */
static int commit_after(struct atk_target *t, struct kept *k)
{
	int rc;

	let_go(k);
	for (unsigned i = 0; i < 50; i++) {
		rc = atk_target_commit(t);
		if (rc != -OBJM_STATUS_WRITER_STILL_OPEN)
			break;
		(void)usleep(20000);
	}
	return rc;
}

static void committed_is(struct atk_target *t, uint64_t sum, const char *way)
{
	OM_AUTO_FD fd = -1;

	(void)atk_tap_ok(atk_target_get(t, &fd) == 0 && atk_target_sum_fd(fd) == sum, "%s: with %s let go, the object is what was put", t->name,
			 way);
}

static void try_way(struct atk_target *t, const struct way *way, bool lax)
{
	struct kept k = {.fd = -1, .pair = {-1, -1}, .ring_fd = -1};
	unsigned char bytes[ATK_LEN];
	uint64_t before;
	int rc;

	memset(bytes, 'm', sizeof(bytes));
	if (atk_target_begin(t, ATK_LEN, &k.fd) < 0 || pwrite(k.fd, bytes, ATK_LEN, 0) != (ssize_t)ATK_LEN) {
		(void)atk_tap_ok(false, "%s: begin", t->name);
		return;
	}
	if (!way->keep(&k)) {
		if (way->optional)
			atk_tap_skip(way->name, "%s", strerror(errno));
		else
			(void)atk_tap_ok(false, "%s: %s: %s", t->name, way->name, strerror(errno));
		let_go(&k);
		atk_target_end(t);
		return;
	}
	before = om_now_ns();
	rc = atk_target_commit(t);
	if (rc == 0 && (way->harmless || lax)) {
		scribble(&k);
	} else {
		(void)atk_tap_ok(rc == -OBJM_STATUS_WRITER_STILL_OPEN, "%s: no commit beside %s (%s)", t->name, way->name, om_status_name(rc));
		(void)atk_tap_ok((om_now_ns() - before) / 1000000u < REFUSED_MS, "%s: ... refused after %llu ms", t->name,
				 (unsigned long long)((om_now_ns() - before) / 1000000u));
		(void)atk_tap_ok(absent(t), "%s: ... and nobody sees the object", t->name);
		rc = commit_after(t, &k);
	}
	if (atk_tap_ok(rc == 0, "%s: committed (%s)", t->name, om_status_name(rc)))
		committed_is(t, atk_target_sum(bytes, sizeof(bytes)), way->name);
	let_go(&k);
	atk_target_end(t);
}

/* ---------------------------------------------------------------- targets */

static void against_backend(void)
{
	const char *tmp = getenv("TMPDIR");
	const char *const parents[] = {"/dev/shm", tmp ? tmp : "/var/tmp"};

	for (size_t i = 0; i < OM_ARRAY_SIZE(parents); i++) {
		struct atk_target t;

		if (!atk_tap_ok(atk_target_dir(&t, ATK_COPY, parents[i]) == 0, "a tier in %s", parents[i]))
			continue;
		if (t.be.caps & OM_TIERC_LEASE)
			for (size_t j = 0; j < OM_ARRAY_SIZE(ways); j++)
				try_way(&t, &ways[j], false);
		else
			atk_tap_skip(t.name, "this filesystem gives a lease beside a writable mapping");
		atk_target_close(&t);
	}
}

static void against_daemon(const struct atk_args *a)
{
	int rc = atk_user_become(a->uid);

	if (!atk_tap_ok(rc == 0, "become uid %u", (unsigned)a->uid))
		return;
	for (int memory = 1; memory >= 0; memory--) {
		struct atk_target t;

		if (atk_tap_ok(atk_target_daemon(&t, a->socket, memory) == 0, "connect"))
			for (size_t j = 0; j < OM_ARRAY_SIZE(ways); j++)
				try_way(&t, &ways[j], a->lax);
		atk_target_close(&t);
	}
}

int main(int argc, char **argv)
{
	struct atk_args a;

	if (!atk_run_args(argc, argv, &a))
		return 2;
	atk_tap_init();
	if (a.socket)
		against_daemon(&a);
	else
		against_backend();
	return atk_tap_done();
}
