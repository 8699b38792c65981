/*
 * objm_copy.h: the source of a put, and copying it into the object's file. Inside libobjm only; one thread at a time.
 */
#ifndef OBJM_COPY_H
#define OBJM_COPY_H

#include "client/objm_priv.h"

struct objm_src {
	const uint8_t *data; /* memory; with a descriptor: its beginning, read ahead */
	size_t len;
	int fd;		/* -1: memory alone; borrowed */
	off_t start;	/* seekable: where the object begins in the file */
	bool seekable;	/* can be read again from `start` */
	bool consumed;	/* not seekable, and bytes of it are gone */
	uint64_t size;	/* expected; 0: not known */
	uint8_t *ahead; /* owned */

	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;
};

/** A source in memory. */
void objm_src_mem(struct objm_src *src, const void *data, size_t len);
/**
 * A source behind a descriptor, from its present offset. What fits OBJM_INLINE_MAX is read at once: afterwards, if
 * src->fd is -1, everything lies in memory. @return 0; -SYSTEM; -OUT_OF_MEMORY; messages in s
 */
int objm_src_fd(objm_t *s, struct objm_src *src, int fd);
void objm_src_fini(struct objm_src *src);
/**
 * Copy all of it to `fd`, from its offset on. @return 0; -NO_SPACE, -TOO_LARGE, -STORAGE (the target); -SYSTEM (the
 * source)
 */
int objm_src_copy(objm_t *s, struct objm_src *src, int fd);

#endif
