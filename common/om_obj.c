/*
 * om_obj.c: see om_obj.h. Linked by every program.
 */
#include "common/om_obj.h"

#include <inttypes.h>

/* Bytes of the UTF-8 sequence at p, 0 if it is none (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF). */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	unsigned char c = p[0], lo = 0x80, hi = 0xbf;
	size_t n;

	if (c < 0x80)
		return c ? 1 : 0;
	if (c >= 0xc2 && c <= 0xdf)
		n = 2;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4;
	else
		return 0;
	if (left < n)
		return 0;
	if (c == 0xe0)
		lo = 0xa0;
	else if (c == 0xed)
		hi = 0x9f;
	else if (c == 0xf0)
		lo = 0x90;
	else if (c == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

/* Eight characters of ASCII, none of them NUL: what nearly all names are made of. */
static bool ascii_8(const unsigned char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return !((v | (v - ones)) & ones << 7);
}

bool om_uri_valid(const void *uri, size_t len)
{
	const unsigned char *p = uri;

	if (len < 1 || len > OM_URI_MAX)
		return false;
	for (size_t i = 0; i < len;) {
		size_t n = len - i >= 8 && ascii_8(p + i) ? 8 : utf8_len(p + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

int om_uri_check(const void *uri, size_t len)
{
	if (len > OM_URI_MAX)
		return -OBJM_STATUS_URI_TOO_LONG;
	return om_uri_valid(uri, len) ? 0 : -OBJM_STATUS_INVALID_REQUEST;
}

/* One entry at `at`: 0 at the end, -1 if malformed, else its length. */
static ssize_t meta_entry(const unsigned char *m, size_t len, size_t at, size_t *ret_klen, size_t *ret_vlen)
{
	if (at == len)
		return 0;
	if (len - at < 3)
		return -1;
	size_t k = m[at], v = (size_t)m[at + 1] << 8 | m[at + 2];
	if (k == 0 || k > OM_META_KEY_MAX || len - at - 3 < k || len - at - 3 - k < v)
		return -1;
	*ret_klen = k;
	*ret_vlen = v;
	return (ssize_t)(3 + k + v);
}

bool om_meta_valid(const void *meta, size_t len)
{
	const unsigned char *m = meta;
	size_t starts[OM_META_ENTRIES_MAX], n = 0, at = 0, k, v;
	ssize_t step;

	if (len > OM_META_MAX)
		return false;
	while ((step = meta_entry(m, len, at, &k, &v)) > 0) {
		if (n == OM_META_ENTRIES_MAX)
			return false;
		for (size_t i = 0; i < n; i++)
			if (m[starts[i]] == k && !memcmp(m + starts[i] + 3, m + at + 3, k))
				return false;
		starts[n++] = at;
		at += (size_t)step;
	}
	return step == 0;
}

bool om_meta_keys_plain(const void *meta, size_t len)
{
	const char *key, *val;
	size_t pos = 0, k, v;

	while (om_meta_next(meta, len, &pos, &key, &k, &val, &v))
		if (memchr(key, '\0', k))
			return false;
	return true;
}

bool om_meta_next(const void *meta, size_t len, size_t *pos, const char **ret_key, size_t *ret_key_len,
		  const char **ret_val, size_t *ret_val_len)
{
	const unsigned char *m = meta;
	size_t k, v;
	ssize_t step = meta_entry(m, len, *pos, &k, &v);

	if (step <= 0)
		return false;
	*ret_key = (const char *)m + *pos + 3;
	*ret_key_len = k;
	*ret_val = *ret_key + k;
	*ret_val_len = v;
	*pos += (size_t)step;
	return true;
}

size_t om_hex_put(char *to, uint64_t v, size_t digits)
{
	char all[16];

	while (digits < 16 && v >> 4 * digits)
		digits++;
	for (size_t i = 16; i-- > 0; v >>= 4)
		all[i] = "0123456789abcdef"[v & 15];
	memcpy(to, all + 16 - digits, digits);
	return digits;
}

void om_obj_dir(uint64_t id, char ret_path[static OM_OBJ_PATH_MAX])
{
	ret_path[om_hex_put(ret_path, id >> OM_OBJ_DIR_SHIFT, 9)] = '\0';
}

void om_obj_path(uint64_t id, char ret_path[static OM_OBJ_PATH_MAX])
{
	size_t n = om_hex_put(ret_path, id >> OM_OBJ_DIR_SHIFT, 9);

	ret_path[n++] = '/';
	ret_path[n + om_hex_put(ret_path + n, id, 16)] = '\0';
}

bool om_obj_id(const char *name, uint64_t *ret_id)
{
	uint64_t id = 0;

	for (unsigned i = 0; i < 16; i++) {
		char c = name[i];
		if (c >= '0' && c <= '9')
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	if (name[16] != '\0')
		return false;
	*ret_id = id;
	return true;
}

const char *om_tier_type_name(unsigned type)
{
	static const char *const names[OM_TIER_TYPE_COUNT] = { "memory", "nvme", "ssd", "hdd", "network" };
	return type < OM_TIER_TYPE_COUNT ? names[type] : "?";
}

const char *om_tier_state_name(unsigned state)
{
	static const char *const names[OM_TIERS_COUNT] = { "absent", "rebuilding", "ready", "read-only", "failed" };
	return state < OM_TIERS_COUNT ? names[state] : "?";
}
