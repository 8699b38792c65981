/*
 * om_rules.h: access rules as the supervisor hands them to the workers: a frozen segment (om_seg.h) that holds one table.
 *
 * Linked by the supervisor (encodes what the configuration says, names looked up) and the workers (decode, and match each
 * request). No state. Host byte order: the table never leaves the machine. A segment that begins with zero bytes holds no
 * table: there are no rules.
 *
 * A rule covers a URI when its prefix does: whole path segments (`/a` covers /a and /a/b, not /ab; `/a/` covers what begins
 * with it), or, with `open`, every URI that begins with it (written with a `*` at its end; the prefix alone is kept).
 */
#ifndef OM_RULES_H
#define OM_RULES_H

#include "common/om_obj.h"

/* Rights of an access rule. Names: om_right_name(). */
enum om_right {
	OM_RIGHT_READ = 1 << 0,
	OM_RIGHT_WRITE = 1 << 1,
	OM_RIGHT_DELETE = 1 << 2,
	OM_RIGHT_LIST = 1 << 3,	      /* see names: LIST and WATCH */
	OM_RIGHT_PIN = 1 << 4,	      /* put or change the flag PINNED */
	OM_RIGHT_EPHEMERAL = 1 << 5,  /* put with the flag EPHEMERAL */
	OM_RIGHT_EVICTABLE = 1 << 6,  /* put or change the flag EVICTABLE */
	OM_RIGHT_LEGACY = 1 << 7,     /* write on the socket for existing clients */
};
#define OM_RIGHTS_ALL 0xffu
#define OM_RIGHTS_CHANGE (OM_RIGHT_WRITE | OM_RIGHT_DELETE)

#define OM_RULES_MAX 1024u

enum om_rule_subject {
	OM_RULE_ANY,   /* everyone on a Unix socket */
	OM_RULE_USER,  /* id: a uid */
	OM_RULE_GROUP, /* id: a gid, the peer's main group or a supplementary one, as of its connect() */
	OM_RULE_NET4,  /* addr[0..4): TCP peers of this network */
	OM_RULE_NET6,
	OM_RULE_SUBJECTS
};

struct om_rule {
	uint8_t subject; /* enum om_rule_subject */
	uint8_t net_bits;
	bool open; /* covers whatever begins with the prefix */
	uint8_t addr[16];
	uint32_t id;
	uint32_t rights;     /* enum om_right */
	uint16_t prefix_len; /* 0..OM_URI_MAX; 0 is always `open` */
	const char *prefix;  /* borrowed */
};

/** Bytes that om_rules_encode() needs for these rules. */
size_t om_rules_bytes(const struct om_rule *rules, unsigned n);
/** Write the table. `buf` is om_rules_bytes() long, aligned to 8, and all zero before. */
void om_rules_encode(const struct om_rule *rules, unsigned n, void *buf);

/**
 * Read a table and check all of it.
 * @param buf       aligned to 8, as a mapping is
 * @param ret_rules malloc'ed (NULL if there are none): the caller frees it; prefixes point into `buf`
 * @return 0; -OBJM_STATUS_CORRUPT: malformed; -OBJM_STATUS_OUT_OF_MEMORY
 */
int om_rules_decode(const void *buf, size_t len, struct om_rule **ret_rules, unsigned *ret_n) OM_MUST_USE;

/** Does the rule's prefix cover this URI? */
bool om_rule_covers(const struct om_rule *r, const void *uri, size_t len);
/** Is this address inside the rule's network? family AF_INET or AF_INET6; addr: 4 or 16 bytes in network order. */
bool om_rule_net_has(const struct om_rule *r, int family, const uint8_t *addr);

/** "read", "write", ... of the lowest bit in `rights`; "?" for none. */
const char *om_right_name(uint32_t rights);

#endif
