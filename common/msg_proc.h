/*
 * msg_proc.h: what crosses the control socket between the supervisor and one child.
 *
 * A SOCK_SEQPACKET pair; the child finds its end as descriptor OM_PROC_FD after exec. Host byte order, fixed width.
 * A child starts with nothing but that descriptor (and standard error): all that it needs arrives with BOOT.
 * The end of the socket means: the supervisor is gone; a child ends at once then.
 *
 *  message    direction      descriptors (the sender keeps its own)              then
 *  BOOT       sup -> child   see enum om_boot_fd, listeners, tiers               READY
 *  READY      child -> sup   none                                               sent when it serves
 *  INDEX      sup -> child   the new index read-only; lifecycle: + heat          INDEX_ACK within a second
 *  INDEX_ACK  child -> sup   none                                               the old segment is not used any more
 *  CONF       sup -> child   the access rules, read-only                        CONF_ACK within a second
 *  CONNS      sup -> worker   none (struct om_proc_index, seq)                    CONNS_ARE, until one says `last`
 *  CONNS_ARE  worker -> sup   none                                               -
 *  CONF_ACK   child -> sup   none                                               nothing is answered by the old ones any more
 *  DRAIN      sup -> child   none                                               finish, then exit 0
 *  ALOG       sup -> lcy     access log of a worker, read-only                  -
 *  ALOG_GONE  sup -> lcy     none                                               unmap it
 *  LOG        child -> sup   none                                               -
 */
#ifndef MSG_PROC_H
#define MSG_PROC_H

#include "common/om_log.h"
#include "common/om_obj.h"

#define OM_PROC_FD 3
#define OM_PROC_MAGIC 0x31636f7270626f6fu
#define OM_PROC_LAYOUT 1u
#define OM_LISTEN_MAX 8u

enum om_role { OM_ROLE_WORKER, OM_ROLE_LIFECYCLE };
enum om_listen_kind { OM_LISTEN_DATA, OM_LISTEN_LEGACY, OM_LISTEN_TCP };

enum om_proc {
	OM_PROC_BOOT = 1,
	OM_PROC_READY,
	OM_PROC_INDEX,
	OM_PROC_INDEX_ACK,
	OM_PROC_DRAIN,
	OM_PROC_ALOG,
	OM_PROC_ALOG_GONE,
	OM_PROC_LOG,
	OM_PROC_CONF,
	OM_PROC_CONF_ACK,
	OM_PROC_CONNS,
	OM_PROC_CONNS_ARE,
};

struct om_proc_hdr {
	uint64_t magic; /* OM_PROC_MAGIC */
	uint32_t len;	/* exact length of the message */
	uint16_t type;
	uint16_t layout; /* OM_PROC_LAYOUT */
};
static_assert(sizeof(struct om_proc_hdr) == 16, "control messages");

/* Order of the descriptors of BOOT: these, then the listeners, then objects/ and staging/ of each tier that is not absent. */
enum om_boot_fd {
	OM_BOOT_RING_OWN,  /* writable */
	OM_BOOT_RING_PEER, /* read-only */
	OM_BOOT_KICK_PEER, /* eventfd: wake the supervisor */
	OM_BOOT_KICK_SELF, /* eventfd: the supervisor wakes us */
	OM_BOOT_COUNTERS,  /* writable */
	OM_BOOT_INDEX,	   /* read-only */
	OM_BOOT_GENS,	   /* worker: read-only; lifecycle: the directory where it keeps heat and scrubs over a restart, if there is one */
	OM_BOOT_OWN_SEG,   /* worker: its access log, writable; lifecycle: heat, writable */
	OM_BOOT_RUN_LOCK,  /* kept open: see architecture, one supervisor at a time */
	OM_BOOT_RULES,	   /* the access rules, a sealed memfd (may be empty: no rules) */
	OM_BOOT_FD_COUNT
};

struct om_boot_tier {
	char name[OM_TIER_NAME_MAX];
	uint64_t capacity_bytes;
	uint32_t flags; /* enum om_tier_flag */
	uint32_t caps;	/* enum om_tier_cap */
	uint8_t tier;	/* number */
	uint8_t type;	/* enum om_tier_type */
	uint8_t state;	/* enum om_tier_state at the time; the index header's row is the living one */
	uint8_t durability;
	uint8_t draining; /* BOOT: everything is to move off (later orders come as TASK) */
	uint8_t pad[3];
	double perf_factor;
};

struct om_boot_limits {
	uint32_t max_open_fds;	     /* of the descriptor cache of one worker */
	uint32_t connections;	     /* of one worker */
	uint32_t connections_per_uid;
	uint32_t max_pipeline;	     /* 0: none of ours */
	uint32_t queue_bytes;	     /* answered and unread, a connection */
	uint32_t unread_fds;	     /* answered and unread, a worker */
	uint32_t put_sessions;	     /* a worker */
	uint32_t put_sessions_per_uid;
	uint32_t frame_bytes;	     /* TLVs of a frame */
	uint32_t idle_timeout_ms;    /* 0: none */
	uint32_t request_timeout_ms; /* half a request and then silence */
	uint32_t commit_wait_ms;
	uint32_t drain_ms;
	uint32_t io_threads;
	uint32_t inline_bytes; /* largest inline PUT */
	uint32_t alog_sample;  /* every n-th access is logged; 1: all */
	uint32_t decay_s;      /* half-life of heat */
	uint32_t conn_unread_fds; /* answered and unread, a connection */
	uint32_t list_page;	  /* names to a page of a listing */
	uint32_t compression;	  /* level of zstd; 0: none */
	uint32_t busy_poll_us;	  /* before it sleeps; 0: not */
};

/* How objects move between tiers: the section `lifecycle` of the configuration. */
struct om_boot_lifecycle {
	double hot_threshold, cold_threshold;  /* heat, 0..1 */
	double evict_when_full, evict_target;  /* shares of a tier's capacity */
	double share_while_serving;	       /* part of all processors' time that moves may take; 1: no bound */
	uint64_t bandwidth;		       /* bytes a second that moves may copy; 0: no bound */
	uint32_t migration_batch;	       /* objects that a cycle moves at the most */
	uint32_t interval_s;		       /* from one cycle to the next */
	uint32_t scrub_days;		       /* every object on a disk is read once in so many; 0: never */
	uint32_t pad;
};
static_assert(sizeof(struct om_boot_lifecycle) == 64, "control messages");

#define OM_TRUSTED_MAX 64u

/*
 * What a reload may change, the same members in BOOT and in CONF. Tiers: rows of those that the child knows by number; their
 * numbers, names and types never change in the life of a child, and a tier whose directories it was not given at BOOT stays
 * ABSENT for it (its sandbox cannot be widened: the supervisor replaces the child).
 */
#define OM_PROC_LIVE_MEMBERS \
	uint32_t log_level; \
	uint32_t access_log_ppm; /* requests logged, millionths */ \
	uint32_t default_tier, ephemeral_tier, cache_tier; /* tier numbers or OM_TIER_NONE */ \
	uint32_t n_tiers; \
	uint32_t n_trusted, n_legacy; \
	uint32_t trusted_uid[OM_TRUSTED_MAX]; /* writers whose COMMIT need not copy */ \
	uint32_t legacy_uid[OM_TRUSTED_MAX]; /* who may use the legacy socket */ \
	struct om_boot_limits limits; \
	struct om_boot_lifecycle lifecycle; \
	struct om_boot_tier tiers[OM_TIERS_MAX];

struct om_proc_live {
	OM_PROC_LIVE_MEMBERS
};

struct om_proc_boot {
	struct om_proc_hdr hdr;
	uint32_t role;	     /* enum om_role */
	uint32_t child;	     /* its number, 0..; lifecycle 0 */
	uint32_t generation; /* how often this place has been filled */
	uint32_t n_listen;
	uint32_t index_seq; /* of the index descriptor given */
	uint32_t paused;    /* lifecycle: 1: nothing moves by itself until it is told to resume */
	uint8_t key_secret[16]; /* of the index: never leaves the daemon */
	uint8_t listen_kind[OM_LISTEN_MAX];
	union {
		struct om_proc_live live;
		struct {
			OM_PROC_LIVE_MEMBERS
		};
	};
};
static_assert(sizeof(struct om_proc_boot) < 8192, "one message");
static_assert(offsetof(struct om_proc_boot, log_level) == offsetof(struct om_proc_boot, live), "two names of one thing");

struct om_proc_conf {
	struct om_proc_hdr hdr;
	uint32_t seq; /* CONF_ACK (struct om_proc_index) carries it back */
	uint32_t pad;
	struct om_proc_live live;
};

struct om_proc_index {
	struct om_proc_hdr hdr;
	uint32_t seq;
	uint32_t pad;
};
/* Who is connected to a worker, some rows at a time. */
#define OM_CONNS_ROWS 64u
#define OM_CONNS_MAX 512u /* of a worker: the first of its list */
struct om_proc_conn {
	uint64_t queued_bytes; /* answered, not read yet */
	uint64_t idle_ms;      /* since the last sign of life */
	uint32_t uid;	       /* UINT32_MAX: not known (TCP) */
	int32_t pid;	       /* 0: not known */
	uint32_t outstanding;  /* requests unanswered */
	uint32_t unread_fds;   /* descriptors sent and perhaps not received yet */
	uint8_t kind;	       /* enum om_listen_kind */
	uint8_t version;       /* of the protocol; 0: not known yet */
	uint8_t pad[6];
};
struct om_proc_conns {
	struct om_proc_hdr hdr;
	uint32_t seq;
	uint32_t n;
	uint32_t total; /* connections of the worker */
	uint32_t last;	/* 1: no more follow */
	struct om_proc_conn row[OM_CONNS_ROWS];
};
struct om_proc_drain {
	struct om_proc_hdr hdr;
	uint32_t ms; /* what is under way has so long */
	uint32_t pad;
};
struct om_proc_alog {
	struct om_proc_hdr hdr;
	uint32_t child;
	uint32_t pad;
};
struct om_proc_log {
	struct om_proc_hdr hdr;
	uint32_t msg;	/* enum om_msg, checked */
	uint32_t flags; /* enum om_log_flag */
	uint64_t id, request, duration_us; /* as struct om_log_about */
	uint32_t uid;
	int32_t pid;
	uint32_t uri_len; /* at most OM_LOG_URI_MAX */
	uint32_t pad;
	char tier[OM_TIER_NAME_MAX]; /* terminated */
	char text[OM_LOG_TEXT_MAX];  /* terminated */
	char uri[OM_LOG_URI_MAX];
};
enum om_log_flag { OM_LOGF_TIMED = 1, OM_LOGF_ASKED = 2, OM_LOGF_CLIENT = 4 };

/* A line with its fields as a message (children), and back (the supervisor). */
static inline void om_proc_log_pack(struct om_proc_log *m, enum om_msg id, const char *text, const struct om_log_about *a)
{
	memset(m, 0, sizeof(*m));
	m->hdr = (struct om_proc_hdr){ .magic = OM_PROC_MAGIC, .len = sizeof(*m), .type = OM_PROC_LOG, .layout = OM_PROC_LAYOUT };
	m->msg = id;
	m->flags = (a->timed ? OM_LOGF_TIMED : 0u) | (a->asked ? OM_LOGF_ASKED : 0u) | (a->client ? OM_LOGF_CLIENT : 0u);
	m->id = a->id;
	m->request = a->request;
	m->duration_us = a->duration_us;
	m->uid = a->uid;
	m->pid = a->pid;
	m->uri_len = a->uri ? OM_MIN(a->uri_len, OM_LOG_URI_MAX) : 0;
	(void)snprintf(m->tier, sizeof(m->tier), "%s", a->tier ? a->tier : "");
	(void)snprintf(m->text, sizeof(m->text), "%s", text);
	if (m->uri_len)
		memcpy(m->uri, a->uri, m->uri_len);
}
/* False: malformed. What `ret` says lies in `m`. */
static inline bool om_proc_log_unpack(const struct om_proc_log *m, struct om_log_about *ret)
{
	if (m->msg >= OM_MSG_COUNT || !memchr(m->text, '\0', sizeof(m->text)) || !memchr(m->tier, '\0', sizeof(m->tier)) ||
	    m->uri_len > sizeof(m->uri))
		return false;
	*ret = (struct om_log_about){
		.uri = m->uri, .uri_len = m->uri_len, .tier = m->tier, .id = m->id, .request = m->request, .duration_us = m->duration_us,
		.timed = m->flags & OM_LOGF_TIMED, .asked = m->flags & OM_LOGF_ASKED, .client = m->flags & OM_LOGF_CLIENT,
		.child = true, .uid = m->uid, .pid = m->pid,
	};
	return true;
}

#endif
