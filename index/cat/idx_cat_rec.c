/*
 * idx_cat_rec.c: a record to and from the bytes that a catalog stores (layout in the header). Runs in the supervisor; pure
 * functions, called by every part of the catalog. Decoding is the place where a damaged or forged file is caught.
 */
#include "index/cat/idx_cat_rec.h"

#include "index/cat/idx_cat_int.h"

enum { /* offsets of the fixed part */
	REC_SUM = 0,
	REC_VERSION = 8,
	REC_HOME = 9,
	REC_URI_LEN = 10,
	REC_FLAGS = 12,
	REC_ID = 16,
	REC_SIZE = 24,
	REC_MTIME = 32,
	REC_EXPIRY = 40,
	REC_REV = 48,
	REC_TYPE_LEN = 52,
	REC_META_LEN = 54,
	REC_OWNER = 56
};
static_assert(REC_OWNER == IDX_CAT_REC_FIXED_OLD && REC_OWNER + 4 == IDX_CAT_REC_FIXED, "the fixed part ends where the strings begin");
static_assert(OM_URI_MAX <= UINT16_MAX && OM_META_MAX <= UINT16_MAX, "lengths are 16 bits wide");

/* Nearly every URI is plain ASCII, and a scan decodes millions: eight bytes at a time, none 0, none above 0x7f. */
static bool rec_plain(const char *uri, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
	uint64_t w, bad = 0;

	if (len < sizeof(w))
		return false;
	for (size_t i = 0; i + sizeof(w) <= len; i += sizeof(w)) {
		memcpy(&w, uri + i, sizeof(w));
		bad |= (w | (w - ones)) & tops; /* a byte 0 borrows and shows its top bit */
	}
	memcpy(&w, uri + len - sizeof(w), sizeof(w));
	return ((bad | w | (w - ones)) & tops) == 0;
}

int idx_cat_rec_check(const struct om_rec *rec)
{
	int rc = rec->uri_len <= OM_URI_MAX && rec_plain(rec->uri, rec->uri_len) ? 0 : om_uri_check(rec->uri, rec->uri_len);

	if (rc != 0)
		return rc;
	if (rec->type_len > OM_TYPE_MAX || rec->meta_len > OM_META_MAX)
		return -OBJM_STATUS_TOO_LARGE;
	if (rec->id == 0 || rec->tier >= OM_TIERS_MAX || rec->home >= OM_TIERS_MAX || (rec->flags & ~OM_OBJ_FLAGS_ALL) != 0)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (rec->meta_len > 0 && !om_meta_valid(rec->meta, rec->meta_len))
		return -OBJM_STATUS_INVALID_REQUEST;
	return 0;
}

static size_t rec_fixed(const struct om_rec *rec) { return rec->uid == OM_UID_OLD ? IDX_CAT_REC_FIXED_OLD : IDX_CAT_REC_FIXED; }

size_t idx_cat_rec_size(const struct om_rec *rec)
{
	size_t uri = idx_cat_key_is_long(rec->uri_len) ? rec->uri_len : 0;

	return rec_fixed(rec) + uri + rec->type_len + rec->meta_len;
}

static unsigned char *rec_append(unsigned char *p, const void *bytes, size_t len)
{
	if (len > 0)
		memcpy(p, bytes, len);
	return p + len;
}

void idx_cat_rec_encode(const struct om_rec *rec, const void *key, size_t key_len, void *ret_val)
{
	unsigned char *v = ret_val, *end;
	uint16_t uri_len = idx_cat_key_is_long(rec->uri_len) ? rec->uri_len : 0;

	v[REC_VERSION] = rec->uid == OM_UID_OLD ? IDX_CAT_REC_OLD : IDX_CAT_REC_VERSION;
	v[REC_HOME] = rec->home;
	idx_put16(v + REC_URI_LEN, uri_len);
	idx_put32(v + REC_FLAGS, rec->flags);
	idx_put64(v + REC_ID, rec->id);
	idx_put64(v + REC_SIZE, rec->size);
	idx_put64(v + REC_MTIME, rec->mtime_ns);
	idx_put64(v + REC_EXPIRY, rec->expiry_s);
	idx_put32(v + REC_REV, rec->rev);
	idx_put16(v + REC_TYPE_LEN, rec->type_len);
	idx_put16(v + REC_META_LEN, rec->meta_len);
	if (rec->uid != OM_UID_OLD)
		idx_put32(v + REC_OWNER, rec->uid);
	end = rec_append(v + rec_fixed(rec), rec->uri, uri_len);
	end = rec_append(end, rec->type, rec->type_len);
	end = rec_append(end, rec->meta, rec->meta_len);
	OM_ASSERT((size_t)(end - v) == idx_cat_rec_size(rec));
	idx_put64(v + REC_SUM, idx_cat_seal_sum(key, key_len, v + REC_VERSION, (size_t)(end - v) - REC_VERSION));
}

int idx_cat_rec_decode(const void *key, size_t key_len, const void *val, size_t val_len, uint8_t tier,
		       struct om_rec *ret_rec)
{
	const unsigned char *v = val;
	struct om_rec r = { .tier = tier };
	uint16_t stored_uri;
	size_t fixed;

	/* Lengths first: they bound everything that is read below. */
	if (key_len < 1 || key_len > IDX_CAT_KEY_MAX || val_len < IDX_CAT_REC_FIXED_OLD || val_len > IDX_CAT_REC_MAX)
		return -OBJM_STATUS_CORRUPT;
	if (v[REC_VERSION] != IDX_CAT_REC_VERSION && v[REC_VERSION] != IDX_CAT_REC_OLD)
		return -OBJM_STATUS_CORRUPT;
	fixed = v[REC_VERSION] == IDX_CAT_REC_OLD ? IDX_CAT_REC_FIXED_OLD : IDX_CAT_REC_FIXED;
	stored_uri = idx_le16(v + REC_URI_LEN);
	r.type_len = idx_le16(v + REC_TYPE_LEN);
	r.meta_len = idx_le16(v + REC_META_LEN);
	if (val_len != fixed + stored_uri + r.type_len + r.meta_len)
		return -OBJM_STATUS_CORRUPT;
	if (idx_le64(v + REC_SUM) != idx_cat_seal_sum(key, key_len, v + REC_VERSION, val_len - REC_VERSION))
		return -OBJM_STATUS_CORRUPT;
	r.uid = fixed == IDX_CAT_REC_FIXED ? idx_le32(v + REC_OWNER) : OM_UID_OLD;
	if (fixed == IDX_CAT_REC_FIXED && r.uid == OM_UID_OLD)
		return -OBJM_STATUS_CORRUPT; /* that is what the other version is for */
	r.home = v[REC_HOME];
	r.flags = idx_le32(v + REC_FLAGS);
	r.id = idx_le64(v + REC_ID);
	r.size = idx_le64(v + REC_SIZE);
	r.mtime_ns = idx_le64(v + REC_MTIME);
	r.expiry_s = idx_le64(v + REC_EXPIRY);
	r.rev = idx_le32(v + REC_REV);
	if (key_len == IDX_CAT_KEY_MAX) {
		r.uri = (const char *)v + fixed;
		r.uri_len = stored_uri;
		if (!idx_cat_key_is_long(stored_uri) || memcmp(r.uri, key, IDX_CAT_KEY_RAW_MAX) != 0)
			return -OBJM_STATUS_CORRUPT;
	} else {
		r.uri = key;
		r.uri_len = (uint16_t)key_len;
		if (idx_cat_key_is_long(key_len) || stored_uri != 0)
			return -OBJM_STATUS_CORRUPT;
	}
	r.type = (const char *)v + fixed + stored_uri;
	r.meta = v + fixed + stored_uri + r.type_len;
	/* A right checksum only says that it is what somebody wrote; it must also be what we would have written. */
	if (idx_cat_rec_check(&r) != 0)
		return -OBJM_STATUS_CORRUPT;
	*ret_rec = r;
	return 0;
}

bool idx_cat_rec_wins(const struct om_rec *a, const struct om_rec *b)
{
	bool a_home = a->home == a->tier, b_home = b->home == b->tier;

	if (a->id != b->id)
		return a->id > b->id;
	if (a_home != b_home)
		return a_home;
	if (a->rev != b->rev)
		return a->rev > b->rev;
	return a->tier < b->tier;
}
