/*
 * om_obj.h: what an object is, in every process: limits, flags, tiers, the record.
 *
 * Linked by every program; no state.
 */
#ifndef OM_OBJ_H
#define OM_OBJ_H

#include "common/om_base.h"

#define OM_URI_MAX 4096u	/* bytes, without a terminator; 1 is the least */
#define OM_TYPE_MAX 255u	/* bytes of a content type */
#define OM_META_MAX 4096u	/* bytes of all custom metadata of an object, encoded */
#define OM_META_ENTRIES_MAX 64u /* custom metadata entries of an object */
#define OM_META_KEY_MAX 128u	/* bytes of a key */
#define OM_TIERS_MAX 32u	/* tiers of an installation; tier numbers are 0..31 */
#define OM_TIER_NAME_MAX 32u	/* bytes of a tier's name with its terminator; [a-z0-9-] */
#define OM_TIER_NONE 0xffu

/* Owners that are no user. */
#define OM_UID_NONE UINT32_MAX	   /* who came over TCP: all of them are one owner */
#define OM_UID_OLD (UINT32_MAX - 1) /* not known: the object is from before owners were kept */

/* Flags of an object: on the wire, in records and in slots. */
enum om_obj_flag {
	OM_OBJ_EPHEMERAL = 1 << 0, /* only ever on memory tiers */
	OM_OBJ_PINNED = 1 << 1,	   /* stays where it is */
	OM_OBJ_EVICTABLE = 1 << 2, /* its only copy may be removed when room is needed */
};
#define OM_OBJ_FLAGS_ALL 7u

/* Names of flags, declared once: X(enum name, "text"). */
#define OM_OBJ_FLAG_MAP(X) X(EPHEMERAL, "ephemeral") X(PINNED, "pinned") X(EVICTABLE, "evictable")

enum om_tier_type { OM_TIER_MEMORY, OM_TIER_NVME, OM_TIER_SSD, OM_TIER_HDD, OM_TIER_NETWORK, OM_TIER_TYPE_COUNT };

enum om_tier_flag {
	OM_TIERF_EPHEMERAL = 1 << 0, /* takes ephemeral objects (memory tiers) */
	OM_TIERF_PERSISTENT = 1 << 1,
	OM_TIERF_READABLE = 1 << 2,
	OM_TIERF_WRITABLE = 1 << 3,
	OM_TIERF_MIGRATION_SRC = 1 << 4,
	OM_TIERF_MIGRATION_DST = 1 << 5,
};

/* What a promise of durability means: see doc/configuration.md, `durability`. */
enum om_durability { OM_DUR_NONE, OM_DUR_BATCH, OM_DUR_SYNC, OM_DUR_COUNT };

/* What a tier's filesystem was seen to do when it was probed at start. */
enum om_tier_cap {
	OM_TIERC_TMPFILE = 1 << 0, /* O_TMPFILE works; else a temporary name in staging/ */
	OM_TIERC_LEASE = 1 << 1,   /* a read lease is refused while a writable mapping lives; else every COMMIT copies */
	OM_TIERC_REFLINK = 1 << 2, /* FICLONE works */
	OM_TIERC_SYNCFS = 1 << 3,  /* local: one syncfs for a batch pays */
	OM_TIERC_XATTR = 1 << 4,   /* user.* attributes work; else a side file */
};

enum om_tier_state {
	OM_TIERS_ABSENT,     /* configured, not there: misses are UNAVAILABLE */
	OM_TIERS_REBUILDING, /* its catalog is being made again from its files */
	OM_TIERS_READY,
	OM_TIERS_READONLY,
	OM_TIERS_FAILED, /* an error of its disk stopped writes */
	OM_TIERS_COUNT
};

/* A version of an object: its id and its revision. Ids start at 1 and are never reused. */
struct om_version {
	uint64_t id;
	uint32_t rev;
};

/*
 * A record: all that is known of an object on one tier. Pointers are borrowed: the owner is said where a record is
 * returned or taken.
 */
#define OM_SUM_BYTES 16u
struct om_rec {
	uint64_t id;
	uint64_t size;	   /* bytes */
	uint64_t mtime_ns; /* of the commit, since 1970 */
	uint64_t expiry_s; /* since 1970; 0: never */
	uint32_t rev;
	uint32_t flags; /* enum om_obj_flag */
	uint32_t uid;	/* the owner: who put these bytes; or OM_UID_NONE, OM_UID_OLD */
	uint8_t tier;	/* the tier that this record is of */
	uint8_t home;	/* the tier of the home record; equal to tier unless this is a cached copy */
	uint16_t uri_len;
	uint16_t type_len;
	uint16_t meta_len;
	const char *uri;
	const char *type;	   /* content type; not terminated */
	const unsigned char *meta; /* entries of: key length u8 | value length u16 big-endian | key | value */
	const unsigned char *sum;  /* XXH3-128 of the bytes, OM_SUM_BYTES of it, canonical; NULL: not known. Files keep it, catalogs do not */
};

/* A precondition of a change. */
enum om_cond { OM_COND_NONE, OM_COND_ABSENT, OM_COND_VERSION /* id and, if rev is not 0, revision */, OM_COND_COUNT };

/** True if `uri` is 1..OM_URI_MAX bytes of UTF-8 (no overlong forms, no surrogates) without NUL. */
bool om_uri_valid(const void *uri, size_t len);
/** 0, or the negative status that tells why not: URI_TOO_LONG, INVALID_REQUEST. */
int om_uri_check(const void *uri, size_t len);
/** True if `meta` is a well-formed sequence of entries within the limits above, keys non-empty and unique. */
bool om_meta_valid(const void *meta, size_t len);
/** True if no key of valid metadata has a zero byte: to a C program a key is a string. Older records may have such keys. */
bool om_meta_keys_plain(const void *meta, size_t len);
/** Next entry of valid metadata: false at the end; *pos starts at 0. The pointers are into `meta`. */
bool om_meta_next(const void *meta, size_t len, size_t *pos, const char **ret_key, size_t *ret_key_len,
		  const char **ret_val, size_t *ret_val_len);

/** Write `v` with at least `digits` (1..16) hexadecimal digits, as snprintf does, which takes 0.2 us. @return their number */
size_t om_hex_put(char *to, uint64_t v, size_t digits);

/** Path of an object's file relative to objects/: "XXXXXXXXX/XXXXXXXXXXXXXXXX". 4,096 ids share a directory. */
#define OM_OBJ_PATH_MAX 40
#define OM_OBJ_DIR_SHIFT 12
void om_obj_path(uint64_t id, char ret_path[static OM_OBJ_PATH_MAX]);
/** The directory part alone. */
void om_obj_dir(uint64_t id, char ret_path[static OM_OBJ_PATH_MAX]);
/** The reverse of the file's own name (16 hexadecimal digits): false if `name` is no such name. */
bool om_obj_id(const char *name, uint64_t *ret_id);

const char *om_tier_type_name(unsigned type);	/* "memory" ... ; "?" for what is none */
const char *om_tier_state_name(unsigned state); /* "ready" ... */

#endif
