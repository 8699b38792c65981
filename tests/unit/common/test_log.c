/*
 * test_log.c: om_log: one line is one line, limits of what a peer can trigger, levels; and the tables that people see.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/om_counter.h"
#include "common/om_fault.h"
#include "common/msg_proc.h"

static struct {
	unsigned n;
	enum om_msg id;
	char text[OM_LOG_TEXT_MAX];
} got;

static void sink(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	(void)prio;
	assert_ptr_equal(arg, &got);
	got.n++;
	got.id = id;
	(void)snprintf(got.text, sizeof(got.text), "%s", text);
}

static int setup(void **state)
{
	(void)state;
	memset(&got, 0, sizeof(got));
	om_log_sink(sink, &got);
	om_log_level(OM_LOG_INFO);
	return 0;
}

static void test_clean(void **state)
{
	char big[2 * OM_LOG_TEXT_MAX];
	(void)state;

	om_log(OM_MSG_STARTED, "uri %s", "a\nb\x1b[31m\x7f\tc");
	assert_int_equal(got.n, 1);
	assert_string_equal(got.text, "uri a\\x0ab\\x1b[31m\\x7f\\x09c");
	memset(big, '\n', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	om_log(OM_MSG_STARTED, "%s", big); /* every byte grows to four: cut, not overrun */
	assert_true(strlen(got.text) < OM_LOG_TEXT_MAX);
	errno = ENOSPC;
	om_log(OM_MSG_STARTED, "why: %m");
	assert_non_null(strstr(got.text, strerror(ENOSPC)));
	assert_int_equal(errno, ENOSPC); /* a caller may still look at it */
}

static void test_limit(void **state)
{
	unsigned first;
	(void)state;

	assert_true(om_msg_table[OM_MSG_PEER_BAD].limited);
	for (int i = 0; i < 1000; i++)
		om_log(OM_MSG_PEER_BAD, "line %d", i);
	first = got.n;
	assert_true(first >= OM_LOG_BURST && first <= 2 * OM_LOG_BURST + 1); /* a window may have ended in between */
	om_log(OM_MSG_PEER_LIMIT, "another id has its own limit");
	assert_int_equal(got.n, first + 1);
	for (int i = 0; i < 1000; i++)
		om_log(OM_MSG_CHILD_DIED, "not limited");
	assert_int_equal(got.n, first + 1001);
	/* the next window says how many were left out */
	for (int i = 0; i < 150 && !strstr(got.text, "left out"); i++) {
		(void)usleep(100000);
		om_log(OM_MSG_PEER_BAD, "again");
		if (got.n > first + 1001)
			break;
	}
	assert_int_equal(got.n, first + 1003); /* "N more", then the line itself */
	assert_string_equal(got.text, "again");
}

static void test_level(void **state)
{
	(void)state;
	om_log_level(OM_LOG_WARNING);
	om_log(OM_MSG_STARTED, "a notice");
	assert_int_equal(got.n, 0);
	om_log(OM_MSG_FATAL, "an error");
	assert_int_equal(got.n, 1);
}

static void test_message_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OM_MSG_COUNT; i++) {
		const struct om_msg_info *m = &om_msg_table[i];
		assert_int_equal(strlen(m->uuid), 32);
		for (unsigned k = 0; k < 32; k++)
			assert_true(isdigit((unsigned char)m->uuid[k]) || (m->uuid[k] >= 'a' && m->uuid[k] <= 'f'));
		assert_true(*m->what && *m->todo);
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(m->uuid, om_msg_table[j].uuid);
			assert_string_not_equal(m->name, om_msg_table[j].name);
		}
	}
}

static void test_other_tables(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OM_C_COUNT; i++) {
		assert_true(*om_counter_table[i].unit && *om_counter_table[i].help);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(om_counter_table[i].name, om_counter_table[j].name);
	}
	for (unsigned i = 0; i < OM_FAULT_COUNT; i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(om_fault_table[i].text, om_fault_table[j].text);
#define CHECK_STATUS(name, code, old, text, todo) \
	assert_string_equal(om_status_name(-OBJM_STATUS_##name), #name); \
	assert_true(*om_status_text(OBJM_STATUS_##name) && *om_status_todo(OBJM_STATUS_##name)); \
	assert_int_equal(om_status_old(code), old); \
	assert_true((old) < 0x40); /* versions 1 and 2 know no other */
	OBJM_STATUS_MAP(CHECK_STATUS)
#undef CHECK_STATUS
	assert_non_null(om_status_text(12345));
	assert_non_null(om_status_name(-12345));
}

static void test_counters(void **state)
{
	struct om_seg seg, rd;
	(void)state;

	assert_int_equal(om_counter_create(&seg), 0);
	om_count(OM_C_REQUESTS, 5); /* into the private block */
	assert_int_equal(om_counter_read(&seg, OM_C_REQUESTS), 0);
	assert_int_equal(om_counter_use(&seg), 0);
	om_count(OM_C_REQUESTS, 2);
	om_count_own(OM_C_REQUESTS, 1);
	om_gauge(OM_C_CONNECTIONS, 9);
	assert_int_equal(om_seg_attach(dup(seg.rofd), 1, false, &rd), 0);
	assert_int_equal(om_counter_read(&rd, OM_C_REQUESTS), 3);
	assert_int_equal(om_counter_read(&rd, OM_C_CONNECTIONS), 9);
	struct om_seg bare = OM_SEG_INIT;
	assert_int_equal(om_counter_read(&bare, OM_C_REQUESTS), 0);
	assert_int_equal(om_seg_create("short", 4096, OM_SEG_SHARED, &bare), 0);
	assert_int_equal(om_counter_use(&bare), -OBJM_STATUS_CORRUPT);
	om_seg_close(&bare);
	om_seg_close(&rd); /* `seg` stays: it is this process's block */
}

static struct om_log_about seen;

static void sink_about(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	sink(id, prio, text, arg);
	seen = *om_log_fields();
}

static void test_fields(void **state)
{
	struct om_log_about about = { .uri = "/a\nb", .uri_len = 4, .tier = "disk", .id = 7, .client = true, .uid = 1000, .pid = 42 };
	(void)state;

	om_log_sink(sink_about, &got);
	om_log_about(OM_MSG_STARTED, &about, "x");
	assert_int_equal(seen.id, 7);
	assert_ptr_equal(seen.uri, about.uri);
	om_log(OM_MSG_STARTED, "y"); /* another line has none of them */
	assert_int_equal(seen.id, 0);
	assert_null(seen.uri);
	assert_false(seen.client);
	om_log_about(OM_MSG_STARTED, NULL, "z");
	assert_string_equal(got.text, "z");
	assert_int_equal(om_log_fields()->id, 0); /* outside of a sink */
}

/* A less trusted process cannot fill the journal with a message that we ourselves would never limit. */
static void test_child_is_limited(void **state)
{
	struct om_log_about about = { .child = true };
	(void)state;

	for (unsigned i = 0; i < 3 * OM_LOG_BURST; i++)
		om_log_about(OM_MSG_SANDBOX, &about, "line %u", i);
	assert_true(got.n <= 2 * OM_LOG_BURST + 1); /* a window may have ended in between */
	unsigned n = got.n;
	om_log(OM_MSG_SANDBOX, "our own");
	assert_int_equal(got.n, n + 1);
	for (unsigned i = 0; i < 3 * OM_LOG_BURST; i++)
		om_log_about(OM_MSG_ACCESS, &about, "line %u", i); /* asked for */
	assert_int_equal(got.n, n + 1 + 3 * OM_LOG_BURST);
}

static void test_wire(void **state)
{
	static struct om_proc_log m;
	struct om_log_about out = { 0 }, in = { .uri = "/u", .uri_len = 2, .tier = "memory", .id = 9, .request = 3, .asked = true, .duration_us = 5,
					.timed = true, .client = true, .uid = 1, .pid = 2 };
	(void)state;

	om_proc_log_pack(&m, OM_MSG_NOTE, "text", &in);
	assert_true(om_proc_log_unpack(&m, &out));
	assert_string_equal(m.text, "text");
	assert_memory_equal(out.uri, "/u", 2);
	assert_string_equal(out.tier, "memory");
	assert_true(out.uri_len == 2 && out.id == 9 && out.request == 3 && out.asked && out.duration_us == 5 && out.timed && out.client &&
		    out.uid == 1 && out.pid == 2 && out.child);
	om_proc_log_pack(&m, OM_MSG_NOTE, "text", &(struct om_log_about){ 0 });
	assert_true(om_proc_log_unpack(&m, &out));
	assert_true(out.uri_len == 0 && !out.asked && !out.timed && !out.client && !*out.tier);
	m.uri_len = OM_LOG_URI_MAX + 1;
	assert_false(om_proc_log_unpack(&m, &out));
	m.uri_len = 0;
	memset(m.tier, 'x', sizeof(m.tier));
	assert_false(om_proc_log_unpack(&m, &out));
	m.tier[0] = '\0';
	memset(m.text, 'x', sizeof(m.text));
	assert_false(om_proc_log_unpack(&m, &out));
	m.text[0] = '\0';
	assert_true(om_proc_log_unpack(&m, &out));
	m.msg = OM_MSG_COUNT;
	assert_false(om_proc_log_unpack(&m, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_clean, setup),
		cmocka_unit_test_setup(test_limit, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_fields, setup),
		cmocka_unit_test_setup(test_child_is_limited, setup),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_message_table),
		cmocka_unit_test(test_other_tables),
		cmocka_unit_test(test_counters),
	};
	return cmocka_run_group_tests_name("common/log", tests, NULL, NULL);
}
