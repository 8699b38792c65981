/*
 * be_how.h: opening files for reading, also in a process whose filter of system calls is to say what may be read.
 *
 * Linked by workers and the lifecycle process; the second never confines itself. A filter (seccomp) sees the numbers that a call is given and
 * not the memory that they point to. So all that a confined process ever tells the kernel lies in two pages that nobody in it can
 * change, replace or give back any more (mseal()), and the filter compares addresses:
 *	openat2()	with one of the structures below: for reading, below the directory that is given, no links
 *	openat()	for reading with one of the paths below alone: /proc/self/fd/N, where N is a number that is kept for that. A
 *			descriptor that is there already can so be opened once more for reading (a nameless file, which has no other
 *			name), and nothing else.
 *
 *	be_how_pin(threads)	while there is one thread; before the sandbox
 *	be_how_confine()	if the filter will be there; from now on everything here goes that way
 *
 * Each thread has a number of its own, so none waits for another one's file system.
 */
#ifndef BE_HOW_H
#define BE_HOW_H

#include "common/om_base.h"

enum be_how {
	BE_HOW_CACHED, /* O_NONBLOCK, and only what the kernel has in its caches (RESOLVE_CACHED, Linux 5.12) */
	BE_HOW_NOW,    /* O_NONBLOCK: a lease is answered with EAGAIN */
	BE_HOW_WAIT,   /* for a lease, too */
	BE_HOW_COUNT
};

#define BE_HOW_THREADS_MAX 128u

/**
 * Put what is told where it cannot change, for `threads` threads that open anything at all (1..BE_HOW_THREADS_MAX). Each takes a descriptor.
 * Done already: nothing. @return false: this kernel has no mseal() (before Linux 6.10), or no page or descriptor was to be had
 */
bool be_how_pin(unsigned threads);
/** From now on (see above). After be_how_pin(). */
void be_how_confine(void);
bool be_how_confined(void);

/** Open `path`, relative to `dirfd`, for reading: O_NOFOLLOW | O_CLOEXEC. @return a descriptor, or -1 with errno */
int be_how_open(int dirfd, const char *path, enum be_how how);
/** Open what is behind `fd` once more, for reading: another description of the same file. @return a descriptor, or -1 with errno */
int be_how_reopen(int fd);

/* For the filter: an address is one of ours if it equals the first of them in the bits of the mask. NULL: not pinned. */
const void *be_how_first(void);
uint64_t be_how_mask(void);
size_t be_how_bytes(void); /* of a structure */
const char *be_how_path(void);
uint64_t be_how_path_mask(void);

#endif
