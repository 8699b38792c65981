/*
 * om_ring.c: see om_ring.h. Runs in the supervisor (one end a child) and in each child (its one end).
 *
 * A message lies in the ring as: length u32 | 0 u32 | bytes, padded to 8. A length of OM_RING_PAD says that the rest up
 * to the end of the area is unused. Positions count bytes for ever, so full and empty never look alike.
 */
#include "common/om_ring.h"

#include <sys/eventfd.h>

#define OM_RING_PAD 0xffffffffu
#define REC_HDR 8u

static struct om_ring_hdr *hdr_of(const struct om_seg *seg) { return seg->base; }
static unsigned char *data_of(const struct om_seg *seg) { return (unsigned char *)seg->base + sizeof(struct om_ring_hdr); }
static uint64_t rec_bytes(uint64_t len) { return REC_HDR + ((len + 7) & ~UINT64_C(7)); }

int om_ring_seg_create(const char *name, uint32_t data_bytes, struct om_seg *ret)
{
	OM_ASSERT((data_bytes & (data_bytes - 1)) == 0 && data_bytes >= 4 * OM_RING_MSG_MAX);
	int err = om_seg_create(name, sizeof(struct om_ring_hdr) + data_bytes, OM_SEG_SHARED, ret);
	if (err < 0)
		return err;
	hdr_of(ret)->magic = OM_RING_MAGIC;
	hdr_of(ret)->data_bytes = data_bytes;
	return 0;
}

static bool hdr_ok(const struct om_seg *seg)
{
	if (seg->bytes < sizeof(struct om_ring_hdr))
		return false;
	const struct om_ring_hdr *h = hdr_of(seg);
	uint64_t n = h->data_bytes;
	return h->magic == OM_RING_MAGIC && n == OM_RING_BYTES && seg->bytes - sizeof(*h) >= n;
}

int om_ring_init(struct om_ring *ring, struct om_seg own, struct om_seg peer, int kick_peer, int kick_self)
{
	if (!hdr_ok(&own) || !hdr_ok(&peer))
		return -OBJM_STATUS_CORRUPT;
	*ring = (struct om_ring){ .own = own, .peer = peer, .kick_peer = kick_peer, .kick_self = kick_self };
	return 0;
}

void om_ring_fini(struct om_ring *ring)
{
	om_seg_close(&ring->own);
	om_seg_close(&ring->peer);
	om_close(&ring->kick_peer);
	om_close(&ring->kick_self);
}

/* The bytes free in our own area, or false if the peer claims to have read what we never wrote. */
static bool own_room(const struct om_ring *ring, uint64_t *ret)
{
	uint64_t head = atomic_load_explicit(&hdr_of(&ring->peer)->head, memory_order_acquire);
	uint64_t used = ring->tail - head;

	if (head > ring->tail || used > OM_RING_BYTES)
		return false;
	*ret = OM_RING_BYTES - used;
	return true;
}

static void put_hdr(unsigned char *at, uint32_t len)
{
	uint32_t h[2] = { len, 0 };
	memcpy(at, h, sizeof(h));
}

int om_ring_put(struct om_ring *ring, const struct iovec *iov, int n)
{
	uint64_t len = 0, room, at = ring->tail & (OM_RING_BYTES - 1), skip = 0;
	unsigned char *data = data_of(&ring->own);

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (len > OM_RING_MSG_MAX || len == 0)
		return -OBJM_STATUS_TOO_LARGE;
	if (!own_room(ring, &room))
		return -OBJM_STATUS_CORRUPT;
	if (OM_RING_BYTES - at < rec_bytes(len))
		skip = OM_RING_BYTES - at; /* a record never wraps: the rest becomes padding */
	if (room < skip + rec_bytes(len))
		return -OBJM_STATUS_WOULD_BLOCK;
	if (skip) {
		put_hdr(data + at, OM_RING_PAD); /* at is a multiple of 8, so a header always fits */
		at = 0;
	}
	put_hdr(data + at, (uint32_t)len);
	unsigned char *to = data + at + REC_HDR;
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	ring->tail += skip + rec_bytes(len);
	/* the record's bytes before the tail that makes them readable */
	atomic_store_explicit(&hdr_of(&ring->own)->tail, ring->tail, memory_order_release);
	ring->unkicked = true;
	return 0;
}

void om_ring_kick(struct om_ring *ring)
{
	if (!ring->unkicked)
		return;
	ring->unkicked = false;
	/* our tail before the peer's `sleeping`: pairs with the fence in om_ring_sleep() */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&hdr_of(&ring->peer)->sleeping, memory_order_relaxed) && ring->kick_peer >= 0)
		(void)eventfd_write(ring->kick_peer, 1); /* fails only when it is already far from zero */
}

static void advance(struct om_ring *ring, uint64_t bytes)
{
	ring->head += bytes;
	/* the copy out before the head that lets the producer reuse the room */
	atomic_store_explicit(&hdr_of(&ring->own)->head, ring->head, memory_order_release);
}

int om_ring_get(struct om_ring *ring, void *buf, size_t cap, size_t *ret_len)
{
	const unsigned char *data = data_of(&ring->peer);
	uint64_t tail = atomic_load_explicit(&hdr_of(&ring->peer)->tail, memory_order_acquire);
	uint64_t avail = tail - ring->head, at = ring->head & (OM_RING_BYTES - 1);
	uint32_t h[2];

	OM_ASSERT(cap >= OM_RING_MSG_MAX);
	if (avail == 0)
		return -OBJM_STATUS_WOULD_BLOCK;
	if (tail < ring->head || avail > OM_RING_BYTES || avail % 8)
		return -OBJM_STATUS_CORRUPT;
	memcpy(h, data + at, sizeof(h));
	if (h[0] == OM_RING_PAD) {
		uint64_t skip = OM_RING_BYTES - at;
		if (at == 0 || avail <= skip)
			return -OBJM_STATUS_CORRUPT;
		advance(ring, skip);
		return om_ring_get(ring, buf, cap, ret_len); /* once: padding is never at position 0 */
	}
	if (h[0] == 0 || h[0] > OM_RING_MSG_MAX || rec_bytes(h[0]) > avail || rec_bytes(h[0]) > OM_RING_BYTES - at)
		return -OBJM_STATUS_CORRUPT;
	memcpy(buf, data + at + REC_HDR, h[0]);
	*ret_len = h[0];
	advance(ring, rec_bytes(h[0]));
	return 0;
}

bool om_ring_sleep(struct om_ring *ring)
{
	atomic_store_explicit(&hdr_of(&ring->own)->sleeping, 1, memory_order_relaxed);
	/* our `sleeping` before the peer's tail: pairs with the fence in om_ring_kick() */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&hdr_of(&ring->peer)->tail, memory_order_acquire) == ring->head)
		return true;
	atomic_store_explicit(&hdr_of(&ring->own)->sleeping, 0, memory_order_relaxed);
	return false;
}

void om_ring_up(struct om_ring *ring)
{
	atomic_store_explicit(&hdr_of(&ring->own)->sleeping, 0, memory_order_relaxed);
}

void om_ring_bell(struct om_ring *ring)
{
	eventfd_t n;

	if (ring->kick_self >= 0)
		(void)eventfd_read(ring->kick_self, &n); /* EAGAIN: nobody kicked */
}

void om_ring_awake(struct om_ring *ring)
{
	om_ring_up(ring);
	om_ring_bell(ring);
}
