/*
 * idx_gen.h: the table of generations, and how one proves with it that something remembered is still current. Header only,
 * depends on common/ alone: workers, the supervisor and libobjm include it.
 *
 * WRITER   supervisor (idx_genw.h)        READERS  workers and clients, mapped PROT_READ (OM_SEG_FROZEN)
 * WORD     gen[b] is odd while a change of any URI of bucket b is under way, and only ever grows.
 * ORDER    supervisor: gen[b] odd; catalog commit; slots published; gen[b] even (release); acknowledge.
 *          worker: gen[b] (acquire) BEFORE it looks at segment, slot or catalog; returns (b, g) with the answer.
 *          client: keeps the g of the answer, never one loaded later; odd: it does not keep the answer.
 *          A hit: gen[b] (acquire) equals that g, and the table is alive.
 *          Why a hit is never stale: a change acknowledged before the look ended its bucket on a g above the one that any
 *          worker could have loaded before the change's slot was published.
 * GROUPS   a word for each group of neighbouring buckets, raised (release) once the bucket's word has gone odd, before the
 *          commit; it does not say which bucket moved. They are 4 KiB, so a reader's first cache has them, which it has not of 8 MiB.
 *          0 says nothing, for ever: a word that has gone through all others (after 2^32 changes), or a supervisor that knows no
 *          groups. So no word ever stands for two moments.
 *          client: loads the group's word (acquire) BEFORE it compares the bucket's, and remembers it. While the group's word
 *          is the one remembered, the bucket's has not moved since it was compared:
 *          a change of the bucket that was published or acknowledged before this look raised the group's word before, to v
 *          say. Our load is at least v; if it equals what was remembered, then so was that, and who had loaded v or more
 *          (acquire) saw the bucket's word odd or later when it was compared with g: g is of after that change.
 * ALIVE    state is ALIVE and the coarse monotonic clock is below valid_until_ns, which the supervisor renews every 50 ms
 *          to 200 ms from then. A supervisor that ends cleanly stores RETIRED last. Its successor makes a new table, with
 *          another epoch: what was kept under one table proves nothing under another one.
 */
#ifndef IDX_GEN_H
#define IDX_GEN_H

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/om_base.h"

#define IDX_GEN_MAGIC 0x316e6567786a626full /* "objxgen1" read as bytes */
#define IDX_GEN_LAYOUT 1u
#define IDX_GEN_BUCKETS (1u << 20)
#define IDX_GEN_HEADER_BYTES 4096u
#define IDX_GEN_GROUPS 1008u /* what the header has room for */
#define IDX_GEN_GROUP_LAST (UINT32_MAX - 1) /* after it comes 0; UINT32_MAX is none, for readers to use as "nothing" */
#define IDX_GEN_VALID_NS 200000000ull /* a table not renewed for this long is dead */
#define IDX_GEN_RENEW_NS 50000000ull
/* What a successor that could not retire the old table waits before its first acknowledgement: the validity, and the
 * coarse clock's own lag (a tick, 10 ms at most) with room. */
#define IDX_GEN_SUCCESSOR_WAIT_NS (IDX_GEN_VALID_NS + 20000000ull)

enum idx_gen_state { IDX_GEN_NONE, IDX_GEN_ALIVE, IDX_GEN_RETIRED };

struct idx_gen_table {
	uint64_t magic;
	uint64_t layout;
	uint64_t buckets;
	uint64_t epoch; /* random; never 0 */
	_Atomic uint64_t state;
	_Atomic uint64_t valid_until_ns; /* CLOCK_MONOTONIC_COARSE */
	uint64_t pad[2];
	_Atomic uint32_t group[IDX_GEN_GROUPS];
	_Atomic uint64_t gen[IDX_GEN_BUCKETS];
};
static_assert(offsetof(struct idx_gen_table, gen) == IDX_GEN_HEADER_BYTES, "the header has its own page");
static_assert(offsetof(struct idx_gen_table, group) == OM_CACHELINE, "the words of groups share no line with what is renewed");
static_assert(sizeof(struct idx_gen_table) == IDX_GEN_HEADER_BYTES + 8ull * IDX_GEN_BUCKETS, "no hidden padding");

/**
 * Map the table behind `fd` (read-only). The descriptor stays the caller's and may be closed afterwards. Checks that it
 * can not shrink under us (F_SEAL_SHRINK), size, magic, layout.
 * @return 0; -OBJM_STATUS_CORRUPT: no such table; -OBJM_STATUS_SYSTEM: errno says why. Free with idx_gen_unmap().
 */
static inline int idx_gen_map(int fd, const struct idx_gen_table **ret_table)
{
	const struct idx_gen_table *t;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return errno == EINVAL ? -OBJM_STATUS_CORRUPT : -OBJM_STATUS_SYSTEM;
	if (fstat(fd, &st) < 0)
		return -OBJM_STATUS_SYSTEM;
	if (!S_ISREG(st.st_mode) || !(seals & F_SEAL_SHRINK) || st.st_size != (off_t)sizeof(*t))
		return -OBJM_STATUS_CORRUPT;
	t = (const struct idx_gen_table *)mmap(NULL, sizeof(*t), PROT_READ, MAP_SHARED, fd, 0);
	if (t == MAP_FAILED)
		return -OBJM_STATUS_SYSTEM;
	if (t->magic != IDX_GEN_MAGIC || t->layout != IDX_GEN_LAYOUT || t->buckets != IDX_GEN_BUCKETS || t->epoch == 0) {
		(void)munmap((void *)(uintptr_t)t, sizeof(*t));
		return -OBJM_STATUS_CORRUPT;
	}
	*ret_table = t;
	return 0;
}

/** Fine on NULL. */
static inline void idx_gen_unmap(const struct idx_gen_table *t)
{
	if (t)
		(void)munmap((void *)(uintptr_t)t, sizeof(*t));
}

/** Generation of a bucket. A worker calls this before it looks anything up. Buckets from outside: reduce or check first. */
static inline uint64_t idx_gen_load(const struct idx_gen_table *t, uint32_t bucket)
{
	return atomic_load_explicit(&t->gen[bucket & (IDX_GEN_BUCKETS - 1)], memory_order_acquire);
}

static inline uint32_t idx_gen_group(uint32_t bucket)
{
	return (uint32_t)((uint64_t)(bucket & (IDX_GEN_BUCKETS - 1)) * IDX_GEN_GROUPS / IDX_GEN_BUCKETS);
}

/** The word of a bucket's group; 0: it stands for nothing. Load it before the generation that it is to stand for. */
static inline uint32_t idx_gen_group_load(const struct idx_gen_table *t, uint32_t bucket)
{
	return atomic_load_explicit(&t->group[idx_gen_group(bucket)], memory_order_acquire);
}

/** Start loading a bucket's line. */
static inline void idx_gen_prefetch(const struct idx_gen_table *t, uint32_t bucket)
{
	__builtin_prefetch((const void *)&t->gen[bucket & (IDX_GEN_BUCKETS - 1)]);
}

/** An answer that carries this generation may be kept. */
static inline bool idx_gen_keepable(uint64_t gen) { return (gen & 1) == 0; }

/** True while the supervisor that owns the table is known to be at work. */
static inline bool idx_gen_alive(const struct idx_gen_table *t)
{
	return atomic_load_explicit(&t->state, memory_order_acquire) == IDX_GEN_ALIVE &&
	       om_coarse_ns() < atomic_load_explicit(&t->valid_until_ns, memory_order_acquire);
}

/**
 * True if what was answered with (bucket, gen) under this table is still current. About 10 ns, no system call.
 * Order: both generation and life only ever go one way (a generation grows; a table once seen alive was alive before), so
 * the moment of the generation's load is a moment at which both held.
 */
static inline bool idx_gen_valid(const struct idx_gen_table *t, uint32_t bucket, uint64_t gen)
{
	return idx_gen_keepable(gen) && idx_gen_load(t, bucket) == gen && idx_gen_alive(t);
}

#endif
