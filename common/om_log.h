/*
 * om_log.h: one line for the operator, with a message id from common/tbl/log.def.
 *
 * Message, priority and MESSAGE_ID come from the table; what a line is about can go with it as fields (struct om_log_about).
 *
 * The program decides to log, once, at its boundary; library code returns errors. The supervisor writes to the journal
 * or, when not under it, to standard error with <N> prefixes; its children hand their lines to the supervisor.
 * Any thread may log. Lines a peer can trigger are limited: OM_LOG_BURST lines of one id in OM_LOG_WINDOW_S seconds,
 * then one line that says how many were left out.
 */
#ifndef OM_LOG_H
#define OM_LOG_H

#include "common/om_base.h"

enum om_log_prio { OM_LOG_ERR = 3, OM_LOG_WARNING = 4, OM_LOG_NOTICE = 5, OM_LOG_INFO = 6, OM_LOG_DEBUG = 7 };

enum om_msg {
#define OM_LOG_MSG(name, uuid, prio, limited, what, todo) OM_MSG_##name,
#include "common/tbl/log.def"
#undef OM_LOG_MSG
	OM_MSG_COUNT
};

struct om_msg_info {
	const char *name;
	const char *uuid; /* 32 hexadecimal digits: MESSAGE_ID of the journal */
	enum om_log_prio prio;
	bool limited;	  /* a peer can trigger it */
	const char *what; /* when it is logged */
	const char *todo; /* what an operator does about it */
};
extern const struct om_msg_info om_msg_table[OM_MSG_COUNT];

#define OM_LOG_TEXT_MAX 1024
#define OM_LOG_URI_MAX 1024u /* bytes of a URI in a field; the rest is cut */
#define OM_LOG_BURST 20u
#define OM_LOG_WINDOW_S 10u

/** Log a line. `fmt` says what, on which object or file, why. Control characters are written as \xNN. */
void om_log(enum om_msg id, const char *fmt, ...) OM_PRINTF(2, 3);

/*
 * What a line is about, as far as it is known: fields of the journal, so that an operator can ask for all lines about one
 * object or one client. Zero, or NULL: not known.
 */
struct om_log_about {
	const char *uri; /* borrowed for the call, not terminated */
	uint32_t uri_len;
	const char *tier;   /* its name */
	const char *process; /* "worker 3"; the supervisor sets it for its children's lines */
	uint64_t id;	    /* of the object */
	uint64_t request;   /* the number that the client gave it */
	uint64_t duration_us;
	bool timed, asked;  /* duration_us, request are set */
	bool client;	    /* uid and pid are set */
	bool child;	    /* a less trusted process's line: limited, whatever its message */
	uint32_t uid;
	int32_t pid;
};
/** As om_log(), with fields. `about` may be NULL. */
void om_log_about(enum om_msg id, const struct om_log_about *about, const char *fmt, ...) OM_PRINTF(3, 4);
/** In a sink: the fields of the line that it was called for; never NULL, all zero if there are none. */
const struct om_log_about *om_log_fields(void);

/** Where lines go. Default: standard error. `text` is one clean line without the newline. Called under no lock. */
typedef void om_log_sink_fn(enum om_msg id, enum om_log_prio prio, const char *text, void *arg);
void om_log_sink(om_log_sink_fn *fn, void *arg);
/** The default sink, callable from another: "<N>name[pid]: text" on standard error. */
void om_log_stderr(enum om_msg id, enum om_log_prio prio, const char *text, void *arg);
/** Lines of a priority above this are dropped (default OM_LOG_INFO). */
void om_log_level(enum om_log_prio max);
/** The name of the program in lines on standard error; borrowed for ever. */
void om_log_ident(const char *name);

#endif
