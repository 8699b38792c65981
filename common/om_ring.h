/*
 * om_ring.h: a pair of byte rings in shared memory between the supervisor and one child.
 *
 * Two segments, one written by each side; both have the layout below, so an end is symmetrical: it writes its own
 * segment and reads the peer's.
 *
 * WRITER   the owner of the segment, one thread of it         READERS  the peer, one thread, mapped read-only
 * PUBLISH  bytes of the record; tail (release)                FREE     head (release) in the consumer's OWN segment
 * READ     peer's tail (acquire); copy the record out once; check the copy, never the original; advance own head
 * SLEEP    the consumer stores `sleeping` 1 in its own segment, fence (seq_cst), looks once more, then waits on its
 *          eventfd; the producer stores tail, fence (seq_cst), loads the peer's `sleeping`: a kick is never lost
 * CRASH    a side that died leaves both segments to be thrown away with its process; nothing is carried over
 * TRUST    tail, head, lengths of the peer are checked on every use: -OBJM_STATUS_CORRUPT means: kill the peer
 */
#ifndef OM_RING_H
#define OM_RING_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "common/om_seg.h"

#define OM_RING_MAGIC 0x676e69722d6d6f31u /* "1mo-ring" */
#define OM_RING_MSG_MAX 16384u		  /* bytes of a message, header included */
#define OM_RING_BYTES (1u << 20)	  /* default size of a data area */

struct om_ring_hdr {
	uint64_t magic;
	uint64_t data_bytes; /* a power of two */
	uint8_t pad0[48];
	_Atomic uint64_t tail; /* bytes ever published in this segment */
	uint8_t pad1[56];
	_Atomic uint64_t head;	   /* bytes ever consumed, by the owner of this segment, of the PEER's segment */
	_Atomic uint64_t sleeping; /* 1: the owner waits for a kick */
	uint8_t pad2[48];
};
static_assert(sizeof(struct om_ring_hdr) == 192, "ring layout");
static_assert(offsetof(struct om_ring_hdr, tail) == 64, "ring layout");
static_assert(offsetof(struct om_ring_hdr, head) == 128, "ring layout");

/* One end. Not thread-safe: one thread puts, one thread (it may be another) gets. */
struct om_ring {
	struct om_seg own, peer;
	uint64_t tail; /* private truth of own->tail */
	uint64_t head; /* private truth of own->head */
	int kick_peer; /* eventfd written by us, -1: none */
	int kick_self; /* eventfd that we wait on, -1: none */
	bool unkicked; /* published since the last om_ring_kick() */
};

/** Make one segment of a ring with `data_bytes` (a power of two, at least 4 x OM_RING_MSG_MAX) and its header. */
int om_ring_seg_create(const char *name, uint32_t data_bytes, struct om_seg *ret) OM_MUST_USE;

/**
 * Put an end together. Takes over both segments and both descriptors on success only.
 * @param own   writable here
 * @param peer  readable
 * @return 0; -OBJM_STATUS_CORRUPT: a header is not that of a ring
 */
int om_ring_init(struct om_ring *ring, struct om_seg own, struct om_seg peer, int kick_peer, int kick_self) OM_MUST_USE;
void om_ring_fini(struct om_ring *ring);

/**
 * Append one message made of `n` pieces; visible to the peer at once, but call om_ring_kick() after a batch.
 * @return 0; -OBJM_STATUS_WOULD_BLOCK: no room now; -OBJM_STATUS_TOO_LARGE: over OM_RING_MSG_MAX;
 *         -OBJM_STATUS_CORRUPT: the peer's head is impossible
 */
int om_ring_put(struct om_ring *ring, const struct iovec *iov, int n) OM_MUST_USE;

/** Wake the peer if it sleeps and something was put since the last call. Any return of the eventfd is fine. */
void om_ring_kick(struct om_ring *ring);

/**
 * Take the next message: copied out once into `buf`, so that the caller can check it in peace.
 * @param cap  at least OM_RING_MSG_MAX
 * @return 0 with *ret_len; -OBJM_STATUS_WOULD_BLOCK: empty; -OBJM_STATUS_CORRUPT: the peer broke the ring, kill it
 */
int om_ring_get(struct om_ring *ring, void *buf, size_t cap, size_t *ret_len) OM_MUST_USE;

/**
 * Say that we are about to sleep on kick_self.
 * @return true: nothing has come, sleep; false: there is something, do not sleep (sleeping is already unset)
 */
bool om_ring_sleep(struct om_ring *ring);
/** After the wait: take the kicks and mark us awake. */
void om_ring_awake(struct om_ring *ring);
/** The two halves of it, for a loop that is told which descriptor woke it: mark us awake; take the kicks (a system call). A
 * kick that is taken late only makes the next wait return at once. */
void om_ring_up(struct om_ring *ring);
void om_ring_bell(struct om_ring *ring);

#endif
