/*
 * atk_fuse.c: the weapon of a FUSE direct-io read in flight. A read(2) from a FUSE file into a mapping pins the mapping's
 * pages before the file's server has answered; the server, the attacker's own, answers when the object is committed, and
 * the kernel writes into the pages. Any filesystem's pages can be pinned so: they are not pinned for long, says the kernel.
 *
 * The filesystem has one file and speaks to /dev/fuse by hand (nine requests: less than a library would ask for). Its
 * server is a process of its own: were it a thread of the reader, a killed reader would wait for itself for ever. The
 * mount lies in a mount namespace of ours alone and goes with it.
 */
#include "tests/attack/atk.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <signal.h>

#define MOUNT_POINT "/mnt" /* covered in our namespace only */
#define FILE_NAME "slow"
#define FILE_NODE 2u
#define ANSWER_MS 10000

/* What goes over the socket between attacker and server: these, and from the attacker the byte to answer with. */
#define SAID_MOUNTED 'm'
#define SAID_READ 'r'

/* ---------------------------------------------------------------- the server */

struct server {
	int dev_fd, ctl_fd;
	uint64_t read_unique; /* the read that waits; 0: none */
	uint32_t read_size;
};

static void answer(const struct server *s, uint64_t unique, int error, const void *data, size_t len)
{
	struct {
		struct fuse_out_header h;
		unsigned char data[ATK_LEN];
	} out = {.h = {.len = (uint32_t)(sizeof(out.h) + len), .error = -error, .unique = unique}};

	memcpy(out.data, data, len);
	(void)!write(s->dev_fd, &out, sizeof(out.h) + len); /* a request that was given up is no matter */
}

static struct fuse_attr attr_of(uint64_t node)
{
	bool file = node == FILE_NODE;

	return (struct fuse_attr){
		.ino = node,
		.size = file ? ATK_LEN : 0,
		.mode = file ? S_IFREG | 0444 : S_IFDIR | 0555,
		.nlink = 1,
		.blksize = 4096,
	};
}

static void serve_lookup(const struct server *s, const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = {.nodeid = FILE_NODE, .generation = 1, .attr = attr_of(FILE_NODE)};

	if (in->nodeid != FUSE_ROOT_ID || strcmp(name, FILE_NAME) != 0)
		answer(s, in->unique, ENOENT, "", 0);
	else
		answer(s, in->unique, 0, &out, sizeof(out));
}

static void serve_one(struct server *s, const struct fuse_in_header *in, const void *arg)
{
	struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096, .time_gran = 1};
	struct fuse_attr_out attr = {.attr = attr_of(in->nodeid)};
	struct fuse_open_out opened = {.fh = 1, .open_flags = FOPEN_DIRECT_IO};
	char said = SAID_READ;

	switch (in->opcode) {
	case FUSE_INIT:
		init.max_readahead = ((const struct fuse_init_in *)arg)->max_readahead;
		answer(s, in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		serve_lookup(s, in, arg);
		break;
	case FUSE_GETATTR:
		answer(s, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(s, in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ: /* pinned: now the attacker may go on */
		s->read_unique = in->unique;
		s->read_size = ((const struct fuse_read_in *)arg)->size;
		(void)!write(s->ctl_fd, &said, 1);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* these take no answer */
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		answer(s, in->unique, 0, "", 0);
		break;
	default:
		answer(s, in->unique, ENOSYS, "", 0);
	}
}

static void serve_answer(struct server *s, unsigned char byte)
{
	unsigned char bytes[ATK_LEN];

	memset(bytes, byte, sizeof(bytes));
	if (s->read_unique)
		answer(s, s->read_unique, 0, bytes, OM_MIN(s->read_size, sizeof(bytes)));
	s->read_unique = 0;
}

static int serve_mount(struct server *s)
{
	char opt[64];

	s->dev_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (s->dev_fd < 0)
		return -errno;
	(void)snprintf(opt, sizeof(opt), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", s->dev_fd);
	return mount("objm-attack", MOUNT_POINT, "fuse", MS_NOSUID | MS_NODEV, opt) < 0 ? -errno : 0;
}

/* Until the attacker hangs up; closing the device then ends what still waits for an answer. */
static void serve(struct server *s)
{
	static char buf[FUSE_MIN_READ_BUFFER + 4096] __attribute__((aligned(8)));
	struct pollfd pfd[2] = {{.fd = s->dev_fd, .events = POLLIN}, {.fd = s->ctl_fd, .events = POLLIN}};
	unsigned char byte;

	while (poll(pfd, 2, -1) > 0) {
		if (pfd[1].revents) {
			if (read(s->ctl_fd, &byte, 1) != 1)
				return;
			serve_answer(s, byte);
		}
		if (pfd[0].revents) {
			ssize_t n = read(s->dev_fd, buf, sizeof(buf));

			if (n < (ssize_t)sizeof(struct fuse_in_header))
				return;
			serve_one(s, (struct fuse_in_header *)(void *)buf, buf + sizeof(struct fuse_in_header));
		}
	}
}

static _Noreturn void serve_process(int ctl_fd)
{
	struct server s = {.dev_fd = -1, .ctl_fd = ctl_fd};
	int rc;
	char said[2] = {SAID_MOUNTED, 0};

	(void)prctl(PR_SET_PDEATHSIG, (long)SIGKILL);
	rc = serve_mount(&s);
	said[1] = (char)-rc;
	if (write(ctl_fd, said, 2) == 2 && rc == 0)
		serve(&s);
	_exit(0);
}

/* ---------------------------------------------------------------- the weapon */

struct fuse {
	struct atk_weapon w;
	int ctl_fd, file_fd;
	pid_t server;
	pthread_t reader;
	bool reading;
	void *at;
	ssize_t got; /* the reader's, after its end */
};

static int fuse_listen(const struct fuse *f, char *ret_said, size_t len)
{
	struct pollfd pfd = {.fd = f->ctl_fd, .events = POLLIN};

	if (poll(&pfd, 1, ANSWER_MS) != 1)
		return -ETIME;
	return read(f->ctl_fd, ret_said, len) == (ssize_t)len ? 0 : -EPIPE;
}

static int fuse_start(struct fuse *f)
{
	int pair[2];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	f->server = fork();
	if (f->server == 0) {
		(void)close(pair[0]);
		serve_process(pair[1]);
	}
	(void)close(pair[1]);
	f->ctl_fd = pair[0];
	return f->server < 0 ? -errno : 0;
}

static int fuse_load(struct atk_weapon *w)
{
	struct fuse *f = (struct fuse *)w;
	char said[2];
	int rc = fuse_start(f);

	if (rc == 0)
		rc = fuse_listen(f, said, 2);
	if (rc == 0)
		rc = -said[1];
	if (rc < 0)
		(void)snprintf(w->why, sizeof(w->why), "cannot mount a FUSE filesystem%s: %s", geteuid() ? " (needs root)" : "", strerror(-rc));
	return rc;
}

static void *fuse_read_thread(void *arg)
{
	struct fuse *f = arg;
	ssize_t n = read(f->file_fd, f->at, ATK_LEN);

	f->got = n < 0 ? -errno : n;
	return NULL;
}

static int fuse_aim(struct atk_weapon *w, void *at)
{
	struct fuse *f = (struct fuse *)w;
	char said;
	int rc = 0;

	f->at = at;
	f->file_fd = open(MOUNT_POINT "/" FILE_NAME, O_RDONLY | O_CLOEXEC);
	if (f->file_fd < 0)
		rc = -errno;
	if (rc == 0)
		rc = -pthread_create(&f->reader, NULL, fuse_read_thread, f);
	if (rc == 0) {
		f->reading = true;
		rc = fuse_listen(f, &said, 1);
	}
	if (rc < 0)
		(void)snprintf(w->why, sizeof(w->why), "the read does not reach the filesystem: %s", strerror(-rc));
	return rc;
}

static ssize_t fuse_fire(struct atk_weapon *w, unsigned char byte)
{
	struct fuse *f = (struct fuse *)w;

	if (!f->reading)
		return -EBUSY;
	if (write(f->ctl_fd, &byte, 1) != 1)
		return -errno;
	(void)pthread_join(f->reader, NULL);
	f->reading = false;
	return f->got;
}

static void fuse_lower(struct atk_weapon *w)
{
	struct fuse *f = (struct fuse *)w;

	if (f->reading)
		(void)fuse_fire(w, 0);
	om_close(&f->file_fd);
}

static void fuse_unload(struct atk_weapon *w)
{
	struct fuse *f = (struct fuse *)w;

	om_close(&f->ctl_fd);
	if (f->server > 0)
		(void)waitpid(f->server, NULL, 0);
	f->server = 0;
}

struct atk_weapon *atk_fuse_weapon(void)
{
	static struct fuse fuse = {
		.w = {.name = "FUSE direct-io read in flight",
		      .load = fuse_load,
		      .aim = fuse_aim,
		      .fire = fuse_fire,
		      .lower = fuse_lower,
		      .unload = fuse_unload},
		.ctl_fd = -1,
		.file_fd = -1,
	};

	return &fuse.w;
}
