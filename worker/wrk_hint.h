/*
 * wrk_hint.h: is it worth being woken when a peer has taken its answer, and not only when it asks again?
 *
 * Linked by objmapper-worker only; loop thread only. Waking a process on a CPU that went to sleep takes longer than most requests,
 * and the longer it slept the longer it takes. A peer that waits for each answer before it asks again takes the answer first: a wake-up
 * then (the socket has become writable) is lost where both share a CPU, and where they do not it has the worker's CPU awake when the
 * request comes. A program that blocks in recv() has that without asking for it, one that sleeps in epoll_wait() has not.
 *
 * Nobody says which CPUs are shared, so it is tried: the time from one read of a connection to the next, without hints and with
 * them (and with the parts of a long answer sent as they are ready). Whoever reads less often than every WRK_HINT_PERIOD_NS is left alone.
 *
 * A TRIAL is WRK_HINT_TRIAL reads of each kind, of which the last WRK_HINT_BLOCKS blocks count: how long CPUs sleep is learned by the
 * kernel, and by the hypervisor, over some hundred reads, so that the first ones of a kind are like those of the other. What is
 * compared is the middle block: one pause of the peer's, or of the machine's, decides nothing. Who is slower with hints beyond doubt, on
 * one CPU with its peer most likely, is spared the rest. Where that is less clear it is tried again, soon and then less often.
 *
 * OWNERSHIP  a hint is a second descriptor of the connection's socket, in the loop for EPOLLOUT, edge-triggered, alone; the first one,
 *            level-triggered, is what counts. It goes with wrk_hint_off(), before the connection's own descriptor is closed.
 * BOUND      WRK_HINT_MAX at a time.
 */
#ifndef WRK_HINT_H
#define WRK_HINT_H

#include "worker/wrk_loop.h"

#define WRK_HINT_PERIOD_NS 500000u /* reads further apart than this do not count */
#define WRK_HINT_BLOCK 8u	   /* reads to a block */
#define WRK_HINT_BLOCKS 8u	   /* that are compared */
#define WRK_HINT_TRIAL 192u	   /* reads of each kind */
#define WRK_HINT_BEGIN 64u	   /* reads of a new peer before its first trial */
#define WRK_HINT_KEEP 16384u	   /* reads for which the better one then stays, at most */
#define WRK_HINT_KEEP_MIN 2048u	   /* and where hints were not clearly worse, the first time; then twice as many, and so on */
#define WRK_HINT_SLOW 8u	   /* slow reads in a row after which a peer is left alone */
#define WRK_HINT_MAX 64u

enum wrk_hint_phase { WRK_HINT_REST, WRK_HINT_PLAIN, WRK_HINT_TRY, WRK_HINT_ON };

struct wrk_hint {
	struct wrk_src src; /* src.fd: the second descriptor; -1: no hints */
	uint64_t last_ns;   /* the last read */
	uint32_t block_ns[WRK_HINT_BLOCKS]; /* of the trial's last blocks */
	uint32_t plain_ns;		    /* the middle one without hints */
	uint32_t n;			    /* reads of this phase; REST and ON: that are left of it */
	uint32_t hinted_ns;		    /* the middle one with them, while they were on last; 0: they were not */
	uint32_t keep;			    /* reads for which they stay away when they are not clearly worse, the next time */
	uint32_t slow;
	enum wrk_hint_phase phase;
};

void wrk_hint_init(struct wrk_hint *h);
/** Something was read from `sock` at `now_ns`: count, and change what is to be changed. */
void wrk_hint_read(struct wrk_loop *loop, struct wrk_hint *h, int sock, uint64_t now_ns);
/** The peer is thought to run on another CPU: what is ready should leave. */
static inline bool wrk_hint_apart(const struct wrk_hint *h) { return h->src.fd >= 0; }
/** The socket is about to be closed. */
void wrk_hint_off(struct wrk_loop *loop, struct wrk_hint *h);

#endif
