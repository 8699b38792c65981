/*
 * lcy_drain.c: tiers that everything moves off, remembered over a restart: state_dir/heat.d/drain holds their names, a line
 * each. Loop's thread of objmapper-lifecycle. Written in place: a crash in the middle leaves a list that may lack a name, and the
 * administrator's next `tier drain` says so.
 */
#include "lifecycle/lcy_task.h"

#include <fcntl.h>

#define DRAIN_FILE "drain"

static void remember(const struct lcy *l)
{
	char text[OM_TIERS_MAX * (OM_TIER_NAME_MAX + 1) + 1];
	size_t at = 0;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (l->tiers[i].drain && at < sizeof(text) - OM_TIER_NAME_MAX - 1)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\n", lcy_tier_name(l, i));
	if (l->save.dirfd < 0)
		return;
	OM_AUTO_FD fd = openat(l->save.dirfd, DRAIN_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, at) != (ssize_t)at || fsync(fd) < 0)
		om_log(OM_MSG_NOTE, "which tiers are drained could not be written to state_dir/heat.d: %m; a restart forgets it");
}

void lcy_drain_set(struct lcy *l, unsigned tier, bool on)
{
	struct lcy_tier *t = &l->tiers[tier];

	if (t->drain == on) { /* asked again: what could go nowhere a while ago may be able to now */
		if (on && t->drain_idle > 0)
			lcy_plan_soon(l);
		return;
	}
	t->drain = on;
	t->drained = t->drained_bytes = t->drain_stuck = t->drain_seen = t->drain_again_ns = 0;
	t->drain_idle = t->drain_looks = 0;
	remember(l);
	lcy_plan_soon(l);
}

void lcy_drain_resume(struct lcy *l)
{
	char text[OM_TIERS_MAX * (OM_TIER_NAME_MAX + 1) + 1];
	OM_AUTO_FD fd = l->save.dirfd < 0 ? -1 : openat(l->save.dirfd, DRAIN_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *save = NULL, *name = strtok_r(text, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
		for (unsigned i = 0; i < l->boot.n_tiers; i++) {
			unsigned no = l->boot.tiers[i].tier;
			if (no < OM_TIERS_MAX && strcmp(l->boot.tiers[i].name, name) == 0) {
				l->tiers[no].drain = true;
				om_log(OM_MSG_NOTE, "tier %s: its drain goes on", name);
			}
		}
	}
}
