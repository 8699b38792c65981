/*
 * om_proto_req.c: what a request of the extension must and may contain, and what is wrong with one.
 *
 * Runs in workers (and in tests). A table, made from the rows of om_proto.h, says it all. A body is checked in one pass; who has to
 * say why it is refused passes it again, with a place for the reason.
 */
#include <stdio.h>

#include "common/proto/om_proto_int.h"

struct op_row {
	const char *name;
	uint64_t required;
	uint64_t allowed;
	bool payload;
};
static const struct op_row ops[OM_PROTO_OP_COUNT] = {
#define OP_ROW(name, code, required, allowed, payload) [code] = {#name, required, (required) | (allowed), payload},
	OM_PROTO_OP_MAP(OP_ROW)
#undef OP_ROW
};

static const char *const tags[OM_PROTO_TAG_COUNT] = {
#define TAG_ROW(name, tag, kind, member, min, max) [tag] = #name,
	OM_PROTO_TLV_MAP(TAG_ROW)
#undef TAG_ROW
};

/* What is wrong. */
enum bad {
	BAD_NONE,
	BAD_OP,
	BAD_FLAGS,
	BAD_PAYLOAD,
	BAD_CUT,
	BAD_UNKNOWN,
	BAD_NOT_TAKEN,
	BAD_TWICE,
	BAD_LENGTH,
	BAD_URIS,
	BAD_MISSING,
	BAD_VALUE,
	BAD_RANGE,
	BAD_NOTHING
};

struct reason {
	enum bad what;
	uint16_t tag;
	uint32_t len;
};

const char *om_proto_op_name(uint8_t op)
{
	op &= (uint8_t)~OM_PROTO_OP_RESPONSE;
	return op < OM_PROTO_OP_COUNT && ops[op].name ? ops[op].name : "?";
}

static int refuse(struct reason *why, enum bad what, uint16_t tag, int status)
{
	why->what = what;
	why->tag = tag;
	return status;
}

/* One TLV of a request against the rows of its operation. */
static int req_tlv(uint8_t op, uint16_t tag, const struct om_proto_str *data, struct om_proto_body *body, struct reason *why)
{
	if (!om_proto_tag_known(tag))
		return (tag & OM_PROTO_TAG_OPTIONAL) ? 0 : refuse(why, BAD_UNKNOWN, tag, -OBJM_STATUS_INVALID_REQUEST);
	if (!(ops[op].allowed & (1ull << tag)))
		return refuse(why, BAD_NOT_TAKEN, tag, -OBJM_STATUS_INVALID_REQUEST);
	if ((body->have & (1ull << tag)) && !(op == OM_PROTO_OP_GET && tag == OM_PROTO_TAG_URI) && tag != OM_PROTO_TAG_TOUCHED)
		return refuse(why, BAD_TWICE, tag, -OBJM_STATUS_INVALID_REQUEST);
	if (!om_proto_body_store(body, tag, data)) {
		why->len = data->len;
		return refuse(why, BAD_LENGTH, tag, tag == OM_PROTO_TAG_URI && data->len > 0 ? -OBJM_STATUS_URI_TOO_LONG :
											       -OBJM_STATUS_INVALID_REQUEST);
	}
	return body->uris > OM_PROTO_URIS_MAX ? refuse(why, BAD_URIS, tag, -OBJM_STATUS_LIMIT_EXCEEDED) : 0;
}

static bool cond_allowed(uint8_t op, const struct om_proto_cond *cond)
{
	return cond->kind < OM_COND_COUNT && !(cond->kind == OM_COND_ABSENT && (op == OM_PROTO_OP_SET || op == OM_PROTO_OP_DELETE));
}

/* Values that have a range, and combinations that mean nothing. */
static int req_values(const struct om_proto_ext *ext, const struct om_proto_body *body, struct reason *why)
{
	uint64_t have = body->have;
	uint16_t tag = 0;

	if ((have & OM_PROTO_BIT(COND)) && !cond_allowed(ext->op, &body->cond))
		tag = OM_PROTO_TAG_COND;
	else if ((have & OM_PROTO_BIT(DURABILITY)) && body->durability >= OM_DUR_COUNT)
		tag = OM_PROTO_TAG_DURABILITY;
	else if ((have & OM_PROTO_BIT(PUT_FLAGS)) && (body->put_flags & ~OM_OBJ_FLAGS_ALL))
		tag = OM_PROTO_TAG_PUT_FLAGS;
	else if ((have & OM_PROTO_BIT(MAX_FDS)) && (body->max_fds == 0 || body->max_fds > OM_PROTO_FDS_MAX))
		tag = OM_PROTO_TAG_MAX_FDS;
	if (tag)
		return refuse(why, BAD_VALUE, tag, -OBJM_STATUS_INVALID_REQUEST);
	if ((have & OM_PROTO_BIT(RANGE)) && !(ext->flags & OM_PROTO_F_COPY))
		return refuse(why, BAD_RANGE, 0, -OBJM_STATUS_INVALID_REQUEST); /* the client reads what it wants */
	if (ext->op == OM_PROTO_OP_SET && !(have & OM_PROTO_CHANGE_TAGS))
		return refuse(why, BAD_NOTHING, 0, -OBJM_STATUS_INVALID_REQUEST);
	return 0;
}

/* Before any TLV. */
static int req_header(const struct om_proto_ext *ext, struct reason *why)
{
	if (ext->op >= OM_PROTO_OP_COUNT || !ops[ext->op].name)
		return refuse(why, BAD_OP, 0, -OBJM_STATUS_UNSUPPORTED_OP);
	if (ext->flags & ~(OM_PROTO_F_REQUEST | OM_PROTO_F_OPTIONAL))
		return refuse(why, BAD_FLAGS, 0, -OBJM_STATUS_INVALID_REQUEST);
	if (ext->payload_len && !ops[ext->op].payload)
		return refuse(why, BAD_PAYLOAD, 0, -OBJM_STATUS_INVALID_REQUEST);
	return 0;
}

static int req_decode(const struct om_proto_ext *ext, struct om_proto_body *body, struct reason *why)
{
	struct om_proto_str data;
	size_t pos = 0;
	uint16_t tag;
	uint64_t missing;
	int r = req_header(ext, why);

	if (r < 0)
		return r;
	while ((r = om_proto_tlv_next(ext->tlv, ext->tlv_len, &pos, &tag, &data)) > 0) {
		r = req_tlv(ext->op, tag, &data, body, why);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return refuse(why, BAD_CUT, 0, r);
	missing = ops[ext->op].required & ~body->have;
	if (missing)
		return refuse(why, BAD_MISSING, (uint16_t)__builtin_ctzll(missing), -OBJM_STATUS_INVALID_REQUEST);
	return req_values(ext, body, why);
}

int om_proto_req_body_decode(const struct om_proto_ext *ext, struct om_proto_body *ret_body)
{
	struct om_proto_body body = {0};
	struct reason why;
	int r = ext->status != OBJM_STATUS_OK ? -(int)ext->status : req_decode(ext, &body, &why);

	if (r == 0)
		*ret_body = body;
	return r;
}

static void length_text(const struct reason *why, const char *op, char *ret, size_t cap)
{
	uint32_t min, max;

	om_proto_tag_lengths(why->tag, &min, &max);
	if (min == max)
		(void)snprintf(ret, cap, "%s: %s has %u bytes, it must have %u", op, tags[why->tag], why->len, min);
	else
		(void)snprintf(ret, cap, "%s: %s has %u bytes, allowed are %u to %u", op, tags[why->tag], why->len, min, max);
}

void om_proto_req_body_why(const struct om_proto_ext *ext, char ret[static OM_PROTO_WHY_MAX])
{
	const char *op = om_proto_op_name(ext->op);
	struct om_proto_body body = {0};
	struct reason why = {0};

	(void)req_decode(ext, &body, &why);
	const char *tag = why.tag < OM_PROTO_TAG_COUNT && tags[why.tag] ? tags[why.tag] : "?";

	ret[0] = '\0';
	switch (why.what) {
	case BAD_NONE: break;
	case BAD_OP: (void)snprintf(ret, OM_PROTO_WHY_MAX, "there is no operation %u", ext->op); break;
	case BAD_FLAGS: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s: unknown flags 0x%04x", op, ext->flags & ~(OM_PROTO_F_REQUEST | OM_PROTO_F_OPTIONAL)); break;
	case BAD_PAYLOAD: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s takes no payload", op); break;
	case BAD_CUT: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s: a TLV is longer than what is left of the frame's", op); break;
	case BAD_UNKNOWN: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s: unknown tag %u", op, why.tag); break;
	case BAD_NOT_TAKEN: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s does not take %s", op, tag); break;
	case BAD_TWICE: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s: %s comes twice", op, tag); break;
	case BAD_LENGTH: length_text(&why, op, ret, OM_PROTO_WHY_MAX); break;
	case BAD_URIS: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s takes at most %u URIs", op, OM_PROTO_URIS_MAX); break;
	case BAD_MISSING: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s wants %s", op, tag); break;
	case BAD_VALUE: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s: the value of %s is not allowed here", op, tag); break;
	case BAD_RANGE: (void)snprintf(ret, OM_PROTO_WHY_MAX, "RANGE goes with COPY only: a descriptor is of the whole object"); break;
	case BAD_NOTHING: (void)snprintf(ret, OM_PROTO_WHY_MAX, "%s of nothing: it wants PUT_FLAGS, TTL_S, TYPE or META", op); break;
	}
}
