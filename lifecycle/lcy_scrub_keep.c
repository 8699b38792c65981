/* lcy_scrub_keep.c: what is remembered of scrubs, in state_dir/heat.d, and their pace: see lcy_scrub.h. No state of its own. */
#include "lifecycle/lcy_scrub.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#define DAY_NS 86400e9

static const char *const names[2] = { "scrub.0", "scrub.1" };

static uint64_t sum_of(struct lcy_scrub_state *s)
{
	uint64_t was = s->sum;

	s->sum = 0;
	uint64_t sum = XXH3_64bits(s, sizeof(*s));
	s->sum = was;
	return sum;
}

/* What lies in it is used as it is: names end, and numbers are in range. */
static bool sane(const struct lcy_scrub_state *s)
{
	bool ok = s->n_bad <= LCY_SCRUB_BAD_MAX;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		ok = ok && memchr(s->row[i].name, '\0', sizeof(s->row[i].name));
	for (unsigned i = 0; ok && i < s->n_bad; i++)
		ok = s->bad[i].tier < OM_TIERS_MAX && s->bad[i].what > 0 && s->bad[i].what < LCY_SCRUB_WHATS;
	return ok;
}

static bool read_one(int dirfd, const char *name, struct lcy_scrub_state *ret)
{
	OM_AUTO_FD fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == sizeof(*ret) &&
	       pread(fd, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) && ret->magic == LCY_SCRUB_MAGIC && ret->sum == sum_of(ret) && sane(ret);
}

int lcy_scrub_read(int dirfd, struct lcy_scrub_state *ret)
{
	struct lcy_scrub_state *other = malloc(sizeof(*other));
	bool one = read_one(dirfd, names[0], ret), two = other && read_one(dirfd, names[1], other);

	if (two && (!one || other->seq > ret->seq))
		*ret = *other;
	else if (!one)
		memset(ret, 0, sizeof(*ret));
	free(other);
	return one || two ? 0 : -OBJM_STATUS_NOT_FOUND;
}

int lcy_scrub_write(int dirfd, struct lcy_scrub_state *s, bool sync)
{
	s->magic = LCY_SCRUB_MAGIC;
	s->seq++;
	s->sum = sum_of(s);
	OM_AUTO_FD fd = openat(dirfd, names[s->seq & 1], O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t n = fd < 0 ? -1 : write(fd, s, sizeof(*s));

	if (n >= 0 && n < (ssize_t)sizeof(*s)) { /* the disk is full: the other file is whole */
		errno = ENOSPC;
		n = -1;
	}
	if (n < 0 || (sync && fdatasync(fd) < 0)) {
		s->seq--; /* the next goes over the same file: the other one is the last that was whole */
		return -om_status_errno(errno);
	}
	return 0;
}

uint64_t lcy_scrub_share(uint32_t days, uint64_t bytes, double total)
{
	double cost = lcy_scrub_cost(bytes);

	return (uint64_t)((double)days * DAY_NS * cost / OM_MAX(total, cost));
}

uint64_t lcy_scrub_left(uint64_t waited_ns, uint64_t share_ns)
{
	return waited_ns > share_ns ? OM_MIN(waited_ns - share_ns, LCY_SCRUB_LATE_NS) : 0;
}
