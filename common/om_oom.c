/*
 * om_oom.c: see om_oom.h.
 */
#include "common/om_oom.h"

#include <stdio.h>

#include "common/om_base.h"

void om_oom_rather(int by)
{
	OM_AUTO_FILE f = fopen("/proc/self/oom_score_adj", "r+e");
	int now;

	if (!f || fscanf(f, "%d", &now) != 1)
		return;
	rewind(f);
	(void)fprintf(f, "%d\n", OM_MIN(now + by, 1000));
}
