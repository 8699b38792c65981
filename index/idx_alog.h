/*
 * idx_alog.h: access logs: which slots a worker served, sampled, for the lifecycle process. In libidxr.
 *
 * WRITER   one worker, one thread of it           READER  lifecycle, mapped PROT_READ; trusts nothing in it
 * RING     IDX_ALOG_CAP entries of 64 bits: slot number 0..31, segment number (low 16 bits) 32..47, weight 48..63 (how many
 *          accesses this entry stands for). A slot number means nothing without its segment, so each entry says it.
 * PUBLISH  entries (release), then head (release), a batch of IDX_ALOG_BATCH at a time: between two batches a GET touches
 *          only memory of its own process.
 * READ     head (acquire); entries (acquire); head again (relaxed): an entry that the writer may have begun to overwrite is
 *          dropped and counted. The reader's position is its own: the writer never waits and never knows.
 * ASKED    requests of any kind that the worker has met, a word of its own: stored each turn of its loop, whatever is logged, so that
 *          the reader knows at once that somebody is being served.
 * CRASH    a writer that dies leaves at most an unpublished batch, which nobody reads.
 */
#ifndef IDX_ALOG_H
#define IDX_ALOG_H

#include <assert.h>
#include <stdatomic.h>

#include "common/om_seg.h"

#define IDX_ALOG_MAGIC 0x31676f6c786a626full /* "objxlog1" read as bytes */
#define IDX_ALOG_LAYOUT 2u
#define IDX_ALOG_CAP 16384u /* entries; a power of two */
#define IDX_ALOG_BATCH 64u
#define IDX_ALOG_WEIGHT_MAX 0xffffu

struct idx_alog_seg {
	uint64_t magic;
	uint64_t layout;
	uint64_t capacity;
	uint64_t pad0[5];
	_Atomic uint64_t head; /* entries ever published */
	_Atomic uint64_t asked; /* requests ever met */
	uint64_t pad1[6];
	_Atomic uint64_t entry[IDX_ALOG_CAP];
};
static_assert(offsetof(struct idx_alog_seg, head) == 64 && offsetof(struct idx_alog_seg, entry) == 128, "layout");
static_assert((IDX_ALOG_CAP & (IDX_ALOG_CAP - 1)) == 0 && IDX_ALOG_CAP >= 4 * IDX_ALOG_BATCH, "ring arithmetic");

/** Make a log (the supervisor does): `fd` of it goes to the worker, `rofd` to the lifecycle process.
 * @return as om_seg_create() */
int idx_alog_create(struct om_seg *ret_seg) OM_MUST_USE;

/* The worker's side. One thread; struct is the caller's. */
struct idx_alogw {
	struct om_seg seg;
	uint64_t head;	   /* published */
	uint32_t pending;  /* entries in `batch` */
	uint32_t every;	   /* one access in `every` is logged, with that weight */
	uint32_t skip;	   /* accesses until the next logged one */
	uint32_t rng;
	uint64_t batch[IDX_ALOG_BATCH];
};

/** Take over the writable descriptor `fd` (on success). `every` 1..65535: the sampling rate.
 * @return 0; -OBJM_STATUS_CORRUPT, -OBJM_STATUS_SYSTEM as om_seg_attach(); -OBJM_STATUS_INVALID_REQUEST */
int idx_alogw_attach(int fd, uint32_t every, struct idx_alogw *ret_log) OM_MUST_USE;
/** Publishes what is pending, unmaps, closes. */
void idx_alogw_detach(struct idx_alogw *log);
/** One access. Almost always a counter and a store in the caller's own struct. */
static inline void idx_alogw_add(struct idx_alogw *log, uint32_t segment, uint32_t slot);
/** One access to each of `n` slots. */
void idx_alogw_add_many(struct idx_alogw *log, uint32_t segment, const uint32_t *slots, unsigned n);
/** `n` accesses at once (reported by a client cache); never sampled; n above IDX_ALOG_WEIGHT_MAX is cut. */
void idx_alogw_add_n(struct idx_alogw *log, uint32_t segment, uint32_t slot, uint32_t n);
/** Publish what is pending: when idle, and at least about once a second. */
void idx_alogw_flush(struct idx_alogw *log);
/** So many requests of any kind so far. One store. */
static inline void idx_alogw_asked(struct idx_alogw *log, uint64_t n)
{
	atomic_store_explicit(&((struct idx_alog_seg *)log->seg.base)->asked, n, memory_order_relaxed);
}
/** Used by idx_alogw_add(). */
void idx_alogw_sample(struct idx_alogw *log, uint32_t segment, uint32_t slot);

static inline void idx_alogw_add(struct idx_alogw *log, uint32_t segment, uint32_t slot)
{
	if (OM_LIKELY(log->skip != 0))
		log->skip--;
	else
		idx_alogw_sample(log, segment, slot);
}

/* The lifecycle's side: one for each worker. */
struct idx_alogr {
	struct om_seg seg;
	uint64_t pos;	/* next entry to read */
	uint64_t lost;	/* entries overwritten before they were read */
	uint64_t resets; /* times that the head made no sense (a broken worker): reading went on at it */
};
struct idx_alog_access {
	uint32_t slot;	  /* unchecked: may lie beyond the index */
	uint16_t segment; /* low 16 bits of the segment's number */
	uint16_t weight;  /* 1..65535 accesses */
};

/** Take over the read-only descriptor `fd` (on success) and begin with what is published from now on (a restarted reader does
 * not count anything twice). @return as om_seg_attach(), or CORRUPT for another layout */
int idx_alogr_attach(int fd, struct idx_alogr *ret_log) OM_MUST_USE;
void idx_alogr_detach(struct idx_alogr *log);
/** Take at most `max` accesses. @return how many; 0: nothing new */
unsigned idx_alogr_read(struct idx_alogr *log, struct idx_alog_access *ret_accesses, unsigned max);

/** What the worker said with idx_alogw_asked(): any number, if it is broken. */
static inline uint64_t idx_alogr_asked(const struct idx_alogr *log)
{
	return atomic_load_explicit(&((const struct idx_alog_seg *)log->seg.base)->asked, memory_order_relaxed);
}

#endif
