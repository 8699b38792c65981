/*
 * be.h: a tier's driver: how the bytes of objects are begun, frozen, named, made durable, opened, found and removed.
 *
 * Library libbackend (dep_backend), linked by workers (all but remove and scan), the lifecycle process and the supervisor
 * (probe alone). One driver so far, be_dir: tmpfs and directories. It works on directory descriptors only, never on a path
 * from the root. The interface supposes no local path and no descriptor before be_open(), so that an object store fits.
 *
 * A struct be is the caller's, immutable after be_dir_init() but for the few words marked; it may be shared by threads.
 * A struct be_file belongs to one thread at a time. Calls may block as the tier's disk does; on a memory tier they do not.
 *
 * Three kinds of driver fit it, and what differs between them is told by what a call gives, never by asking for the kind:
 *	directory, memory   be_open() is an openat; be_begin() makes the file where it stays; be_clone() may share blocks
 *	object store        be_open() fetches the bytes into a local file of its own and gives a descriptor of that; be_begin() makes a
 *			    local file, be_link() uploads it under the id, be_sync() waits until the store has it; be_clone() is not
 *			    there. (A small one is a test: tests/unit/backend/test_be_store.c.)
 *
 * The way of a file:
 *	be_begin()	a nameless file; `rwfd` goes to the writer, `fd` is ours
 *	be_quiet()	the lease: nobody can write any more, as far as the kernel can tell
 *	be_copy()	for writers that are not trusted: the same bytes in an inode that no client ever held
 *	be_freeze()	lease again, size, attribute, mode 0400
 *	be_link()	its name, once its id is known (with a side file where the attribute did not fit)
 *	be_sync()	bytes, name and attribute on stable storage, a batch at a time
 *	be_drop()	the end of it at any step: what has no name vanishes
 */
#ifndef BE_H
#define BE_H

#include "common/om_obj.h"

/* ---------------------------------------------------------------- a tier */

struct be;
struct be_file;
struct be_batch;
struct be_found;

#define BE_ATTR_NAME "user.objm"
#define BE_ATTR_MAX (80u + OM_URI_MAX + OM_TYPE_MAX + OM_META_MAX) /* bytes of an encoded attribute */
#define BE_SYNCFS_MIN 8u /* files of a batch from which one syncfs is cheaper than an fsync each */

/** Called for each file of a scan; the pointers in `f` live during the call. Negative ends the scan with that status. */
typedef int be_scan_fn(void *arg, const struct be_found *f);

/* When a change is on stable storage. */
enum be_when {
	BE_NEVER, /* as the kernel pleases */
	BE_NOW,	  /* before the return */
	BE_LATER, /* with the next be_attr_sync() */
};

struct be_usage {
	uint64_t total_bytes; /* of the filesystem */
	uint64_t avail_bytes; /* what we can still write */
};

/* A driver. The be_ functions below say what each means. */
struct be_ops {
	const char *name;
	int (*open)(const struct be *be, uint64_t id, int *ret_fd);
	int (*begin)(const struct be *be, uint64_t size_hint, struct be_file *ret_file);
	int (*begin_own)(const struct be *be, struct be_file *ret_file); /* NULL: begin() with its writable descriptor alone */
	int (*copy)(const struct be *be, const struct be_file *from, struct be_file *ret_file);
	int (*quiet)(const struct be *be, const struct be_file *file);
	int (*freeze)(const struct be *be, struct be_file *file, const struct om_rec *rec);
	int (*link)(struct be *be, struct be_file *file, uint64_t id, const struct om_rec *rec);
	int (*sync)(struct be *be, struct be_file *const *files, unsigned n);
	int (*cut)(const struct be *be, struct be_file *file);
	int (*remove)(struct be *be, uint64_t id, struct be_batch *batch);
	int (*remove_sync)(struct be *be, struct be_batch *batch);
	int (*scan)(struct be *be, uint64_t id_from, uint64_t id_to, be_scan_fn *fn, void *arg);
	int (*usage)(const struct be *be, struct be_usage *ret);
	int (*attr)(const struct be *be, uint64_t id, const struct om_rec *rec, enum be_when when);
	int (*attr_sync)(struct be *be); /* NULL: BE_LATER is not asked for */
	int (*describe)(const struct be *be, uint64_t id, uint8_t *buf, struct be_found *ret);
	int (*describe_fd)(const struct be *be, int fd, uint64_t id, uint8_t *buf, struct be_found *ret); /* NULL: describe() does */
	bool here; /* a file's own descriptor reads what the tier holds under its id */
	/* NULL: never possible */
	int (*clone)(const struct be *be, int from_fd, struct be_file *ret_file);
};

#define BE_DIRS_KNOWN 8u

struct be {
	const struct be_ops *ops;
	uint32_t caps; /* enum om_tier_cap */
	void *priv;    /* the driver's own; the directory driver has none */
	uint32_t who;  /* in the names of temporary files: the worker's number */
	int objects_fd; /* borrowed */
	int staging_fd; /* borrowed */
	uint32_t lanes; /* directories in staging/ that take turns (be_dir_lane.c); 0: files are made in staging/ itself */
	int sync_fd;	/* own description of objects/: errors of write-back are told once to each description */
	/* Used by link and sync alone, which a tier's owner calls from one thread at a time: */
	bool failed;				/* a sync failed: every later one fails */
	uint64_t dirs_known[BE_DIRS_KNOWN];	/* id directories whose own name is durable; UINT64_MAX: none */
	uint32_t dirs_next;
	/* Set by the lifecycle process: id directories below this number get no files any more, and go when they are empty. */
	uint64_t dirs_done;
};

/**
 * Make a tier of the directories objects/ and staging/.
 * @param caps  of the probe; @param who  number of this process among its kind
 * @return 0; -OBJM_STATUS_SYSTEM, errno says why (the descriptor of its own could not be opened). be_fini() frees it.
 */
int be_dir_init(struct be *be, int objects_fd, int staging_fd, uint32_t caps, uint32_t who) OM_MUST_USE;
void be_fini(struct be *be);

/* ---------------------------------------------------------------- the probe (supervisor, at start) */

struct be_probe {
	uint32_t caps;	  /* enum om_tier_cap */
	bool swap_exposed; /* memory tier whose bytes may reach swap: allowed by allow_swap; say it loudly */
	char fs[16];	  /* "ext4", "tmpfs", ... or the magic number in hexadecimal */
};

/**
 * Find out what the filesystem behind `root_fd` does, by doing it: nothing is left behind.
 * @param type       enum om_tier_type: a memory tier must be on tmpfs or ramfs and, where swap is on, mounted noswap
 * @param allow_swap  a memory tier may be swapped
 * @param why        receives a sentence for the log on failure, and what is missing (or "") on success
 * @return 0; -OBJM_STATUS_UNSUPPORTED_OP: not fit for this type of tier; -OBJM_STATUS_READ_ONLY or another status of
 *         om_status_errno(): nothing can be written there
 */
int be_probe(int root_fd, unsigned type, bool allow_swap, struct be_probe *ret, char *why, size_t why_len) OM_MUST_USE;

/**
 * How slow it is beside memory: the median time of reading 64 KiB past the page cache, in times of the same from memory, 1 to
 * 1,000,000. Writes 1 MiB that is gone afterwards; takes milliseconds, on a slow disk some 100.
 * @return 0; a status of om_status_errno(): it could not be measured (no room, no nameless files)
 */
int be_measure(int root_fd, double *ret_factor) OM_MUST_USE;

/** Make objects/ and staging/ (0700) under a tier's root where they are missing and open both; on ext4 the lanes in staging/, too.
 * @return 0; -OBJM_STATUS_SYSTEM, errno says why */
int be_dir_prepare(int root_fd, int *ret_objects_fd, int *ret_staging_fd) OM_MUST_USE;

/**
 * Should a file be removed only some seconds after it could be? Where new files are made in so many directories that each of them has its
 * turn for a second alone (ext4, be_dir_lane.c): what is removed then lies where no file is made for a minute. With fewer, what is removed
 * in the second in which it is replaced leaves inodes that the next file gets at once.
 */
bool be_removes_late(int staging_fd);

/* ---------------------------------------------------------------- reading */

/**
 * Open an object's bytes for reading: O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC.
 * @return 0; -OBJM_STATUS_NOT_FOUND: no such file (moved or removed); -OBJM_STATUS_WOULD_BLOCK: a lease is in the way, use an
 *         I/O thread and be_open_wait(); other statuses of om_status_errno(), errno is kept
 */
int be_open(const struct be *be, uint64_t id, int *ret_fd) OM_MUST_USE;
/** The same for who has only the directory. */
int be_dir_open(int objects_fd, uint64_t id, int *ret_fd) OM_MUST_USE;
/** The same, but waits for a lease to be given up (at most /proc/sys/fs/lease-break-time). I/O threads. */
int be_dir_open_wait(int objects_fd, uint64_t id, int *ret_fd) OM_MUST_USE;

/* ---------------------------------------------------------------- writing */

struct be_file {
	int fd;	  /* ours: read-only, opened before any client had the file (but see `own`); -1: none */
	int rwfd; /* writable; who passes it on closes it and leaves -1 */
	bool side;    /* the attribute did not fit: a side file goes with it */
	bool own;     /* nobody else ever held it: fd is writable, and no lease is needed (be_begin_own()) */
	uint64_t size; /* of be_freeze() */
	uint64_t id;   /* of be_link(); 0: no name yet */
	char temp[48]; /* name in staging/ where O_TMPFILE does not work; "": nameless */
};
#define BE_FILE_INIT ((struct be_file){ .fd = -1, .rwfd = -1 })

/**
 * Begin a file: nameless (or under a temporary name in staging/), mode 0600, `size_hint` bytes reserved (0: none).
 * @return 0; -OBJM_STATUS_NO_SPACE (also for what the filesystem could not reserve); -OBJM_STATUS_TOO_LARGE: a size that the
 *         filesystem cannot hold; others of om_status_errno(). errno is kept.
 */
int be_begin(const struct be *be, uint64_t size_hint, struct be_file *ret_file) OM_MUST_USE;
/**
 * The same for bytes that this process writes itself, through `fd`, and never hands to anybody before be_freeze(): the only
 * writable descriptor there ever is is this one, so be_quiet() and be_freeze() need no lease to know that nobody else writes.
 * The caller writes nothing after be_freeze(). rwfd stays -1.
 */
int be_begin_own(const struct be *be, struct be_file *ret_file) OM_MUST_USE;

/**
 * Has every writer gone? A read lease is refused while a writable descriptor or mapping exists, one in flight included.
 * The lease is given back at once: after this, only what the kernel does not see can write (design: pinned pages).
 * @return 0; -OBJM_STATUS_WRITER_STILL_OPEN; others: the lease failed for another reason on a tier that should have it
 */
int be_quiet(const struct be *be, const struct be_file *file) OM_MUST_USE;

/** The same bytes in a fresh file that shares no block with the first. `ret_file` is new (rwfd is -1 already).
 * @return as be_begin(), or -OBJM_STATUS_STORAGE: the source changed its length or cannot be read */
int be_copy(const struct be *be, const struct be_file *from, struct be_file *ret_file) OM_MUST_USE;

/**
 * Make it what it will be: under a lease: size, attribute, mode 0400. rwfd must be closed (-1). May be repeated.
 * @param rec  uri, type, meta, flags, mtime_ns, expiry_s, rev, sum; rec->size is not used: the file's own is, see file->size
 * @return 0; -OBJM_STATUS_WRITER_STILL_OPEN; -OBJM_STATUS_NO_SPACE, -OBJM_STATUS_STORAGE, ... of om_status_errno()
 */
int be_freeze(const struct be *be, struct be_file *file, const struct om_rec *rec) OM_MUST_USE;

/**
 * Give it its name: objects/DIR/ID; the directory is made when it is missing. A side file gets its name first.
 * One thread at a time for each struct be (link and sync).
 * @return 0; -OBJM_STATUS_STORAGE: the name is taken (EEXIST) or the disk failed; -OBJM_STATUS_NO_SPACE, ...
 */
int be_link(struct be *be, struct be_file *file, uint64_t id, const struct om_rec *rec) OM_MUST_USE;

/**
 * Make linked files durable: bytes, attribute, name, side file, directories. From BE_SYNCFS_MIN files on a local filesystem
 * one syncfs. One thread at a time for each struct be. Any error fails all of them, and the tier: after it, write-back errors
 * may have been reported and forgotten by the kernel, so nothing is retried and every later call fails too.
 * @return 0; -OBJM_STATUS_STORAGE, errno says why
 */
int be_sync(struct be *be, struct be_file *const *files, unsigned n) OM_MUST_USE;

/** Bytes that the file takes on the disk now. 0 when it cannot be known. */
uint64_t be_allocated(const struct be_file *file);
/** Cut a file whose writer went too far to length 0 (its writer can still write: cut again). */
int be_cut(const struct be *be, struct be_file *file);
/** After be_link(): a descriptor, borrowed, that reads what the tier now holds under the id; -1: be_open() it. */
int be_held(const struct be *be, const struct be_file *file);
/** Close what is open; what has no name is gone with it (a temporary name is left to the lifecycle process). */
void be_drop(struct be_file *file);

int be_usage(const struct be *be, struct be_usage *ret) OM_MUST_USE;

/* ---------------------------------------------------------------- moving between tiers (lifecycle process) */

/**
 * A new file, as of be_begin() with rwfd closed, that shares the blocks of `from_fd`: no byte is copied. For committed files of
 * our own only (never for what a client may still write: see be_copy).
 * @return 0; -OBJM_STATUS_UNSUPPORTED_OP: not between these two places; others as be_begin()
 */
int be_clone(const struct be *be, int from_fd, struct be_file *ret_file) OM_MUST_USE;

#define BE_SUM_NAME "user.objm.xxh3" /* where the sum was kept before it came to be in the attribute (om_rec.sum): read, never written */
#define BE_SUM_BYTES OM_SUM_BYTES
/** @return true: `fd` is a file of then and has one */
bool be_sum_get_old(int fd, uint8_t ret_sum[static BE_SUM_BYTES]);

/* ---------------------------------------------------------------- removing and finding (lifecycle process) */

#define BE_BATCH_DIRS 64u

/* Directories whose removals are not durable yet. */
struct be_batch {
	uint64_t dirs[BE_BATCH_DIRS];
	unsigned n;
};

/**
 * Remove the file of `id` and its side file. A file that is not there counts as removed. Durable only after
 * be_remove_sync(); a batch that has no room for a further directory is synced first.
 * @return 0; a status of om_status_errno()
 */
int be_remove(struct be *be, uint64_t id, struct be_batch *batch) OM_MUST_USE;
/** One fsync a directory. @return 0; -OBJM_STATUS_STORAGE: what was removed since the last call may come back */
int be_remove_sync(struct be *be, struct be_batch *batch) OM_MUST_USE;

/**
 * Replace what the file of `id` says of itself. A crash leaves the old or the new, whole.
 * @param rec   uri, type, meta, flags, mtime_ns, expiry_s, rev; size and sum are not used: the file's own are
 * @param when  BE_LATER only where be_attr_can_wait()
 * @return 0; -OBJM_STATUS_NOT_FOUND: no such file; statuses of om_status_errno(): the old or the new is there
 */
int be_attr_replace(const struct be *be, uint64_t id, const struct om_rec *rec, enum be_when when) OM_MUST_USE;
/** May attributes of several files be made durable together? */
bool be_attr_can_wait(const struct be *be);
/** What was replaced with BE_LATER is durable. One thread at a time for each struct be; fails as be_sync() does, for good.
 * @return 0; -OBJM_STATUS_STORAGE, errno says why: of each of them the old or the new is there */
int be_attr_sync(struct be *be) OM_MUST_USE;

/* A file that a scan found. */
struct be_found {
	uint64_t id;
	bool has_attr; /* rec is whole: its attribute or side file could be read and its checksum is right */
	struct om_rec rec; /* id, size (of the file itself), mtime_ns; with has_attr also the others. tier, home are not set */
	const char *why;   /* without has_attr: "no attribute", "damaged attribute", ... */
};

/**
 * Report every file with id_from <= id < id_to, in no order. Memory does not grow with the number of files. Side files
 * whose object is gone are removed; empty id directories that are old are removed.
 * @return 0; what fn returned; a status of om_status_errno(): the walk ended early
 */
int be_scan(struct be *be, uint64_t id_from, uint64_t id_to, be_scan_fn *fn, void *arg) OM_MUST_USE;

/**
 * What one file says of itself.
 * @param buf  BE_ATTR_MAX bytes that outlive *ret: its strings point into it
 * @return 0, see ret->has_attr; -OBJM_STATUS_NOT_FOUND: no such file; others of om_status_errno()
 */
int be_describe(const struct be *be, uint64_t id, uint8_t buf[static BE_ATTR_MAX], struct be_found *ret) OM_MUST_USE;
/** The same of one that is open: `fd` of be_open(), borrowed. */
int be_describe_fd(const struct be *be, int fd, uint64_t id, uint8_t buf[static BE_ATTR_MAX], struct be_found *ret) OM_MUST_USE;

/**
 * Remove what staging/ holds and nobody uses: names of files that have their real name, files that no process has open, files
 * that were given up.
 * @param before_s  and every name given before this time (seconds since 1970): those of an earlier run; 0: none
 * @return how many were removed
 */
unsigned be_dir_sweep_staging(const struct be *be, uint64_t before_s);

/* ---------------------------------------------------------------- the attribute (be_attr.c) */

/** Encode. @return bytes, at most BE_ATTR_MAX */
size_t be_attr_encode(const struct om_rec *rec, uint8_t ret_buf[static BE_ATTR_MAX]);
/** Decode and check all of it; `ret_rec` points into `buf`; its id, tier and home are 0.
 * @return 0; -OBJM_STATUS_CORRUPT, ret_rec untouched */
int be_attr_decode(const void *buf, size_t len, struct om_rec *ret_rec) OM_MUST_USE;

#endif
