/*
 * sup_dropin.c: what objmapper.service must be told of the configured tiers (objmapperd --systemd-dropin). Main thread; nothing runs
 * beside it in this process.
 *
 * The unit may write nowhere but below its own directories (ProtectSystem=strict), so the others are named by ReadWritePaths=. What is
 * named there is looked at by systemd before the daemon starts, and becomes a mount of its own in the unit's name space. So a disk
 * is named by the directory above its mount point. Named by the tier's directory it would stay mounted, and in use, when it is
 * unmounted, and what is mounted in its place would never be seen; and named by either, one that answers with errors would keep
 * the unit from starting at all, and with it what lies on all others.
 *
 * For the same reason a tier's disk is waited for (Wants=, After=), not required.
 */
#include "supervisor/sup_preflight.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <sys/stat.h>

#define STATE_DIR_DEFAULT "/var/lib/objmapper"
#define MEMORY_MOUNT "/run/objmapper/memory" /* of run-objmapper-memory.mount, which the unit names itself */

static bool inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return !strncmp(path, dir, n) && (path[n] == '/' || path[n] == '\0');
}

/* As systemd reads it: in quotes, % as %%, \\ before what would end the quotes. */
static void put_line(FILE *out, const char *key, const char *path)
{
	(void)fprintf(out, "%s", key);
	for (const char *s = path; *s; s++) {
		if (*s == '"' || *s == '\\')
			(void)fputc('\\', out);
		if (*s == '%')
			(void)fputc('%', out);
		(void)fputc(*s, out);
	}
	(void)fputs("\"\n", out);
}

/* The name of a mount point's unit: systemd-escape --path. Such a name needs no quotes. */
static void put_unit(FILE *out, const char *key, const char *mount)
{
	const char *s = mount + strspn(mount, "/");

	(void)fprintf(out, "%s", key);
	for (bool first = true; *s; s++, first = false) {
		if (*s == '/')
			(void)fputc('-', out);
		else if (isalnum((unsigned char)*s) || *s == ':' || *s == '_' || (*s == '.' && !first))
			(void)fputc(*s, out);
		else
			(void)fprintf(out, "\\x%02x", (unsigned char)*s);
	}
	(void)fputs(".mount\n", out);
}

static bool is_mount_point(const char *path)
{
	struct statx x;

	return statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, 0, &x) == 0 && (x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* What a system does not run without: nobody unmounts it, and the unit is not to write all over it. */
static bool is_system(const char *mount)
{
	static const char *const dirs[] = { "/", "/var", "/var/lib", "/var/tmp", "/usr", "/home", "/root", "/etc", "/opt", "/tmp", "/run", "/dev/shm" };

	for (size_t i = 0; i < OM_ARRAY_SIZE(dirs); i++)
		if (!strcmp(mount, dirs[i]))
			return true;
	return false;
}

/* The mount point of the disk that a directory lies on, into `ret`. False: it lies on the system's own. */
static bool disk_of(const char *dir, char ret[static PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, "%s", dir);
	while (!is_mount_point(ret)) {
		char *end = strrchr(ret, '/');
		if (!end || end == ret)
			return false;
		*end = '\0';
	}
	return !is_system(ret);
}

#define PLACES_MAX (2 * OM_TIERS_MAX + 1)

struct places {
	char rw[PLACES_MAX][PATH_MAX];	 /* where it may write */
	char disk[PLACES_MAX][PATH_MAX]; /* mount points of tiers */
	unsigned n_rw, n_disks;
	char alone[PATH_MAX]; /* a mount point that stands for itself: there is no directory above it to name */
};

static void add(char list[][PATH_MAX], unsigned *n, const char *path, bool below)
{
	for (unsigned i = 0; i < *n; i++)
		if (below ? inside(path, list[i]) : !strcmp(path, list[i]))
			return;
	(void)snprintf(list[(*n)++], PATH_MAX, "%s", path);
}

/* The directory above a mount point, on the system's own disk. False: there is none that may be named. */
static bool above(const char *mount, char ret[static PATH_MAX])
{
	char disk[PATH_MAX];

	(void)snprintf(ret, PATH_MAX, "%s", mount);
	do {
		char *end = strrchr(ret, '/');
		if (!end || end == ret)
			return false;
		*end = '\0';
		if (is_system(ret))
			return false;
		if (!disk_of(ret, disk))
			return true;
		(void)snprintf(ret, PATH_MAX, "%s", disk);
	} while (true);
}

static void want(struct places *p, const char *dir)
{
	char disk[PATH_MAX], parent[PATH_MAX];

	if (!disk_of(dir, disk)) {
		add(p->rw, &p->n_rw, dir, true);
		return;
	}
	add(p->disk, &p->n_disks, disk, false);
	if (above(disk, parent)) {
		add(p->rw, &p->n_rw, parent, true);
		return;
	}
	add(p->rw, &p->n_rw, disk, true);
	(void)snprintf(p->alone, sizeof(p->alone), "%s", disk);
}

static void find_all(const struct om_conf *conf, struct places *p)
{
	if (!inside(conf->state_dir, STATE_DIR_DEFAULT))
		add(p->rw, &p->n_rw, conf->state_dir, true); /* without it nothing goes */
	for (size_t i = 0; i < conf->n_backends && i < OM_TIERS_MAX; i++) {
		const char *const dirs[] = { conf->backends[i].path, conf->backends[i].index_path };
		for (unsigned k = 0; k < OM_ARRAY_SIZE(dirs); k++)
			if (*dirs[k] && !inside(dirs[k], STATE_DIR_DEFAULT) && !inside(dirs[k], MEMORY_MOUNT))
				want(p, dirs[k]);
	}
}

int sup_dropin(const struct om_conf *conf, FILE *out)
{
	OM_AUTO_FREE struct places *p = calloc(1, sizeof(*p));
	bool state = !inside(conf->state_dir, STATE_DIR_DEFAULT);

	if (!p)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	find_all(conf, p);
	(void)fprintf(out, "# For %s, by objmapperd --systemd-dropin, with the disks as they are mounted now. Make it\n"
			   "# /etc/systemd/system/objmapper.service.d/tiers.conf, then systemctl daemon-reload && systemctl restart objmapper.service\n",
		      conf->file);
	if (p->n_rw == 0)
		(void)fputs("# Nothing is needed: every tier lies where the unit lets the daemon write.\n", out);
	if (*p->alone)
		(void)fprintf(out, "# %s: should this disk fail while it is mounted, the daemon cannot be started before it is unmounted. Mounted at\n"
				   "# /srv/NAME or /mnt/NAME it would not be so.\n", p->alone);
	if (state || p->n_disks)
		(void)fputs("[Unit]\n", out);
	if (state)
		put_line(out, "RequiresMountsFor=\"", conf->state_dir);
	for (unsigned i = 0; i < p->n_disks; i++) {
		put_unit(out, "Wants=", p->disk[i]);
		put_unit(out, "After=", p->disk[i]);
	}
	if (p->n_rw)
		(void)fprintf(out, "%s[Service]\n", state || p->n_disks ? "\n" : "");
	for (unsigned i = 0; i < p->n_rw; i++)
		put_line(out, "ReadWritePaths=\"-", p->rw[i]);
	return ferror(out) ? -OBJM_STATUS_SYSTEM : 0;
}
