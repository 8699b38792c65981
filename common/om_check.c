/*
 * om_check.c: OM_CHECK() of om_base.h: what is wrong inside and survived is logged. Linked by every program of the daemon.
 */
#include "common/om_log.h"

bool om_check_fail(const char *cond, const char *file, int line, const char *func)
{
	om_log(OM_MSG_CHECK, "check failed, going on: %s (%s:%d, %s)", cond, file, line, func);
	return false;
}
