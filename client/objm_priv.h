/*
 * objm_priv.h: what the files of libobjm share and programs do not see.
 *
 * struct objm_connection is of objm_conn.c, objm_response.c and objm_server.c. struct objm, from the ground up:
 *	objm_io.c	bytes and descriptors
 *	objm_link.c	its connection
 *	objm_exchange.c	a request and its answer, once
 *	objm_call.c	the same, repeated where it is safe
 *	objm_get.c, objm_put.c, objm_meta.c, objm_list.c	the calls
 *	objm_cached.c	gets through the client cache, which hooks itself in (struct objm_hooks)
 *	objm_session.c	options, open, close
 */
#ifndef OBJM_PRIV_H
#define OBJM_PRIV_H

#include "client/objm.h"
#include "client/objm_io.h"
#include "common/om_base.h"
#include "common/proto/om_proto.h"

/** The nearest status of versions 1 and 2. */
uint8_t objm_status_old(uint8_t status);

/* ---------------------------------------------------------------- connections */

struct objm_connection {
	struct objm_io io;
	int version; /* 0: server half, the first byte has not come yet */
	bool server;
	bool greeted;
	bool peer_done;	      /* CLOSE or end of file was received */
	struct om_proto_hello agreed;
	uint32_t timeout_ms;
	uint64_t max_content; /* bytes */
	int sink;	      /* content goes there instead of to memory; -1: it does not */
	uint32_t v1_sent, v1_received; /* version 1 has no ids: requests and responses are counted */
};

objm_connection_t *objm_connection_new(int sock, int version, bool server);
void objm_connection_free(objm_connection_t *conn);
/** objm_response.c: a RESPONSE or SEGMENTED message of `n` bytes (still to be consumed), and what follows it. 0, or as objm_io_need(); then
 * *resp, all zero before, is to be freed all the same. */
int objm_take_response(objm_connection_t *conn, const struct om_proto_out *out, int n, objm_response_t *resp);

/* ---------------------------------------------------------------- sessions */

#define OBJM_INLINE_MAX 65536u /* bytes of an object that are sent in the request instead of written to a descriptor */

struct objm_options_set { /* options after the defaults */
	uint32_t connect_timeout_ms, call_timeout_ms, retry_ms, promise, max_fds, wait_ms;
	uint32_t cache_objects, cache_report_ms;
	uint64_t cache_bytes;
};

struct objm_cache;

/* What a client cache wants to be told by objm_call.c. */
struct objm_hooks {
	/* ATTACH was answered: the table's descriptor (stays the caller's), or -1: there is none. */
	void (*attached)(objm_t *s, int table_fd);
	/* Before a request: take the answer of the report that is under way. */
	void (*settle)(objm_t *s);
};

struct objm {
	struct objm_io io; /* io.sock is owned; -1: not connected */
	struct objm_options_set opt;
	char *path;
	uint64_t conn_serial; /* counts connections: a put belongs to one */
	bool leaving;	      /* the server said CLOSE: the next call goes to a new connection */
	uint32_t next_id;
	struct om_proto_limits limits; /* of the server, after ATTACH */
	uint8_t *tx;		       /* requests are built here */
	size_t tx_cap;
	struct objm_stats st;
	const struct objm_hooks *hooks; /* NULL: no cache that keeps anything */
	struct objm_cache *cache; /* NULL: none was asked for, or not needed yet */
	uint32_t touch_id;	  /* TOUCH whose answer has not come; 0: none */
	char err[768];
};

/*
 * What a response frame is handed to. fds[0..nfds): those that it keeps it replaces by -1, the rest are closed after
 * it.
 */
struct objm_frame {
	const struct om_proto_ext *ext;
	const struct om_proto_body *body;
	int status; /* 0 or negative; LIMIT_EXCEEDED if its descriptors got lost in this process */
	int *fds;
	unsigned nfds;
};

/* A request for objm_call(). */
struct objm_req {
	uint8_t op; /* enum om_proto_op */
	uint16_t flags;
	struct om_proto_body body;
	const char *uri;	   /* for messages; NULL: none */
	const struct om_proto_str *uris; /* GET of many: URI TLVs, instead of one in `body` */
	size_t uris_count;
	const void *payload;
	size_t payload_len;
	bool once;	       /* conditional: not to be repeated after the server may have begun it */
	bool fresh;	       /* `once`: the caller has looked at the connection just now */
	uint64_t conn_serial;  /* not 0: only on this connection (put sessions) */
	bool retry_writer;     /* WRITER_STILL_OPEN is worth another try */
	/*
	 * Called for every frame of the answer, errors included; a negative return ends the call with it. NULL: none.
	 */
	int (*frame)(void *arg, const struct objm_frame *f);
	/*
	 * GET: an answer that is an object and one descriptor and no more (om_proto_get_answer_read()) comes here instead, for
	 * speed. `obj` is for objm_info_wire(), `fd` is the handler's. 0, or negative: the answer makes no sense. NULL: all go through `frame`.
	 */
	int (*object)(void *arg, int index, const uint8_t *obj, int fd);
	void *arg;
	bool many; /* the frames have a status each; the call's own is of the exchange */
	/* Written by objm_call(). */
	unsigned try_no; /* a new number for each try: handlers that gather frames begin anew */
	bool repeated;	/* more than one try may have reached the server */
	bool conn_lost; /* failed because the connection was lost */
};

/**
 * Send a request, receive its answer, repeat what is safe to repeat. 0 or a negative status, with the message in
 * s->err.
 */
int objm_call(objm_t *s, struct objm_req *req);
/** Send a request and receive its answer, once (objm_exchange.c). *ret_sent: the server may have the whole request. As objm_call(). */
int objm_exchange(objm_t *s, struct objm_req *req, bool *ret_sent);
/*
 * Pieces of objm_call(), for who has several requests under way (objm_put_many.c).
 * link: a new connection that shook hands; link_timeout: of its socket. connect: 0 if there is one that is attached, as
 * objm_open(). disconnect: close it; no more of it comes.
 * next_message: the server's next message, up to its payload: its length, still to be consumed. stale: the server has
 * closed, or speaks without being asked. fail_status: the message of a failed request; `text`: the server's, or NULL.
 */
int objm_link(objm_t *s);
int objm_link_timeout(objm_t *s, uint32_t ms);
int objm_connect(objm_t *s);
void objm_disconnect(objm_t *s);
int objm_next_message(objm_t *s, bool greeted, struct om_proto_out *ret_out);
bool objm_stale(const objm_t *s);
int objm_fail_status(objm_t *s, const struct objm_req *req, int status, const struct om_proto_str *text);
/** Store a message and return `status`. */
int objm_fail(objm_t *s, int status, const char *fmt, ...) OM_PRINTF(3, 4);
/** Count a public call: in, then out with its result, which is returned. */
void objm_enter(objm_t *s);
int objm_leave(objm_t *s, int r);
/* objm_cached.c: the cache and its session. */
/** Memory for the cache that the options ask for, and its hooks. 0; -OUT_OF_MEMORY. */
int objm_cache_begin(objm_t *s);
/** A last report; then the cache goes. Before objm_disconnect(). */
void objm_cache_end(objm_t *s);
void objm_cache_count(const objm_t *s, struct objm_stats *ret_stats);

/* objm_cache_report.c: TOUCH. */
/** Tell the server of the hits since the last report, if it can be done without waiting. */
void objm_cache_report(objm_t *s);
/** struct objm_hooks. */
void objm_cache_settle(objm_t *s);

/* objm_get.c: one object, as objm_get() without counting the call. */
struct objm_got {
	struct objm_info info;
	int fd; /* the caller's */
};
int objm_get_one(objm_t *s, const char *uri, uint32_t flags, struct objm_got *ret);
/** 0 if the file is as long as the object says; -STORAGE, with a message. */
int objm_got_check(objm_t *s, const char *uri, const struct objm_got *g);
int objm_read_all(objm_t *s, const char *uri, int fd, void *buf, size_t size);

/** Check a URI: 0 and its length, or -INVALID_REQUEST, -URI_TOO_LONG with a message. */
int objm_uri_len(objm_t *s, const char *uri, uint32_t *ret_len);
/** Check and store a URI. As objm_uri_len(). */
int objm_body_uri(objm_t *s, struct om_proto_body *body, const char *uri);
/** A URI for a message: control characters, backslashes and what is no UTF-8 as \xNN, shortened. */
#define OBJM_QUOTE_MAX 256
const char *objm_quote(const char *uri, char buf[OBJM_QUOTE_MAX]);
/** Nap before the n-th repetition (from 0), within `until_ns`: false when the time is up. */
bool objm_backoff(unsigned n, uint64_t until_ns);
uint64_t objm_retry_until(const objm_t *s);

/** An object as the wire describes it; the rest of *ret_info is cleared. */
void objm_info_obj(const struct om_proto_obj *o, struct objm_info *ret_info);
/** The same from the OBJ of an answer, OM_PROTO_OBJ_BYTES bytes. */
void objm_info_wire(const uint8_t *obj, struct objm_info *ret_info);
/** What a response's body tells of an object. */
void objm_info_fill(const struct om_proto_body *body, struct objm_info *ret_info);
/**
 * Frame handler: stores OBJ and its companions in the struct objm_info that `arg` points at; a missing OBJ is a
 * PROTO_ERROR.
 */
int objm_frame_info(void *arg, const struct objm_frame *f);

/* objm_meta.c: custom metadata to and from the wire. */
int objm_meta_encode(objm_t *s, const struct objm_meta *meta, size_t count, uint8_t ret_blob[OM_META_MAX], uint32_t *ret_len);
int objm_body_type(objm_t *s, struct om_proto_body *body, const char *type);
int objm_body_cond(objm_t *s, struct om_proto_body *body, const struct objm_cond *cond);

/* Copies the caller's options over the library's newer or older structure: sizes differ between versions. */
#define OBJM_OPT_COPY(dst, src, init) \
	do { \
		__typeof__(dst) objm_init_ = init; \
		(dst) = objm_init_; \
		if (src) \
			memcpy(&(dst), (src), OM_MIN((src)->size, sizeof(dst))); \
	} while (0)

#endif
