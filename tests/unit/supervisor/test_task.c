/*
 * test_task.c: questions of the main loop: TASK to the lifecycle process and back, and its records of a URI. The process answers
 * well, badly, late, never, or dies; whatever it does, each question ends exactly once.
 */
#include "engine_world.h"

#define MS UINT64_C(1000000)

struct heard {
	unsigned n;
	int status;
	char text[64];
	size_t text_len;
	struct sup_engine_answer a;
};

static void on_done(void *arg, const struct sup_engine_answer *a)
{
	struct heard *h = arg;

	h->n++;
	h->status = a->status;
	h->a = *a;
	h->text_len = a->text_len;
	if (a->text_len)
		memcpy(h->text, a->text, OM_MIN(a->text_len, sizeof(h->text)));
}

static void hear(struct world *x, struct heard *h, unsigned n)
{
	for (int i = 0; i < 5000 && h->n < n; i++, usleep(1000))
		sup_engine_asks(x->e, om_now_ns());
	assert_int_equal(h->n, n);
}

static void ask(struct world *x, struct heard *h, enum om_task_kind kind, const char *uri, uint32_t wait_ms)
{
	const struct sup_engine_task t = { .kind = kind, .tier = 3, .arg = 42, .uri = uri, .uri_len = uri ? strlen(uri) : 0,
					   .wait_ms = wait_ms };

	assert_int_equal(sup_engine_task(x->e, &t, on_done, h), 0);
}

/* The next TASK, as the lifecycle process sees it. */
static void take(struct world *x, struct om_op_task *ret, char *ret_uri, size_t cap)
{
	static union {
		struct om_op_task task;
		unsigned char b[OM_RING_MSG_MAX];
	} m;
	size_t len;

	for (int i = 0; i < 5000; i++) {
		if (om_ring_get(&x->l.ring, m.b, sizeof(m.b), &len) == 0 && m.task.hdr.type == OM_OP_TASK) {
			assert_int_equal(len, sizeof(m.task) + m.task.uri_len);
			*ret = m.task;
			assert_true(m.task.uri_len < cap);
			memcpy(ret_uri, &m.task + 1, m.task.uri_len);
			ret_uri[m.task.uri_len] = '\0';
			return;
		}
		usleep(1000);
	}
	fail_msg("no TASK");
}

static void answer(struct world *x, uint64_t req, int status, const char *text, uint32_t text_len)
{
	struct om_op_tasked m = { .hdr = { .len = (uint32_t)(sizeof(m) + strlen(text)), .type = OM_OP_TASKED, .req = req },
				  .status = status, .text_len = text_len };
	struct iovec iov[] = { { &m, sizeof(m) }, { (void *)(uintptr_t)text, strlen(text) } };

	assert_int_equal(om_ring_put(&x->l.ring, iov, 2), 0);
	om_ring_kick(&x->l.ring);
}

static void test_answered(void **state)
{
	struct world *x = *state;
	struct heard a = { 0 }, b = { 0 };
	struct om_op_task t, u;
	char uri[64];

	ask(x, &a, OM_TASK_EXPLAIN, "/x/y", 60000);
	ask(x, &b, OM_TASK_STATUS, NULL, 60000);
	take(x, &t, uri, sizeof(uri));
	assert_string_equal(uri, "/x/y");
	assert_true(t.kind == OM_TASK_EXPLAIN && t.tier == 3 && t.arg == 42);
	take(x, &u, uri, sizeof(uri));
	assert_true(u.kind == OM_TASK_STATUS && uri[0] == '\0');
	answer(x, u.hdr.req, -OBJM_STATUS_NOT_FOUND, "{}", 2); /* not in the order of the questions */
	answer(x, u.hdr.req, 0, "again", 5);		       /* a second time: nobody waits for it */
	answer(x, t.hdr.req, 0, "{\"a\":1}", 7);
	hear(x, &a, 1);
	hear(x, &b, 1);
	assert_int_equal(a.status, 0);
	assert_memory_equal(a.text, "{\"a\":1}", 7);
	assert_int_equal(a.text_len, 7);
	assert_int_equal(b.status, -OBJM_STATUS_NOT_FOUND);
	usleep(20000);
	sup_engine_asks(x->e, om_now_ns());
	assert_int_equal(a.n + b.n, 2);
	assert_int_equal(x->killed, 0);
}

/* An answer with the number that free places have. */
static void test_answer_to_nobody(void **state)
{
	struct world *x = *state;

	answer(x, 0, 0, "", 0);
	for (int i = 0; i < 10000 && !x->killed; i++) {
		usleep(1000);
		sup_engine_asks(x->e, om_now_ns());
	}
	assert_int_equal(x->killed, SUP_CHILD_LIFECYCLE + 1);
}

static void test_late(void **state)
{
	struct world *x = *state;
	struct heard a = { 0 }, b = { 0 };
	struct om_op_task t, u;
	char uri[64];

	ask(x, &a, OM_TASK_TOP, NULL, 1000);
	take(x, &t, uri, sizeof(uri));
	sup_engine_asks(x->e, om_now_ns() + 2000 * MS);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, -OBJM_STATUS_TIMEOUT);
	ask(x, &b, OM_TASK_STATUS, NULL, 60000); /* takes the same place */
	answer(x, t.hdr.req, 0, "late", 4);
	take(x, &u, uri, sizeof(uri));
	assert_true(u.hdr.req != t.hdr.req);
	answer(x, u.hdr.req, 0, "mine", 4);
	hear(x, &b, 1);
	assert_memory_equal(b.text, "mine", 4);
	assert_int_equal(a.n, 1);
	assert_int_equal(x->killed, 0);
}

static void test_bounded(void **state)
{
	struct world *x = *state;
	static struct heard h; /* the last question is open when the engine is closed */
	const struct sup_engine_task t = { .kind = OM_TASK_STATUS, .wait_ms = 1000 };
	unsigned n = 0;

	while (n < 1000 && sup_engine_task(x->e, &t, on_done, &h) == 0)
		n++;
	assert_int_equal(n, 64);
	assert_int_equal(sup_engine_lookup(x->e, "/a", 2, 1000, on_done, &h), -OBJM_STATUS_TRY_AGAIN);
	sup_engine_asks(x->e, om_now_ns() + 2000 * MS);
	assert_int_equal(h.n, 64);
	assert_int_equal(sup_engine_task(x->e, &t, on_done, &h), 0);
}

static void test_no_process(void **state)
{
	struct world *x = *state;
	struct heard a = { 0 }, b = { 0 };
	struct om_op_task t;
	char uri[64];

	ask(x, &a, OM_TASK_STATUS, NULL, 60000);
	take(x, &t, uri, sizeof(uri));
	sup_engine_child_close(x->e, 0); /* it dies with the question in hand */
	hear(x, &a, 1);
	assert_int_equal(a.status, -OBJM_STATUS_UNAVAILABLE);
	ask(x, &b, OM_TASK_STATUS, NULL, 60000); /* and nobody is there */
	hear(x, &b, 1);
	assert_int_equal(b.status, -OBJM_STATUS_UNAVAILABLE);
}

static void test_open_at_the_end(void **state)
{
	struct world *x = *state;
	struct heard a = { 0 };

	ask(x, &a, OM_TASK_STATUS, NULL, 60000);
	stop(x);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, -OBJM_STATUS_GONE);
	start(x);
}

/* A text longer than it says, or than may be, costs the process its life. */
static void hostile(struct world *x, int status, const char *text, uint32_t text_len)
{
	static struct heard a; /* open until the engine is closed */
	struct om_op_task t;
	char uri[64];

	a.n = 0;
	ask(x, &a, OM_TASK_STATUS, NULL, 60000);
	take(x, &t, uri, sizeof(uri));
	answer(x, t.hdr.req, status, text, text_len);
	for (int i = 0; i < 2000 && !x->killed; i++)
		usleep(1000);
	assert_int_equal(x->killed, 1);
	assert_int_equal(a.n, 0);
}

static void test_wrong_length(void **state) { hostile(*state, 0, "abc", 4); }
static void test_bad_status(void **state) { hostile(*state, 5, "abc", 3); }
static void test_too_long(void **state)
{
	static char text[OM_TASKED_TEXT_MAX + 2];

	memset(text, 'x', sizeof(text) - 1);
	hostile(*state, 0, text, sizeof(text) - 1);
}

static void test_lookup(void **state)
{
	struct world *x = *state;
	struct heard a = { 0 }, b = { 0 };
	uint64_t id = put(x, "/o", "disk", 0);

	assert_int_equal(sup_engine_lookup(x->e, "/o", 2, 60000, on_done, &a), 0);
	assert_int_equal(sup_engine_lookup(x->e, "/none", 5, 60000, on_done, &b), 0);
	hear(x, &a, 1);
	hear(x, &b, 1);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.a.n_records, 1);
	assert_true(a.a.records[0].id == id && a.a.records[0].size == 5 && a.a.records[0].serves);
	assert_int_equal(a.a.records[0].tier, sup_engine_tier_no(x->e, "disk"));
	assert_string_equal(a.a.type, "text");
	assert_int_equal(b.status, -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(sup_engine_tier_no(x->e, "nowhere"), OM_TIER_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_answered),     T(test_answer_to_nobody), T(test_late),	 T(test_bounded),  T(test_no_process), T(test_open_at_the_end),
		T(test_wrong_length), T(test_bad_status), T(test_too_long), T(test_lookup),
	};
	return cmocka_run_group_tests_name("supervisor/task", tests, NULL, NULL);
}
