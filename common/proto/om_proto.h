/*
 * om_proto.h: the wire codec: versions 1 and 2 of the client protocol and the extension. doc/protocol.md is the text.
 *
 * Linked by objmapper-worker (server side) and by libobjm (both sides). Does no input or output, allocates nothing,
 * keeps no state: every function may be called from any thread. All integers on the wire are big-endian.
 *
 * Decoders look at `len` bytes at `buf` and return
 *   n > 0  one message of n bytes is complete; what was decoded points into `buf` and lives as long as it does;
 *   0      more bytes are needed: *ret_need tells how many the message has at least (more than `len`, bounded: at most
 *          OM_PROTO_MSG_MAX for every function here); call again from the message's first byte when that many are
 *          there;
 *   n < 0  a negative status: the bytes are no message of this protocol, the stream cannot be followed any further:
 *          close the connection. (A message that can be framed, but whose content is refused, is not such an error:
 *          it is returned with a `status` that the server answers.)
 * Encoders write into `cap` bytes at `buf` and return the length written, or -OBJM_STATUS_TOO_LARGE when there is not
 * room enough (what is in `buf` is then undefined), or -OBJM_STATUS_INVALID_REQUEST when a field cannot be represented.
 */
#ifndef OM_PROTO_H
#define OM_PROTO_H

#include "common/om_base.h"
#include "common/om_obj.h"

/* ---------------------------------------------------------------- constants of versions 1 and 2 */

#define OM_PROTO_V1 1
#define OM_PROTO_V2 2

enum om_proto_mode {
	OM_PROTO_MODE_FDPASS = '1',
	OM_PROTO_MODE_COPY = '2',
	OM_PROTO_MODE_SPLICE = '3',
	OM_PROTO_MODE_SEGMENTED = '4',
};

enum om_proto_type { /* first byte of a version 2 message */
	OM_PROTO_T_REQUEST = 0x01,
	OM_PROTO_T_RESPONSE = 0x02,
	OM_PROTO_T_CLOSE = 0x03,
	OM_PROTO_T_CLOSE_ACK = 0x04,
	OM_PROTO_T_SEGMENTED = 0x05,
	OM_PROTO_T_EXT = 0x10,
	OM_PROTO_T_HELLO = 'O', /* of HELLO and HELLO_ACK */
};

#define OM_PROTO_MAGIC "OBJM"
#define OM_PROTO_FD_BYTE 'X' /* carries one descriptor, in a message of its own */

/* Capabilities (HELLO, HELLO_ACK). */
#define OM_PROTO_CAP_OOO 0x0001u	 /* responses may overtake each other */
#define OM_PROTO_CAP_PIPELINING 0x0002u
#define OM_PROTO_CAP_COMPRESSION 0x0004u /* TCP alone, and only together with the extension */
#define OM_PROTO_CAP_MULTIPLEX 0x0008u	 /* reserved, never granted */
#define OM_PROTO_CAP_SEGMENTED 0x0010u
#define OM_PROTO_CAP_EXTENSION 0x0100u

/* Flags of a version 2 REQUEST; unknown ones are ignored. */
#define OM_PROTO_REQ_ORDERED 0x01u  /* not before every earlier request of this connection has been answered */
#define OM_PROTO_REQ_PRIORITY 0x02u

enum om_proto_close_reason {
	OM_PROTO_CLOSE_NORMAL = 0,
	OM_PROTO_CLOSE_TIMEOUT = 1,
	OM_PROTO_CLOSE_ERROR = 2,
	OM_PROTO_CLOSE_SHUTDOWN = 3,
};

enum om_proto_meta_type { /* metadata entries of version 1 and 2 responses */
	OM_PROTO_META_SIZE = 0x01,	 /* u64 */
	OM_PROTO_META_MTIME = 0x02,	 /* u64, Unix seconds */
	OM_PROTO_META_ETAG = 0x03,	 /* text */
	OM_PROTO_META_TYPE = 0x04,	 /* text */
	OM_PROTO_META_BACKEND = 0x05,	 /* u8 */
	OM_PROTO_META_LATENCY_US = 0x06, /* u32, microseconds */
	OM_PROTO_META_PAYLOAD = 0x07,
	OM_PROTO_META_SEGMENT_HINTS = 0x08,
	OM_PROTO_META_CODING = 0x09, /* u8, enum om_proto_coding: the content comes in blocks */
	OM_PROTO_META_ERROR = 0xff, /* text */
};

#define OM_PROTO_V1_REQ_HDR 3u	/* then the URI */
#define OM_PROTO_V1_RESP_HDR 11u /* then metadata */
#define OM_PROTO_V2_REQ_HDR 9u
#define OM_PROTO_V2_RESP_HDR 16u
#define OM_PROTO_HELLO_LEN 9u
#define OM_PROTO_HELLO_ACK_LEN 10u
#define OM_PROTO_CLOSE_LEN 2u
#define OM_PROTO_CLOSE_ACK_LEN 6u
#define OM_PROTO_SEG_RESP_HDR 10u
#define OM_PROTO_SEG_HDR 32u
#define OM_PROTO_SEGS_MAX 64u
#define OM_PROTO_META_MAX 65535u /* bytes of all metadata of a response */

/* ---------------------------------------------------------------- constants of the extension */

#define OM_PROTO_EXT_HDR 24u
#define OM_PROTO_TLV_HDR 4u
#define OM_PROTO_TLV_MAX (1u << 20)	/* bytes of the TLVs of one frame, in either direction */
#define OM_PROTO_URIS_MAX 253u		/* URIs of one GET */
#define OM_PROTO_FDS_MAX 253u		/* descriptors to one sendmsg: the kernel's SCM_MAX_FD */
#define OM_PROTO_ERROR_TEXT_MAX 1024u
#define OM_PROTO_ENTRY_MAX 8192u	/* bytes of the data of one ENTRY */
#define OM_PROTO_MSG_MAX (OM_PROTO_EXT_HDR + OM_PROTO_TLV_MAX) /* longest message a decoder here asks for */

#define OM_PROTO_OP_RESPONSE 0x80u /* set in the op of a response */

#define OM_PROTO_PUT_TAGS \
	(OM_PROTO_BIT(URI) | OM_PROTO_BIT(SIZE_HINT) | OM_PROTO_BIT(PUT_FLAGS) | OM_PROTO_BIT(TTL_S) | OM_PROTO_BIT(TYPE) | \
	 OM_PROTO_BIT(META) | OM_PROTO_BIT(COND) | OM_PROTO_BIT(DURABILITY))
#define OM_PROTO_LIST_TAGS \
	(OM_PROTO_BIT(PREFIX) | OM_PROTO_BIT(DELIMITER) | OM_PROTO_BIT(START_AFTER) | OM_PROTO_BIT(LIMIT))
#define OM_PROTO_CHANGE_TAGS (OM_PROTO_BIT(PUT_FLAGS) | OM_PROTO_BIT(TTL_S) | OM_PROTO_BIT(TYPE) | OM_PROTO_BIT(META))

/*
 * Operations: X(NAME, code, tags that a request must have, further tags that it may have, payload allowed in a
 * request).
 * A tag that an operation does not take is refused: a condition must never be silently without effect.
 */
#define OM_PROTO_OP_MAP(X) \
	X(GET, 1, OM_PROTO_BIT(URI), OM_PROTO_BIT(RANGE), false) \
	X(STAT, 2, OM_PROTO_BIT(URI), 0, false) \
	X(PUT_BEGIN, 3, OM_PROTO_BIT(URI), OM_PROTO_PUT_TAGS, false) \
	X(PUT_COMMIT, 4, OM_PROTO_BIT(SESSION), 0, false) \
	X(PUT_ABORT, 5, OM_PROTO_BIT(SESSION), 0, false) \
	X(PUT_INLINE, 6, OM_PROTO_BIT(URI), OM_PROTO_PUT_TAGS, true) \
	X(DELETE, 7, OM_PROTO_BIT(URI), OM_PROTO_BIT(COND), false) \
	X(LIST, 8, 0, OM_PROTO_LIST_TAGS, false) \
	X(SET, 9, OM_PROTO_BIT(URI), OM_PROTO_CHANGE_TAGS | OM_PROTO_BIT(COND), false) \
	X(WATCH, 10, 0, OM_PROTO_BIT(PREFIX) | OM_PROTO_BIT(POSITION), false) \
	X(TOUCH, 11, OM_PROTO_BIT(TOUCHED), 0, false) \
	X(ATTACH, 12, OM_PROTO_BIT(PROMISE), OM_PROTO_BIT(MAX_FDS), false) \
	X(PING, 13, 0, 0, false)

enum om_proto_op {
#define OM_PROTO_OP_ENUM(name, code, required, allowed, payload) OM_PROTO_OP_##name = code,
	OM_PROTO_OP_MAP(OM_PROTO_OP_ENUM)
#undef OM_PROTO_OP_ENUM
	OM_PROTO_OP_COUNT
};

/* Flags of extension frames. An unknown flag in a request: INVALID_REQUEST, or ignored if in OM_PROTO_F_OPTIONAL. */
#define OM_PROTO_F_MORE 0x0001u	     /* response: further frames of this id follow */
#define OM_PROTO_F_COPY 0x0010u	     /* GET: answer with the bytes as payload instead of a descriptor */
#define OM_PROTO_F_WANT_META 0x0020u /* GET: TYPE, META, TIER_NAME and HOME_NAME in the answer; LIST: TYPE in entries */
#define OM_PROTO_F_WANT_TIME 0x0040u /* SERVER_NS in the answer */
#define OM_PROTO_F_ORDERED 0x0080u   /* not before every earlier request of this connection has been answered */
#define OM_PROTO_F_WANT_TABLE 0x0100u /* ATTACH: pass the generation table's descriptor */
#define OM_PROTO_F_OPTIONAL 0xf000u
#define OM_PROTO_F_REQUEST \
	(OM_PROTO_F_COPY | OM_PROTO_F_WANT_META | OM_PROTO_F_WANT_TIME | OM_PROTO_F_ORDERED | OM_PROTO_F_WANT_TABLE)

#define OM_PROTO_TAG_OPTIONAL 0x8000u /* a tag with this bit may be skipped by who does not know it */

/* Bits of PROMISE. */
#define OM_PROTO_PROMISE_POSITIONED 0x01u /* this client reads with pread, mmap, sendfile at an offset: never read(2) */

/*
 * TLVs: X(NAME, tag, kind, member of struct om_proto_body, least length, greatest length). kind tells how data is read:
 * STR any bytes, Un a number, the others a structure of fixed size (doc/protocol.md has the layouts).
 */
#define OM_PROTO_TLV_MAP(X) \
	X(URI, 1, STR, uri, 1, OM_URI_MAX) \
	X(OBJ, 2, OBJ, obj, 64, 64) \
	X(TYPE, 3, STR, type, 0, OM_TYPE_MAX) \
	X(META, 4, STR, meta, 0, OM_META_MAX) \
	X(TIER_NAME, 5, STR, tier_name, 1, OM_TIER_NAME_MAX - 1) \
	X(HOME_NAME, 6, STR, home_name, 1, OM_TIER_NAME_MAX - 1) \
	X(SIZE_HINT, 7, U64, size_hint, 8, 8) \
	X(PUT_FLAGS, 8, U32, put_flags, 4, 4) \
	X(TTL_S, 9, U32, ttl_s, 4, 4) \
	X(COND, 10, COND, cond, 13, 13) \
	X(RANGE, 11, RANGE, range, 16, 16) \
	X(PREFIX, 12, STR, prefix, 0, OM_URI_MAX) \
	X(DELIMITER, 13, U8, delimiter, 1, 1) \
	X(START_AFTER, 14, STR, start_after, 0, OM_URI_MAX) \
	X(LIMIT, 15, U32, limit, 4, 4) \
	X(SESSION, 16, U32, session, 4, 4) \
	X(DURABILITY, 17, U8, durability, 1, 1) \
	X(INDEX, 18, U16, index, 2, 2) \
	X(SERVER_NS, 19, U32, server_ns, 4, 4) \
	X(ERROR_TEXT, 20, STR, error_text, 0, OM_PROTO_ERROR_TEXT_MAX) \
	X(HEAT, 21, HEAT, heat, 16, 16) \
	X(ENTRY, 22, STR, entry, 0, OM_PROTO_ENTRY_MAX) \
	X(COMMON_PREFIX, 23, STR, common_prefix, 1, OM_URI_MAX) \
	X(NEXT, 24, STR, next, 1, OM_URI_MAX) \
	X(PROMISE, 25, U8, promise, 1, 1) \
	X(MAX_FDS, 26, U8, max_fds, 1, 1) \
	X(LIMITS, 27, LIMITS, limits, 24, 24) \
	X(CHANGE, 28, CHANGE, change, 17, 17) \
	X(POSITION, 29, POSITION, position, 16, 16) \
	X(TOUCHED, 30, TOUCHED, touched, 13, 12 + OM_URI_MAX) \
	X(CODING, 31, U8, coding, 1, 1)

enum om_proto_tag {
#define OM_PROTO_TLV_ENUM(name, tag, kind, member, min, max) OM_PROTO_TAG_##name = tag,
	OM_PROTO_TLV_MAP(OM_PROTO_TLV_ENUM)
#undef OM_PROTO_TLV_ENUM
	OM_PROTO_TAG_COUNT
};
/* Bit of a tag in om_proto_body.have: body.have & OM_PROTO_BIT(RANGE). */
#define OM_PROTO_BIT(name) (1ull << OM_PROTO_TAG_##name)

/* ---------------------------------------------------------------- decoded messages */

struct om_proto_hello { /* HELLO and HELLO_ACK; `parallelism` is of the second alone */
	uint16_t caps;
	uint16_t max_pipeline; /* 0: no limit of the sender's */
	uint8_t parallelism;
};

/* A request of version 1 (id and flags 0) or 2. */
struct om_proto_req {
	uint32_t id;
	uint8_t flags;
	uint8_t mode;	  /* the byte as received */
	uint8_t status;	  /* OK, or what to answer: INVALID_MODE, INVALID_REQUEST (empty URI), URI_TOO_LONG */
	uint16_t uri_len; /* 0 when status is URI_TOO_LONG */
	uint32_t skip;	  /* bytes that follow the consumed ones and are to be thrown away (a URI that was too long) */
	const char *uri;  /* not terminated; its bytes are not checked here: om_uri_check() */
};

/* Header of a response of version 1 (id 0) or 2; `meta_len` bytes of metadata follow it. */
struct om_proto_resp {
	uint32_t id;
	uint8_t status;
	uint64_t content_len;
	uint16_t meta_len;
};

struct om_proto_meta { /* one metadata entry */
	uint8_t type;
	uint16_t len;
	const uint8_t *data;
};

enum om_proto_seg_type { OM_PROTO_SEG_INLINE, OM_PROTO_SEG_FD, OM_PROTO_SEG_SPLICE, OM_PROTO_SEG_COUNT };
#define OM_PROTO_SEGF_FIN 0x01u
#define OM_PROTO_SEGF_REUSE_FD 0x02u
#define OM_PROTO_SEGF_OPTIONAL 0x04u

struct om_proto_seg {
	uint8_t type;
	uint8_t flags;
	uint32_t copy_len;
	uint64_t logical_len;
	uint64_t storage_off;
	uint64_t storage_len;
};

/* Header of a segmented response; metadata, then `segs` segment headers follow it. */
struct om_proto_seg_resp {
	uint32_t id;
	uint8_t status;
	uint16_t segs;
	uint16_t meta_len;
};

/* Header of an extension frame. */
struct om_proto_ext {
	uint8_t op;	/* with OM_PROTO_OP_RESPONSE in a response */
	uint8_t status; /* in a request: OK, or what to answer (TOO_LARGE: more TLVs than the limit, see skip) */
	uint8_t nfds;
	uint16_t flags;
	uint32_t id;
	uint32_t tlv_len;
	uint64_t payload_len; /* the payload follows the consumed bytes; the caller reads, or skips, that many */
	uint32_t skip;	      /* bytes of TLVs to throw away before the payload (status TOO_LARGE) */
	const uint8_t *tlv;
};

struct om_proto_str {
	const char *p; /* borrowed, not terminated */
	uint32_t len;
};

/* OBJ: what every response tells of an object. */
struct om_proto_obj {
	uint64_t id;
	uint64_t size;	   /* bytes */
	uint64_t mtime_ns; /* since 1970 */
	uint64_t expiry_s; /* since 1970; 0: never */
	uint64_t gen;	   /* generation of `bucket`, loaded before the look-up; odd: do not cache */
	uint32_t rev;
	uint32_t flags; /* enum om_obj_flag */
	uint32_t bucket;
	uint8_t tier;
	uint8_t home;
};

struct om_proto_cond {
	uint8_t kind; /* enum om_cond */
	uint64_t id;
	uint32_t rev; /* 0: any */
};

struct om_proto_range {
	uint64_t off;
	uint64_t len; /* 0: to the end */
};

struct om_proto_heat {
	uint32_t heat_millionths; /* 1,000,000 is hottest */
	uint32_t access_count;
	uint64_t last_access_s; /* since 1970; 0: not known */
};

struct om_proto_limits {
	uint32_t tlv_max;      /* bytes of TLVs that a request may have */
	uint32_t sessions_max; /* open puts of a connection */
	uint32_t page_max;     /* entries of a LIST page */
	uint16_t uris_max;     /* URIs of a GET */
	uint8_t max_fds;       /* descriptors that the server puts into one message */
	uint8_t durability;    /* default of the default tier: enum om_durability */
	uint64_t inline_max;   /* bytes of a PUT_INLINE */
};

/* WATCH: what a frame of its answer tells. */
enum om_proto_change {
	OM_PROTO_CHANGE_HERE, /* the first frame: changes behind this position follow */
	OM_PROTO_CHANGE_PUT,
	OM_PROTO_CHANGE_DELETE, /* deleted, expired or evicted */
	OM_PROTO_CHANGE_SET,
	OM_PROTO_CHANGE_MOVED, /* another tier serves it */
	OM_PROTO_CHANGE_LOST,  /* changes up to this position were not told: list again */
	OM_PROTO_CHANGES
};

struct om_proto_position { /* positions of different epochs have nothing to do with each other */
	uint64_t epoch, pos;
};
struct om_proto_changed {
	uint8_t kind; /* enum om_proto_change; a newer server may have others */
	struct om_proto_position at;
};
struct om_proto_touched { /* TOUCH: `count` accesses to this object that a client's cache answered */
	uint64_t id;
	uint32_t count;
	struct om_proto_str uri;
};

/*
 * The TLVs of a frame or of an ENTRY, decoded. A member is meaningful if its bit is set in `have`; `have` alone decides
 * what is encoded. Of tags that repeat (URI in GET, TOUCHED, ENTRY, COMMON_PREFIX) the first is here; walk with
 * om_proto_tlv_next() for the others.
 */
struct om_proto_body {
	uint64_t have; /* OM_PROTO_BIT() */
	uint32_t uris; /* URI TLVs seen (decoder only) */
	struct om_proto_str uri, type, meta, tier_name, home_name, prefix, start_after, error_text;
	struct om_proto_str entry, common_prefix, next;
	struct om_proto_obj obj;
	struct om_proto_cond cond;
	struct om_proto_range range;
	struct om_proto_heat heat;
	struct om_proto_limits limits;
	struct om_proto_changed change;
	struct om_proto_position position;
	struct om_proto_touched touched;
	uint64_t size_hint;
	uint32_t put_flags, ttl_s, limit, session, server_ns;
	uint16_t index;
	uint8_t delimiter, durability, promise, max_fds, coding;
};

/* ---------------------------------------------------------------- server side: what clients send */

enum om_proto_in_kind {
	OM_PROTO_IN_HELLO,
	OM_PROTO_IN_REQUEST, /* version 1 or 2 */
	OM_PROTO_IN_CLOSE,
	OM_PROTO_IN_CLOSE_ACK, /* answer to a CLOSE of ours */
	OM_PROTO_IN_EXT,
};

struct om_proto_in {
	enum om_proto_in_kind kind;
	union {
		struct om_proto_hello hello;
		struct om_proto_req req;
		struct om_proto_ext ext;
		uint8_t close_reason;
		uint32_t outstanding;
	} u;
};

/** Which version a client's first byte begins: OM_PROTO_V1, OM_PROTO_V2, or -OBJM_STATUS_PROTO_ERROR. */
int om_proto_first(uint8_t byte);

/**
 * Decode the next message of a client.
 *
 * @param version  what om_proto_first() said of the connection's first byte
 * @param greeted  version 2: HELLO has been received. Before it nothing but HELLO is taken, after it no second one
 * @param caps     capabilities that HELLO_ACK granted: extension frames need OM_PROTO_CAP_EXTENSION
 * @param tlv_max  greatest tlv_len taken (at most OM_PROTO_TLV_MAX); a frame with more comes back with status TOO_LARGE
 * @return see the top of this page; -OBJM_STATUS_PROTO_ERROR, -OBJM_STATUS_PROTO_VERSION (HELLO of an unknown
 *         version), -OBJM_STATUS_PROTO_CAPABILITY (extension frame without the capability)
 *
 * Looks at no byte of a URI and at no TLV: om_uri_check() and om_proto_req_body_decode() do.
 */
int om_proto_in_decode(int version, bool greeted, uint16_t caps, uint32_t tlv_max, const void *buf, size_t len,
		       struct om_proto_in *ret_in, size_t *ret_need);

/* Encoders of what clients send. */
int om_proto_v1_req_encode(const struct om_proto_req *req, void *buf, size_t cap); /* mode and uri are used */
int om_proto_v2_req_encode(const struct om_proto_req *req, void *buf, size_t cap); /* id, flags, mode and uri are used */
int om_proto_hello_encode(const struct om_proto_hello *hello, void *buf, size_t cap);
int om_proto_close_encode(uint8_t reason, void *buf, size_t cap); /* both sides send it */

/* ---------------------------------------------------------------- client side: what servers send */

enum om_proto_out_kind {
	OM_PROTO_OUT_HELLO_ACK,
	OM_PROTO_OUT_RESPONSE, /* header and metadata; the rest as om_proto_resp_fd() and content_len say */
	OM_PROTO_OUT_SEGMENTED, /* header, metadata and segment headers */
	OM_PROTO_OUT_CLOSE,
	OM_PROTO_OUT_CLOSE_ACK,
	OM_PROTO_OUT_EXT,
};

struct om_proto_out {
	enum om_proto_out_kind kind;
	union {
		struct om_proto_hello hello;
		struct om_proto_resp resp;
		struct om_proto_seg_resp seg;
		struct om_proto_ext ext;
		uint8_t close_reason;
		uint32_t outstanding;
	} u;
	const uint8_t *meta; /* RESPONSE and SEGMENTED: the metadata, its length in `u` */
	const uint8_t *segs; /* SEGMENTED: segment headers, for om_proto_seg_decode() */
};

/**
 * Decode the next message of a server. `greeted`: HELLO_ACK has been received (version 2). Errors as
 * om_proto_in_decode(); a bad segment header or metadata that do not add up are PROTO_ERROR too.
 */
int om_proto_out_decode(int version, bool greeted, uint16_t caps, const void *buf, size_t len,
			struct om_proto_out *ret_out, size_t *ret_need);

/**
 * True if a descriptor byte follows a response's metadata: OK with content_len 0, in every mode (existing clients
 * wait for it).
 */
static inline bool om_proto_resp_fd(uint8_t status, uint64_t content_len)
{
	return status == OBJM_STATUS_OK && content_len == 0;
}

/*
 * Encoders of what servers send. The first two write the header alone: metadata is put right behind it by the caller.
 */
int om_proto_v1_resp_encode(const struct om_proto_resp *resp, void *buf, size_t cap);
int om_proto_v2_resp_encode(const struct om_proto_resp *resp, void *buf, size_t cap);
int om_proto_hello_ack_encode(const struct om_proto_hello *ack, void *buf, size_t cap);
int om_proto_close_ack_encode(uint32_t outstanding, void *buf, size_t cap);
int om_proto_seg_resp_encode(const struct om_proto_seg_resp *resp, void *buf, size_t cap);
int om_proto_seg_encode(const struct om_proto_seg *seg, void *buf, size_t cap);
/** One segment header: its length, or -OBJM_STATUS_PROTO_ERROR. `len` must be at least OM_PROTO_SEG_HDR. */
int om_proto_seg_decode(const void *buf, size_t len, struct om_proto_seg *ret_seg);

/**
 * A whole error response in one go: header of `version` with om_status_old() already applied by the caller, and `text`
 * (may be NULL) as metadata entry 0xFF, shortened to OM_PROTO_ERROR_TEXT_MAX. `cap` of OM_PROTO_ERROR_RESP_MAX always
 * suffices.
 */
#define OM_PROTO_ERROR_RESP_MAX (OM_PROTO_V2_RESP_HDR + 3u + OM_PROTO_ERROR_TEXT_MAX)
int om_proto_error_encode(int version, uint32_t id, uint8_t status, const char *text, void *buf, size_t cap);

/* ---------------------------------------------------------------- compressed content: blocks */

/*
 * Content of `len` bytes (content_len, payload_len) with a coding comes as blocks, one behind the other, until `len` bytes of
 * the object are there: a header, `wire` bytes, which are `raw` bytes of the object: as they are if both are equal, else one
 * zstd frame.
 */
enum om_proto_coding { OM_PROTO_CODING_NONE, OM_PROTO_CODING_ZSTD };
#define OM_PROTO_BLOCK_HDR 8u
#define OM_PROTO_BLOCK_MAX 131072u /* raw bytes of a block that is a zstd frame */

struct om_proto_block {
	uint32_t wire, raw; /* bytes */
};
/** `buf` has room for OM_PROTO_BLOCK_HDR bytes. */
void om_proto_block_encode(const struct om_proto_block *b, uint8_t *buf);
/**
 * @param buf   OM_PROTO_BLOCK_HDR bytes
 * @param left  bytes of the object that are still due, at least 1
 * @return 0; -OBJM_STATUS_PROTO_ERROR: no such block, or more than is due
 */
int om_proto_block_decode(const uint8_t *buf, uint64_t left, struct om_proto_block *ret);

/* ---------------------------------------------------------------- writer: bounded, with a sticky error */

/*
 * Bytes are appended until `cap`; the first that does not fit sets `err` (-OBJM_STATUS_TOO_LARGE), after which every
 * call does nothing: check once, at the end.
 */
struct om_proto_wr {
	uint8_t *buf;
	size_t cap;
	size_t len;
	int err;
};
static inline void om_proto_wr_init(struct om_proto_wr *wr, void *buf, size_t cap)
{
	*wr = (struct om_proto_wr){.buf = buf, .cap = cap};
}

/* Metadata entries of versions 1 and 2. */
void om_proto_meta_put(struct om_proto_wr *wr, uint8_t type, const void *data, size_t len);
void om_proto_meta_put_u8(struct om_proto_wr *wr, uint8_t type, uint8_t v);
void om_proto_meta_put_u64(struct om_proto_wr *wr, uint8_t type, uint64_t v);
/**
 * Next entry of `len` bytes of metadata: 1 and *ret_entry; 0 at the end; -OBJM_STATUS_PROTO_ERROR: cut short.
 * *pos starts at 0.
 */
int om_proto_meta_next(const void *meta, size_t len, size_t *pos, struct om_proto_meta *ret_entry);
/** The value of an entry as a number (1, 2, 4 or 8 bytes); 0 for any other length. */
uint64_t om_proto_meta_num(const struct om_proto_meta *entry);

/* ---------------------------------------------------------------- extension */

/**
 * Build a frame: at = om_proto_ext_open(&wr); om_proto_tlv_put...(); n = om_proto_ext_close(&wr, at, &ext).
 * Several frames may follow each other in one writer. Only op, status, nfds, flags, id and payload_len of `ext` are
 * used. On an error the frame is taken back (wr->len as at open, err cleared), so that the frames before it can be
 * sent.
 * @return bytes of the frame (without payload), or a negative status
 */
size_t om_proto_ext_open(struct om_proto_wr *wr);
int om_proto_ext_close(struct om_proto_wr *wr, size_t at, const struct om_proto_ext *ext);
/** open, body, close in one. `body` may be NULL. */
int om_proto_ext_encode(struct om_proto_wr *wr, const struct om_proto_ext *ext, const struct om_proto_body *body);

/** One TLV. A length that its tag does not allow is -OBJM_STATUS_INVALID_REQUEST in wr->err. */
void om_proto_tlv_put(struct om_proto_wr *wr, uint16_t tag, const void *data, size_t len);
/** Every TLV whose bit is in body->have, in the order of their tags. */
void om_proto_body_put(struct om_proto_wr *wr, const struct om_proto_body *body);
/** A nested ENTRY made of `body` (OBJ, URI, TYPE). */
void om_proto_entry_put(struct om_proto_wr *wr, const struct om_proto_body *body);

/** One TLV: 1; 0 at the end; -OBJM_STATUS_INVALID_REQUEST: cut short. *pos starts at 0. Checks framing alone. */
int om_proto_tlv_next(const void *tlv, size_t len, size_t *pos, uint16_t *ret_tag, struct om_proto_str *ret_data);

/**
 * Decode and check the TLVs of a request: lengths, unknown tags, repetition (URI in GET alone), what `ext->op` needs
 * and
 * takes, values with a range (COND, DURABILITY, PUT_FLAGS, MAX_FDS), flags of the frame, payload where none belongs.
 *
 * @return 0; what to answer: -UNSUPPORTED_OP (no such operation), -URI_TOO_LONG, -LIMIT_EXCEEDED (more than
 *         OM_PROTO_URIS_MAX URIs), -TOO_LARGE, -INVALID_REQUEST
 *
 * The connection goes on after any of them. URIs' bytes and META's inside are not checked: om_uri_check(),
 * om_meta_valid().
 */
int om_proto_req_body_decode(const struct om_proto_ext *ext, struct om_proto_body *ret_body);
/** Why it refused this frame (whose status is OK), for people: "STAT does not take TYPE"; "" if it does not. */
#define OM_PROTO_WHY_MAX 128
void om_proto_req_body_why(const struct om_proto_ext *ext, char ret[static OM_PROTO_WHY_MAX]);
/**
 * The short way for what nearly all requests are: a GET of URIs and nothing else, without flags.
 * @param ret_uris  room for `max`; written as far as they go
 * @return how many URIs it has: all are of a legal length, and om_proto_req_body_decode() would say the same; 0: it is
 *         something else, or wrong: decode it the long way
 */
unsigned om_proto_get_uris(const struct om_proto_ext *ext, struct om_proto_str *ret_uris, unsigned max);

/** URI TLVs into a request, as om_proto_tlv_put() of one after the other. */
void om_proto_uris_put(struct om_proto_wr *wr, const struct om_proto_str *uris, size_t n);

/**
 * And its answer: a whole OK frame with OBJ and one descriptor, the same bytes that om_proto_ext_encode() makes.
 * @param index  of the URI in its request; negative: it had one (no INDEX in the answer)
 * @param buf    OM_PROTO_GET_ANSWER_MAX bytes
 * @return bytes written: with INDEX always OM_PROTO_GET_ANSWER_MAX, without always OM_PROTO_GET_ANSWER
 */
#define OM_PROTO_OBJ_BYTES 64u
#define OM_PROTO_GET_ANSWER (OM_PROTO_EXT_HDR + OM_PROTO_TLV_HDR + OM_PROTO_OBJ_BYTES)
#define OM_PROTO_GET_ANSWER_MAX (OM_PROTO_GET_ANSWER + OM_PROTO_TLV_HDR + 2u)
size_t om_proto_get_answer(uint32_t id, uint16_t flags, int index, const struct om_proto_obj *obj, uint8_t *buf);
/**
 * The same, read.
 * @param id  of the request
 * @param ret_flags  MORE or nothing
 * @param ret_index  of the URI in its request; -1: the answer has no INDEX
 * @param ret_obj    its OBJ, inside `buf`, for om_proto_obj_decode()
 * @return bytes of the frame; 0: the first `len` bytes at `buf` are not, or not yet, exactly such an answer: decode it the long way,
 *         which would say the same of what is one
 */
size_t om_proto_get_answer_read(const uint8_t *buf, size_t len, uint32_t id, uint16_t *ret_flags, int *ret_index,
				const uint8_t **ret_obj);
/** The data of an OBJ, OM_PROTO_OBJ_BYTES of them. */
void om_proto_obj_decode(const uint8_t *data, struct om_proto_obj *ret_obj);

/** The data of one TOUCHED, whose length is in its range. */
void om_proto_touched_decode(const struct om_proto_str *data, struct om_proto_touched *ret);
/**
 * Decode the TLVs of a response (unknown tags and repetitions pass: a newer server may say more). 0 or -PROTO_ERROR.
 */
int om_proto_resp_body_decode(const struct om_proto_ext *ext, struct om_proto_body *ret_body);
/** Decode the data of an ENTRY: 0; -PROTO_ERROR: no OBJ or no URI in it, or malformed. */
int om_proto_entry_decode(const struct om_proto_str *entry, struct om_proto_body *ret_body);

/** Name of an operation ("GET"; of a response too), "?" for what is none. */
const char *om_proto_op_name(uint8_t op);

#endif
