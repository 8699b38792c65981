/*
 * om_seg.h: shared memory segments: memfds that are sealed before their descriptor leaves the process that made them.
 *
 * A segment has exactly one writing process. Two kinds:
 *   OM_SEG_FROZEN  only the mapping that om_seg_create() made can ever write (F_SEAL_FUTURE_WRITE): index, generations.
 *   OM_SEG_SHARED  whoever holds the writable descriptor may map it writable: rings, access logs, counters, heat.
 * Both: mode 0400, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL. Readers get `rofd`, opened O_RDONLY.
 */
#ifndef OM_SEG_H
#define OM_SEG_H

#include "common/om_base.h"

struct om_seg {
	void *base;   /* NULL: not mapped */
	size_t bytes; /* length of the mapping */
	int fd;	      /* writable descriptor; -1 in a reader */
	int rofd;     /* read-only descriptor; -1 in a writer that attached */
};
#define OM_SEG_INIT ((struct om_seg){ .fd = -1, .rofd = -1 })

enum om_seg_kind { OM_SEG_FROZEN, OM_SEG_SHARED };

/**
 * Make a segment of `bytes` zero bytes (rounded up to pages), map it writable, seal it.
 * @param name  for /proc/PID/maps only
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY or -OBJM_STATUS_SYSTEM, errno says why. The caller owns *ret (om_seg_close).
 */
int om_seg_create(const char *name, size_t bytes, enum om_seg_kind kind, struct om_seg *ret) OM_MUST_USE;

/**
 * Map a segment that another process made. Takes over `fd` on success only.
 * Checked before it is mapped: a regular memfd, at least `min_bytes` long, F_SEAL_SHRINK set (so that it cannot be cut
 * under us), and that `fd` is open for writing if and only if `writable`.
 * @return 0; -OBJM_STATUS_CORRUPT if a check fails; -OBJM_STATUS_SYSTEM, errno says why
 */
int om_seg_attach(int fd, size_t min_bytes, bool writable, struct om_seg *ret) OM_MUST_USE;

/**
 * Ask the kernel to back a mapping of a segment of ours, a writer's or a reader's, with huge pages (MADV_COLLAPSE, Linux 6.1; no
 * privilege is needed). What lies there stays, and whoever uses the segment meanwhile only waits for the page that is moved.
 * @param at         in and out: bytes dealt with, 0 at first
 * @param max_bytes  of this call: 32 MiB take some milliseconds
 * @return true while there is more to do; false: done, or this kernel will not
 *
 * Context: any thread; the mapping must stay.
 */
bool om_seg_huge(void *base, size_t bytes, size_t *at, size_t max_bytes);

/** Unmap and close. Fine on OM_SEG_INIT. */
void om_seg_close(struct om_seg *seg);

#endif
