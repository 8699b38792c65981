/*
 * wrk_legacy.c: writes by existing clients: see wrk_legacy.h. Process objmapper-worker, loop thread.
 *
 *	NEW      the put session begins
 *	WRITING  the client has the descriptor; the file is watched
 *	SETTLE   IN_CLOSE_WRITE was seen and the lease is granted; a few ms to see whether a hang-up belongs to it
 *	JUDGE    there was a hang-up just then, or the writer is coming to its end: was it killed?
 *	PUBLISH  being committed
 */
#include "worker/wrk_legacy.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/om_counter.h"
#include "worker/wrk_put_int.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define BUCKETS 256u
#define MS 1000000ull
#define JUDGE_STEP_NS (5 * MS)
#define JUDGE_ALIVE_NS (50 * MS) /* a process that is still there so long after its hang-up was not dying */
#define PREFIX_DELETE "/delete"
#define PREFIX_LIST "/list"

/* struct pidfd_info as of Linux 6.13/6.15; Debian 12's headers do not have it. */
#define PIDFD_INFO_EXIT_BIT (1ull << 3)
struct pidfd_info64 {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t ids[11];
	int32_t exit_code; /* as of wait(2) */
};
static_assert(sizeof(struct pidfd_info64) == 64, "the kernel's first version of it");

/* As of Linux 6.16: what would be dumped of its memory, which is never 0; 0: it has none any more. */
#define PIDFD_INFO_COREDUMP_BIT (1ull << 4)
struct pidfd_info72 {
	struct pidfd_info64 v0;
	uint32_t coredump_mask;
	uint32_t spare;
};
static_assert(sizeof(struct pidfd_info72) == 72, "the kernel's second version of it");

enum state { NEW, WRITING, SETTLE, JUDGE, PUBLISH };

struct wrk_legacy {
	struct wrk_legacy_set *set;
	struct wrk_legacy_owner *owner; /* NULL: its connection is gone */
	struct wrk_legacy *next_owned, **prevp_owned;
	struct wrk_legacy *next_wd;
	struct wrk_put *put;
	wrk_put_begun_fn *fn;
	void *arg;
	struct wrk_timer timer;
	uint64_t judge_from_ns;
	enum state state;
	int wd;	   /* -1: not watched */
	int pidfd; /* JUDGE */
};

struct wrk_legacy_set {
	struct wrk *w;
	struct wrk_src src; /* inotify */
	struct wrk_legacy *by_wd[BUCKETS];
	char text[256];
};

/* ---- watches ---- */

static struct wrk_legacy **wd_place(struct wrk_legacy_set *s, int wd)
{
	struct wrk_legacy **l = &s->by_wd[(unsigned)wd % BUCKETS];

	while (*l && (*l)->wd != wd)
		l = &(*l)->next_wd;
	return l;
}

static int watch(struct wrk_legacy *l)
{
	char path[32];
	struct wrk_legacy **place;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", l->put->file.fd);
	l->wd = inotify_add_watch(l->set->src.fd, path, IN_CLOSE_WRITE);
	if (l->wd < 0) {
		l->wd = -1;
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	}
	place = &l->set->by_wd[(unsigned)l->wd % BUCKETS];
	l->next_wd = *place;
	*place = l;
	return 0;
}

static void unwatch(struct wrk_legacy *l)
{
	struct wrk_legacy **place;

	if (l->wd < 0)
		return;
	place = wd_place(l->set, l->wd);
	OM_ASSERT(*place == l);
	*place = l->next_wd;
	(void)inotify_rm_watch(l->set->src.fd, l->wd); /* gone with its inode at the latest */
	l->wd = -1;
}

/* ---- life ---- */

static void disown(struct wrk_legacy *l)
{
	if (!l->owner)
		return;
	*l->prevp_owned = l->next_owned;
	if (l->next_owned)
		l->next_owned->prevp_owned = l->prevp_owned;
	l->owner = NULL;
}

/* The end of it; its put session is not touched. */
static void end(struct wrk_legacy *l)
{
	unwatch(l);
	disown(l);
	wrk_timer_disarm(&l->set->w->loop, &l->timer);
	om_close(&l->pidfd);
	free(l);
}

static void drop(struct wrk_legacy *l)
{
	wrk_put_abort(l->set->w->puts, l->put);
	end(l);
}

static void published(void *arg, const struct wrk_put_done *d)
{
	struct wrk_legacy *l = arg;

	if (d->status < 0) {
		/* There is no answer that could say it. */
		om_log(OM_MSG_PEER_LIMIT, "what an existing client wrote was not stored: %s", d->text);
		/* An open session (somebody still writes) is given up with it: without commits there is no second try. */
		struct wrk_put *p = d->status == -OBJM_STATUS_WRITER_STILL_OPEN || d->status == -OBJM_STATUS_TRY_AGAIN ? l->put :
				    NULL;
		if (p)
			wrk_put_abort(l->set->w->puts, p);
	}
	end(l);
}

static void publish(struct wrk_legacy *l)
{
	struct stat st;
	const char *why;

	if (fstat(l->put->file.fd, &st) < 0 || st.st_size == 0) {
		drop(l); /* never written: it stays absent */
		return;
	}
	unwatch(l); /* completing it may open and close it for writing */
	l->state = PUBLISH;
	if (wrk_put_commit(l->set->w->puts, l->put, published, l, &why) < 0)
		drop(l);
}

/* ---- was the writer killed? ---- */

enum verdict { ALIVE, ENDED, KILLED, UNKNOWN };

/*
 * A process gives its memory back before its descriptors (do_exit: exit_mm, then exit_files). So one that is being killed
 * is told apart from one that closed a file although it has not come to its connection yet, however long it waits for a
 * processor between the two. Older kernels do not tell: then the time of SETTLE must do.
 */
static bool is_exiting(int pidfd)
{
	struct pidfd_info72 info = { .v0.mask = PIDFD_INFO_COREDUMP_BIT };

	if (pidfd < 0)
		return false;
	if (ioctl(pidfd, WRK_LEGACY_PIDFD_GET_INFO_MM, &info) < 0)
		return errno == ESRCH;
	return (info.v0.mask & PIDFD_INFO_COREDUMP_BIT) && info.coredump_mask == 0;
}

static enum verdict ask_kernel(int pidfd)
{
	struct pidfd_info64 info = { .mask = PIDFD_INFO_EXIT_BIT };
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return UNKNOWN;
	if (poll(&pfd, 1, 0) == 0)
		return ALIVE;
	if (ioctl(pidfd, WRK_LEGACY_PIDFD_GET_INFO, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT_BIT))
		return UNKNOWN;
	return (info.exit_code & 0x7f) != 0 ? KILLED : ENDED;
}

static void on_judge(struct wrk_legacy *l)
{
	uint64_t waited = om_now_ns() - l->judge_from_ns;

	switch (ask_kernel(l->pidfd)) {
	case KILLED:
		drop(l);
		return;
	case ENDED:
		publish(l);
		return;
	case ALIVE:
		if (waited >= (is_exiting(l->pidfd) ? WRK_LEGACY_JUDGE_MS * MS : JUDGE_ALIVE_NS)) {
			publish(l);
			return;
		}
		break;
	case UNKNOWN: /* not reaped yet; or this kernel does not tell: then the order of events has decided */
		if (l->pidfd < 0 || waited >= WRK_LEGACY_JUDGE_MS * MS) {
			publish(l);
			return;
		}
		break;
	}
	wrk_timer_arm(&l->set->w->loop, &l->timer, om_now_ns() + JUDGE_STEP_NS);
}

static void judge(struct wrk_legacy *l)
{
	l->state = JUDGE;
	l->judge_from_ns = om_now_ns();
	if (l->pidfd < 0 && l->owner && l->owner->pidfd >= 0)
		l->pidfd = fcntl(l->owner->pidfd, F_DUPFD_CLOEXEC, 3);
	on_judge(l);
}

static bool hung_up(const struct wrk_legacy *l)
{
	struct pollfd pfd = { .fd = l->owner ? l->owner->conn_fd : -1, .events = POLLRDHUP };

	return !l->owner || (poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

static void on_timer(void *arg)
{
	struct wrk_legacy *l = arg;

	if (l->state == JUDGE)
		on_judge(l);
	else if (l->state == SETTLE && (hung_up(l) || is_exiting(l->owner->pidfd)))
		judge(l);
	else if (l->state == SETTLE)
		publish(l);
}

/* ---- the last writer has gone ---- */

static void closed(struct wrk_legacy *l)
{
	if (l->state != WRITING || l->put->state != WRK_PUT_OPEN)
		return;
	if (be_quiet(&l->put->tier->be, &l->put->file) == -OBJM_STATUS_WRITER_STILL_OPEN)
		return; /* another descriptor is left: its close comes */
	l->state = SETTLE;
	wrk_timer_arm(&l->set->w->loop, &l->timer, om_now_ns() + WRK_LEGACY_SETTLE_MS * MS);
}

/* Events were lost: look at all. */
static void look_at_all(struct wrk_legacy_set *s)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct wrk_legacy *l = s->by_wd[i]; l; l = l->next_wd)
			closed(l);
}

/* Takes all that was there when it was called. A writer that opens and closes its file without end does not hold the loop. */
static void on_inotify(void *arg, uint32_t events)
{
	struct wrk_legacy_set *s = arg;
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n, left;
	int here = 0;

	(void)events;
	left = ioctl(s->src.fd, FIONREAD, &here) == 0 ? here : INT_MAX;
	while (left > 0 && (n = read(s->src.fd, buf, sizeof(buf))) > 0) {
		left -= n;
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);
			at += (ssize_t)(sizeof(*e) + e->len);
			if (e->mask & IN_Q_OVERFLOW) {
				look_at_all(s);
				continue;
			}
			struct wrk_legacy *l = *wd_place(s, e->wd);
			if (l && (e->mask & IN_CLOSE_WRITE))
				closed(l);
		}
	}
}

/* ---- begin ---- */

static void begun(void *arg, const struct wrk_put_begun *b)
{
	struct wrk_legacy *l = arg;
	struct wrk_put_begun out = *b;
	wrk_put_begun_fn *fn = l->fn;
	void *fn_arg = l->arg;

	if (b->status == 0) {
		out.status = watch(l);
		if (out.status < 0) {
			(void)snprintf(l->set->text, sizeof(l->set->text), "the file cannot be watched: %s: raise "
				       "fs.inotify.max_user_watches", strerror(errno));
			out.text = l->set->text;
			om_close(&out.fd);
			wrk_put_abort(l->set->w->puts, l->put);
		}
	}
	if (out.status < 0) {
		end(l);
	} else {
		l->state = WRITING;
	}
	fn(fn_arg, &out);
}

static void ask_peer(struct wrk_legacy_owner *o)
{
	int fd = -1;
	socklen_t len = sizeof(fd);

	if (o->pidfd < 0 && getsockopt(o->conn_fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		o->pidfd = fd; /* close-on-exec by itself */
}

int wrk_legacy_create(struct wrk_legacy_set *s, struct wrk_legacy_owner *o, const char *uri, uint16_t uri_len,
		      bool ephemeral, wrk_put_begun_fn *fn, void *arg, const char **ret_text)
{
	struct wrk_put_req req = {
		.uri = uri, .uri_len = uri_len, .flags = ephemeral ? OM_OBJ_EPHEMERAL : 0, .durability = OM_DUR_COUNT,
	};
	struct wrk_legacy *l = calloc(1, sizeof(*l));
	int rc;

	if (!l) {
		*ret_text = "no memory for another put";
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	*l = (struct wrk_legacy){ .set = s, .owner = o, .fn = fn, .arg = arg, .state = NEW, .wd = -1, .pidfd = -1 };
	l->timer = WRK_TIMER_INIT(on_timer, l);
	rc = wrk_put_begin(s->w->puts, &o->puts, &req, begun, l, ret_text);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->put = o->puts.first; /* the newest one */
	l->next_owned = o->first;
	l->prevp_owned = &o->first;
	if (o->first)
		o->first->prevp_owned = &l->next_owned;
	o->first = l;
	ask_peer(o);
	return 0;
}

/* ---- owners ---- */

void wrk_legacy_owner_init(struct wrk_legacy_owner *o, uint32_t uid, int conn_fd)
{
	*o = (struct wrk_legacy_owner){ .pidfd = -1, .conn_fd = conn_fd };
	wrk_put_owner_init(&o->puts, uid);
}

static void left_alone(struct wrk_legacy *l)
{
	switch (l->state) {
	case NEW:
	case WRITING:
		drop(l); /* the hang-up came first */
		return;
	case SETTLE:
		wrk_timer_disarm(&l->set->w->loop, &l->timer);
		judge(l);
		return;
	case JUDGE:
	case PUBLISH:
		return;
	}
}

void wrk_legacy_owner_close(struct wrk_legacy_set *s, struct wrk_legacy_owner *o)
{
	if (o->first)
		on_inotify(s, 0); /* a close that came before the hang-up may not have been read yet */
	while (o->first) {
		struct wrk_legacy *l = o->first;

		/* From here on the session stands for itself. Its descriptor of the process is taken first. */
		if (l->state == SETTLE && l->pidfd < 0 && o->pidfd >= 0)
			l->pidfd = fcntl(o->pidfd, F_DUPFD_CLOEXEC, 3);
		disown(l);
		if (l->state != NEW && l->state != WRITING)
			wrk_put_detach(l->put);
		left_alone(l);
	}
	wrk_put_owner_close(s->w->puts, &o->puts);
	om_close(&o->pidfd);
}

/* ---- names ---- */

static bool has_prefix(const char *uri, uint16_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && memcmp(uri, prefix, n) == 0;
}

bool wrk_legacy_delete_name(const char *uri, uint16_t uri_len, const char **ret_uri, uint16_t *ret_len)
{
	const uint16_t n = sizeof(PREFIX_DELETE) - 1;

	if (!has_prefix(uri, uri_len, PREFIX_DELETE) || uri_len == n)
		return false;
	*ret_uri = uri + n;
	*ret_len = (uint16_t)(uri_len - n);
	return true;
}

bool wrk_legacy_is_list(const char *uri, uint16_t uri_len)
{
	const uint16_t n = sizeof(PREFIX_LIST) - 1;

	return has_prefix(uri, uri_len, PREFIX_LIST) && (uri_len == n || uri[n] == '/' || uri[n] == '?');
}

const char *wrk_legacy_list_text(void) { return "listings are not offered here: use objm ls, or objmctl for the daemon's state"; }

/* ---- the set ---- */

int wrk_legacy_new(struct wrk *w, struct wrk_legacy_set **ret)
{
	struct wrk_legacy_set *s = calloc(1, sizeof(*s));
	int fd, rc;

	if (!s)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	s->w = w;
	s->src = WRK_SRC_INIT(on_inotify, s);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	rc = fd < 0 ? -OBJM_STATUS_SYSTEM : wrk_loop_add(&w->loop, &s->src, fd, EPOLLIN);
	if (rc < 0) {
		om_close(&fd);
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void wrk_legacy_free(struct wrk_legacy_set *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		while (s->by_wd[i])
			end(s->by_wd[i]);
	int fd = s->src.fd;
	wrk_loop_del(&s->w->loop, &s->src);
	om_close(&fd);
	free(s);
}
