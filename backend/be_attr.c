/*
 * be_attr.c: what a file says of itself, in its extended attribute or its side file, so that a lost catalog can be made
 * again from the files. Runs in workers (encode) and the lifecycle process (decode). No state.
 *
 * It is kept short: ext4 has 68 bytes for it in an inode of 256; what is longer, or a second attribute beside it, takes a block of its own for each
 * object, which is read, written twice (journal and place), counted and freed again. So URIs of up to 44 bytes cost nothing, with a sum of up to 28.
 *
 * Little-endian, on disk: do not change, add a version.
 *	 0 magic u16 "o3"   2 XXH3-64 of everything from byte 10 to the end
 *	10 what is there u8 (enum have)   11 mtime_ns u64
 *	19 size, and what is there of: expiry_s, flags, rev (else 1), owner (else OM_UID_OLD), type_len, meta_len; each 7 bits to a byte,
 *	   the low ones first, the top bit set where another byte follows; then the sum of the object's bytes, if it is there (16 bytes; files
 *	   from before it was kept here have none)
 *	   uri (up to what the others leave), type, meta
 *
 * Versions 1 and 2 are only read:
 *	 0 magic u32 "oma1"   4 version u16   6 bytes of this head u16 = 56, 60
 *	 8 XXH3-64 of everything from byte 16 to the end
 *	16 size u64   24 mtime_ns u64   32 expiry_s u64   40 flags u32   44 rev u32
 *	48 uri_len u16   50 type_len u16   52 meta_len u16   54 zero u16
 *	56 owner u32 (version 2)   then uri, type, meta
 */
#include <endian.h>

#include <xxhash.h>

#include "backend/be.h"

#define ATTR_MAGIC 0x336fu
#define ATTR_AT_SUM 2u
#define ATTR_AT_HAVE 10u
#define ATTR_AT_MTIME 11u
#define ATTR_AT_REST 19u
#define ATTR_NUMBERS 39u /* the most that the seven numbers take: 10 bytes for 64 bits, 5 for 32, 2 for each length */
#define LONG_MAGIC 0x31616d6fu
#define LONG_HEAD_1 56u
#define LONG_HEAD_2 60u
#define LONG_SUMMED 16u

static_assert(ATTR_AT_REST + ATTR_NUMBERS + OM_SUM_BYTES <= 80u, "BE_ATTR_MAX has room for the head");

enum have { HAVE_EXPIRY = 1, HAVE_FLAGS = 2, HAVE_REV = 4, HAVE_OWNER = 8, HAVE_TYPE = 16, HAVE_META = 32, HAVE_SUM = 64, HAVE_ALL = 127 };

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}
static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}
static uint16_t get16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}
static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}
static uint64_t get64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static size_t append(uint8_t *buf, size_t at, const void *p, size_t len)
{
	if (len > 0)
		memcpy(buf + at, p, len);
	return at + len;
}

static size_t put_number(uint8_t *buf, size_t at, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf[at++] = (uint8_t)(v | 0x80);
	buf[at++] = (uint8_t)v;
	return at;
}

size_t be_attr_encode(const struct om_rec *rec, uint8_t ret_buf[static BE_ATTR_MAX])
{
	const struct {
		uint64_t v;
		uint8_t have; /* 0: always there */
		bool is;
	} number[] = {
		{ rec->size, 0, true },
		{ rec->expiry_s, HAVE_EXPIRY, rec->expiry_s != 0 },
		{ rec->flags, HAVE_FLAGS, rec->flags != 0 },
		{ rec->rev, HAVE_REV, rec->rev != 1 },
		{ rec->uid, HAVE_OWNER, rec->uid != OM_UID_OLD },
		{ rec->type_len, HAVE_TYPE, rec->type_len != 0 },
		{ rec->meta_len, HAVE_META, rec->meta_len != 0 },
	};
	size_t n = ATTR_AT_REST;

	OM_ASSERT(rec->uri_len >= 1 && rec->uri_len <= OM_URI_MAX);
	OM_ASSERT(rec->type_len <= OM_TYPE_MAX && rec->meta_len <= OM_META_MAX);
	put16(ret_buf, ATTR_MAGIC);
	ret_buf[ATTR_AT_HAVE] = 0;
	put64(ret_buf + ATTR_AT_MTIME, rec->mtime_ns);
	for (size_t i = 0; i < OM_ARRAY_SIZE(number); i++) {
		if (!number[i].is)
			continue;
		ret_buf[ATTR_AT_HAVE] |= number[i].have;
		n = put_number(ret_buf, n, number[i].v);
	}
	if (rec->sum) {
		ret_buf[ATTR_AT_HAVE] |= HAVE_SUM;
		n = append(ret_buf, n, rec->sum, OM_SUM_BYTES);
	}
	n = append(ret_buf, n, rec->uri, rec->uri_len);
	n = append(ret_buf, n, rec->type, rec->type_len);
	n = append(ret_buf, n, rec->meta, rec->meta_len);
	put64(ret_buf + ATTR_AT_SUM, XXH3_64bits(ret_buf + ATTR_AT_HAVE, n - ATTR_AT_HAVE));
	return n;
}

/* ---- reading ---- */

struct reader {
	const uint8_t *p, *end;
	bool bad;
};

/* A number of at most `max`. */
static uint64_t take_number(struct reader *r, uint64_t max)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
		uint8_t b = *r->p++;

		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b & 0x80)
			continue;
		r->bad |= v > max;
		return v;
	}
	r->bad = true;
	return 0;
}

static const unsigned char *take_sum(struct reader *r)
{
	const unsigned char *sum = r->p;

	r->bad |= (size_t)(r->end - r->p) < OM_SUM_BYTES;
	if (!r->bad)
		r->p += OM_SUM_BYTES;
	return sum;
}

static uint64_t take_if(struct reader *r, bool is, uint64_t max, uint64_t otherwise) { return is ? take_number(r, max) : otherwise; }

/* The strings behind the numbers, of which `left` bytes are there. */
static bool strings(const uint8_t *p, size_t left, struct om_rec *r)
{
	if (left < (size_t)r->type_len + r->meta_len || left - r->type_len - r->meta_len > OM_URI_MAX)
		return false;
	r->uri_len = (uint16_t)(left - r->type_len - r->meta_len);
	r->uri = (const char *)p;
	r->type = r->uri + r->uri_len;
	r->meta = (const unsigned char *)r->type + r->type_len;
	return true;
}

static bool decode(const uint8_t *p, size_t len, struct om_rec *r)
{
	struct reader in = { p + ATTR_AT_REST, p + len, false };

	if (len <= ATTR_AT_REST || get64(p + ATTR_AT_SUM) != XXH3_64bits(p + ATTR_AT_HAVE, len - ATTR_AT_HAVE))
		return false;
	uint8_t have = p[ATTR_AT_HAVE];
	r->mtime_ns = get64(p + ATTR_AT_MTIME);
	r->size = take_number(&in, UINT64_MAX);
	r->expiry_s = take_if(&in, have & HAVE_EXPIRY, UINT64_MAX, 0);
	r->flags = (uint32_t)take_if(&in, have & HAVE_FLAGS, UINT32_MAX, 0);
	r->rev = (uint32_t)take_if(&in, have & HAVE_REV, UINT32_MAX, 1);
	r->uid = (uint32_t)take_if(&in, have & HAVE_OWNER, UINT32_MAX, OM_UID_OLD);
	r->type_len = (uint16_t)take_if(&in, have & HAVE_TYPE, OM_TYPE_MAX, 0);
	r->meta_len = (uint16_t)take_if(&in, have & HAVE_META, OM_META_MAX, 0);
	r->sum = have & HAVE_SUM ? take_sum(&in) : NULL;
	return !in.bad && (have & ~HAVE_ALL) == 0 && strings(in.p, (size_t)(in.end - in.p), r);
}

static bool decode_long(const uint8_t *p, size_t len, struct om_rec *r)
{
	bool first = get16(p + 4) == 1;
	size_t head = first ? LONG_HEAD_1 : LONG_HEAD_2;

	if ((!first && get16(p + 4) != 2) || get16(p + 6) != head || len < head ||
	    get64(p + 8) != XXH3_64bits(p + LONG_SUMMED, len - LONG_SUMMED))
		return false;
	r->size = get64(p + 16);
	r->mtime_ns = get64(p + 24);
	r->expiry_s = get64(p + 32);
	r->flags = get32(p + 40);
	r->rev = get32(p + 44);
	r->uid = first ? OM_UID_OLD : get32(p + 56);
	r->type_len = get16(p + 50);
	r->meta_len = get16(p + 52);
	return strings(p + head, len - head, r) && r->uri_len == get16(p + 48);
}

int be_attr_decode(const void *buf, size_t len, struct om_rec *ret_rec)
{
	struct om_rec r = { 0 };
	bool ok = false;

	if (len >= LONG_HEAD_1 && get32(buf) == LONG_MAGIC)
		ok = decode_long(buf, len, &r);
	else if (len > ATTR_AT_REST && get16(buf) == ATTR_MAGIC)
		ok = decode(buf, len, &r);
	if (!ok || r.type_len > OM_TYPE_MAX || (r.flags & ~OM_OBJ_FLAGS_ALL) != 0 || r.rev == 0)
		return -OBJM_STATUS_CORRUPT;
	/* The checksum is no signature: whoever may write the attribute may write nonsense into it. */
	if (!om_uri_valid(r.uri, r.uri_len) || !om_meta_valid(r.meta, r.meta_len))
		return -OBJM_STATUS_CORRUPT;
	*ret_rec = r;
	return 0;
}
