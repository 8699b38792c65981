/*
 * sup_tier_ro.c: a tier whose filesystem is read-only. Nothing of it can be changed, its catalog least of all; so the catalog is copied
 * to state_dir, and the copy takes the deletes while this lasts. Each of them leaves a tombstone too: when the filesystem can be written again
 * the copy is dropped, and the tier's own catalog is opened and told, as after an absence. Main loop's thread at start, then tierd's.
 */
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "index/cat/idx_cat.h"
#include "supervisor/sup_engine_int.h"

#define DATA "data.mdb"

bool sup_tier_ro_said(int rootfd)
{
	struct statvfs vfs;

	return fstatvfs(rootfd, &vfs) == 0 && (vfs.f_flag & ST_RDONLY);
}

/* One that an error has made read-only does not say so since Linux 6.15 (ext4, emergency_ro). */
bool sup_tier_ro_tried(int rootfd)
{
	OM_AUTO_FD fd = openat(rootfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 && (errno == EROFS || sup_tier_ro_said(rootfd));
}

static void copy_dir(const struct sup_engine *e, const struct sup_tier *t, char ret[static SUP_RO_DIR_MAX])
{
	(void)snprintf(ret, SUP_RO_DIR_MAX, "%s/read-only/%s", e->state_dir, t->conf->name);
}

static int copy_file(const char *from, const char *to)
{
	OM_AUTO_FD in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	OM_AUTO_FD out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t n = in < 0 || out < 0 ? -1 : 1;

	while (n > 0)
		n = sendfile(out, in, NULL, 1u << 30);
	return n < 0 ? -1 : 0;
}

bool sup_tier_ro_catalog(const struct sup_engine *e, const struct sup_tier *t, char ret_dir[static SUP_RO_DIR_MAX], char *why, size_t cap)
{
	char dir[SUP_RO_DIR_MAX], from[SUP_RO_DIR_MAX + sizeof("/" DATA)], to[SUP_RO_DIR_MAX + sizeof("/" DATA)], all[SUP_RO_DIR_MAX];

	copy_dir(e, t, ret_dir);
	(void)snprintf(all, sizeof(all), "%s/read-only", e->state_dir);
	(void)snprintf(from, sizeof(from), "%s/" DATA, om_conf_catalog_dir(e->state_dir, t->conf, dir, sizeof(dir)));
	(void)snprintf(to, sizeof(to), "%s/" DATA, ret_dir);
	if (idx_cat_discard(ret_dir) == 0 && (mkdir(all, 0700) == 0 || errno == EEXIST) && (mkdir(ret_dir, 0700) == 0 || errno == EEXIST) &&
	    copy_file(from, to) == 0)
		return true;
	(void)snprintf(why, cap, "its filesystem is read-only, and its catalog cannot be copied from %.80s to %.80s: %s", from, to, strerror(errno));
	return false;
}

void sup_tier_ro_drop(const struct sup_engine *e, const struct sup_tier *t)
{
	char dir[SUP_RO_DIR_MAX];

	copy_dir(e, t, dir);
	if (access(dir, F_OK) < 0) /* as nearly always */
		return;
	(void)idx_cat_discard(dir); /* what stays is overwritten the next time */
	(void)rmdir(dir);
}
