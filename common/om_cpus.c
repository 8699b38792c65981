/*
 * om_cpus.c: see om_cpus.h.
 */
#include "common/om_cpus.h"

#include <string.h>
#include <unistd.h>

#include "common/om_base.h"

unsigned om_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)OM_MAX(CPU_COUNT(&set), 1);
	return (unsigned)OM_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L); /* more than the set has room for */
}

void om_place_init(struct om_place *p)
{
	int last = CPU_SETSIZE - 1;

	memset(p, 0, sizeof(*p));
	if (sched_getaffinity(0, sizeof(p->any), &p->any) < 0 || CPU_COUNT(&p->any) < 2)
		return;
	while (!CPU_ISSET((unsigned)last, &p->any))
		last--;
	CPU_SET((unsigned)last, &p->one);
	p->two = true;
}

void om_place_stay(const struct om_place *p, bool *bound)
{
	if (p->two && !*bound)
		*bound = sched_setaffinity(0, sizeof(p->one), &p->one) == 0;
}

void om_place_roam(const struct om_place *p, bool *bound)
{
	if (*bound)
		(void)sched_setaffinity(0, sizeof(p->any), &p->any);
	*bound = false;
}
