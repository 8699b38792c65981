/*
 * attack_descriptor.c: what a client can try with a descriptor that it got: to change the object, and to disturb others who
 * have a descriptor of it. All of it must be refused, or touch nobody but the attacker. Against a running daemon, as root:
 *
 *	attack_descriptor SOCKET UID OTHER_UID DAEMON_UID
 *
 * The attempts are made as UID; OTHER_UID looks on. Those that a file's owner may make are first made on a file of UID's
 * own, where they must work: an attempt that cannot work proves nothing.
 */
#include "tests/attack/atk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define LEN 10007u /* of the object: no multiple of anything */
#define SESSIONS 8u /* enough to meet every worker */
#define QUICK_MS 2000u

struct scene {
	const char *socket;
	uid_t uid, other, daemon;
	bool memory;
	char uri[64], second[64];
	const char *parent; /* a directory of everybody's on the tier's kind of filesystem */
	uint64_t sum;
};

/* ---------------------------------------------------------------- attempts */

static void proc_path(int fd, char ret[static 32])
{
	(void)snprintf(ret, 32, "/proc/self/fd/%d", fd);
}

/* Each returns 0 when the attack worked, or -errno. */
static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int try_pwrite(int fd)
{
	return result((int)pwrite(fd, "evil", 4, 0));
}

static int try_ftruncate(int fd)
{
	return result(ftruncate(fd, 3));
}

static int try_punch(int fd)
{
	return result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
}

static int try_sendfile(int fd)
{
	OM_AUTO_FD from = memfd_create("evil", MFD_CLOEXEC);

	return from < 0 || ftruncate(from, 100) < 0 ? -errno : result((int)sendfile(fd, from, &(off_t){0}, 100));
}

static int try_map(int fd)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	p[0] = '!';
	return 0;
}

static int try_mprotect(int fd)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	int r = p == MAP_FAILED ? -errno : result(mprotect(p, 4096, PROT_READ | PROT_WRITE));

	if (r == 0)
		p[0] = '!';
	return r;
}

static int reopen(int fd, int flags)
{
	char path[32];
	OM_AUTO_FD again = -1;

	proc_path(fd, path);
	again = open(path, flags | O_CLOEXEC);
	return result(again);
}

static int try_reopen_rdwr(int fd)
{
	return reopen(fd, O_RDWR);
}

static int try_reopen_wronly(int fd)
{
	return reopen(fd, O_WRONLY | O_APPEND);
}

static int try_reopen_trunc(int fd)
{
	return reopen(fd, O_RDONLY | O_TRUNC);
}

/* As root of a user namespace of one's own: every capability, over nobody else's files. */
static int try_reopen_userns(int fd)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int r = unshare(CLONE_NEWUSER) < 0 ? -errno : reopen(fd, O_RDWR);

		_exit(-r & 0x7f);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

static int try_truncate(int fd)
{
	char path[32];

	proc_path(fd, path);
	return result(truncate(path, 3));
}

static int try_handle(int fd)
{
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = {.h = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount_id;
	OM_AUTO_FD again = -1;

	if (name_to_handle_at(fd, "", &u.h, &mount_id, AT_EMPTY_PATH) < 0)
		return -errno;
	again = open_by_handle_at(fd, &u.h, O_RDWR | O_CLOEXEC);
	return result(again);
}

static int try_fchmod(int fd)
{
	return result(fchmod(fd, 0666));
}

static int try_fchown(int fd)
{
	return result(fchown(fd, getuid(), getgid()));
}

static int try_setxattr(int fd)
{
	return result(fsetxattr(fd, BE_ATTR_NAME, "forged", 6, 0));
}

static int try_removexattr(int fd)
{
	return result(fremovexattr(fd, BE_ATTR_NAME));
}

static int try_utimes(int fd)
{
	return result(futimens(fd, NULL));
}

static int try_setflags(int fd)
{
	return result(ioctl(fd, FS_IOC_SETFLAGS, &(int){FS_NODUMP_FL}));
}

static int try_seals(int fd)
{
	return result(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
}

static int try_lease(int fd)
{
	int r = result(fcntl(fd, F_SETLEASE, F_RDLCK));

	if (r == 0)
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return r;
}

struct attempt {
	const char *name;
	int (*go)(int fd);
	bool own_works; /* on a file of one's own */
	bool writer;	/* also to be tried on the descriptor of a put */
};

/* The order matters on the own file: what takes its attribute away comes after what sets it. */
static const struct attempt attempts[] = {
	{"pwrite", try_pwrite, false, false},
	{"ftruncate", try_ftruncate, false, false},
	{"fallocate to punch a hole", try_punch, false, false},
	{"sendfile into it", try_sendfile, false, false},
	{"a shared writable mapping", try_map, false, false},
	{"mprotect of a shared mapping", try_mprotect, false, false},
	{"reopen for reading and writing", try_reopen_rdwr, true, true},
	{"reopen for appending", try_reopen_wronly, true, true},
	{"reopen to truncate", try_reopen_trunc, true, true},
	{"reopen as root of a user namespace", try_reopen_userns, false, true},
	{"truncate by path", try_truncate, true, true},
	{"open by file handle", try_handle, false, true},
	{"fchmod", try_fchmod, true, true},
	{"fchown", try_fchown, true, true},
	{"fsetxattr of the record", try_setxattr, true, true},
	{"fremovexattr of the record", try_removexattr, true, true},
	{"futimens", try_utimes, true, true},
	{"inode flags", try_setflags, false, true},
	{"seals", try_seals, false, false},
	{"a lease", try_lease, true, false},
};

/* ---------------------------------------------------------------- the bytes */

static int open_session(const struct scene *s, bool promise, objm_t **ret)
{
	struct objm_options opt = OBJM_OPTIONS_INIT;
	int rc;

	opt.promise = promise ? OBJM_PROMISE_POSITIONED : 0;
	opt.call_timeout_ms = QUICK_MS;
	opt.retry_ms = OBJM_NO_RETRY;
	rc = objm_open(s->socket, &opt, ret);
	if (rc < 0)
		atk_tap_note("%s", objm_error(NULL));
	return rc;
}

static bool still_whole(const struct scene *s, objm_t *session)
{
	OM_AUTO_FD fd = -1;
	struct stat st;

	if (objm_get(session, s->uri, 0, NULL, &fd) < 0 || fstat(fd, &st) < 0)
		return false;
	return st.st_uid == s->daemon && (st.st_mode & 07777) == 0400 && st.st_size == LEN && atk_target_sum_fd(fd) == s->sum;
}

static int own_file(const struct scene *s)
{
	int fd = open(s->parent, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), again = -1;
	char path[32];

	if (fd >= 0 && ftruncate(fd, LEN) == 0) {
		proc_path(fd, path);
		again = open(path, O_RDONLY | O_CLOEXEC);
	}
	om_close(&fd);
	return again;
}

static int as_reader(void *arg)
{
	const struct scene *s = arg;
	OM_AUTO_FD own = own_file(s);
	OM_AUTO_FD fd = -1;
	objm_t *session;

	if (open_session(s, true, &session) < 0 || objm_get(session, s->uri, 0, NULL, &fd) < 0)
		return 1;
	for (size_t i = 0; i < OM_ARRAY_SIZE(attempts); i++) {
		const struct attempt *a = &attempts[i];
		int control = a->own_works ? a->go(own) : 0, r = a->go(fd);

		if (control < 0)
			atk_tap_skip(a->name, "does not work on a file of one's own either: %s", strerror(-control));
		else
			(void)atk_tap_ok(r < 0, "%s: refused (%s)", a->name, strerror(-r));
	}
	(void)atk_tap_ok(still_whole(s, session), "after all this the object is what it was");
	objm_close(session);
	return 0;
}

/* The same on the descriptor of a put: its writer may write, and nothing else. */
static int as_writer(void *arg)
{
	const struct scene *s = arg;
	struct objm_put_options opt = OBJM_PUT_OPTIONS_INIT;
	objm_t *session;
	objm_put_t *put;
	int rc;

	opt.flags = s->memory ? OBJM_EPHEMERAL : 0;
	if (open_session(s, false, &session) < 0 || objm_put_begin(session, s->second, &opt, &put) < 0)
		return 1;
	for (size_t i = 0; i < OM_ARRAY_SIZE(attempts); i++) {
		if (attempts[i].writer) {
			int r = attempts[i].go(objm_put_writefd(put));

			(void)atk_tap_ok(r < 0, "writer: %s: refused (%s)", attempts[i].name, strerror(-r));
		}
	}
	rc = (int)pwrite(objm_put_writefd(put), "second", 6, 0) == 6 ? objm_put_commit(put, NULL) : -1;
	(void)atk_tap_ok(rc == 0, "writer: the put goes through (%s)", om_status_name(rc));
	objm_close(session);
	return 0;
}

/* New objects under the two names, which nobody has got yet: what an earlier attempt did to a description is forgotten. */
static bool put_objects(struct scene *s)
{
	struct objm_put_options opt = OBJM_PUT_OPTIONS_INIT;
	unsigned char bytes[LEN];
	objm_t *session;
	bool ok;

	for (size_t i = 0; i < LEN; i++)
		bytes[i] = (unsigned char)(i * 7 % 251);
	s->sum = atk_target_sum(bytes, LEN);
	opt.flags = s->memory ? OBJM_EPHEMERAL : 0;
	(void)snprintf(s->uri, sizeof(s->uri), "/attack/%d/%d/first", (int)getpid(), s->memory);
	(void)snprintf(s->second, sizeof(s->second), "/attack/%d/%d/second", (int)getpid(), s->memory);
	if (open_session(s, false, &session) < 0)
		return false;
	ok = objm_put_buf(session, s->uri, bytes, LEN, &opt, NULL) == 0 && objm_put_buf(session, s->second, bytes, LEN, &opt, NULL) == 0;
	objm_close(session);
	return ok;
}

/* ---------------------------------------------------------------- others: somebody does something and stays */

struct holder {
	pid_t pid;
	int down_fd; /* its end of file tells the holder to go */
};

/* What a holder does with its descriptor. 0..99; 0 is success. */
struct deed {
	const struct scene *s;
	bool promise;
	int (*go)(int fd);
};

static int hold_process(uid_t uid, const struct deed *d, int up_fd, int down_fd)
{
	objm_t *session;
	int fd, r = 99;
	char byte;

	if (atk_user_become(uid) == 0 && open_session(d->s, d->promise, &session) == 0 && objm_get(session, d->s->uri, 0, NULL, &fd) == 0)
		r = d->go(fd);
	byte = (char)r;
	(void)!write(up_fd, &byte, 1);
	(void)!read(down_fd, &byte, 1); /* until the other end is closed */
	return 0;
}

/* @return what the deed returned; the holder lives, and holds, until holder_stop() */
static int holder_start(struct holder *h, uid_t uid, const struct deed *d)
{
	int up[2], down[2];
	char byte = 99;

	if (pipe2(up, O_CLOEXEC) < 0 || pipe2(down, O_CLOEXEC) < 0)
		return 99;
	h->pid = fork();
	if (h->pid == 0) {
		(void)close(up[0]);
		(void)close(down[1]);
		_exit(hold_process(uid, d, up[1], down[0]));
	}
	(void)close(up[1]);
	(void)close(down[0]);
	(void)!read(up[0], &byte, 1);
	(void)close(up[0]);
	h->down_fd = down[1];
	return byte;
}

static void holder_stop(struct holder *h)
{
	om_close(&h->down_fd);
	(void)waitpid(h->pid, NULL, 0);
}

/* ---- status flags and the offset ---- */

#define FLIPPED (O_DIRECT | O_APPEND)

static int deed_flip(int fd)
{
	/* A filesystem may refuse O_DIRECT; O_APPEND shows the sharing as well. */
	if (fcntl(fd, F_SETFL, O_DIRECT | O_APPEND) < 0 && fcntl(fd, F_SETFL, O_APPEND) < 0)
		return 1;
	return lseek(fd, 1000, SEEK_SET) == 1000 ? 0 : 2;
}

struct look {
	const struct scene *s;
	bool promise;
};

/* How many of SESSIONS descriptors show what the holder did; 99: an error. */
static int as_onlooker(void *arg)
{
	const struct look *l = arg;
	int touched = 0;

	for (unsigned i = 0; i < SESSIONS; i++) {
		objm_t *session;
		char odd[17];
		OM_AUTO_FD fd = -1;
		int flags;

		if (open_session(l->s, l->promise, &session) < 0 || objm_get(session, l->s->uri, 0, NULL, &fd) < 0)
			return 99;
		flags = fcntl(fd, F_GETFL);
		touched += (flags & FLIPPED) != 0 || lseek(fd, 0, SEEK_CUR) != 0 || pread(fd, odd, sizeof(odd), 3) != sizeof(odd);
		objm_close(session);
	}
	return touched;
}

static void flags_between(struct scene *s, uid_t from, bool from_promise, uid_t to, bool to_promise, bool may_share)
{
	struct deed d = {.s = s, .promise = from_promise, .go = deed_flip};
	struct look l = {.s = s, .promise = to_promise};
	struct holder h;
	int r, touched;
	char what[200];

	(void)atk_tap_ok(put_objects(s), "put them anew");
	r = holder_start(&h, from, &d);
	touched = atk_user_run(to, as_onlooker, &l);
	(void)snprintf(what, sizeof(what), "flags and offset: uid %u%s against uid %u%s", (unsigned)from, from_promise ? " (promised)" : "", (unsigned)to,
		       to_promise ? " (promised)" : "");
	if (may_share)
		atk_tap_note("%s: %d of %u share, as the promise allows", what, touched, SESSIONS);
	else
		(void)atk_tap_ok(r == 0 && touched == 0, "%s: %d of %u touched", what, touched, SESSIONS);
	holder_stop(&h);
}

static void against_sharing(struct scene *s)
{
	const uid_t overflow = 65534;

	flags_between(s, s->uid, true, s->uid, true, true); /* shows that the look would see it */
	flags_between(s, s->uid, true, s->other, true, false);
	flags_between(s, s->uid, true, s->other, false, false);
	flags_between(s, s->uid, true, s->uid, false, false);
	flags_between(s, s->uid, false, s->uid, true, false);
	flags_between(s, s->uid, false, s->uid, false, false);
	flags_between(s, overflow, true, overflow, true, false);
	flags_between(s, 0, true, 0, true, false);
}

/* ---- locks and leases ---- */

static int deed_flock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0;
}

static int deed_lease(int fd, int type)
{
	(void)signal(SIGIO, SIG_IGN); /* a break is not followed */
	return fcntl(fd, F_SETLEASE, type) < 0;
}

static int deed_read_lease(int fd)
{
	return deed_lease(fd, F_RDLCK);
}

static int deed_write_lease(int fd)
{
	return deed_lease(fd, F_WRLCK);
}

/* The bytes by version 2 and copy: these the daemon reads itself. */
static bool copied(const struct scene *s, const char *uri)
{
	objm_hello_t hello = {.capabilities = OBJM_CAP_PIPELINING};
	objm_request_t req = {.mode = OBJM_MODE_COPY, .uri = uri, .uri_len = strlen(uri)};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	OM_AUTO_FD sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	objm_connection_t *c = NULL;
	objm_response_t *resp = NULL;
	bool ok;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->socket);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0 || !(c = objm_client_create(sock, OBJM_PROTO_V2)))
		return false;
	objm_connection_timeout(c, QUICK_MS);
	ok = objm_client_hello(c, &hello, NULL) == 0 && objm_client_send_request(c, &req) == 0 && objm_client_recv_response(c, &resp) == 0 &&
	     resp->status == OBJM_STATUS_OK && resp->content_len == LEN && atk_target_sum(resp->content, LEN) == s->sum;
	objm_response_free(resp);
	objm_client_destroy(c);
	return ok;
}

/* Everything that others want of the object itself: 0, or which of it failed. */
static int as_user_of(void *arg)
{
	const struct scene *s = arg;

	for (unsigned i = 0; i < SESSIONS; i++) {
		objm_t *session;
		struct objm_stat *st;

		if (open_session(s, false, &session) < 0)
			return 1;
		if (objm_stat(session, s->uri, &st) < 0)
			return 2;
		objm_stat_free(st);
		if (!still_whole(s, session))
			return 3;
		if (!copied(s, s->uri))
			return 4;
		objm_close(session);
	}
	return 0;
}

/* Everything that others want of another object, on every worker, while something waits for this one. */
static int as_neighbour(void *arg)
{
	struct scene second = *(const struct scene *)arg;

	memcpy(second.uri, second.second, sizeof(second.uri));
	return as_user_of(&second);
}

/* Ask for the object itself, which may have to wait, and go away. */
static int as_waiter(void *arg)
{
	const struct scene *s = arg;
	OM_AUTO_FD fd = -1;
	objm_t *session;
	int rc = open_session(s, false, &session);

	if (rc == 0)
		rc = objm_get(session, s->uri, 0, NULL, &fd);
	return rc == 0 ? 0 : 1;
}

static void against_locks(struct scene *s)
{
	/* Descriptions of the holder's own, so that a lease goes with the holder. */
	struct deed d = {.s = s, .promise = false};
	struct holder h;
	int r;

	d.go = deed_flock;
	r = holder_start(&h, s->uid, &d);
	(void)atk_tap_ok(r == 0 && atk_user_run(s->other, as_user_of, s) == 0, "an exclusive flock disturbs nobody");
	holder_stop(&h);

	d.go = deed_read_lease;
	r = holder_start(&h, s->daemon, &d);
	(void)atk_tap_ok(r == 0 && atk_user_run(s->other, as_user_of, s) == 0, "a read lease by the daemon's own uid disturbs nobody");
	holder_stop(&h);

	/* Refused while anybody else has the object open: an object that nobody has. */
	d.go = deed_write_lease;
	(void)atk_tap_ok(put_objects(s), "put them anew");
	r = holder_start(&h, s->daemon, &d);
	if (r != 0) {
		atk_tap_skip("a write lease by the daemon's own uid", "the kernel refuses it");
	} else {
		atk_tap_note("the object itself: %s", atk_user_run(s->other, as_waiter, s) == 0 ? "answered at once" : "waits for the lease");
		(void)atk_tap_ok(atk_user_run(s->other, as_neighbour, s) == 0, "a write lease by the daemon's own uid disturbs no other object");
	}
	holder_stop(&h);
	(void)atk_tap_ok(atk_user_run(s->other, as_user_of, s) == 0, "when the leases are gone the object is there at once");
}

/* ---------------------------------------------------------------- the program */

static void remove_objects(const struct scene *s)
{
	objm_t *session;

	if (open_session(s, false, &session) < 0)
		return;
	(void)atk_tap_ok(objm_delete(session, s->uri, NULL) == 0 && objm_delete(session, s->second, NULL) == 0, "both can be deleted");
	objm_close(session);
}

static void against_tier(struct scene *s)
{
	const char *tmp = getenv("TMPDIR");

	s->parent = s->memory ? "/dev/shm" : tmp ? tmp : "/var/tmp";
	atk_tap_note("the %s tier", s->memory ? "memory" : "disk");
	if (!atk_tap_ok(put_objects(s), "put two objects"))
		return;
	(void)atk_tap_ok(atk_user_run(s->uid, as_reader, s) == 0, "as a reader");
	against_sharing(s);
	against_locks(s);
	(void)atk_tap_ok(atk_user_run(s->uid, as_writer, s) == 0, "as a writer");
	remove_objects(s);
}

static bool arg_uid(const char *text, uid_t *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	*ret = (uid_t)v;
	return *text && *end == '\0' && v > 0 && v < (uid_t)-1;
}

int main(int argc, char **argv)
{
	struct scene s = {0};

	if (argc != 5 || !arg_uid(argv[2], &s.uid) || !arg_uid(argv[3], &s.other) || !arg_uid(argv[4], &s.daemon)) {
		fprintf(stderr, "usage: %s SOCKET UID OTHER_UID DAEMON_UID\n", argv[0]);
		return 2;
	}
	s.socket = argv[1];
	atk_tap_init();
	if (geteuid() != 0) {
		atk_tap_skip("descriptors", "needs root to become several users");
		return atk_tap_done();
	}
	for (int memory = 1; memory >= 0; memory--) {
		s.memory = memory;
		against_tier(&s);
	}
	return atk_tap_done();
}
