/*
 * objm.h: the public interface of libobjm, objmapper's client library. C and C++.
 *
 * objmapper keeps objects (immutable byte strings, named by a URI) on this host and hands them out as open file
 * descriptors. Two levels:
 *   - sessions (objm_open, objm_get, objm_put_file, ...): what programs should use. Connects, retries what is safe to
 *     retry, has a deadline on every call;
 *   - connections (objm_client_*, objm_server_*): single messages of protocol versions 1 and 2, for programs written
 *     against those and for building servers. Blocking, no retries.
 *
 * A URI is 1 to 4096 bytes of UTF-8 without NUL; "/a/../b" is a name like any other. Here: a C string.
 *
 * Return values: 0 or a negative status, -OBJM_STATUS_NOT_FOUND for one (objm_status.h has them all); a few functions
 * return 1 where their text says so. Outputs (`ret_...`) are written on success only and may be NULL where the text
 * says so.
 *
 * Threads: a session, a connection, and what was made from it (a put, a listing) are used by one thread at a time;
 * different sessions and connections by any number of threads at once. After fork() the child must neither use nor
 * close a session or connection of its parent other than by closing its descriptor (all are close-on-exec).
 * No signal is raised: writes to a closed connection give an error, not SIGPIPE.
 *
 *	objm_t *s;
 *	int fd, r = objm_open(NULL, NULL, &s);
 *	if (r < 0)
 *		errx(1, "%s", objm_error(NULL));
 *	if (objm_put_file(s, "/logo", "logo.png", NULL, NULL) < 0 || objm_get(s, "/logo", 0, NULL, &fd) < 0)
 *		errx(1, "%s", objm_error(s));
 *	...			// pread(fd, ...), mmap, sendfile
 *	close(fd);
 *	objm_close(s);
 */
#ifndef OBJM_H
#define OBJM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Beside this file when installed, in common/ in the source tree. */
#if defined(__has_include)
#if __has_include("objm_status.h")
#include "objm_status.h"
#else
#include "../common/objm_status.h"
#endif
#else
#include "objm_status.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define OBJM_API __attribute__((visibility("default")))

#define OBJM_URI_MAX 4096u
#define OBJM_SOCKET_DEFAULT "/run/objmapper/objmapper.sock"

/**
 * Text of a status ("no such object"), its name ("NOT_FOUND"), what to do about it. Never NULL; either sign is taken.
 */
OBJM_API const char *objm_status_text(int status);
OBJM_API const char *objm_status_name(int status);
OBJM_API const char *objm_status_todo(int status);

/* ================================================================ sessions */

typedef struct objm objm_t;

/* Promises and wishes of a session. */
#define OBJM_PROMISE_POSITIONED 0x01u /* descriptors are read with pread, mmap, sendfile at an offset; never read(2), lseek:
				       * the server may then pass one that others of this uid hold too, which is
				       * faster */

/* Options of objm_open(). Begin with OBJM_OPTIONS_INIT, then set what differs; 0 is the default everywhere. */
struct objm_options {
	size_t size;		     /* sizeof(struct objm_options) as the program was compiled */
	uint32_t connect_timeout_ms; /* for connecting and the handshake; default 5,000 */
	uint32_t call_timeout_ms;    /* without any progress in a call: default 30,000 */
	uint32_t retry_ms;	     /* for reconnecting and repeating within a call, and for opening when a server took the
				      * connection and left (it restarts); default 5,000; OBJM_NO_RETRY: none */
	uint32_t promise;	     /* OBJM_PROMISE_... */
	uint32_t max_fds;	     /* descriptors that one message may bring, 1..253; default 253 (252 with musl) */
	uint32_t wait_ms;	     /* objm_open() keeps trying for this long while no server listens; default: not at all */
	uint32_t cache_objects;	     /* objects that the client cache keeps, up to 16,777,216; default 0: no cache. Needs
				      * OBJM_PROMISE_POSITIONED */
	uint32_t cache_report_ms;    /* how often the cache tells the server of the hits that it had; default 1,000 */
	uint64_t cache_bytes;	     /* sum of the sizes of the objects that it keeps; default 1 GiB */
};
#define OBJM_OPTIONS_INIT {sizeof(struct objm_options), 0, 0, 0, 0, 0, 0, 0, 0, 0}
#define OBJM_NO_RETRY 0xffffffffu

/* Flags of an object. */
#define OBJM_EPHEMERAL 0x1u /* only ever in memory: gone after a reboot, never on a disk */
#define OBJM_PINNED 0x2u    /* stays on its tier */
#define OBJM_EVICTABLE 0x4u /* its only copy may be removed when room is needed */

#define OBJM_TIER_NAME_MAX 32

/* What is known of an object. (id, rev) is its version: new bytes give a new id, changed metadata a higher rev. */
struct objm_info {
	uint64_t id;
	uint64_t size;	   /* bytes */
	uint64_t mtime_ns; /* time of its commit, nanoseconds since 1970 */
	uint64_t expiry_s; /* seconds since 1970; 0: never expires */
	uint64_t gen;	   /* generation of its bucket when it was looked up (for caches); odd: do not cache */
	uint32_t rev;
	uint32_t flags; /* OBJM_EPHEMERAL ... */
	uint32_t bucket;
	uint32_t server_ns; /* time that the server spent, when asked for (OBJM_WANT_TIME); else 0 */
	uint8_t tier;	    /* number of the tier that serves it */
	uint8_t home;	    /* number of the tier that keeps it; another one than `tier` when a copy serves */
	uint8_t durability; /* of a put: what was reached, enum objm_durability; else OBJM_DURABILITY_DEFAULT */
	uint8_t reserved1[5];
	char tier_name[OBJM_TIER_NAME_MAX]; /* "" when the server did not say (objm_get without OBJM_WANT_META) */
	char home_name[OBJM_TIER_NAME_MAX];
	uint64_t reserved2[4];
};

/*
 * Custom metadata of an object: at most 64 entries, 4096 bytes in all; keys of 1 to 128 bytes, different from each
 * other.
 */
struct objm_meta {
	const char *key;
	const void *value; /* any bytes; what the library returns has a NUL behind it that does not count */
	size_t value_len;
};

/**
 * Connect to a server.
 *
 * @param path  its socket; NULL: $OBJM_SOCKET, or OBJM_SOCKET_DEFAULT if that is not set
 * @param opt   may be NULL
 * @param ret   the session; end it with objm_close()
 * @return 0; -UNAVAILABLE: nobody listens there (errno says why); -PERMISSION_DENIED: the socket's permissions;
 *         -PROTO_CAPABILITY: the server does not speak the extension that sessions need; -TIMEOUT; -OUT_OF_MEMORY;
 *         -INVALID_REQUEST: path too long, options out of range; -PROTO_ERROR: no objmapper server.
 *         objm_error(NULL) has the message, per thread, until the thread's next objm_open().
 */
OBJM_API int objm_open(const char *path, const struct objm_options *opt, objm_t **ret);
/**
 * End a session: closes the connection (the server drops unfinished puts). Free its puts and listings first. NULL is
 * fine.
 */
OBJM_API void objm_close(objm_t *s);
/**
 * Message of the last failed call of this session: what, on which object, why. Never NULL, valid until the next call
 * on the session; NULL session: of the last failed objm_open() of this thread.
 */
OBJM_API const char *objm_error(const objm_t *s);

/* Flags of reading calls. */
#define OBJM_WANT_META 0x1u /* fill tier_name and home_name too */
#define OBJM_WANT_TIME 0x2u /* fill server_ns */

/*
 * Errors that every call below may return beside its own: -TIMEOUT (no answer in time), -UNAVAILABLE (connection lost
 * and not regained, or the server cannot serve now), -TRY_AGAIN (busy for the whole of retry_ms), -PERMISSION_DENIED,
 * -LIMIT_EXCEEDED (a limit of the server, or of this process: no free descriptor), -INVALID_REQUEST, -URI_TOO_LONG,
 * -OUT_OF_MEMORY, -STORAGE, -INTERNAL, -PROTO_ERROR. Reading calls and unconditional changes are repeated, with
 * back-off, when the connection was lost or the answer was UNAVAILABLE or TRY_AGAIN, for retry_ms in all. Conditional
 * changes are not repeated once the server may have begun to apply them: a lost connection then gives -TIMEOUT,
 * "outcome unknown"; look with objm_stat().
 */

/**
 * Get an object as a read-only descriptor.
 *
 * @param flags     OBJM_WANT_...
 * @param ret_info  may be NULL
 * @param ret_fd    close-on-exec, offset 0; the caller closes it. The bytes stay as they are for as long as it is open,
 *                  whatever becomes of the object. Without OBJM_PROMISE_POSITIONED its offset is nobody else's
 * @return 0; -NOT_FOUND
 */
OBJM_API int objm_get(objm_t *s, const char *uri, uint32_t flags, struct objm_info *ret_info, int *ret_fd);

/* One result of objm_get_many(). */
struct objm_result {
	int status; /* 0 or negative, as objm_get() */
	int fd;	    /* the caller closes it; -1 if status is not 0 */
	struct objm_info info;
};

/**
 * Get many objects with few messages (up to 253 to one).
 *
 * @param uris         n URIs
 * @param ret_results  n results in the order of `uris`; always written in full
 * @return 0: every URI has its own status in its result (NOT_FOUND there is no error here); negative: the call broke
 *         off; results with status 0 are valid and theirs to close, the others have the error
 */
OBJM_API int objm_get_many(objm_t *s, const char *const *uris, size_t n, uint32_t flags, struct objm_result *ret_results);

/* A read-only mapping of an object. */
struct objm_map {
	const void *data; /* never NULL, also when size is 0 */
	size_t size;
	struct objm_info info;
};
/** Get an object mapped into memory; end with objm_unmap(). Errors as objm_get(); -OUT_OF_MEMORY: it does not fit. */
OBJM_API int objm_get_map(objm_t *s, const char *uri, struct objm_map *ret_map);
/** Unmap and clear *map. A cleared map and NULL are fine. Needs no session. */
OBJM_API void objm_unmap(struct objm_map *map);

/**
 * Read a whole object into the caller's buffer.
 *
 * @param cap       bytes at `buf`
 * @param ret_size  size of the object
 * @param ret_info  may be NULL
 * @return 0; -NOT_FOUND; -TOO_LARGE: larger than `cap`, nothing was written (objm_error() says how large)
 */
OBJM_API int objm_read(objm_t *s, const char *uri, void *buf, size_t cap, size_t *ret_size, struct objm_info *ret_info);
/**
 * The same into memory of its own (free() it; a NUL follows the bytes). `max`: refuse larger objects with -TOO_LARGE.
 */
OBJM_API int objm_read_alloc(objm_t *s, const char *uri, size_t max, void **ret_data, size_t *ret_size,
			     struct objm_info *ret_info);

/*
 * The client cache: objects that this session got before, without asking the server again and without a system call. What it
 * gives is current: after a change of an object was acknowledged to anyone, no get that begins later returns the old version.
 * It shows this by a table of generations that the server lets its clients read; when that table says "changed", when the
 * daemon restarts, or when it can no longer be trusted, the cache asks the server again by itself.
 *
 * The cache belongs to its session: one thread at a time, like everything of a session. It holds at most cache_objects objects,
 * cache_bytes bytes of them, and half of RLIMIT_NOFILE descriptors; what was not used for longest goes. A deleted object's
 * room on the server is not free before the cache has noticed: a program that is idle calls objm_cache_tend() now and then.
 */
#define OBJM_CACHE_FD 0x1u   /* a descriptor */
#define OBJM_CACHE_DATA 0x2u /* the bytes in memory: a copy (up to 64 KiB) or a mapping */

/* An object, borrowed from the cache until objm_cache_release(). */
struct objm_cached {
	const void *data; /* with OBJM_CACHE_DATA: `size` bytes, never NULL; else NULL */
	uint64_t size;
	int fd; /* with OBJM_CACHE_FD: the cache's own, shared: pread, mmap, sendfile at an offset; never close it. Else -1 */
	uint32_t flags; /* OBJM_EPHEMERAL ... */
};
/**
 * Get an object through the cache: from it if it is there and current, else from the server, and keep it.
 *
 * @param len      bytes of the URI; 0: it ends with a NUL
 * @param want     OBJM_CACHE_FD, OBJM_CACHE_DATA or both; 0: a descriptor
 * @param ret_obj  give it back with objm_cache_release(), before objm_close(). It stays as it is until then, whatever
 *                 becomes of the object
 * @return 0; errors as objm_get(). A session without a cache, or whose server has no table, asks every time
 */
OBJM_API int objm_cache_get(objm_t *s, const char *uri, size_t len, uint32_t want, const struct objm_cached **ret_obj);
/**
 * Get many objects into the cache with few messages, to begin warm. Those that are in it are asked for all the same; what does
 * not exist, or cannot be kept, is no error: objm_cache_get() will tell. @return 0, or negative if the call broke off
 */
OBJM_API int objm_cache_fill(objm_t *s, const char *const *uris, size_t n, uint32_t want);
/** What is known of a borrowed object: as objm_get() said it when the cache got it, without tier names. */
OBJM_API void objm_cache_info(objm_t *s, const struct objm_cached *obj, struct objm_info *ret_info);
/** Give an object back. NULL is fine. */
OBJM_API void objm_cache_release(objm_t *s, const struct objm_cached *obj);
/** Report hits to the server and let go of what is no longer current; never waits for the server. For idle times. */
OBJM_API void objm_cache_tend(objm_t *s);
/** Forget everything. */
OBJM_API void objm_cache_drop(objm_t *s);

/* Everything about an object. */
struct objm_stat {
	struct objm_info info;
	const char *type; /* content type; "" if none was given */
	const struct objm_meta *meta;
	size_t meta_count;
	double heat;		/* 0 (cold) to 1 */
	uint32_t access_count;	/* decayed, sampled: an estimate */
	uint64_t last_access_s; /* seconds since 1970; 0: not known */
};
/** All that is known of an object, without opening it. Free with objm_stat_free(). @return 0; -NOT_FOUND */
OBJM_API int objm_stat(objm_t *s, const char *uri, struct objm_stat **ret_stat);
OBJM_API void objm_stat_free(struct objm_stat *st);

/* Preconditions of changes. */
enum objm_cond_kind {
	OBJM_COND_NONE = 0,
	OBJM_COND_ABSENT = 1, /* there is no such object */
	OBJM_COND_VERSION = 2 /* its version is (id, rev); rev 0: any revision of id */
};
struct objm_cond {
	enum objm_cond_kind kind;
	uint64_t id;
	uint32_t rev;
};

/* What must be true of a put before it is answered. */
enum objm_durability {
	OBJM_DURABILITY_DEFAULT = 0, /* as the tier is configured */
	OBJM_DURABILITY_NONE = 1,
	OBJM_DURABILITY_BATCH = 2, /* on stable storage soon after */
	OBJM_DURABILITY_SYNC = 3   /* bytes, name and record on stable storage */
};

/*
 * Options of a put. Begin with OBJM_PUT_OPTIONS_INIT; 0 and NULL are the defaults. Everything is borrowed for the
 * call.
 */
struct objm_put_options {
	size_t size;	      /* sizeof(struct objm_put_options) */
	uint32_t flags;	      /* OBJM_EPHEMERAL ... */
	uint32_t ttl_s;	      /* seconds until it expires; 0: never */
	const char *type;     /* content type, at most 255 bytes */
	const struct objm_meta *meta;
	size_t meta_count;
	struct objm_cond cond;
	enum objm_durability durability;
	uint64_t size_hint;   /* objm_put_begin(), and a pipe: bytes that are expected; room is reserved for them */
	/* Called now and then with the bytes copied and the total (0: not known); may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;
};
#define OBJM_PUT_OPTIONS_INIT \
	{sizeof(struct objm_put_options), 0, 0, 0, 0, 0, {OBJM_COND_NONE, 0, 0}, OBJM_DURABILITY_DEFAULT, 0, 0, 0}

/**
 * Store an object, or replace it: readers see the old one or the new one, whole. `opt` and `ret_info` may be NULL.
 *
 * objm_put_fd() stores from the descriptor's present offset to its end; a regular file's offset is left where it was, a
 * pipe is read to its end. A put that broke off begins again from its source (a pipe that was read from cannot: then
 * the error is returned).
 * @return 0: stored, as durable as the durability asked for; -PRECONDITION_FAILED; -NO_SPACE; -TOO_LARGE; -READ_ONLY;
 *         -SYSTEM: the source could not be read (errno and the message say why)
 */
OBJM_API int objm_put_buf(objm_t *s, const char *uri, const void *data, size_t len, const struct objm_put_options *opt,
			  struct objm_info *ret_info);
OBJM_API int objm_put_fd(objm_t *s, const char *uri, int fd, const struct objm_put_options *opt, struct objm_info *ret_info);
OBJM_API int objm_put_file(objm_t *s, const char *uri, const char *path, const struct objm_put_options *opt,
			   struct objm_info *ret_info);

/* One object of objm_put_many(); borrowed for the call. */
struct objm_put_item {
	const char *uri;
	const void *data;
	size_t len;
};
/**
 * Store many objects, the small ones with few round trips: up to 253 requests are under way at once. Each is a put of its
 * own: another may fail, or be seen by readers before it, whatever their order here.
 *
 * @param opt          of all of them; may be NULL. A condition holds for each; `progress` is not called
 * @param ret_results  n results in the order of `items`, always written in full: status and info; fd is -1
 * @return 0: every object has its own status in its result; negative: the call broke off. Objects that were not answered
 *         then have the error; with a condition, those that the server may have begun have -TIMEOUT, "outcome unknown"
 */
OBJM_API int objm_put_many(objm_t *s, const struct objm_put_item *items, size_t n, const struct objm_put_options *opt,
			   struct objm_result *ret_results);

/* A put in steps: the program writes into the object's own file. */
typedef struct objm_put objm_put_t;
/** Begin. Nobody sees the object before the commit. Free with a commit that succeeds, or with objm_put_abort(). */
OBJM_API int objm_put_begin(objm_t *s, const char *uri, const struct objm_put_options *opt, objm_put_t **ret_put);
/**
 * The writable descriptor: borrowed, closed by commit and abort. Positions, mappings, truncation as the writer likes.
 * -1 after a commit.
 */
OBJM_API int objm_put_writefd(const objm_put_t *put);
/**
 * Commit: closes the writable descriptor, then makes the object appear. If the connection was lost meanwhile (the server
 * restarted), the put first begins again, from the bytes behind the descriptor: nothing but the time that takes is noticed.
 *
 * @return 0: done, `put` is freed. Otherwise `put` lives on until objm_put_abort(): -WRITER_STILL_OPEN: a copy of the
 *         descriptor or a mapping is still open (in a forked child?): close it, commit again; -TRY_AGAIN: commit again;
 *         -NO_SESSION: the connection was lost after the descriptor had been closed, begin a new one; -PRECONDITION_FAILED;
 *         -NO_SPACE; -UNAVAILABLE: lost, and not regained within retry_ms, commit again;
 *         -TIMEOUT: the answer was lost, the outcome is not known
 */
OBJM_API int objm_put_commit(objm_put_t *put, struct objm_info *ret_info);
/** Give up: the bytes are dropped, `put` is freed. NULL is fine. */
OBJM_API void objm_put_abort(objm_put_t *put);

/**
 * Delete an object. `cond` may be NULL. @return 0; -NOT_FOUND; -PRECONDITION_FAILED. When a repetition after a lost
 * connection finds nothing, the first try had deleted it: 0.
 */
OBJM_API int objm_delete(objm_t *s, const char *uri, const struct objm_cond *cond);

/* What objm_set() changes. */
#define OBJM_SET_FLAGS 0x1u /* the flags become `flags`, all of them */
#define OBJM_SET_TTL 0x2u   /* it expires ttl_s from now; 0: never */
#define OBJM_SET_TYPE 0x4u
#define OBJM_SET_META 0x8u /* the custom metadata become `meta`, all of them */
struct objm_set_options {
	size_t size;	/* sizeof(struct objm_set_options) */
	uint32_t which; /* OBJM_SET_...; at least one */
	uint32_t flags;
	uint32_t ttl_s;
	const char *type;
	const struct objm_meta *meta;
	size_t meta_count;
	struct objm_cond cond; /* ABSENT makes no sense here: INVALID_REQUEST */
};
#define OBJM_SET_OPTIONS_INIT {sizeof(struct objm_set_options), 0, 0, 0, 0, 0, 0, {OBJM_COND_NONE, 0, 0}}
/**
 * Change flags, type, expiry, metadata of an object; its bytes and id stay, its rev rises. @return 0; -NOT_FOUND;
 * -PRECONDITION_FAILED
 */
OBJM_API int objm_set(objm_t *s, const char *uri, const struct objm_set_options *opt, struct objm_info *ret_info);

/* Options of a listing. */
struct objm_list_options {
	size_t size;		 /* sizeof(struct objm_list_options) */
	const char *prefix;	 /* URIs that begin with this; NULL: all */
	const char *start_after; /* URIs greater than this (bytewise); NULL: from the first */
	char delimiter;		 /* not 0: URIs with this character behind the prefix are given once, as a common prefix */
	uint32_t page;		 /* entries fetched at a time; 0: 1,000 */
	uint32_t flags;		 /* OBJM_WANT_META: fill `type` too */
};
#define OBJM_LIST_OPTIONS_INIT {sizeof(struct objm_list_options), 0, 0, 0, 0, 0}

struct objm_entry {
	const char *uri;
	bool is_prefix;	       /* a common prefix: uri alone is meaningful */
	struct objm_info info; /* without tier_name and home_name */
	const char *type;      /* "" when not asked for */
};

typedef struct objm_list objm_list_t;
/**
 * Begin a listing, in bytewise order of URIs. Not a snapshot: changes made meanwhile may show or not; each URI comes
 * once.
 */
OBJM_API int objm_list_open(objm_t *s, const struct objm_list_options *opt, objm_list_t **ret_list);
/**
 * Next entry: 1 and *ret_entry (valid until the next call on the listing); 0 at the end; negative. Other calls on the
 * session may come in between.
 */
OBJM_API int objm_list_next(objm_list_t *list, const struct objm_entry **ret_entry);
OBJM_API void objm_list_close(objm_list_t *list); /* NULL is fine */

/* What a watch tells. */
#define OBJM_CHANGE_PUT 1    /* new bytes: a new object, or others under the URI */
#define OBJM_CHANGE_DELETE 2 /* deleted, expired or evicted */
#define OBJM_CHANGE_SET 3    /* flags, expiry, type or metadata */
#define OBJM_CHANGE_MOVED 4  /* another tier serves it */
#define OBJM_CHANGE_LOST 5   /* changes before this were not told: list again; uri is "" */
struct objm_change {
	int kind; /* OBJM_CHANGE_... */
	const char *uri;
	struct objm_info info; /* after the change (DELETE: of what went); without tier_name and home_name */
	uint64_t epoch, pos;   /* where this stands: objm_watch_options can go on behind it */
};
struct objm_watch_options {
	size_t size;	     /* sizeof(struct objm_watch_options) */
	const char *prefix;  /* of the URIs; NULL: all */
	uint64_t epoch, pos; /* go on behind this change; epoch 0: from now on */
};
#define OBJM_WATCH_OPTIONS_INIT {sizeof(struct objm_watch_options), 0, 0, 0}

typedef struct objm_watch objm_watch_t;
/**
 * Begin to watch, on a connection of its own to the session's server. Changes are told once, in the order in which they became
 * visible, from the moment of the first objm_watch_next(). One thread at a time; the session is not used after this call.
 * @return 0; as objm_open()
 */
OBJM_API int objm_watch_open(objm_t *s, const struct objm_watch_options *opt, objm_watch_t **ret_watch);
/**
 * The next change: 0 and *ret_change (valid until the next call on the watch). A lost connection is made again, and the watch goes
 * on where it was; after a restart of the server LOST comes first. timeout_ms: -1 waits for ever.
 * @return 0; -TIMEOUT: nothing in that time; -PERMISSION_DENIED: no right to list anything; -GONE, -UNAVAILABLE: no server within
 *         retry_ms. objm_watch_error() says more
 */
OBJM_API int objm_watch_next(objm_watch_t *w, int timeout_ms, const struct objm_change **ret_change);
OBJM_API const char *objm_watch_error(const objm_watch_t *w);
OBJM_API void objm_watch_close(objm_watch_t *w); /* NULL is fine */

/** A round trip that does nothing. */
OBJM_API int objm_ping(objm_t *s);

/* Counters of a session, since objm_open(). */
struct objm_stats {
	uint64_t calls;	     /* public calls */
	uint64_t errors;     /* ... that failed, NOT_FOUND included */
	uint64_t requests;   /* sent */
	uint64_t responses;  /* received */
	uint64_t retries;    /* requests that were repeated */
	uint64_t reconnects;
	uint64_t bytes_sent; /* on the socket */
	uint64_t bytes_received;
	uint64_t fds_received;
	uint64_t fds_lost; /* by this process' descriptor limit */
	uint64_t cache_hits;
	uint64_t cache_misses;
	uint64_t cache_stale;	/* misses for something that was kept and is no longer current */
	uint64_t cache_objects; /* kept now */
	uint64_t cache_bytes;	/* their sizes */
	uint64_t cache_reported; /* hits that were reported */
};
OBJM_API void objm_stats(const objm_t *s, struct objm_stats *ret_stats);

/* ================================================================ connections: single messages, blocking */

typedef struct objm_connection objm_connection_t;

#define OBJM_PROTO_V1 1
#define OBJM_PROTO_V2 2

#define OBJM_CAP_OOO_REPLIES 0x0001u
#define OBJM_CAP_PIPELINING 0x0002u
#define OBJM_CAP_COMPRESSION 0x0004u /* content may come compressed, on TCP; the library gives it as it was */
#define OBJM_CAP_MULTIPLEX 0x0008u
#define OBJM_CAP_SEGMENTED 0x0010u
#define OBJM_CAP_EXTENSION 0x0100u /* sessions use it; not to be asked for on a connection */

#define OBJM_MODE_FDPASS '1'
#define OBJM_MODE_COPY '2'
#define OBJM_MODE_SPLICE '3'
#define OBJM_MODE_SEGMENTED '4'

#define OBJM_REQ_ORDERED 0x01u
#define OBJM_REQ_PRIORITY 0x02u

#define OBJM_CLOSE_NORMAL 0
#define OBJM_CLOSE_TIMEOUT 1
#define OBJM_CLOSE_ERROR 2
#define OBJM_CLOSE_SHUTDOWN 3

typedef struct objm_hello {
	uint16_t capabilities;	     /* OBJM_CAP_... */
	uint16_t max_pipeline;	     /* unanswered requests; 0: no limit */
	uint8_t backend_parallelism; /* server's answer alone */
} objm_hello_t;

typedef struct objm_request {
	uint32_t id; /* the client's choice; version 1 numbers them itself, from 0 */
	uint8_t flags; /* OBJM_REQ_... */
	char mode;     /* OBJM_MODE_... */
	const char *uri; /* of a received request: with a NUL behind it */
	size_t uri_len;
} objm_request_t;

/* Metadata entries of a response. */
#define OBJM_META_SIZE 0x01	  /* u64 */
#define OBJM_META_MTIME 0x02	  /* u64, seconds since 1970 */
#define OBJM_META_ETAG 0x03	  /* text */
#define OBJM_META_MIME_TYPE 0x04  /* text */
#define OBJM_META_BACKEND 0x05	  /* u8 */
#define OBJM_META_LATENCY 0x06	  /* u32, microseconds */
#define OBJM_META_ERROR_MSG 0xff  /* text */

#define OBJM_SEG_INLINE 0
#define OBJM_SEG_FD 1
#define OBJM_SEG_SPLICE 2
#define OBJM_SEG_FIN 0x01u
#define OBJM_SEG_REUSE_FD 0x02u
#define OBJM_SEG_OPTIONAL 0x04u

typedef struct objm_segment {
	uint8_t type;
	uint8_t flags;
	int fd;		   /* of fd and splice segments without REUSE_FD; else -1 */
	uint32_t copy_length;
	uint64_t logical_length;
	uint64_t storage_offset;
	uint64_t storage_length;
	const void *data; /* inline segments: copy_length bytes */
} objm_segment_t;

typedef struct objm_response {
	uint32_t request_id; /* version 1: number of the request, from 0 */
	uint8_t status;	     /* OBJM_STATUS_... */
	/* The object's descriptor, or -1. Received: closed by objm_response_free() unless the program takes it and
	 * leaves -1. To send: if status is OK and content_len 0, passed and then closed by objm_server_send_response(),
	 * success or not; -1: none (0 is a descriptor). Not looked at otherwise. */
	int fd;
	uint64_t content_len; /* copy and splice: bytes at content; 0 under fdpass */
	void *content;	      /* received: a NUL follows the bytes. To send: borrowed, not written to */
	uint16_t metadata_len;
	void *metadata; /* encoded entries; objm_metadata_next(). To send: borrowed, may be NULL */
	char *error_msg;  /* received, status not OK: text of the server, or NULL */
	objm_segment_t *segments; /* received, mode segmented */
	size_t segment_count;
} objm_response_t;

/**
 * A client's connection over a connected socket (Unix stream, or another stream socket without descriptors).
 *
 * @param sock     borrowed: the caller closes it after objm_client_destroy(); not to be read or written by others
 *                 meanwhile
 * @param version  OBJM_PROTO_V1 or OBJM_PROTO_V2
 * @return NULL: out of memory, or no such version
 */
OBJM_API objm_connection_t *objm_client_create(int sock, int version);
/**
 * Shake hands: version 2, once, before the first request.
 *
 * @param ret_agreed  what both sides have agreed on; may be NULL
 * @return 0; -PROTO_ERROR; -GONE: the server closed; -TIMEOUT; -INVALID_REQUEST: version 1, or done already
 */
OBJM_API int objm_client_hello(objm_connection_t *conn, const objm_hello_t *hello, objm_hello_t *ret_agreed);
/** Send a request, without waiting for its answer. @return 0; -INVALID_REQUEST; -URI_TOO_LONG; -GONE; -TIMEOUT */
OBJM_API int objm_client_send_request(objm_connection_t *conn, const objm_request_t *req);
/**
 * Receive the next response (version 2 with OBJM_CAP_OOO_REPLIES: of any request). Free with objm_response_free().
 *
 * @return 0, whatever the response's status; -GONE: the server closed, or said CLOSE, and no more will come; -TIMEOUT;
 *         -PROTO_ERROR; -LIMIT_EXCEEDED: a descriptor got lost because this process has none free; -TOO_LARGE: content
 *         beyond objm_connection_limit(). After any error but TIMEOUT before the first byte the connection is of no
 *         more use.
 */
OBJM_API int objm_client_recv_response(objm_connection_t *conn, objm_response_t **ret_resp);
/**
 * The same, but the bytes of modes copy and splice are written to `fd` as they come, however many they are: content is NULL then.
 * @return also -SYSTEM: `fd` could not be written, errno says why; the connection is of no more use
 */
OBJM_API int objm_client_recv_response_fd(objm_connection_t *conn, int fd, objm_response_t **ret_resp);
/** Frees a received response, and closes its descriptors that were not taken. NULL is fine. */
OBJM_API void objm_response_free(objm_response_t *resp);
/**
 * Take leave: version 2 sends CLOSE and waits for CLOSE_ACK, dropping responses that still come. @return 0; -GONE;
 * -TIMEOUT; ...
 */
OBJM_API int objm_client_close(objm_connection_t *conn, int reason);
/** Free; the socket stays open. NULL is fine. */
OBJM_API void objm_client_destroy(objm_connection_t *conn);

/** Deadline of each call, in milliseconds; 0 (the default): none. Both sides. */
OBJM_API void objm_connection_timeout(objm_connection_t *conn, uint32_t timeout_ms);
/** Greatest content that a client receives into memory, in bytes; default 256 MiB. */
OBJM_API void objm_connection_limit(objm_connection_t *conn, uint64_t max_content);

/**
 * Next entry of a response's metadata: true and the entry, false at the end (or where it is damaged). *pos starts at 0.
 */
OBJM_API bool objm_metadata_next(const void *metadata, size_t len, size_t *pos, uint8_t *ret_type, const void **ret_data,
				 size_t *ret_len);
/** Value of the first entry of a number type (OBJM_META_SIZE ...): false if there is none. */
OBJM_API bool objm_metadata_number(const void *metadata, size_t len, uint8_t type, uint64_t *ret_value);
/** Append an entry to encoded metadata; *len is what is used so far of `cap`. @return 0; -TOO_LARGE */
OBJM_API int objm_metadata_put(void *metadata, size_t cap, size_t *len, uint8_t type, const void *data, size_t data_len);
/** Append a number in the width of its type. @return 0; -TOO_LARGE; -INVALID_REQUEST: no number type */
OBJM_API int objm_metadata_put_number(void *metadata, size_t cap, size_t *len, uint8_t type, uint64_t value);

/* ---------------------------------------------------------------- the server's half */

/**
 * A server's connection over an accepted socket; borrowed as in objm_client_create(). `version` 0: the client's first
 * byte decides.
 */
OBJM_API objm_connection_t *objm_server_create(int sock, int version);
/** Version of the connection: 1 or 2; 0: not decided yet. */
OBJM_API int objm_connection_version(const objm_connection_t *conn);
/**
 * Receive HELLO and answer HELLO_ACK: capabilities in both, the smaller pipeline, `own`'s parallelism. Version 1 has
 * none: returns 0 and does nothing (also when version 0 finds that the client speaks version 1).
 *
 * @param own        what this server offers
 * @param ret_agreed may be NULL
 * @return 0; 1: the peer closed first; -PROTO_ERROR; -PROTO_VERSION; -GONE; -TIMEOUT
 */
OBJM_API int objm_server_hello(objm_connection_t *conn, const objm_hello_t *own, objm_hello_t *ret_agreed);
/**
 * Receive the next request. Requests that the protocol refuses by itself (empty or too long URI, unknown mode) are
 * answered inside and not returned. Free with objm_request_free().
 *
 * @return 0; 1: the client is done (end of file, or CLOSE: send CLOSE_ACK with objm_server_close_ack() when
 *         everything is answered); -PROTO_ERROR; -GONE; -TIMEOUT; -OUT_OF_MEMORY
 */
OBJM_API int objm_server_recv_request(objm_connection_t *conn, objm_request_t **ret_req);
OBJM_API void objm_request_free(objm_request_t *req); /* NULL is fine */
/**
 * Answer a request. Status OK: with content and content_len (copy, splice), or with fd, which is closed, also on
 * failure. An OK answer with neither (an empty object by copy) carries a descriptor of /dev/null, because existing
 * clients wait for one. Version 1, and version 2 without OBJM_CAP_OOO_REPLIES: call it in the order of the requests.
 * Status codes from 0x40 are sent as their nearest old code. Responses in segments are not offered by this half.
 *
 * @return 0; -GONE: the client left; -TIMEOUT; -INVALID_REQUEST: content_len without content
 */
OBJM_API int objm_server_send_response(objm_connection_t *conn, const objm_response_t *resp);
/** Answer with an error and a text (may be NULL: the status' own). */
OBJM_API int objm_server_send_error(objm_connection_t *conn, uint32_t request_id, uint8_t status, const char *msg);
/** Version 2: answer a client's CLOSE. `outstanding`: requests that will not be answered. */
OBJM_API int objm_server_close_ack(objm_connection_t *conn, uint32_t outstanding);
/** Version 2: tell the client that the server goes (OBJM_CLOSE_SHUTDOWN, ...). */
OBJM_API int objm_server_close(objm_connection_t *conn, int reason);
OBJM_API void objm_server_destroy(objm_connection_t *conn); /* the socket stays open; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
