/*
 * wrk_out.h: what is still to be sent to one client: bytes, descriptors, pieces of files, in order.
 *
 * Linked by objmapper-worker only; loop thread only. A queue is a list of messages; a message is what one sendmsg carries:
 * bytes with, perhaps, descriptors that ride on its first byte. Many messages leave in one sendmmsg. Buffers are kept from
 * answer to answer, so a connection that is warm allocates nothing; an idle one gives them back (wrk_out_trim).
 *
 * OWNERSHIP of a queued descriptor (struct wrk_out_fd): `ref` set: a reference to a cache entry, given back after the send;
 * else `own`: closed after the send; else borrowed, and open as long as the process lives.
 */
#ifndef WRK_OUT_H
#define WRK_OUT_H

#include "common/om_base.h"
#include "worker/wrk_fdcache.h"

#define WRK_OUT_MSG_BYTES 65536u /* to one message */
#define WRK_OUT_FDS_MAX 253u	 /* to one message: the kernel's SCM_MAX_FD */
#define WRK_OUT_CHUNK 131072u	 /* of a file, read at once */
#define WRK_OUT_TURN (1u << 20)	 /* of files, to one flush, or moved at once by an I/O thread */

struct wrk_out_fd {
	int fd;
	bool own;
	bool large; /* own: of an object for which wrk_fdcache_large() is true */
	struct wrk_fde *ref;
};

struct wrk_out_msg;

struct wrk_out {
	struct wrk_fdcache *cache;
	uint8_t *buf;
	size_t cap, start, end; /* bytes not yet sent: buf[start..end) */
	struct wrk_out_fd *fds;
	unsigned fd_cap, fd_start, fd_end;
	struct wrk_out_msg *msgs;
	unsigned m_cap, m_start, m_end;
	unsigned files; /* pieces of files queued, an open description each */
	uint8_t *cold; /* bytes of the first file that an I/O thread has read, or a block of it: cold[cold_at..cold_len) */
	size_t cold_at, cold_len;
	uint32_t cold_raw; /* WRK_OUT_CODED: bytes of the object that they are */
};

enum wrk_out_result {
	WRK_OUT_DONE,	    /* all has been sent */
	WRK_OUT_FULL,	    /* the socket takes no more now: wait for EPOLLOUT */
	WRK_OUT_FDS,	    /* the next message has more descriptors than `fd_room` allows */
	WRK_OUT_REFS,	    /* the kernel allows no more descriptors in flight (ETOOMANYREFS), or has no memory: a timer */
	WRK_OUT_COLD,	    /* the next bytes are not in memory: wrk_out_cold() says which */
	WRK_OUT_KERNEL,	    /* the same, and the socket takes some: an I/O thread is to sendfile them, then wrk_out_moved() */
	WRK_OUT_CODE,	    /* the same, and the socket takes some: an I/O thread is to make a block of them, then wrk_out_block() */
	WRK_OUT_YIELD,	    /* enough for one turn; call again */
	WRK_OUT_GONE,	    /* the peer does not read any more */
	WRK_OUT_SHORT,	    /* a file is shorter than was promised, or cannot be read: close the connection, log */
};

void wrk_out_init(struct wrk_out *o, struct wrk_fdcache *cache);
/** Drop everything, descriptors included. */
void wrk_out_fini(struct wrk_out *o);
/** Give the buffers back if nothing is queued. */
void wrk_out_trim(struct wrk_out *o);

static inline bool wrk_out_empty(const struct wrk_out *o) { return o->m_start == o->m_end; }
static inline size_t wrk_out_bytes(const struct wrk_out *o) { return o->end - o->start; }
static inline unsigned wrk_out_fds(const struct wrk_out *o) { return o->fd_end - o->fd_start; }
/* Descriptors of ours that the queue keeps open. */
static inline unsigned wrk_out_held(const struct wrk_out *o) { return wrk_out_fds(o) + o->files; }
/* Descriptors of the message that is next to leave. */
unsigned wrk_out_next_fds(const struct wrk_out *o);
static inline unsigned wrk_out_msgs(const struct wrk_out *o) { return o->m_end - o->m_start; }

/** Room for `n` bytes at the end, to be filled and then queued by one of the calls below; NULL: out of memory. */
uint8_t *wrk_out_room(struct wrk_out *o, size_t n);

/**
 * Queue the first `n` bytes of the room with `nfds` descriptors (taken over on success). They join the last message if
 * that one has not begun to leave and holds at most `max_fds` descriptors with them.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY
 */
int wrk_out_frame(struct wrk_out *o, size_t n, const struct wrk_out_fd *fds, unsigned nfds, unsigned max_fds) OM_MUST_USE;

/**
 * Queue `n` frames of `len` bytes each, all in the room, each with one descriptor (taken over on success), in as few messages
 * as `max_fds` allows. @return as wrk_out_frame()
 */
int wrk_out_frames(struct wrk_out *o, size_t len, const struct wrk_out_fd *fds, unsigned n, unsigned max_fds) OM_MUST_USE;

/** Queue the byte `X` with one descriptor as a message of its own. @return as wrk_out_frame() */
int wrk_out_fd_byte(struct wrk_out *o, const struct wrk_out_fd *fd) OM_MUST_USE;

enum wrk_out_how {
	WRK_OUT_COPY,	/* read what is in memory, leave the rest to WRK_OUT_COLD */
	WRK_OUT_HOT,	/* its bytes lie in memory, reading never waits: sendfile */
	WRK_OUT_SPLICE, /* sendfile, which may wait for the disk: WRK_OUT_KERNEL */
	WRK_OUT_CODED,	/* blocks, made on an I/O thread: WRK_OUT_CODE */
};

/**
 * Queue `len` bytes of a file from `off`. Takes over `fd` (a description that nobody else has) on success.
 * @return as wrk_out_frame()
 */
int wrk_out_file(struct wrk_out *o, int fd, uint64_t off, uint64_t len, enum wrk_out_how how) OM_MUST_USE;

/**
 * Append all of `from`, which is empty afterwards. Nothing of it may have begun to leave.
 * @return as wrk_out_frame(); then `from` is as it was
 */
int wrk_out_move(struct wrk_out *o, struct wrk_out *from) OM_MUST_USE;

/**
 * Send what can be sent without waiting.
 * @param fd_room  descriptors that may be put in flight now; *ret_fds: those that were
 * @param ret_sent  bytes that left, of files too (progress, for timeouts)
 */
enum wrk_out_result wrk_out_flush(struct wrk_out *o, int sock, unsigned fd_room, unsigned *ret_fds, uint64_t *ret_sent);

/** After WRK_OUT_COLD, WRK_OUT_KERNEL or WRK_OUT_CODE: what an I/O thread is to read or to move (borrowed descriptor, at most
 * WRK_OUT_CHUNK, WRK_OUT_TURN bytes). */
void wrk_out_cold(const struct wrk_out *o, int *ret_fd, uint64_t *ret_off, size_t *ret_len);
/** And its result: takes over `buf` (malloc) with `len` bytes. */
void wrk_out_cold_done(struct wrk_out *o, uint8_t *buf, size_t len);
/** After WRK_OUT_CODE: a block is worth an attempt at compressing it. The more of them failed, the fewer are tried. */
bool wrk_out_block_try(const struct wrk_out *o);
/** And the block: `len` bytes at `buf` (malloc, taken over) that are the next `raw` bytes of the file; `tried`: it was. */
void wrk_out_block(struct wrk_out *o, uint8_t *buf, size_t len, uint32_t raw, bool tried);
/** What became of WRK_OUT_KERNEL: `n` bytes have left; `copy`: this file cannot be spliced, its bytes must be copied. */
void wrk_out_moved(struct wrk_out *o, uint64_t n, bool copy);

/** Give back one descriptor that was never queued. */
void wrk_out_fd_drop(struct wrk_fdcache *cache, const struct wrk_out_fd *fd);

#endif
