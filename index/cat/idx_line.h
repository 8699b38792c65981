/*
 * idx_line.h: one-line files that name an identity: a head, some 16-byte values in hex, a checksum.
 *
 * Private to index/cat (identity, tier markers). No state; any thread. A line is
 *   HEAD name=<32 hex digits> ... sum=<16 hex digits: XXH3-64 of everything before " sum=">
 */
#ifndef IDX_LINE_H
#define IDX_LINE_H

#include "common/om_base.h"

#define IDX_LINE_VALUE_BYTES 16u
#define IDX_LINE_MAX 512u

/** 0; -NOT_FOUND; -CORRUPT: anything but a right line; else as a failed system call (errno is kept). */
int idx_line_read(int dirfd, const char *file, const char *head, const char *const *names, uint8_t *const *ret_values, size_t n);

/**
 * Write whole or not at all, mode 0600, synced with its name.
 * @param replace  false: -PRECONDITION_FAILED if the file exists
 */
int idx_line_write(int dirfd, const char *file, const char *head, const char *const *names, const uint8_t *const *values,
		   size_t n, bool replace);

#endif
