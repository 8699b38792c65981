/*
 * sup_priv.c: see sup_priv.h. In the supervisor, at start.
 */
#include "supervisor/sup_priv.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define NOFILE_RESERVE 512u /* rings, segments, listeners, staging, files of the moment */

/* A name that is a number is that number. */
static bool number(const char *name, unsigned long *ret)
{
	char *end;

	if (name[0] < '0' || name[0] > '9')
		return false;
	errno = 0;
	*ret = strtoul(name, &end, 10);
	return !errno && *end == '\0' && *ret < UINT32_MAX;
}

static int find_user(const char *name, struct sup_user *ret)
{
	unsigned long id;

	errno = 0;
	const struct passwd *pw = number(name, &id) ? getpwuid((uid_t)id) : getpwnam(name);
	if (!pw && number(name, &id)) { /* a uid without an entry: its own group, no others */
		*ret = (struct sup_user){ .drop = true, .uid = (uid_t)id, .gid = (gid_t)id };
		return 0;
	}
	if (!pw)
		return errno == 0 || errno == ENOENT || errno == ESRCH ? -OBJM_STATUS_NOT_FOUND : -OBJM_STATUS_SYSTEM;
	*ret = (struct sup_user){ .drop = true, .uid = pw->pw_uid, .gid = pw->pw_gid };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", pw->pw_name);
	return 0;
}

int sup_priv_user(const char *name, const char *fallback, struct sup_user *ret)
{
	struct sup_user self = { .uid = geteuid(), .gid = getegid() };
	int err;

	if (self.uid != 0) {
		*ret = self;
		return 0;
	}
	if (*name) {
		err = find_user(name, ret);
		if (err == 0 && ret->uid == 0)
			*ret = self; /* `user: root` says: stay */
		return err;
	}
	if (!fallback || find_user(fallback, ret) < 0)
		*ret = self;
	return 0;
}

int sup_priv_group(const char *name, gid_t *ret_gid)
{
	unsigned long id;

	if (number(name, &id)) {
		*ret_gid = (gid_t)id;
		return 0;
	}
	errno = 0;
	const struct group *gr = getgrnam(name);
	if (!gr)
		return errno == 0 || errno == ENOENT || errno == ESRCH ? -OBJM_STATUS_NOT_FOUND : -OBJM_STATUS_SYSTEM;
	*ret_gid = gr->gr_gid;
	return 0;
}

int sup_priv_borrow(const struct sup_user *user)
{
	if (user->drop && (setegid(user->gid) < 0 || seteuid(user->uid) < 0))
		return -OBJM_STATUS_SYSTEM;
	return 0;
}

int sup_priv_unborrow(const struct sup_user *user)
{
	if (user->drop && (seteuid(0) < 0 || setegid(0) < 0))
		return -OBJM_STATUS_SYSTEM;
	return 0;
}

/* setresuid() from root clears the capabilities; this also empties what an odd securebits setting would have kept. */
static int no_caps(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &h, d) < 0 ? -1 : 0;
}

int sup_priv_drop(const struct sup_user *user)
{
	if (!user->drop)
		return 0;
	if ((*user->name ? initgroups(user->name, user->gid) : setgroups(0, NULL)) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 || setresuid(user->uid, user->uid, user->uid) < 0 ||
	    no_caps() < 0)
		return -OBJM_STATUS_SYSTEM;
	if (setuid(0) == 0) { /* must not be possible any more */
		errno = EPERM;
		return -OBJM_STATUS_SYSTEM;
	}
	return 0;
}

void sup_priv_narrow(void)
{
	/* neither fails on a kernel that has them, and there is none without among those supported */
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

uint64_t sup_priv_nofile_need(const struct om_conf *conf)
{
	/* a put session holds its file read-only while its writer is out, and for a moment writable as well */
	return (uint64_t)conf->index.max_open_fds + conf->limits.connections + conf->limits.put_sessions + conf->limits.unread_fds +
	       NOFILE_RESERVE;
}

int sup_priv_nofile(uint64_t need, uint64_t *ret_have)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		r = (struct rlimit){ 1024, 1024 };
	if (r.rlim_cur < need) {
		struct rlimit want = { OM_MAX(r.rlim_cur, need), OM_MAX(r.rlim_max, need) };
		if (setrlimit(RLIMIT_NOFILE, &want) < 0) {
			int why = errno;
			want = (struct rlimit){ OM_MIN(need, r.rlim_max), r.rlim_max };
			(void)setrlimit(RLIMIT_NOFILE, &want); /* within the hard limit: allowed */
			errno = why;
		}
		int why = errno;
		(void)getrlimit(RLIMIT_NOFILE, &r);
		errno = why;
	}
	*ret_have = r.rlim_cur;
	return r.rlim_cur < need ? -OBJM_STATUS_LIMIT_EXCEEDED : 0;
}
