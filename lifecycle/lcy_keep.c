/* lcy_keep.c: see lcy_keep.h. */
#include "lifecycle/lcy_keep.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "common/om_fault.h"

static const char *const names[2] = { "heat.0", "heat.1" };

static uint64_t sum_of(const struct lcy_keep *k)
{
	struct lcy_keep_head h = k->head;
	XXH3_state_t *s = XXH3_createState();

	if (!s)
		return 0;
	h.sum = 0;
	(void)XXH3_64bits_reset(s);
	(void)XXH3_64bits_update(s, &h, sizeof(h));
	(void)XXH3_64bits_update(s, k->entry, k->head.n * sizeof(*k->entry));
	uint64_t sum = XXH3_64bits_digest(s);
	(void)XXH3_freeState(s);
	return sum;
}

static bool read_all(int fd, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)buf + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const char *)buf + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool rising(const struct lcy_keep *k)
{
	for (uint64_t i = 1; i < k->head.n; i++)
		if (k->entry[i - 1].id >= k->entry[i].id)
			return false;
	return true;
}

/* One file: false if it is not there or not whole. */
static bool read_one(int dirfd, const char *name, struct lcy_keep *ret)
{
	OM_AUTO_FD fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	ret->entry = NULL;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !read_all(fd, &ret->head, sizeof(ret->head)))
		return false;
	/* exact: a file cut short or with something behind it is none of ours */
	if (ret->head.magic != LCY_KEEP_MAGIC || ret->head.n > LCY_KEEP_MAX ||
	    (uint64_t)st.st_size != sizeof(ret->head) + ret->head.n * sizeof(*ret->entry))
		return false;
	ret->entry = malloc(ret->head.n * sizeof(*ret->entry) + 1);
	if (ret->entry && read_all(fd, ret->entry, ret->head.n * sizeof(*ret->entry)) && sum_of(ret) == ret->head.sum && rising(ret))
		return true;
	free(ret->entry);
	ret->entry = NULL;
	return false;
}

int lcy_keep_read(int dirfd, struct lcy_keep *ret)
{
	struct lcy_keep k[2];
	bool ok[2] = { read_one(dirfd, names[0], &k[0]), read_one(dirfd, names[1], &k[1]) };

	if (!ok[0] && !ok[1])
		return -OBJM_STATUS_NOT_FOUND;
	unsigned best = !ok[0] || (ok[1] && k[1].head.seq > k[0].head.seq);
	if (ok[!best])
		free(k[!best].entry);
	*ret = k[best];
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct lcy_keep_entry *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

int lcy_keep_write(int dirfd, struct lcy_keep *k)
{
	uint64_t n = 0;

	OM_ASSERT(k->head.n <= LCY_KEEP_MAX);
	if (k->head.n)
		qsort(k->entry, k->head.n, sizeof(*k->entry), by_id);
	/* an object that changed its slot while all were looked at may be there twice */
	for (uint64_t i = 0; i < k->head.n; i++)
		if (n == 0 || k->entry[n - 1].id != k->entry[i].id)
			k->entry[n++] = k->entry[i];
	k->head.n = n;
	k->head.magic = LCY_KEEP_MAGIC;
	k->head.sum = sum_of(k);
	OM_AUTO_FD fd = openat(dirfd, names[k->head.seq & 1], O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int injected = om_fault(OM_FAULT_HEAT_SAVE);
	if (injected)
		return -om_status_errno(injected);
	if (fd < 0 || !write_all(fd, &k->head, sizeof(k->head)) || !write_all(fd, k->entry, n * sizeof(*k->entry)) || fdatasync(fd) < 0)
		return -om_status_errno(errno);
	return 0;
}

const struct lcy_keep_entry *lcy_keep_find(const struct lcy_keep *keep, uint64_t id)
{
	uint64_t lo = 0, hi = keep->entry ? keep->head.n : 0;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (keep->entry[mid].id == id)
			return &keep->entry[mid];
		if (keep->entry[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
