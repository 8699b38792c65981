/*
 * lcy_copy.c: copying and verifying, see lcy_copy.h. On the mover threads of objmapper-lifecycle.
 *
 * Why reading and writing by hand, where copy_file_range() could do it: the checksum wants every byte of the source anyway, and
 * what it would save between two filesystems of one machine is nothing. Within one filesystem FICLONE copies nothing at all.
 */
#include "lifecycle/lcy_copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>
#if LCY_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* XXH3_128bits_update() by the widest vectors that this processor has: twice as fast as the ones that all have */
#endif

#include "common/om_fault.h"

#define ALIGN 4096u
#define OWED_NS UINT64_C(1000000000)
#define NAP_NS UINT64_C(50000000)

void lcy_rate_take(struct lcy_rate *rate, uint64_t bytes)
{
	uint64_t per_s = atomic_load(&rate->per_s), now = om_now_ns(), at, next;

	if (per_s == 0)
		return;
	uint64_t cost = (uint64_t)((double)bytes * 1e9 / (double)per_s);
	at = atomic_load(&rate->free_ns);
	do {
		/* what was not used is lost: no burst after a pause; and what is owed is bounded, should the rate have been tiny */
		uint64_t start = OM_MIN(OM_MAX(at, now), now + OWED_NS);
		next = start + cost;
	} while (!atomic_compare_exchange_weak(&rate->free_ns, &at, next));
	uint64_t until = OM_MIN(next, now + 10 * OWED_NS);
	while ((now = om_now_ns()) < until && atomic_load(&rate->per_s) == per_s) {
		struct timespec ts = { .tv_nsec = (long)OM_MIN(until - now, NAP_NS) };
		(void)nanosleep(&ts, NULL);
	}
}

static int negative_errno(void) { return -om_status_errno(errno); }

/*
 * How a file of a disk is read: past the page cache or through it, and without leaving a trace of that: the first reading after a file was
 * written would change its inode, which is a transaction of the filesystem for each object, on both sides. @return 0 or -1: as it was
 */
static int read_as(int fd, int direct)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	if (fcntl(fd, F_SETFL, flags | direct | O_NOATIME) == 0)
		return 0;
	return errno == EPERM ? fcntl(fd, F_SETFL, flags | direct) : -1; /* it belongs to somebody else */
}

/* True if the descriptor now goes past the page cache. */
static bool go_direct(int fd, bool memory) { return !memory && read_as(fd, O_DIRECT) == 0; }

static void end_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags & ~O_DIRECT);
}

struct side {
	int fd;
	bool direct;
};

/* Fill `len` bytes from `at`; past the end is an error. A filesystem that accepts O_DIRECT and then refuses it gets none. */
static int read_all(struct side *s, char *buf, size_t len, uint64_t at)
{
	for (size_t got = 0; got < len;) {
		/* unaligned lengths occur at the end only: the buffer has room for the whole block */
		size_t want = s->direct ? (len - got + ALIGN - 1) / ALIGN * ALIGN : len - got;
		ssize_t n = pread(s->fd, buf + got, want, (off_t)(at + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && s->direct) {
			end_direct(s->fd);
			s->direct = false;
			continue;
		}
		if (n < 0)
			return negative_errno();
		if (n == 0)
			return -OBJM_STATUS_CORRUPT; /* it was cut: nobody of ours does that */
		got += OM_MIN((size_t)n, len - got);
		if (s->direct && got < len && got % ALIGN != 0) {
			end_direct(s->fd);
			s->direct = false;
		}
	}
	return 0;
}

static int write_all(struct side *s, const char *buf, size_t len, uint64_t at)
{
	for (size_t done = 0; done < len;) {
		size_t want = len - done;
		if (s->direct && want % ALIGN != 0) {
			if (want > ALIGN) {
				want -= want % ALIGN;
			} else { /* the last piece: through the page cache, made durable with the rest */
				end_direct(s->fd);
				s->direct = false;
			}
		}
		ssize_t n = pwrite(s->fd, buf + done, want, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && s->direct) {
			end_direct(s->fd);
			s->direct = false;
			continue;
		}
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return negative_errno();
		}
		done += (size_t)n;
		if (s->direct && done < len && done % ALIGN != 0) {
			end_direct(s->fd);
			s->direct = false;
		}
	}
	return 0;
}

/* Where data goes on and where it ends, from `at`. A filesystem that does not know says that all is data. */
static void next_extent(int fd, uint64_t at, uint64_t size, uint64_t *ret_from, uint64_t *ret_to)
{
	off_t from = lseek(fd, (off_t)at, SEEK_DATA);

	*ret_from = at;
	*ret_to = size;
	if (from < 0) {
		if (errno == ENXIO)
			*ret_from = size; /* nothing but a hole */
		return;
	}
	off_t to = lseek(fd, from, SEEK_HOLE);
	/* whole blocks, for O_DIRECT's sake */
	*ret_from = OM_MIN((uint64_t)from / ALIGN * ALIGN, size);
	if (to > from)
		*ret_to = OM_MIN(((uint64_t)to + ALIGN - 1) / ALIGN * ALIGN, size);
	*ret_from = OM_MAX(*ret_from, at);
}

static void hash_zeros(XXH3_state_t *h, uint64_t n)
{
	static const char zeros[65536];

	for (; n > 0; n -= OM_MIN(n, sizeof(zeros)))
		(void)XXH3_128bits_update(h, zeros, OM_MIN(n, sizeof(zeros)));
}

/* Before the next `n` bytes of a copy or of a second reading: what the rate asks for, then what those ask for who are served. */
static void take_turn(struct lcy_copy *c, bool writes, size_t n)
{
	if ((writes || c->sums) && c->rate && atomic_load(&c->rate->per_s)) {
		if (c->seat) /* waiting is no work: others may */
			lcy_yield_leave(c->seat);
		lcy_rate_take(c->rate, n);
	}
	if (c->seat)
		lcy_yield_point(c->seat);
}

/* While clients are served, what was written goes on to the disk in pieces, too. False: it failed */
static bool write_out(struct lcy_copy *c, const struct side *to, size_t n)
{
	c->behind += n;
	if (!c->seat || !c->seat->held || !to->direct || c->behind < LCY_YIELD_SYNC)
		return true;
	c->behind = 0;
	lcy_yield_point(c->seat);
	return fdatasync(to->fd) == 0;
}

static size_t piece(const struct lcy_copy *c, uint64_t left)
{
	size_t most = c->seat && lcy_yield_share(c->seat->all) != LCY_YIELD_ALL ? LCY_YIELD_CHUNK : LCY_COPY_CHUNK;

	return (size_t)OM_MIN(left, most);
}

static bool is_true(const _Atomic bool *flag) { return flag && atomic_load_explicit(flag, memory_order_relaxed); }

/* A scrub waits while there is something better to do. What is deleted meanwhile gives its room back at once. */
static int hold_on(struct lcy_copy *c, int fd)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	struct stat st;

	if (!is_true(c->hold))
		return 0;
	if (c->seat)
		lcy_yield_leave(c->seat);
	while (is_true(c->hold) && !is_true(c->stop)) {
		if (c->named && fstat(fd, &st) == 0 && st.st_nlink == 0)
			return -OBJM_STATUS_GONE;
		(void)nanosleep(&nap, NULL);
	}
	return 0;
}

static enum om_fault fault_of(const struct lcy_copy *c, bool writes)
{
	return writes ? OM_FAULT_MOVE_COPY : c->sums ? OM_FAULT_SCRUB_READ : OM_FAULT_MOVE_VERIFY;
}

/* All bytes through `buf`: into the hash, and to `to` unless that is NULL. */
static int pass(struct lcy_copy *c, struct side *from, struct side *to, uint64_t size, XXH3_state_t *h, bool *ret_reading)
{
	uint64_t at = 0;
	int rc = 0;

	while (at < size) {
		uint64_t start = at, end = size;
		if (c->sparse)
			next_extent(from->fd, at, size, &start, &end);
		hash_zeros(h, start - at);
		for (at = start; at < end;) {
			size_t n = piece(c, end - at);
			if (c->sums && (rc = hold_on(c, from->fd)) < 0)
				return rc;
			if (is_true(c->stop))
				return -OBJM_STATUS_GONE;
			take_turn(c, to != NULL, n);
			int injected = om_fault(fault_of(c, to != NULL));
			*ret_reading = true;
			if (injected && !to)
				return -om_status_errno(injected);
			rc = read_all(from, c->buf, n, at);
			if (rc < 0)
				return rc;
			(void)XXH3_128bits_update(h, c->buf, n);
			*ret_reading = false;
			if (to) {
				if (c->seat)
					lcy_yield_point(c->seat);
				rc = injected ? -om_status_errno(injected) : write_all(to, c->buf, n, at);
				if (rc == 0 && !write_out(c, to, n))
					rc = negative_errno();
				if (rc < 0)
					return rc;
			}
			at += n;
		}
	}
	return 0;
}

static int hash_pass(struct lcy_copy *c, struct side *from, struct side *to, uint64_t size, uint8_t *ret_sum, bool *ret_reading)
{
	XXH3_state_t *h = XXH3_createState();
	XXH128_canonical_t canon;

	if (!h)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	(void)XXH3_128bits_reset(h);
	int rc = pass(c, from, to, size, h, ret_reading);
	XXH128_canonicalFromHash(&canon, XXH3_128bits_digest(h));
	(void)XXH3_freeState(h);
	memcpy(ret_sum, canon.digest, BE_SUM_BYTES);
	return rc;
}

static int open_waiting(const struct be *be, uint64_t id, int *ret_fd)
{
	for (unsigned i = 0; i < 100; i++) { /* somebody took a lease of ours: a freeze under way gives it back at once */
		int rc = be_open(be, id, ret_fd);
		if (rc != -OBJM_STATUS_WOULD_BLOCK)
			return rc;
		struct timespec ts = { .tv_nsec = 1000000 };
		(void)nanosleep(&ts, NULL);
	}
	return -OBJM_STATUS_TIMEOUT;
}

/*
 * The new file. One that is written in a single call is written at once: a full disk says so there, and reserving it first costs the
 * filesystem a transaction more, and another one when the bytes reach what was reserved. A larger one is reserved whole, so that
 * a full disk says so before the work; a sparse one stays sparse.
 */
static int begin(struct lcy_copy *c, uint64_t size, struct be_file *f)
{
	return size <= LCY_COPY_CHUNK ? be_begin_own(c->to, f) : be_begin(c->to, c->sparse ? 0 : size, f);
}

/* What the source's file says that its bytes are. */
static bool told_sum(const struct lcy_copy *c, int fd, uint8_t ret_sum[static BE_SUM_BYTES])
{
	if (!c->was)
		return be_sum_get_old(fd, ret_sum);
	memcpy(ret_sum, c->was, BE_SUM_BYTES);
	return true;
}

static int copy_into(struct lcy_copy *c, int fd, uint64_t size, struct be_file *f, bool *ret_reading)
{
	struct side from = { .fd = fd }, to;
	uint8_t was[BE_SUM_BYTES];
	int rc;

	*ret_reading = false;
	c->behind = 0;
	rc = begin(c, size, f);
	if (rc < 0)
		return rc;
	to = (struct side){ .fd = f->own ? f->fd : f->rwfd };
	from.direct = size >= LCY_COPY_DIRECT && go_direct(fd, c->from_memory);
	if (!from.direct && !c->from_memory)
		(void)read_as(fd, 0);
	to.direct = size >= LCY_COPY_DIRECT && go_direct(to.fd, c->to_memory);
	rc = hash_pass(c, &from, &to, size, c->sum, ret_reading);
	/* A hole at the end. Not for the others: XFS writes a file out, and waits, when its length is set. */
	if (rc == 0 && c->sparse && ftruncate(to.fd, (off_t)size) < 0)
		rc = negative_errno();
	if (rc == 0 && told_sum(c, fd, was) && memcmp(was, c->sum, BE_SUM_BYTES) != 0) {
		*ret_reading = true;
		rc = -OBJM_STATUS_CORRUPT;
	}
	om_close(&f->rwfd);
	c->has_sum = rc == 0;
	return rc;
}

/* True: its blocks are the source's own. Trying takes a file that is made for nothing, so it is not tried again where it cannot be. */
static bool share_blocks(struct lcy_copy *c, int fd, struct be_file *f)
{
	if (c->no_clone || c->from_memory || c->to_memory)
		return false;
	int rc = be_clone(c->to, fd, f);
	c->no_clone = rc == -OBJM_STATUS_UNSUPPORTED_OP;
	return rc == 0;
}

int lcy_copy_object(struct lcy_copy *c, uint64_t id, uint64_t size, struct be_file *ret_file, bool *ret_reading)
{
	struct be_file f = BE_FILE_INIT;
	OM_AUTO_FD fd = om_take_fd(&c->from_fd);
	struct stat st;

	*ret_reading = true;
	c->shared = c->has_sum = false;
	int rc = fd >= 0 ? 0 : open_waiting(c->from, id, &fd);
	if (rc < 0)
		return rc;
	if (fstat(fd, &st) < 0)
		return negative_errno();
	if ((uint64_t)st.st_size != size)
		return -OBJM_STATUS_CORRUPT;
	c->sparse = (uint64_t)st.st_blocks * 512u + ALIGN < size;
	if (share_blocks(c, fd, &f)) {
		c->shared = true;
		c->has_sum = told_sum(c, fd, c->sum);
		*ret_file = f;
		return 0;
	}
	rc = copy_into(c, fd, size, &f, ret_reading);
	/* A copy on a faster tier serves from now on: these pages are of no more use. A source that goes takes its pages along. */
	if (rc == 0 && !c->from_memory && c->to_memory)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (rc < 0) {
		int saved = errno;
		be_drop(&f);
		errno = saved;
		return rc;
	}
	*ret_file = f;
	return 0;
}

int lcy_copy_verify(struct lcy_copy *c, const struct be_file *file, uint64_t id, uint64_t size)
{
	uint8_t sum[BE_SUM_BYTES];
	OM_AUTO_FD own = -1;
	bool reading;
	int fd = be_held(c->to, file), rc = fd >= 0 ? 0 : open_waiting(c->to, id, &own);

	if (rc < 0)
		return rc;
	if (fd < 0)
		fd = own;
	/* From the disk, not from what the kernel still holds of our writing; and that is of no more use. */
	if (!c->to_memory)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	struct side from = { .fd = fd, .direct = size && go_direct(fd, c->to_memory) };
	rc = hash_pass(c, &from, NULL, size, sum, &reading);
	if (!c->to_memory && !from.direct)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (rc < 0)
		return rc;
	return memcmp(sum, c->sum, BE_SUM_BYTES) == 0 ? 0 : -OBJM_STATUS_CORRUPT;
}

/* Does the page cache hold its beginning? Looked at without a touch: trying to read would bring it there. Yes, where it cannot be told. */
static bool is_cached(int fd, uint64_t size)
{
	unsigned char page = 1;
	void *p = size ? mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (p == MAP_FAILED)
		return true;
	if (mincore(p, 1, &page) < 0)
		page = 1;
	(void)munmap(p, 1);
	return page & 1;
}

int lcy_copy_sum(struct lcy_copy *c, int fd, uint64_t size, bool memory, uint8_t ret_sum[static BE_SUM_BYTES])
{
	struct side from = { .fd = fd };
	struct stat st;
	bool reading;

	if (fstat(fd, &st) < 0)
		return negative_errno();
	if (!memory)
		(void)read_as(fd, 0); /* first: to map it is an access, too */
	bool cached = memory || is_cached(fd, size);
	if ((uint64_t)st.st_size != size)
		return -OBJM_STATUS_CORRUPT;
	c->sparse = (uint64_t)st.st_blocks * 512u + ALIGN < size;
	c->named = st.st_nlink > 0;
	c->sums = true;
	from.direct = size && go_direct(fd, memory);
	int rc = hash_pass(c, &from, NULL, size, ret_sum, &reading);
	c->sums = false;
	/* it could not be past it: what clients had there stays, what came by this reading goes */
	if (!cached && is_cached(fd, size))
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return rc;
}
