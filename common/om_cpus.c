/*
 * om_cpus.c: see om_cpus.h.
 */
#include "common/om_cpus.h"

#include <sched.h>
#include <unistd.h>

#include "common/om_base.h"

unsigned om_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)OM_MAX(CPU_COUNT(&set), 1);
	return (unsigned)OM_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L); /* more than the set has room for */
}
