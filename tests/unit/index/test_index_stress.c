/*
 * test_index_stress.c: readers against the writer: threads over one mapping (a race detector sees everything there), and
 * processes with mappings of their own. The writer replaces, deletes, inserts and grows without a pause; readers find:
 *   - every key that is always present, at every moment;
 *   - no entry that is made of two (all words follow from the id, and the id names its key);
 *   - nothing older than what was acknowledged before the look, and never an older version after a newer one, also when
 *     one look went to the old and the next to the new segment.
 * OBJM_STRESS_S: seconds a part, 2 by default.
 */
#include "tests/unit/index/idx_test.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/om_seg.h"

enum {
	STABLE = 600,	 /* keys that are always there */
	KEYS = 2600,	 /* with those that come and go */
	READERS = 3,
	CROSS = 8192, /* looks through both segments before a switch is confirmed ... */
	CROSS_KEYS = 2 /* ... at few keys, which the writer then changes most */
};

/* What readers and writer share besides the index: one plain shared page. */
struct board {
	_Atomic uint64_t acked[KEYS];	  /* id of the last acknowledged change of this key; a delete has one, too */
	_Atomic uint64_t confirmed[READERS]; /* segment that a reader uses, and no other */
	_Atomic uint64_t looks[READERS];
	_Atomic uint64_t faults;
	_Atomic uint64_t busy;
	_Atomic uint64_t offered; /* newest segment, threads only: `view` of it is ready */
	_Atomic bool stop;
	struct idxr view[64]; /* by segment number modulo 64, threads only */
};

struct reader {
	struct board *b;
	unsigned number;
	int sock; /* processes only: descriptors of new segments come here */
	struct idxr cur, next;
	bool has_next;
	uint64_t newest[KEYS]; /* highest id seen of each key */
};

static struct idx_key keys[KEYS];

static uint64_t id_key(uint64_t id) { return id & ((1u << KEY_BITS) - 1); }

static void fault(struct reader *r, const char *what, unsigned n, uint64_t id, uint64_t than)
{
	if (atomic_fetch_add(&r->b->faults, 1) < 10)
		(void)fprintf(stderr, "# reader %u: %s: key %u (home %llu), id %llx, known %llx, segment %u\n", r->number, what, n,
			      (unsigned long long)idx_key_home(&keys[n], r->cur.slots), (unsigned long long)id,
			      (unsigned long long)than, r->cur.segment);
}

/* One look at one key through one segment. */
static void look(struct reader *r, const struct idxr *idx, unsigned n)
{
	uint64_t acked = atomic_load_explicit(&r->b->acked[n], memory_order_acquire);
	uint64_t known = acked > r->newest[n] ? acked : r->newest[n];
	struct idx_ent e;
	int rc;

	/* The writer may have been taken off its processor with a slot locked: legal, so wait for it. */
	while ((rc = idxr_get(idx, &keys[n], &e, NULL)) == -OBJM_STATUS_BUSY && !atomic_load(&r->b->stop)) {
		(void)atomic_fetch_add_explicit(&r->b->busy, 1, memory_order_relaxed);
		(void)sched_yield();
	}
	if (rc == -OBJM_STATUS_NOT_FOUND && n < STABLE)
		fault(r, "missed a key that is there", n, 0, known);
	if (rc != 0)
		return;
	if (!ent_whole(&e))
		fault(r, "torn entry", n, e.id, known);
	else if (id_key(e.id) != n)
		fault(r, "entry of another key", n, e.id, known);
	else if (e.id < known)
		fault(r, "older than known", n, e.id, known);
	else
		r->newest[n] = e.id;
}

static void take_next(struct reader *r)
{
	if (r->sock >= 0) {
		char byte, control[CMSG_SPACE(sizeof(int))];
		struct iovec iov = {.iov_base = &byte, .iov_len = 1};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		int fd = -1;

		if (recvmsg(r->sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
			return;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
		if (idxr_attach(fd, &r->next) < 0)
			_exit(98);
	} else {
		uint64_t offered = atomic_load_explicit(&r->b->offered, memory_order_acquire);

		if (offered == r->cur.segment)
			return;
		r->next = r->b->view[offered % 64];
	}
	r->has_next = true;
}

static void confirm_next(struct reader *r)
{
	if (r->sock >= 0)
		idxr_detach(&r->cur);
	r->cur = r->next;
	r->has_next = false;
	atomic_store_explicit(&r->b->confirmed[r->number], r->cur.segment, memory_order_release);
}

static void *reader_main(void *arg)
{
	struct reader *r = (struct reader *)arg;
	uint64_t x = r->number, looks = 0, cross = 0;

	while (!atomic_load_explicit(&r->b->stop, memory_order_acquire)) {
		for (unsigned i = 0; i < 512; i++) {
			unsigned n;

			x = mix(x);
			n = (unsigned)(x % (r->has_next ? CROSS_KEYS : x >> 63 ? KEYS : STABLE));

			look(r, &r->cur, n);
			if (r->has_next) {
				look(r, &r->next, n); /* not older than what the old segment just said ... */
				look(r, &r->cur, n);  /* ... nor the other way round */
			}
		}
		looks += 512;
		atomic_store_explicit(&r->b->looks[r->number], looks, memory_order_relaxed);
		if (!r->has_next) {
			take_next(r);
			cross = 0;
		} else if (++cross == CROSS / 512) {
			confirm_next(r);
		}
	}
	return NULL;
}

struct writer {
	struct idxw *w;
	struct board *b;
	uint64_t x, version, switches, ops;
	bool live[KEYS];
	int sock[READERS]; /* -1: threads */
};

static void change(struct writer *w)
{
	uint64_t x = w->x = mix(w->x);
	unsigned n = (unsigned)(x % (idxw_state(w->w) == IDXW_SWITCHING && x >> 61 ? CROSS_KEYS : KEYS));
	uint64_t id = ++w->version << KEY_BITS | n;
	struct idx_ent e = ent_of(id);

	if (n >= STABLE && w->live[n] && (x >> 62)) {
		assert_int_equal(idxw_del(w->w, &keys[n]), 0);
		w->live[n] = false;
	} else {
		assert_int_equal(idxw_put(w->w, &keys[n], &e), 0);
		w->live[n] = true;
	}
	atomic_store_explicit(&w->b->acked[n], id, memory_order_release);
	w->ops++;
}

static void offer(struct writer *w)
{
	int fd = idxw_grow_done(w->w);
	struct idxr view;

	idxw_view(w->w, &view);
	w->b->view[view.segment % 64] = view;
	atomic_store_explicit(&w->b->offered, view.segment, memory_order_release);
	for (unsigned i = 0; i < READERS; i++) {
		char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
		struct iovec iov = {.iov_base = &byte, .iov_len = 1};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		if (w->sock[i] < 0)
			continue;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		assert_int_equal(sendmsg(w->sock[i], &m, 0), 1);
	}
}

static bool all_confirmed(const struct writer *w)
{
	uint64_t segment = atomic_load(&w->b->offered);

	for (unsigned i = 0; i < READERS; i++)
		if (atomic_load_explicit(&w->b->confirmed[i], memory_order_acquire) != segment)
			return false;
	return true;
}

static void writer_run(struct writer *w, uint64_t end_ns)
{
	uint64_t left;

	while (om_now_ns() < end_ns) {
		for (unsigned i = 0; i < 200; i++)
			change(w);
		switch (idxw_state(w->w)) {
		case IDXW_STEADY: /* all the time, not only when it is needed */
			assert_int_equal(idxw_grow_begin(w->w), 0);
			break;
		case IDXW_COPYING:
			assert_int_equal(idxw_grow_step(w->w, 500, &left), 0);
			if (left == 0)
				offer(w);
			break;
		case IDXW_SWITCHING:
			if (all_confirmed(w)) {
				idxw_grow_finish(w->w);
				w->switches++;
			}
			break;
		}
	}
	atomic_store(&w->b->stop, true);
}

static uint64_t end_of_part(void)
{
	const char *s = getenv("OBJM_STRESS_S");
	unsigned long seconds = s ? strtoul(s, NULL, 10) : 2;

	return om_now_ns() + (seconds ? seconds : 1) * 1000000000u;
}

static struct board *board_new(void)
{
	void *p = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return (struct board *)p;
}

static void writer_init(struct writer *w, struct board *b)
{
	*w = (struct writer){.w = index_new(0, true), .b = b, .x = 99};
	for (unsigned i = 0; i < KEYS; i++) /* few homes: long probes, all over each other, around the end of the table */
		keys[i] = key_at(IDX_SLOTS_MIN, (IDX_SLOTS_MIN - 2000 + i / 40 * 40) % IDX_SLOTS_MIN, i);
	for (unsigned i = 0; i < STABLE; i++) { /* spread over the runs */
		unsigned j = i * (KEYS / STABLE);
		struct idx_key k = keys[i];

		keys[i] = keys[j];
		keys[j] = k;
	}
	for (unsigned i = 0; i < STABLE; i++) {
		uint64_t id = ++w->version << KEY_BITS | i;
		struct idx_ent e = ent_of(id);

		assert_int_equal(idxw_put(w->w, &keys[i], &e), 0);
		w->live[i] = true;
	}
	atomic_store(&b->offered, 1);
}

static void report(const char *part, const struct writer *w)
{
	uint64_t looks = 0;

	for (unsigned i = 0; i < READERS; i++)
		looks += atomic_load(&w->b->looks[i]);
	(void)fprintf(stderr, "# %s: %llu changes, %llu switches, %llu looks, %llu busy, %llu faults\n", part,
		      (unsigned long long)w->ops, (unsigned long long)w->switches, (unsigned long long)looks,
		      (unsigned long long)atomic_load(&w->b->busy), (unsigned long long)atomic_load(&w->b->faults));
	assert_true(looks > 0 && w->ops > 0 && w->switches > 0);
	assert_int_equal(atomic_load(&w->b->faults), 0);
}

static void threads(void **state)
{
	static struct reader readers[READERS];
	struct board *b = board_new();
	pthread_t thread[READERS];
	struct writer w;

	(void)state;
	writer_init(&w, b);
	for (unsigned i = 0; i < READERS; i++) {
		w.sock[i] = -1;
		readers[i] = (struct reader){.b = b, .number = i, .sock = -1};
		idxw_view(w.w, &readers[i].cur);
		assert_int_equal(pthread_create(&thread[i], NULL, reader_main, &readers[i]), 0);
	}
	writer_run(&w, end_of_part());
	for (unsigned i = 0; i < READERS; i++)
		(void)pthread_join(thread[i], NULL);
	report("threads", &w);
	idxw_free(w.w);
	(void)munmap(b, sizeof(*b));
}

static void processes(void **state)
{
	static struct reader r;
	struct board *b = board_new();
	pid_t pid[READERS];
	struct writer w;

	(void)state;
	writer_init(&w, b);
	for (unsigned i = 0; i < READERS; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (pid[i] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			r = (struct reader){.b = b, .number = i, .sock = pair[1]};
			if (idxr_attach(dup(idxw_fd(w.w)), &r.cur) < 0)
				_exit(97);
			idxw_free(w.w); /* the inherited writable mapping goes */
			(void)reader_main(&r);
			_exit(0);
		}
		close(pair[1]);
		w.sock[i] = pair[0];
	}
	writer_run(&w, end_of_part());
	for (unsigned i = 0; i < READERS; i++) {
		int status = 0;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		close(w.sock[i]);
	}
	report("processes", &w);
	idxw_free(w.w);
	(void)munmap(b, sizeof(*b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(threads), cmocka_unit_test(processes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
