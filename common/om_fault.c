/*
 * om_fault.c: see om_fault.h. Runs in every process of the daemon.
 */
#include "common/om_fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

const struct om_fault_info om_fault_table[OM_FAULT_COUNT] = {
#define OM_FAULT_POINT(name, text, where) { text, where },
#include "common/tbl/fault.def"
#undef OM_FAULT_POINT
};

#if OM_FAULTS
enum action { ACT_KILL, ACT_ERROR, ACT_NOSPACE, ACT_STALL };

static struct {
	int point; /* -1: none */
	enum action action;
	_Atomic long left; /* times to pass before it acts; acts when it goes from 1 to 0 */
} g = { .point = -1 };

static bool parse_action(const char *text, size_t len, enum action *ret)
{
	static const char *const names[] = { "kill", "error", "nospace", "stall" };

	for (unsigned i = 0; i < OM_ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == len && !memcmp(names[i], text, len)) {
			*ret = (enum action)i;
			return true;
		}
	}
	return false;
}

int om_fault_init(void)
{
	const char *env = getenv("OBJM_FAULT");

	if (!env || !*env)
		return 0;
	size_t name = strcspn(env, ":");
	const char *act = env[name] ? env + name + 1 : "kill";
	size_t act_len = strcspn(act, ":");
	long nth = act[act_len] ? strtol(act + act_len + 1, NULL, 10) : 1;

	for (unsigned i = 0; i < OM_FAULT_COUNT; i++)
		if (strlen(om_fault_table[i].text) == name && !memcmp(om_fault_table[i].text, env, name))
			g.point = (int)i;
	if (g.point < 0 || !parse_action(act, act_len, &g.action) || nth < 1) {
		g.point = -1;
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	g.left = nth;
	return 0;
}

int om_fault(enum om_fault point)
{
	if (OM_LIKELY(g.point != (int)point))
		return 0;
	if (atomic_fetch_sub(&g.left, 1) != 1)
		return 0;
	switch (g.action) {
	case ACT_KILL:
		/* tgkill of ourselves: the one way that a narrowed child keeps; and never silently nothing */
		(void)syscall(SYS_tgkill, getpid(), gettid(), SIGKILL);
		_exit(137);
	case ACT_ERROR:
		return EIO;
	case ACT_NOSPACE:
		return ENOSPC;
	case ACT_STALL:
		(void)sleep(10);
		return 0;
	}
	return 0;
}

bool om_fault_stalls(enum om_fault point)
{
	return OM_UNLIKELY(g.point == (int)point) && g.action == ACT_STALL && atomic_load(&g.left) > 0;
}
#else
int om_fault_init(void)
{
	const char *env = getenv("OBJM_FAULT");
	return env && *env ? -OBJM_STATUS_UNSUPPORTED_OP : 0;
}
#endif
