/*
 * wrk_right.c: see wrk_right.h (process objmapper-worker, loop thread). Called by whoever begins a request.
 */
#include "worker/wrk_right.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"

uint32_t wrk_right_put(uint32_t flags)
{
	return OM_RIGHT_WRITE | ((flags & OM_OBJ_EPHEMERAL) ? OM_RIGHT_EPHEMERAL : 0u) |
	       ((flags & OM_OBJ_PINNED) ? OM_RIGHT_PIN : 0u) | ((flags & OM_OBJ_EVICTABLE) ? OM_RIGHT_EVICTABLE : 0u);
}

/* The first of `rights` that is missing. */
static uint32_t wrk_right_missing(const struct wrk_access *a, uint32_t rights, const char *uri, size_t len)
{
	for (uint32_t bit = 1; bit <= OM_RIGHTS_ALL; bit <<= 1)
		if ((rights & bit) && !wrk_access_may(a, bit, uri, len))
			return bit;
	return 0;
}

bool wrk_right(struct wrk_req *r, uint32_t rights, const char *uri, size_t len)
{
	char text[128];

	if (!r->conn || wrk_access_may(r->conn->access, rights, uri, len))
		return true; /* of a connection that is gone: its answer goes nowhere */
	om_count_own(OM_C_DENIED, 1);
	(void)snprintf(text, sizeof(text), "permission denied: access.rules do not give you the right `%s` here",
		       om_right_name(wrk_right_missing(r->conn->access, rights, uri, len)));
	wrk_answer_error(r, -OBJM_STATUS_PERMISSION_DENIED, text);
	return false;
}
