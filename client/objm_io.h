/*
 * objm_io.h: bytes and descriptors over a stream socket: buffered receive, queue of received descriptors, deadlines.
 *
 * Inside libobjm only; under both the connections and the sessions. One thread at a time, as its owner.
 */
#ifndef OBJM_IO_H
#define OBJM_IO_H

#include <sys/uio.h>

#include "common/om_base.h"

#define OBJM_IO_FDS_MSG 253u   /* descriptors that one recvmsg can bring: the kernel's SCM_MAX_FD */
#define OBJM_IO_FDS_QUEUE 506u /* received and not yet taken; more is an attack or a bug of the server */

struct objm_io {
	int sock; /* owned or borrowed, as the user of this structure says */
	bool socket_timeouts; /* SO_RCVTIMEO and SO_SNDTIMEO are set: each wait is bounded by the kernel */
	uint64_t deadline_ns; /* om_now_ns() at which the call ends; 0: none */

	uint8_t *buf; /* received bytes not yet consumed: [start, end) */
	size_t cap, start, end;

	int fds[OBJM_IO_FDS_QUEUE]; /* a ring, in the order of their arrival: fd_count of them from fd_first on */
	unsigned fd_first, fd_count;
	/*
	 * Descriptors of a message got lost because this process has none free (MSG_CTRUNC). How many is not known, so
	 * no descriptor that comes later may be given out: it would go to the wrong message. Cleared by
	 * objm_io_settled() when nothing is under way.
	 */
	bool fds_lost;

	uint64_t sent, received, fds_in, fds_dropped; /* counters */
};

/** `sock` is only stored. */
void objm_io_init(struct objm_io *io, int sock);
/** Frees the buffer, closes queued descriptors; the socket stays open. */
void objm_io_fini(struct objm_io *io);
/** Deadline `ms` from now; 0: none. */
void objm_io_deadline(struct objm_io *io, uint32_t ms);

/**
 * Send all of `iov` (changed on the way), `fds` with the first byte; they stay the caller's.
 *
 * @return 0; -GONE; -TIMEOUT; -SYSTEM (errno). On
 *         an error the peer may have part of a message: the connection is of no more use
 */
int objm_io_send(struct objm_io *io, struct iovec *iov, unsigned iovcnt, const int *fds, unsigned nfds);

/**
 * Make `n` bytes available at objm_io_at(). @return 0; -GONE (end of file too); -TIMEOUT; -PROTO_ERROR (too many
 * descriptors); -OUT_OF_MEMORY; -SYSTEM
 */
int objm_io_need(struct objm_io *io, size_t n);
/** What is there without waiting, into the buffer: 1; 0: nothing; or as objm_io_need(). */
int objm_io_poll(struct objm_io *io);
static inline const uint8_t *objm_io_at(const struct objm_io *io) { return io->buf ? io->buf + io->start : NULL; }
static inline size_t objm_io_avail(const struct objm_io *io) { return io->end - io->start; }
/** Consume `n` available bytes. */
void objm_io_consume(struct objm_io *io, size_t n);
/** Read exactly `n` bytes to `dst`, or, if dst is NULL, throw them away. Errors as objm_io_need(). */
int objm_io_read(struct objm_io *io, void *dst, uint64_t n);
/**
 * The oldest descriptor of the queue: the caller's from now on.
 * @return 0; -LIMIT_EXCEEDED: it was lost (see fds_lost); -PROTO_ERROR: none came
 */
int objm_io_take_fd(struct objm_io *io, int *ret_fd);
/** Write all of it to a file or pipe. @return 0; -SYSTEM, errno says why */
int objm_write_all(int fd, const void *p, size_t n);
/**
 * Nothing is under way: whatever was lost concerns nobody any more. Closes surplus descriptors if no byte is pending.
 */
void objm_io_settled(struct objm_io *io);

#endif
