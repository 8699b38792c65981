/*
 * be_probe.c: what a tier's filesystem can do, found out by doing it, once, at start. Supervisor; called through be.h.
 */
#include "backend/be_dir_int.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define PROBE_BYTES 4096

struct fs_type {
	uint32_t magic;
	const char *name;
	bool memory;
	bool syncfs; /* local, and its syncfs reports write-back errors: one for a batch pays */
};
static const struct fs_type fs_types[] = {
	{ 0x01021994, "tmpfs", true, false },
	{ 0x858458f6, "ramfs", true, false },
	{ 0xef53, "ext4", false, true },
	{ 0x58465342, "xfs", false, true },
	{ 0x9123683e, "btrfs", false, true },
	{ 0xf2f52010, "f2fs", false, true },
	{ 0xca451a4e, "bcachefs", false, true },
	{ 0x794c7630, "overlayfs", false, false },
	{ 0x2fc12fc1, "zfs", false, false },
	{ 0x6969, "nfs", false, false },
	{ 0xff534d42, "cifs", false, false },
	{ 0xfe534d42, "smb", false, false },
	{ 0x65735546, "fuse", false, false },
	{ 0x01021997, "9p", false, false },
	{ 0x00c36400, "ceph", false, false },
};

static const struct fs_type *fs_find(uint32_t magic)
{
	for (size_t i = 0; i < OM_ARRAY_SIZE(fs_types); i++)
		if (fs_types[i].magic == magic)
			return &fs_types[i];
	return NULL;
}

static OM_PRINTF(3, 4) void say(char *why, size_t len, const char *fmt, ...)
{
	size_t at = strlen(why);
	va_list ap;

	if (at >= len)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(why + at, len - at, fmt, ap);
	va_end(ap);
}

/* ---- swap ---- */

/* True if this machine swaps now: a line behind the headline. Unknown counts as yes. */
static bool swap_on(void)
{
	OM_AUTO_FILE f = fopen("/proc/swaps", "re");
	char line[512];
	unsigned n = 0;

	if (!f)
		return true;
	while (fgets(line, sizeof(line), f))
		n++;
	return n > 1;
}

/* True if the mount of `dev` has the option noswap among those of its filesystem. */
static bool mounted_noswap(dev_t dev)
{
	OM_AUTO_FILE f = fopen("/proc/self/mountinfo", "re");
	OM_AUTO_FREE char *line = NULL;
	size_t cap = 0;
	bool yes = false;

	while (f && !yes && getline(&line, &cap, f) > 0) {
		unsigned maj, min;
		char *opts = strstr(line, " - "); /* then: type, source, options of the filesystem */

		if (!opts || sscanf(line, "%*d %*d %u:%u", &maj, &min) != 2 || makedev(maj, min) != dev)
			continue;
		opts = strrchr(opts, ' ');
		for (char *save = NULL, *o = opts ? strtok_r(opts, ", \n", &save) : NULL; o && !yes;
		     o = strtok_r(NULL, ", \n", &save))
			yes = !strcmp(o, "noswap");
	}
	return yes;
}

static int check_memory(int root_fd, const struct fs_type *fs, bool allow_swap, struct be_probe *p, char *why, size_t len)
{
	struct stat st;

	if (!fs || !fs->memory) {
		say(why, len, "a memory tier must be on tmpfs or ramfs, this is %s: its bytes would reach a disk", p->fs);
		return -OBJM_STATUS_UNSUPPORTED_OP;
	}
	if (strcmp(fs->name, "tmpfs") != 0 || !swap_on())
		return 0;
	if (fstat(root_fd, &st) == 0 && mounted_noswap(st.st_dev))
		return 0;
	if (!allow_swap) {
		say(why, len, "swap is on and this tmpfs is not mounted with noswap, so its bytes may reach a disk: mount it with "
		    "noswap (Linux 6.4), turn swap off, or set allow_swap: true");
		return -OBJM_STATUS_UNSUPPORTED_OP;
	}
	p->swap_exposed = true;
	return 0;
}

/* ---- doing it ---- */

/* A file to try things on, nameless from here on. */
static int scratch(int root_fd, bool *ret_tmpfile)
{
	char name[40];
	uint64_t r = 0;
	int fd = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	*ret_tmpfile = fd >= 0;
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
		return fd;
	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return -1;
	(void)snprintf(name, sizeof(name), ".probe-%016llx", (unsigned long long)r);
	fd = openat(root_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlinkat(root_fd, name, 0); /* the tier works with a leftover too */
	return fd;
}

static bool lease_refused(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

static bool lease_granted(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return false;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

/* A lease proves something here if it is refused beside a writable descriptor and beside a live shared writable mapping whose
 * descriptor is closed, and granted when both are gone. Takes over `fd`. overlayfs fails at the mapping. */
static bool lease_works(int fd)
{
	char path[BE_DIR_PROC_MAX];
	OM_AUTO_FD rw = fd;
	bool ok;

	be_dir_proc_path(fd, path);
	OM_AUTO_FD ro = open(path, O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, PROBE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0);
	if (map == MAP_FAILED)
		return false;
	ok = ro >= 0 && lease_refused(ro);
	om_close(&rw);
	ok = ok && lease_refused(ro);
	(void)munmap(map, PROBE_BYTES);
	return ok && lease_granted(ro);
}

static bool reflinks(int root_fd, int from)
{
	bool tmpfile;
	OM_AUTO_FD to = scratch(root_fd, &tmpfile);

	return to >= 0 && ioctl(to, FICLONE, from) == 0;
}

static bool is_full(int err) { return err == ENOSPC || err == EDQUOT; }

static bool has_xattr(int fd)
{
	char got[4];

	if (fsetxattr(fd, BE_ATTR_NAME, "oma", 4, 0) < 0)
		return is_full(errno); /* known there, but for want of room; one that does not fit gets a side file anyway */
	return fgetxattr(fd, BE_ATTR_NAME, got, sizeof(got)) == 4 &&
	       fremovexattr(fd, BE_ATTR_NAME) == 0;
}

/* Can a file have two names? vfat, exFAT and some network filesystems know no links: an object could never get its name. */
static bool links(int root_fd)
{
	char a[48], b[48];
	uint64_t r = 0;
	bool ok;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return false;
	(void)snprintf(a, sizeof(a), ".probe-%016llx-a", (unsigned long long)r);
	(void)snprintf(b, sizeof(b), ".probe-%016llx-b", (unsigned long long)r);
	OM_AUTO_FD fd = openat(root_fd, a, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	ok = linkat(root_fd, a, root_fd, b, 0) == 0;
	int saved = errno;
	(void)unlinkat(root_fd, a, 0);
	if (ok)
		(void)unlinkat(root_fd, b, 0);
	errno = saved;
	return ok;
}

static int try_all(int root_fd, const struct fs_type *fs, struct be_probe *p, char *why, size_t len)
{
	static const char zeros[PROBE_BYTES];
	bool tmpfile;
	OM_AUTO_FD fd = scratch(root_fd, &tmpfile);

	/*
	 * A full disk still holds what was stored: the tier opens, and puts are refused until there is room. A hole does for
	 * what is tried below.
	 */
	bool written = fd >= 0 && (be_dir_write(fd, zeros, sizeof(zeros)) == 0 ||
				   (is_full(errno) && ftruncate(fd, PROBE_BYTES) == 0));
	if (!written) {
		say(why, len, "a file cannot be written there: %s", strerror(errno));
		return be_dir_errno();
	}
	if (!links(root_fd) && !is_full(errno)) {
		say(why, len, "%s cannot link files (%s), so objects cannot get their names there", p->fs, strerror(errno));
		return -OBJM_STATUS_UNSUPPORTED_OP;
	}
	p->caps |= tmpfile ? OM_TIERC_TMPFILE : 0;
	p->caps |= has_xattr(fd) ? OM_TIERC_XATTR : 0;
	p->caps |= reflinks(root_fd, fd) ? OM_TIERC_REFLINK : 0;
	p->caps |= fs && fs->syncfs ? OM_TIERC_SYNCFS : 0;
	p->caps |= lease_works(om_take_fd(&fd)) ? OM_TIERC_LEASE : 0;
	if (!tmpfile)
		say(why, len, "%s has no nameless files (temporary names instead); ", p->fs);
	if (!(p->caps & OM_TIERC_LEASE))
		say(why, len, "%s cannot prove that a writer is gone (every commit copies); ", p->fs);
	if (!(p->caps & OM_TIERC_XATTR))
		say(why, len, "%s has no user attributes (a side file for each object); ", p->fs);
	size_t n = strlen(why);
	if (n >= 2 && why[n - 2] == ';')
		why[n - 2] = '\0';
	return 0;
}

int be_probe(int root_fd, unsigned type, bool allow_swap, struct be_probe *ret, char *why, size_t why_len)
{
	struct be_probe p = { 0 };
	const struct fs_type *fs;
	struct statfs sfs;
	int rc;

	why[0] = '\0';
	if (fstatfs(root_fd, &sfs) < 0) {
		say(why, why_len, "its filesystem cannot be asked: %s", strerror(errno));
		return be_dir_errno();
	}
	fs = fs_find((uint32_t)sfs.f_type);
	if (fs)
		(void)snprintf(p.fs, sizeof(p.fs), "%s", fs->name);
	else
		(void)snprintf(p.fs, sizeof(p.fs), "0x%x", (unsigned)sfs.f_type);
	rc = type == OM_TIER_MEMORY ? check_memory(root_fd, fs, allow_swap, &p, why, why_len) : 0;
	if (rc == 0)
		rc = try_all(root_fd, fs, &p, why, why_len);
	if (rc == 0)
		*ret = p;
	return rc;
}
