/*
 * sup_admin_doctor.c: admin command doctor: what of this machine and configuration stands in the way, each with what to do. In the
 * supervisor's main thread; looks at /proc and at what is known already, never at a disk that might not answer.
 */
#include <linux/landlock.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "common/om_fs.h"
#include "supervisor/sup_admin_cmd.h"

struct doctor {
	struct sup_admin_call *call;
	json_t *checks;
	unsigned warnings, errors;
};

enum verdict { GOOD, WARN, BAD };

/* One finding. `todo` "": nothing. */
static void find(struct doctor *d, enum verdict v, const char *what, const char *todo, const char *fmt, ...) OM_PRINTF(5, 6);
static void find(struct doctor *d, enum verdict v, const char *what, const char *todo, const char *fmt, ...)
{
	static const char *const names[] = { "ok", "warning", "error" };
	char found[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(found, sizeof(found), fmt, ap);
	va_end(ap);
	d->warnings += v == WARN;
	d->errors += v == BAD;
	(void)json_array_append_new(d->checks, json_pack("{s:s, s:s, s:o, s:s}", "check", what, "verdict", names[v], "found",
							 sup_admin_text(found), "todo", v == GOOD ? "" : todo));
}

/* The first line of a small file below /proc; "" if there is none. */
static void proc_line(const char *path, char *ret, size_t cap)
{
	FILE *f = fopen(path, "re");

	ret[0] = '\0';
	if (f && !fgets(ret, (int)cap, f))
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (f)
		(void)fclose(f);
}

static bool swap_on(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[256];
	unsigned lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		(void)fclose(f);
	return lines > 1; /* the first is a title */
}

static void check_machine(struct doctor *d)
{
	const struct sup *sup = d->call->sup;
	uint64_t need = sup_priv_nofile_need(sup->conf);
	char line[64];
	struct utsname un;

	if (uname(&un) == 0)
		find(d, GOOD, "kernel", "", "%s", un.release);
	find(d, sup->env.nofile >= need ? GOOD : WARN, "open files", "raise LimitNOFILE= of the unit (ulimit -n), or lower index.max_open_fds "
	     "and limits", "a worker may have %llu, the configuration needs %llu", (unsigned long long)sup->env.nofile,
	     (unsigned long long)need);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	find(d, abi >= 2 ? GOOD : WARN, "landlock", "use a kernel with Landlock ABI 2 or later (5.19), with landlock in lsm=",
	     "ABI %ld%s", abi, abi < 2 ? ": workers are held by file permissions alone" : "");
	proc_line("/proc/sys/fs/protected_hardlinks", line, sizeof(line));
	find(d, !strcmp(line, "1") ? GOOD : WARN, "protected_hardlinks", "sysctl fs.protected_hardlinks=1",
	     "%s", *line ? line : "not to be read");
	find(d, sup->user.uid ? GOOD : WARN, "user", "name an account in `user`, or use the unit", "uid %u", (unsigned)sup->user.uid);
}

static void check_tier(struct doctor *d, const struct sup_engine_tier_stat *t, const struct om_conf_backend *b)
{
	char what[OM_TIER_NAME_MAX + 8];
	bool memory = t->type == OM_TIER_MEMORY;

	(void)snprintf(what, sizeof(what), "tier %s", t->name);
	if (t->state == OM_TIERS_ABSENT) {
		find(d, BAD, what, "mount it or correct its path (it comes back by itself), or objmctl tier add, adopt, forget",
		     "%s is absent: the log says why", t->path);
		return;
	}
	find(d, t->state == OM_TIERS_FAILED ? BAD : GOOD, what, "check the disk, then restart the daemon", "%s, %s, %s", t->path,
	     om_tier_type_name(t->type), om_tier_state_name(t->state));
	if (t->used_bytes > t->capacity_bytes)
		find(d, WARN, what, "give it more capacity, delete objects, or give a slower tier room for them",
		     "it holds %llu MiB, more than its capacity of %llu MiB: no put finds room there", (unsigned long long)(t->used_bytes >> 20),
		     (unsigned long long)(t->capacity_bytes >> 20));
	if (!(t->caps & OM_TIERC_LEASE))
		find(d, WARN, what, "put it on ext4, xfs, btrfs or tmpfs", "read leases prove nothing here: every commit copies");
	if (!(t->caps & OM_TIERC_TMPFILE))
		find(d, WARN, what, "put it on ext4, xfs, btrfs or tmpfs", "no nameless files: puts begin under temporary names");
	if (!(t->caps & OM_TIERC_XATTR))
		find(d, WARN, what, "put it on ext4, xfs, btrfs or (Linux 6.6) tmpfs", "no user attributes: they lie in side files");
	if (t->unaccounted_bytes == UINT64_MAX)
		find(d, WARN, what, "give it a mount or a quota of its own", "no hard bound: whatever else lies on its filesystem takes its room");
	if (memory && b && b->allow_swap && swap_on())
		find(d, WARN, what, "mount the tmpfs with noswap, or switch swap off", "swap is on: ephemeral bytes may reach a disk (allow_swap)");
	if (b) {
		char buf[OM_CONF_DIR_MAX];
		const char *dir = om_conf_catalog_dir(d->call->sup->conf->state_dir, b, buf, sizeof(buf)), *fs = om_fs_remote(dir);
		find(d, fs ? BAD : GOOD, what, "leave index_path out: the catalog then lies below state_dir", "its catalog lies in %s%s%s",
		     dir, fs ? ", on " : "", fs ? fs : "");
	}
}

int sup_admin_run_DOCTOR(struct sup_admin_call *call)
{
	struct doctor d = { .call = call, .checks = json_array() };
	const struct om_conf *conf = call->sup->conf;
	struct sup_engine_stat st = { 0 };
	const char *fs;

	sup_engine_stat(call->sup->engine, &st);
	check_machine(&d);
	fs = om_fs_remote(conf->state_dir);
	find(&d, fs ? BAD : GOOD, "state_dir", "put it on a local disk", "%s%s%s", conf->state_dir, fs ? ", on " : "", fs ? fs : "");
	for (unsigned i = 0; i < st.n_tiers; i++)
		check_tier(&d, &st.tiers[i], om_conf_find_tier(conf, st.tiers[i].name));
	sup_admin_put(call->reply, "errors", sup_admin_num(d.errors));
	sup_admin_put(call->reply, "warnings", sup_admin_num(d.warnings));
	sup_admin_put(call->reply, "checks", d.checks);
	return 0;
}
