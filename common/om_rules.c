/*
 * om_rules.c: see om_rules.h. Runs in the supervisor (encode) and in workers (decode, match).
 */
#include "common/om_rules.h"

#include <sys/socket.h>

#define RULES_MAGIC 0x656c7572u

struct table {
	uint32_t magic; /* RULES_MAGIC; 0: no table */
	uint32_t n;
	uint64_t bytes; /* of all, this head included */
};

struct row {
	uint32_t id;
	uint32_t rights;
	uint8_t addr[16];
	uint8_t subject, net_bits, open, pad;
	uint16_t prefix_len;
	uint16_t pad2;
	/* then the prefix, padded to 8 */
};
static_assert(sizeof(struct table) == 16 && sizeof(struct row) == 32, "layout of the table of rules");

static size_t padded(size_t n) { return (n + 7) & ~(size_t)7; }

size_t om_rules_bytes(const struct om_rule *rules, unsigned n)
{
	size_t bytes = sizeof(struct table);

	for (unsigned i = 0; i < n; i++)
		bytes += sizeof(struct row) + padded(rules[i].prefix_len);
	return bytes;
}

void om_rules_encode(const struct om_rule *rules, unsigned n, void *buf)
{
	struct table *t = buf;
	uint8_t *p = (uint8_t *)(t + 1);

	for (unsigned i = 0; i < n; i++) {
		const struct om_rule *r = &rules[i];
		struct row row = { .id = r->id, .rights = r->rights, .subject = r->subject, .net_bits = r->net_bits,
				   .open = r->open, .prefix_len = r->prefix_len };

		memcpy(row.addr, r->addr, sizeof(row.addr));
		memcpy(p, &row, sizeof(row));
		p += sizeof(row);
		if (r->prefix_len)
			memcpy(p, r->prefix, r->prefix_len);
		p += padded(r->prefix_len);
	}
	*t = (struct table){ .magic = RULES_MAGIC, .n = n, .bytes = (size_t)(p - (uint8_t *)buf) };
}

/* One row at `p`, of which `left` bytes are there. @return its bytes; 0: malformed */
static size_t decode_row(const uint8_t *p, size_t left, struct om_rule *ret)
{
	struct row row;

	if (left < sizeof(row))
		return 0;
	memcpy(&row, p, sizeof(row));
	if (row.subject >= OM_RULE_SUBJECTS || row.open > 1 || row.prefix_len > OM_URI_MAX || (row.rights & ~OM_RIGHTS_ALL) ||
	    row.net_bits > (row.subject == OM_RULE_NET6 ? 128 : 32) || (row.prefix_len == 0 && !row.open) ||
	    left - sizeof(row) < padded(row.prefix_len))
		return 0;
	*ret = (struct om_rule){ .subject = row.subject, .net_bits = row.net_bits, .open = row.open, .id = row.id,
				 .rights = row.rights, .prefix_len = row.prefix_len, .prefix = (const char *)p + sizeof(row) };
	memcpy(ret->addr, row.addr, sizeof(ret->addr));
	return sizeof(row) + padded(row.prefix_len);
}

int om_rules_decode(const void *buf, size_t len, struct om_rule **ret_rules, unsigned *ret_n)
{
	struct table t;
	struct om_rule *rules;
	size_t at = sizeof(t);

	if (len < sizeof(t))
		return -OBJM_STATUS_CORRUPT;
	memcpy(&t, buf, sizeof(t));
	if (t.magic == 0) {
		*ret_rules = NULL;
		*ret_n = 0;
		return 0;
	}
	if (t.magic != RULES_MAGIC || t.n > OM_RULES_MAX || t.bytes > len || t.bytes < sizeof(t))
		return -OBJM_STATUS_CORRUPT;
	rules = calloc(t.n ? t.n : 1, sizeof(*rules));
	if (!rules)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (unsigned i = 0; i < t.n; i++) {
		size_t n = decode_row((const uint8_t *)buf + at, (size_t)t.bytes - at, &rules[i]);

		if (!n) {
			free(rules);
			return -OBJM_STATUS_CORRUPT;
		}
		at += n;
	}
	if (at != t.bytes) {
		free(rules);
		return -OBJM_STATUS_CORRUPT;
	}
	*ret_rules = rules;
	*ret_n = t.n;
	return 0;
}

bool om_rule_covers(const struct om_rule *r, const void *uri, size_t len)
{
	if (len < r->prefix_len || (r->prefix_len && memcmp(uri, r->prefix, r->prefix_len) != 0))
		return false;
	if (r->open || len == r->prefix_len)
		return true;
	return r->prefix[r->prefix_len - 1] == '/' || ((const char *)uri)[r->prefix_len] == '/';
}

bool om_rule_net_has(const struct om_rule *r, int family, const uint8_t *addr)
{
	unsigned whole = r->net_bits / 8, rest = r->net_bits % 8;

	if (r->subject != (family == AF_INET ? OM_RULE_NET4 : OM_RULE_NET6))
		return false;
	if (whole && memcmp(r->addr, addr, whole) != 0)
		return false;
	return !rest || ((r->addr[whole] ^ addr[whole]) & (0xff00u >> rest & 0xffu)) == 0;
}

const char *om_right_name(uint32_t rights)
{
	static const char *const names[] = { "read", "write", "delete", "list", "pin", "ephemeral", "evictable", "legacy" };

	for (unsigned i = 0; i < OM_ARRAY_SIZE(names); i++)
		if (rights & 1u << i)
			return names[i];
	return "?";
}
