/*
 * Why a request of the extension is refused, in words: each reason once, and none for a request that is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/proto/om_proto.h"

#define URI_X "\0\1\0\2/x"

struct row {
	uint8_t op;
	uint16_t flags;
	uint64_t payload_len;
	const char *tlv;
	size_t tlv_len;
	const char *why;
};
#define ROW(op, flags, payload, tlv, why) {OM_PROTO_OP_##op, flags, payload, tlv, sizeof(tlv) - 1, why}

static const struct row rows[] = {
	{99, 0, 0, "", 0, "there is no operation 99"},
	{0, 0, 0, "", 0, "there is no operation 0"},
	ROW(PING, 0x0002, 0, "", "PING: unknown flags 0x0002"),
	ROW(PING, 0, 1, "", "PING takes no payload"),
	ROW(STAT, 0, 0, URI_X "\0", "STAT: a TLV is longer than what is left of the frame's"),
	ROW(STAT, 0, 0, "\0\1\0\5/x", "STAT: a TLV is longer than what is left of the frame's"),
	ROW(STAT, 0, 0, URI_X "\0\x63\0\0", "STAT: unknown tag 99"),
	ROW(STAT, 0, 0, URI_X "\0\3\0\0", "STAT does not take TYPE"),
	ROW(STAT, 0, 0, URI_X URI_X, "STAT: URI comes twice"),
	ROW(STAT, 0, 0, "\0\1\0\0", "STAT: URI has 0 bytes, allowed are 1 to 4096"),
	ROW(PUT_INLINE, 0, 0, URI_X "\0\x09\0\1x", "PUT_INLINE: TTL_S has 1 bytes, it must have 4"),
	ROW(STAT, 0, 0, "", "STAT wants URI"),
	ROW(ATTACH, 0, 0, "", "ATTACH wants PROMISE"),
	ROW(PUT_INLINE, 0, 0, URI_X "\0\x11\0\1\x03", "PUT_INLINE: the value of DURABILITY is not allowed here"),
	ROW(DELETE, 0, 0, URI_X "\0\x0a\0\x0d\1\0\0\0\0\0\0\0\0\0\0\0\0", "DELETE: the value of COND is not allowed here"),
	ROW(GET, 0, 0, URI_X "\0\x0b\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "RANGE goes with COPY only: a descriptor is of the whole object"),
	ROW(SET, 0, 0, URI_X, "SET of nothing: it wants PUT_FLAGS, TTL_S, TYPE or META"),
	ROW(PING, 0xf000, 0, "\x80\x63\0\0", ""),
	ROW(STAT, 0, 0, URI_X, ""),
	ROW(GET, 0, 0, URI_X URI_X, ""),
};

static void test_each_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *w = &rows[i];
		struct om_proto_ext ext = {.op = w->op, .flags = w->flags, .payload_len = w->payload_len,
					   .tlv = (const uint8_t *)w->tlv, .tlv_len = (uint32_t)w->tlv_len};
		struct om_proto_body body;
		char why[OM_PROTO_WHY_MAX];

		om_proto_req_body_why(&ext, why);
		assert_string_equal(why, w->why);
		assert_int_equal(om_proto_req_body_decode(&ext, &body) == 0, *w->why == '\0');
	}
}

static void test_many_uris(void **state)
{
	static char tlv[6 * (OM_PROTO_URIS_MAX + 1)];
	struct om_proto_ext ext = {.op = OM_PROTO_OP_GET, .tlv = (const uint8_t *)tlv, .tlv_len = sizeof(tlv)};
	char why[OM_PROTO_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(tlv); i += 6)
		memcpy(tlv + i, URI_X, 6);
	om_proto_req_body_why(&ext, why);
	assert_string_equal(why, "GET takes at most 253 URIs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reason),
		cmocka_unit_test(test_many_uris),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
