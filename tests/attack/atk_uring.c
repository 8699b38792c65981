/*
 * atk_uring.c: the weapon of io_uring registered buffers. Registering pins the pages of a mapping for as long as the ring
 * lives; reads into the buffer then write to the pages, whatever became of the mapping and of the descriptor, and no lease
 * knows of it. Filesystems that write back refuse such long pins (EFAULT or EOPNOTSUPP); tmpfs does not.
 *
 * System calls by hand: one request at a time needs no library. The bytes come from a pipe, which anybody has.
 */
#include "tests/attack/atk.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct ring {
	struct atk_weapon w;
	int fd;
	int pipe_fd[2];
	unsigned char *rings;
	size_t rings_len;
	struct io_uring_sqe *sqes;
	size_t sqes_len;
	struct io_uring_params p;
	void *at; /* what was registered; unmapped by now */
};

static void uring_close(struct ring *r)
{
	if (r->sqes)
		(void)munmap(r->sqes, r->sqes_len);
	if (r->rings)
		(void)munmap(r->rings, r->rings_len);
	r->sqes = NULL;
	r->rings = NULL;
	om_close(&r->fd);
}

static int uring_open(struct ring *r)
{
	size_t sq, cq;
	void *p;

	r->p = (struct io_uring_params){0};
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return -errno;
	sq = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
	cq = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	r->rings_len = OM_MAX(sq, cq);
	r->sqes_len = r->p.sq_entries * sizeof(struct io_uring_sqe);
	p = mmap(NULL, r->rings_len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	if (p == MAP_FAILED)
		return -errno;
	r->rings = p;
	p = mmap(NULL, r->sqes_len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, (off_t)IORING_OFF_SQES);
	if (p == MAP_FAILED)
		return -errno;
	r->sqes = p;
	return 0;
}

static uint32_t *uring_word(struct ring *r, uint32_t off)
{
	return (uint32_t *)(void *)(r->rings + off);
}

/* One request, waited for: its result. */
static int uring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	uint32_t tail = *uring_word(r, r->p.sq_off.tail), head;
	uint32_t slot = tail & *uring_word(r, r->p.sq_off.ring_mask);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(void *)(r->rings + r->p.cq_off.cqes);
	int res;

	r->sqes[slot] = *sqe;
	uring_word(r, r->p.sq_off.array)[slot] = slot;
	__atomic_store_n(uring_word(r, r->p.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	head = *uring_word(r, r->p.cq_off.head);
	if (head == __atomic_load_n(uring_word(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE))
		return -ETIME;
	res = cqes[head & *uring_word(r, r->p.cq_off.ring_mask)].res;
	__atomic_store_n(uring_word(r, r->p.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return res;
}

/* ---------------------------------------------------------------- the weapon */

static int uring_load(struct atk_weapon *w)
{
	struct ring *r = (struct ring *)w;
	int rc = uring_open(r);

	uring_close(r);
	if (rc < 0)
		(void)snprintf(w->why, sizeof(w->why), "io_uring is not to be had here: %s", strerror(-rc));
	else if (pipe2(r->pipe_fd, O_CLOEXEC) < 0)
		rc = -errno;
	return rc;
}

static int uring_aim(struct atk_weapon *w, void *at)
{
	struct ring *r = (struct ring *)w;
	struct iovec iov = {.iov_base = at, .iov_len = ATK_LEN};
	int rc = uring_open(r);

	if (rc == 0 && syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		rc = -errno;
	if (rc < 0) {
		(void)snprintf(w->why, sizeof(w->why), "the kernel does not register these pages: %s", strerror(-rc));
		uring_close(r);
	}
	r->at = at;
	return rc;
}

static ssize_t uring_fire(struct atk_weapon *w, unsigned char byte)
{
	struct ring *r = (struct ring *)w;
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED,
		.fd = r->pipe_fd[0],
		.addr = (uint64_t)(uintptr_t)r->at,
		.len = ATK_LEN,
		.buf_index = 0,
	};
	unsigned char bytes[ATK_LEN];

	memset(bytes, byte, sizeof(bytes));
	if (write(r->pipe_fd[1], bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		return -errno;
	return uring_do(r, &sqe);
}

static void uring_lower(struct atk_weapon *w)
{
	uring_close((struct ring *)w);
}

static void uring_unload(struct atk_weapon *w)
{
	struct ring *r = (struct ring *)w;

	om_close(&r->pipe_fd[0]);
	om_close(&r->pipe_fd[1]);
}

struct atk_weapon *atk_uring_weapon(void)
{
	static struct ring ring = {
		.w = {.name = "io_uring registered buffer",
		      .again = true,
		      .load = uring_load,
		      .aim = uring_aim,
		      .fire = uring_fire,
		      .lower = uring_lower,
		      .unload = uring_unload},
		.fd = -1,
		.pipe_fd = {-1, -1},
	};

	return &ring.w;
}
