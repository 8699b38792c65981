/*
 * sup_drain.c: see sup_drain.h. In the supervisor's main thread.
 */
#include "supervisor/sup_drain.h"

#include <fcntl.h>

#include "common/om_log.h"
#include "supervisor/sup.h"

#define FILE_NAME "draining"
#define FILE_NEW "draining.new"
#define FILE_MAX (OM_TIERS_MAX * OM_TIER_NAME_MAX)

void sup_drain_load(struct sup *sup)
{
	char buf[FILE_MAX + 1], *save = NULL;
	OM_AUTO_FD fd = openat(sup->state_dirfd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, FILE_MAX);

	if (n <= 0)
		return;
	buf[n] = '\0';
	for (char *name = strtok_r(buf, "\n", &save); name; name = strtok_r(NULL, "\n", &save))
		if (sup_engine_tier_draining(sup->engine, name, true) == 0)
			om_log(OM_MSG_NOTE, "tier %s is being drained: it takes no new objects (objmctl tier drain %s --stop)", name, name);
}

static int save_all(const struct sup *sup)
{
	struct sup_engine_stat st = { 0 };
	char buf[FILE_MAX + 1];
	size_t n = 0;

	sup_engine_stat(sup->engine, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		if (st.tiers[i].draining)
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s\n", st.tiers[i].name);
	OM_AUTO_FD fd = openat(sup->state_dirfd, FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, buf, n) != (ssize_t)n || renameat(sup->state_dirfd, FILE_NEW, sup->state_dirfd, FILE_NAME) < 0)
		return -OBJM_STATUS_SYSTEM;
	return 0;
}

void sup_drain_set(struct sup *sup, const char *tier, bool on)
{
	if (sup_engine_tier_draining(sup->engine, tier, on) < 0)
		return;
	if (save_all(sup) < 0)
		om_log(OM_MSG_NOTE, "state_dir/" FILE_NAME " cannot be written (%m): the next start does not know what is being drained");
}
