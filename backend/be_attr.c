/*
 * be_attr.c: what a file says of itself, in its extended attribute or its side file, so that a lost catalog can be made
 * again from the files. Runs in workers (encode) and the lifecycle process (decode). No state.
 *
 * Little-endian, on disk: do not change, add a version.
 *	 0 magic u32 "oma1"   4 version u16 = 2   6 bytes of this head u16 = 60
 *	 8 XXH3-64 of everything from byte 16 to the end
 *	16 size u64   24 mtime_ns u64   32 expiry_s u64   40 flags u32   44 rev u32
 *	48 uri_len u16   50 type_len u16   52 meta_len u16   54 zero u16
 *	56 owner u32   60 uri, type, meta
 * Version 1 has a head of 56 bytes and no owner (OM_UID_OLD): such a file is from before, or its owner is still not known.
 */
#include <endian.h>

#include <xxhash.h>

#include "backend/be.h"

#define ATTR_MAGIC 0x31616d6fu
#define ATTR_VERSION 2u
#define ATTR_HEAD 60u
#define ATTR_VERSION_OLD 1u
#define ATTR_HEAD_OLD 56u
#define ATTR_SUMMED 16u /* the checksum covers from here */

static_assert(ATTR_HEAD <= 64u, "BE_ATTR_MAX has room for the head");

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}
static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
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

size_t be_attr_encode(const struct om_rec *rec, uint8_t ret_buf[static BE_ATTR_MAX])
{
	bool old = rec->uid == OM_UID_OLD;
	size_t n = old ? ATTR_HEAD_OLD : ATTR_HEAD;

	OM_ASSERT(rec->uri_len >= 1 && rec->uri_len <= OM_URI_MAX);
	OM_ASSERT(rec->type_len <= OM_TYPE_MAX && rec->meta_len <= OM_META_MAX);
	put32(ret_buf, ATTR_MAGIC);
	put16(ret_buf + 4, old ? ATTR_VERSION_OLD : ATTR_VERSION);
	put16(ret_buf + 6, (uint16_t)n);
	put64(ret_buf + 16, rec->size);
	put64(ret_buf + 24, rec->mtime_ns);
	put64(ret_buf + 32, rec->expiry_s);
	put32(ret_buf + 40, rec->flags);
	put32(ret_buf + 44, rec->rev);
	put16(ret_buf + 48, rec->uri_len);
	put16(ret_buf + 50, rec->type_len);
	put16(ret_buf + 52, rec->meta_len);
	put16(ret_buf + 54, 0);
	if (!old)
		put32(ret_buf + 56, rec->uid);
	n = append(ret_buf, n, rec->uri, rec->uri_len);
	n = append(ret_buf, n, rec->type, rec->type_len);
	n = append(ret_buf, n, rec->meta, rec->meta_len);
	put64(ret_buf + 8, XXH3_64bits(ret_buf + ATTR_SUMMED, n - ATTR_SUMMED));
	return n;
}

int be_attr_decode(const void *buf, size_t len, struct om_rec *ret_rec)
{
	const uint8_t *p = buf;
	struct om_rec r = { 0 };

	if (len < ATTR_HEAD_OLD || get32(p) != ATTR_MAGIC)
		return -OBJM_STATUS_CORRUPT;
	bool old = get16(p + 4) == ATTR_VERSION_OLD;
	size_t head = old ? ATTR_HEAD_OLD : ATTR_HEAD;
	if ((!old && get16(p + 4) != ATTR_VERSION) || get16(p + 6) != head || len < head)
		return -OBJM_STATUS_CORRUPT;
	if (get64(p + 8) != XXH3_64bits(p + ATTR_SUMMED, len - ATTR_SUMMED))
		return -OBJM_STATUS_CORRUPT;
	r.size = get64(p + 16);
	r.mtime_ns = get64(p + 24);
	r.expiry_s = get64(p + 32);
	r.flags = get32(p + 40);
	r.rev = get32(p + 44);
	r.uid = old ? OM_UID_OLD : get32(p + 56);
	r.uri_len = get16(p + 48);
	r.type_len = get16(p + 50);
	r.meta_len = get16(p + 52);
	if (len - head != (size_t)r.uri_len + r.type_len + r.meta_len || r.type_len > OM_TYPE_MAX ||
	    (r.flags & ~OM_OBJ_FLAGS_ALL) != 0 || r.rev == 0)
		return -OBJM_STATUS_CORRUPT;
	r.uri = (const char *)p + head;
	r.type = r.uri + r.uri_len;
	r.meta = (const unsigned char *)r.type + r.type_len;
	/* The checksum is no signature: whoever may write the attribute may write nonsense into it. */
	if (!om_uri_valid(r.uri, r.uri_len) || !om_meta_valid(r.meta, r.meta_len))
		return -OBJM_STATUS_CORRUPT;
	*ret_rec = r;
	return 0;
}
