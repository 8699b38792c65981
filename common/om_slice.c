/*
 * om_slice.c: see om_slice.h. The structure is the kernel's (sched_setattr(2)); glibc has had a name for it since 2.41 only.
 */
#include "common/om_slice.h"

#include <sys/syscall.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

static_assert(sizeof(struct attr) == 48, "the first version of sched_attr");

void om_slice(uint32_t us)
{
	struct attr a = { .size = sizeof(a) };

	/* Its nice value stays what it is. */
	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0 || a.policy != 0 /* somebody gave it another one */)
		return;
	a.size = sizeof(a);
	a.flags = 0;
	a.runtime_ns = (uint64_t)us * 1000;
	(void)syscall(SYS_sched_setattr, 0, &a, 0); /* a wish */
}
