/*
 * msg_ring_lifecycle.h: what crosses the lifecycle process's ring beside the messages that a worker sends, too. The table of all messages,
 * who sends them and what is checked: msg_ring.h.
 */
#ifndef MSG_RING_LIFECYCLE_H
#define MSG_RING_LIFECYCLE_H

#include "common/msg_ring.h"

/* REAP: remove the file of (tier, id), which no record names any more; its name is durably gone when REAPED says 0. */
struct om_op_reap {
	struct om_op_hdr hdr;
	uint64_t id;
	uint8_t tier;
	uint8_t pad[7];
};
static_assert(sizeof(struct om_op_reap) == 32, "ring messages");
struct om_op_reaped {
	struct om_op_hdr hdr;
	uint64_t id;
	int32_t status; /* 0 (a file that was not there is removed too) or negative */
	uint8_t tier;
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_reaped) == 32, "ring messages");

/* ATTR: the file of (tier, id) is to say this of itself; a crash leaves the old or the new. Then: uri, type, meta. */
struct om_op_attr {
	struct om_op_hdr hdr;
	uint64_t id;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t flags;
	uint32_t rev;
	uint8_t tier;
	uint8_t durable; /* on stable storage before ATTRED */
	uint16_t uri_len;
	uint16_t type_len;
	uint16_t meta_len;
	uint32_t uid; /* the owner */
	uint32_t pad;
};
static_assert(sizeof(struct om_op_attr) == 64, "ring messages");
struct om_op_attred {
	struct om_op_hdr hdr;
	uint64_t id;
	int32_t status; /* 0 or negative */
	uint8_t tier;
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_attred) == 32, "ring messages");

/* SCAN: report every file of the tier with id_from <= id < id_to. */
enum om_scan_mode {
	OM_SCAN_REBUILD, /* the catalog is being made again from what is found */
	OM_SCAN_ORPHANS, /* what no record names is removed */
	OM_SCAN_COUNT
};
struct om_op_scan {
	struct om_op_hdr hdr;
	uint64_t id_from, id_to;
	uint8_t tier;
	uint8_t mode; /* enum om_scan_mode */
	uint8_t pad[6];
};
static_assert(sizeof(struct om_op_scan) == 40, "ring messages");
/* FOUND: a file of the scan `req`. Then: uri, type, meta. uri_len 0: its attribute is missing or damaged. */
struct om_op_found {
	struct om_op_hdr hdr;
	uint64_t id;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t flags;
	uint32_t rev;
	uint8_t tier;
	uint8_t pad;
	uint16_t uri_len;
	uint16_t type_len;
	uint16_t meta_len;
	uint32_t uid; /* the owner */
	uint32_t pad2;
};
static_assert(sizeof(struct om_op_found) == 72, "ring messages");
struct om_op_scanned {
	struct om_op_hdr hdr;
	uint64_t files; /* reported */
	int32_t status; /* 0, or why the scan ended early */
	uint8_t tier;
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_scanned) == 32, "ring messages");

/* ---- moves ---- */

enum om_move_kind {
	OM_MOVE_HOME, /* the object's home becomes `to`; its record and file on `from` go once the new ones stand */
	OM_MOVE_COPY, /* a cached copy on a faster volatile tier: the home stays where it is */
	OM_MOVE_KINDS
};

/*
 * MOVE_BEGIN: may the version (id, rev), whose home is `from`, go to `to`? Then: uri. On OK the supervisor has recorded the
 * intent durably and reserved `size` bytes on `to`; no second move of the object begins before COMMIT, ABORT or the end of
 * the lifecycle process. VERDICT: OK; PRECONDITION_FAILED (the version does not stand any more, or lies elsewhere); NO_SPACE;
 * READ_ONLY; UNAVAILABLE; TRY_AGAIN (a change of the key is under way); INVALID_REQUEST (an ephemeral object to a tier that
 * is not memory, a pinned one, a copy onto a persistent tier, `to` == `from`).
 *
 * MOVE_COMMIT: the file of the same id lies on `to`, whole, its checksum that of the source, its attribute like the source's,
 * as durable as that tier promises. Then: uri. The supervisor takes type, metadata, flags and times from the record that
 * stands, checks (id, rev) and EPHEMERAL once more inside the commit, commits the target's record, publishes, then deletes the
 * source's record and has its file removed (HOME). VERDICT as above; after anything but OK the target's file is removed by REAP.
 *
 * MOVE_ABORT: the lifecycle process gives up; the target's file, if there is one, is removed by REAP.
 */
struct om_op_move {
	struct om_op_hdr hdr;
	uint64_t id;
	uint64_t size; /* bytes; MOVE_BEGIN */
	uint32_t rev;
	uint8_t from, to;
	uint8_t kind; /* enum om_move_kind */
	uint8_t gently; /* not 0: clients are served: moves are committed where they are copied (om_place) */
	uint16_t uri_len;
	uint8_t pad[6];
};
static_assert(sizeof(struct om_op_move) == 48, "ring messages");

enum om_drop_why {
	OM_DROP_COPY,	 /* a cached copy goes; the home stays */
	OM_DROP_EXPIRED, /* its time is over: every record of it goes */
	OM_DROP_EVICT,	 /* its only copy goes: refused unless EVICTABLE */
	OM_DROP_WHYS
};

/* DROP: remove the record of (id, tier), then its file by REAP. Then: uri. VERDICT: OK; PRECONDITION_FAILED: another version
 * stands; INVALID_REQUEST: the reason does not hold (not expired, not evictable, no copy, pinned); TRY_AGAIN. */
struct om_op_drop {
	struct om_op_hdr hdr;
	uint64_t id;
	uint32_t rev; /* 0: any */
	uint8_t tier;
	uint8_t why; /* enum om_drop_why */
	uint16_t uri_len;
};
static_assert(sizeof(struct om_op_drop) == 32, "ring messages");

/* ROOM: somebody waits until `bytes` of the tier are free, or it is above its high-water mark (`bytes` 0): make room now.
 * A hint: no answer; what comes of it arrives as DROPs and MOVEs. */
struct om_op_room {
	struct om_op_hdr hdr;
	uint64_t bytes;
	uint8_t tier;
	uint8_t pad[7];
};
static_assert(sizeof(struct om_op_room) == 32, "ring messages");

/* ---- what an administrator asks of the lifecycle process ---- */

enum om_task_kind {
	OM_TASK_STATUS,	 /* what it does now */
	OM_TASK_TOP,	 /* the hottest objects; arg: how many */
	OM_TASK_EXPLAIN, /* uri: its heat, and what will happen to it next */
	OM_TASK_MIGRATE, /* uri, tier: move it there */
	OM_TASK_PROMOTE, /* uri: to the next faster tier */
	OM_TASK_DEMOTE,	 /* uri: to the next slower one */
	OM_TASK_DRAIN,	 /* tier: move everything off; arg 1: begin, 0: stop */
	OM_TASK_PAUSE,	 /* no cycles until RESUME; tasks are still done */
	OM_TASK_RESUME,
	OM_TASK_SCRUB,	 /* arg 1: read and check every object, beginning now; 0: at the usual pace again */
	OM_TASK_KINDS
};

/* TASK: then uri. TASKED: then text, a JSON object (or empty): the supervisor checks it and hands it to who asked. */
struct om_op_task {
	struct om_op_hdr hdr;
	uint64_t arg;
	uint8_t kind; /* enum om_task_kind */
	uint8_t tier; /* or OM_TIER_NONE */
	uint16_t uri_len;
	uint8_t pad[4];
};
static_assert(sizeof(struct om_op_task) == 32, "ring messages");
#define OM_TASKED_TEXT_MAX 15872u
struct om_op_tasked {
	struct om_op_hdr hdr;
	int32_t status; /* 0 or negative: `text` has a member "text" that says why */
	uint32_t text_len;
};
static_assert(sizeof(struct om_op_tasked) == 24, "ring messages");

#endif
