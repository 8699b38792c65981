/*
 * proto_fuzz.c: libFuzzer target of the wire codec, both directions.
 *
 * Byte 0 of the input chooses the direction, version and state; the rest is a stream of messages, decoded one after the
 * other as a server or a client does. Beside what the sanitizers see, it checks the decoders' promises: never more
 * consumed than given; more asked for only above what is there and within the bound; the same verdict for a message
 * whatever follows
 * it; and that what was decoded can be encoded and decoded again to the same bytes.
 * The corpus (corpus/proto) is replayed as an ordinary test by the same program with -runs=0.
 */
#include "common/proto/om_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) \
	do { \
		if (!(cond)) \
			__builtin_trap(); \
	} while (0)

static uint8_t out[OM_PROTO_MSG_MAX + 65536];

/* Read every byte, so that a sanitizer sees where they lie. */
static unsigned touch(const void *p, size_t n)
{
	const volatile uint8_t *b = p;
	unsigned sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += b[i];
	return sum;
}

static void touch_body(const struct om_proto_body *b)
{
	const struct om_proto_str *s[] = {&b->uri,	   &b->type,	   &b->meta,  &b->tier_name,	 &b->home_name, &b->prefix,
					  &b->start_after, &b->error_text, &b->entry, &b->common_prefix, &b->next};
	size_t i;

	for (i = 0; i < OM_ARRAY_SIZE(s); i++)
		(void)touch(s[i]->p, s[i]->len);
}

static bool same(const struct om_proto_str *a, const struct om_proto_str *b)
{
	return a->len == b->len && (a->len == 0 || !memcmp(a->p, b->p, a->len));
}

/* A body, written and read again, is the same body. */
static void round_trip(const struct om_proto_ext *ext, const struct om_proto_body *body)
{
	struct om_proto_ext e = *ext;
	struct om_proto_body again;
	struct om_proto_wr wr;
	int n;

	om_proto_wr_init(&wr, out, sizeof(out));
	n = om_proto_ext_encode(&wr, &e, body);
	MUST(n >= (int)OM_PROTO_EXT_HDR);
	e.tlv = out + OM_PROTO_EXT_HDR;
	e.tlv_len = (uint32_t)n - OM_PROTO_EXT_HDR;
	MUST(om_proto_resp_body_decode(&e, &again) == 0);
	MUST(again.have == body->have);
	MUST(same(&again.uri, &body->uri) && same(&again.meta, &body->meta) && same(&again.entry, &body->entry));
	MUST(again.obj.id == body->obj.id && again.obj.gen == body->obj.gen && again.session == body->session);
}

static void entries(const struct om_proto_ext *ext)
{
	struct om_proto_body body;
	struct om_proto_str data;
	size_t pos = 0;
	uint16_t tag;

	while (om_proto_tlv_next(ext->tlv, ext->tlv_len, &pos, &tag, &data) > 0) {
		MUST(pos <= ext->tlv_len);
		(void)touch(data.p, data.len);
		if (tag == OM_PROTO_TAG_ENTRY && om_proto_entry_decode(&data, &body) == 0)
			touch_body(&body);
	}
}

static size_t one_in(const struct om_proto_in *in)
{
	static struct om_proto_str uris[OM_PROTO_URIS_MAX];
	struct om_proto_body body;
	unsigned n;

	switch (in->kind) {
	case OM_PROTO_IN_REQUEST:
		MUST(in->u.req.uri_len <= OM_URI_MAX);
		MUST(in->u.req.status != OBJM_STATUS_OK || in->u.req.uri_len > 0);
		(void)touch(in->u.req.uri, in->u.req.uri_len);
		return in->u.req.skip;
	case OM_PROTO_IN_EXT:
		entries(&in->u.ext);
		n = om_proto_get_uris(&in->u.ext, uris, OM_PROTO_URIS_MAX);
		if (n) {
			MUST(om_proto_req_body_decode(&in->u.ext, &body) == 0 && body.have == OM_PROTO_BIT(URI) && body.uris == n);
			for (unsigned i = 0; i < n; i++)
				(void)touch(uris[i].p, uris[i].len);
		}
		if (om_proto_req_body_decode(&in->u.ext, &body) == 0) {
			touch_body(&body);
			round_trip(&in->u.ext, &body);
		} else if (in->u.ext.status == OBJM_STATUS_OK) {
			char why[OM_PROTO_WHY_MAX];

			om_proto_req_body_why(&in->u.ext, why);
			MUST(*why);
		}
		return (size_t)in->u.ext.skip + (size_t)OM_MIN(in->u.ext.payload_len, (uint64_t)UINT32_MAX);
	default:
		return 0;
	}
}

static size_t one_out(const struct om_proto_out *o)
{
	struct om_proto_body body;
	struct om_proto_meta m;
	struct om_proto_seg seg;
	size_t pos = 0, i, len = 0;

	switch (o->kind) {
	case OM_PROTO_OUT_RESPONSE:
		len = o->u.resp.meta_len;
		break;
	case OM_PROTO_OUT_SEGMENTED:
		len = o->u.seg.meta_len;
		for (i = 0; i < o->u.seg.segs; i++)
			MUST(om_proto_seg_decode(o->segs + i * OM_PROTO_SEG_HDR, OM_PROTO_SEG_HDR, &seg) == (int)OM_PROTO_SEG_HDR);
		break;
	case OM_PROTO_OUT_EXT:
		entries(&o->u.ext);
		if (om_proto_resp_body_decode(&o->u.ext, &body) == 0) {
			touch_body(&body);
			round_trip(&o->u.ext, &body);
		}
		return (size_t)OM_MIN(o->u.ext.payload_len, (uint64_t)UINT32_MAX);
	default:
		return 0;
	}
	while (om_proto_meta_next(o->meta, len, &pos, &m) > 0)
		(void)(touch(m.data, m.len) + om_proto_meta_num(&m));
	MUST(pos == len);
	return o->kind == OM_PROTO_OUT_RESPONSE ? (size_t)OM_MIN(o->u.resp.content_len, (uint64_t)UINT32_MAX) : 0;
}

union message {
	struct om_proto_in in;
	struct om_proto_out out;
};

static int decode(uint8_t how, bool greeted, const uint8_t *p, size_t n, union message *m, size_t *need)
{
	int version = how & 2 ? OM_PROTO_V1 : OM_PROTO_V2;
	uint16_t caps = how & 8 ? 0 : 0xffff;

	if (how & 1)
		return om_proto_out_decode(version, greeted, caps, p, n, &m->out, need);
	return om_proto_in_decode(version, greeted, caps, how & 16 ? 100 : OM_PROTO_TLV_MAX, p, n, &m->in, need);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union message m, less;
	bool greeted;
	uint8_t how;
	size_t need, waste, left, skip;
	int n;

	if (size == 0)
		return 0;
	how = data[0];
	greeted = how & 4;
	for (data++, left = size - 1; left > 0; data += skip, left -= skip) {
		need = 0;
		n = decode(how, greeted, data, left, &m, &need);
		MUST(n <= (int)left);
		if (n == 0) {
			MUST(need > left && need <= OM_PROTO_MSG_MAX);
			return 0;
		}
		if (n < 0)
			return 0;
		/* The same message alone, and one byte short of it. */
		MUST(decode(how, greeted, data, (size_t)n, &less, &need) == n);
		MUST(decode(how, greeted, data, (size_t)n - 1, &less, &need) == 0);
		MUST(need >= (size_t)n || need > (size_t)n - 1);
		waste = how & 1 ? one_out(&m.out) : one_in(&m.in);
		skip = (size_t)n + OM_MIN(waste, left - (size_t)n);
		greeted = true;
	}
	return 0;
}
