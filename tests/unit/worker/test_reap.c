/*
 * test_reap.c: descriptors that clients send and nobody asked for, and whose close takes long: a TCP socket that lingers, a
 * file of a FUSE server that does not answer. (On Linux 6.16 and later the daemon's sockets refuse them; these here do not.)
 * Closing such a one in the loop would make every other client wait: their reads time out here after 10 s.
 */
#include "wrk_wire.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "worker/wrk_conn_set.h"
#include "worker/wrk_reap.h"

static void send_with(int sock, const void *p, size_t n, int fd)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sock, &m, MSG_NOSIGNAL) != (ssize_t)n)
		_exit(1);
}

/* Others are answered, each on a connection of its own, which is closed too. */
static void others(struct harness *h)
{
	uint8_t req[8192];
	struct wire_resp r;

	for (int i = 0; i < 50; i++) {
		int fd = harness_connect(h);

		harness_write(fd, req, wire_v1(req, '1', "/a"));
		wire_resp(fd, 1, &r);
		wire_file(harness_read_fd_byte(fd), "A");
		(void)close(fd);
	}
}

/* A connected TCP socket with bytes that its peer does not take: its close waits for a minute. */
static int lingering(int *ret_peer)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger l = { 1, 60 };
	socklen_t len = sizeof(sa);
	static char junk[65536];
	int lfd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

	(void)setsockopt(lfd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(bind(lfd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(lfd, 1), 0);
	assert_int_equal(getsockname(lfd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	*ret_peer = accept(lfd, NULL, NULL);
	(void)close(lfd);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	while (send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Ours goes, too; should the worker have closed its own first, it is ours that waits. */
static void *close_ours(void *arg)
{
	(void)close((int)(intptr_t)arg);
	return NULL;
}

static void test_linger(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct linger now = { 1, 0 };
	pthread_t ours[4];
	int peers[4], unread;
	uint8_t req[8192];
	struct wire_resp r;
	size_t n = wire_v1(req, '1', "/a");

	(void)state;
	(void)harness_object(h, "/a", "A", 1, 0);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(peers); i++) {
		int fd = lingering(&peers[i]), c = harness_connect(h);

		send_with(c, req, n, fd);
		assert_int_equal(pthread_create(&ours[i], NULL, close_ours, (void *)(intptr_t)fd), 0);
		if (i % 2) { /* read by the worker; or left in the queue of a connection that is closed */
			wire_resp(c, 1, &r);
			wire_file(harness_read_fd_byte(c), "A");
		}
		(void)close(c);
		others(h);
	}
	assert_true(ioctl(peers[0], 0x541b /* FIONREAD */, &unread) == 0 && unread > 0); /* it is not closed: the reaper waits */
	for (unsigned i = 0; i < OM_ARRAY_SIZE(peers); i++) { /* reset: lets the closes end */
		(void)setsockopt(peers[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		(void)close(peers[i]);
	}
	for (unsigned i = 0; i < OM_ARRAY_SIZE(ours); i++)
		(void)pthread_join(ours[i], NULL);
	harness_stop(h);
}

/* `n` descriptors to a message. */
static bool send_many(int sock, const void *p, size_t len, int fd, unsigned n)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * WRK_REAP_MSG_MAX)] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	return sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

/* Another user's connection, and in it a descriptor that is nobody else's any more when the worker reads it. */
static struct {
	int sock, fd;
	uint8_t req[64];
	size_t n;
} flood;
static void begin_flood(struct harness *h)
{
	wrk_conn_first(h->w.conns)->uid = 12345;
	send_with(flood.sock, flood.req, flood.n, flood.fd);
	(void)close(flood.fd); /* the message has it still, so this does not wait */
}

/* One who sends more than can be closed is not read from until some have been: others do not notice, and the loop closes none. */
static void test_flood(void **state)
{
	const unsigned most = WRK_REAP_UID_MAX / WRK_REAP_MSG_MAX * WRK_REAP_MSG_MAX, all = 8 * WRK_REAP_MSG_MAX;
	struct harness *h = harness_start(NULL, true);
	struct linger now = { 1, 0 };
	uint64_t before = harness_counter(OM_C_FDS_UNINVITED);
	int peer, null = open("/dev/null", O_RDONLY | O_CLOEXEC), c = harness_connect(h);
	struct wire_resp r;

	(void)state;
	(void)harness_object(h, "/a", "A", 1, 0);
	flood.n = wire_v1(flood.req, '1', "/a");
	flood.fd = lingering(&peer);
	flood.sock = c;
	harness_write(c, flood.req, flood.n);
	wire_resp(c, 1, &r);
	wire_file(harness_read_fd_byte(c), "A");
	harness_call(h, begin_flood);
	for (unsigned sent = 0; sent < all; sent += WRK_REAP_MSG_MAX)
		assert_true(send_many(c, flood.req, flood.n, null, WRK_REAP_MSG_MAX));
	for (int i = 0; i < 10000 && harness_counter(OM_C_FDS_UNINVITED) - before < most - WRK_REAP_MSG_MAX + 1; i++)
		(void)usleep(1000);
	others(h);
	others(h);
	assert_in_range(harness_counter(OM_C_FDS_UNINVITED) - before, most - WRK_REAP_MSG_MAX + 1, WRK_REAP_UID_MAX);
	(void)setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(peer); /* its close ends, and the rest is read and answered */
	for (unsigned i = 0; i < 1 + all / WRK_REAP_MSG_MAX; i++) {
		wire_resp(c, 1, &r);
		wire_file(harness_read_fd_byte(c), "A");
	}
	assert_int_equal(harness_counter(OM_C_FDS_UNINVITED) - before, all + 1);
	(void)close(null);
	(void)close(c);
	harness_stop(h);
}

/* ---------------------------------------------------------------- FUSE */

static struct {
	char dir[64];
	int dev, go[2]; /* go: the path of the socket, when there is one */
	pid_t server, sender;
} fuse = { .dev = -1 };

static void reply(int dev, uint64_t unique, int error, const void *data, size_t len)
{
	struct {
		struct fuse_out_header h;
		char data[256];
	} out = { .h = { .len = (uint32_t)(sizeof(out.h) + len), .error = -error, .unique = unique } };

	memcpy(out.data, data, len);
	(void)!write(dev, &out, sizeof(out.h) + len);
}

/* One file, "f"; FLUSH, which is part of every close, is never answered. */
static void serve(int dev)
{
	static _Alignas(8) char buf[FUSE_MIN_READ_BUFFER + 65536];
	struct fuse_attr dir = { .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2 }, file = { .ino = 2, .mode = S_IFREG | 0644, .nlink = 1 };
	const struct fuse_in_header *in = (const void *)buf;

	while (read(dev, buf, sizeof(buf)) > 0) {
		struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 };
		struct fuse_entry_out entry = { .nodeid = 2, .entry_valid = 60, .attr_valid = 60, .attr = file };
		struct fuse_attr_out attr = { .attr_valid = 60, .attr = in->nodeid == 1 ? dir : file };
		struct fuse_open_out op = { .fh = 1 };

		switch (in->opcode) {
		case FUSE_INIT: reply(dev, in->unique, 0, &init, sizeof(init)); break;
		case FUSE_LOOKUP: reply(dev, in->unique, 0, &entry, sizeof(entry)); break;
		case FUSE_GETATTR: reply(dev, in->unique, 0, &attr, sizeof(attr)); break;
		case FUSE_OPEN: reply(dev, in->unique, 0, &op, sizeof(op)); break;
		case FUSE_FLUSH:
		case FUSE_FORGET: break;
		default: reply(dev, in->unique, ENOSYS, NULL, 0); break;
		}
	}
	_exit(0);
}

/* Opens the file and sends it; its own close of it waits for ever, too. */
static void sender(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	char path[96];
	ssize_t n = read(fuse.go[0], sa.sun_path, sizeof(sa.sun_path) - 1);

	(void)snprintf(path, sizeof(path), "%s/f", fuse.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (n <= 0 || fd < 0 || connect(sock, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		_exit(1);
	for (int i = 0; i < 20; i++)
		send_with(sock, "1\0\2/a", 5, fd);
	for (;;)
		(void)pause();
}

static pid_t child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Mount it where only we see it, before there are threads. */
static int fuse_begin(void **state)
{
	char opts[128];

	(void)state;
	(void)snprintf(fuse.dir, sizeof(fuse.dir), "/tmp/objm-fuse-XXXXXX");
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(fuse.dir))
		return 0;
	fuse.dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	(void)snprintf(opts, sizeof(opts), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse.dev);
	if (fuse.dev >= 0 && mount("objm-test", fuse.dir, "fuse", MS_NOSUID | MS_NODEV, opts) < 0)
		om_close(&fuse.dev);
	if (fuse.dev < 0)
		return 0;
	assert_int_equal(pipe2(fuse.go, O_CLOEXEC), 0);
	fuse.server = child();
	if (fuse.server == 0)
		serve(fuse.dev);
	fuse.sender = child();
	if (fuse.sender == 0) {
		om_close(&fuse.dev);
		sender();
	}
	om_close(&fuse.dev); /* the server's alone: with its end everything that waits gets an error */
	fuse.dev = 0;
	return 0;
}

static int fuse_end(void **state)
{
	(void)state;
	if (fuse.server > 0) {
		(void)kill(fuse.server, SIGKILL);
		(void)waitpid(fuse.server, NULL, 0);
		(void)kill(fuse.sender, SIGKILL);
		(void)waitpid(fuse.sender, NULL, 0);
		fuse.server = 0;
	}
	(void)umount2(fuse.dir, MNT_DETACH);
	(void)rmdir(fuse.dir);
	return 0;
}

static void test_fuse(void **state)
{
	struct harness *h;
	uint64_t before;

	if (fuse.dev < 0) {
		print_message("# no FUSE here\n");
		skip();
	}
	h = harness_start(NULL, true);
	before = harness_counter(OM_C_FDS_UNINVITED);
	(void)harness_object(h, "/a", "A", 1, 0);
	assert_true(write(fuse.go[1], h->sock, strlen(h->sock)) > 0);
	for (int i = 0; i < 10000 && harness_counter(OM_C_FDS_UNINVITED) < before + 20; i++)
		(void)usleep(1000);
	assert_int_equal(harness_counter(OM_C_FDS_UNINVITED), before + 20);
	others(h);
	(void)fuse_end(state); /* then the reaper can end */
	harness_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fuse), cmocka_unit_test(test_linger), cmocka_unit_test(test_flood) };

	return cmocka_run_group_tests(tests, fuse_begin, fuse_end);
}
