/*
 * sup_preflight.c: see sup_preflight.h. Called by sup_main.c.
 */
#include "supervisor/sup_preflight.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "backend/be.h"
#include "common/om_log.h"
#include "index/cat/idx_state.h"
#include "index/cat/idx_tier_mark.h"
#include "supervisor/sup_spawn.h"
#include "supervisor/sup_start.h"

struct flight {
	const struct om_conf *conf;
	FILE *out;
	unsigned problems;
	bool served;	/* a daemon runs on this state_dir */
	struct idx_state *state; /* NULL: there is none, or it cannot be read */
	struct sup_user user;
};

static void say(struct flight *f, const char *kind, const char *fmt, ...) OM_PRINTF(3, 4);
static void say(struct flight *f, const char *kind, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(f->out, "%s: ", kind);
	va_start(ap, fmt);
	(void)vfprintf(f->out, fmt, ap);
	va_end(ap);
	(void)fputc('\n', f->out);
	f->problems += kind[0] == 'p';
}
#define OK(...) say(f, "ok", __VA_ARGS__)
#define NOTE(...) say(f, "note", __VA_ARGS__)
#define PROBLEM(...) say(f, "problem", __VA_ARGS__)

/* ---- the programs ---- */

/* First line of `path --version`; "" if it does not run. */
static void version_of(const char *path, char *ret, size_t cap)
{
	char *argv[] = { (char *)(uintptr_t)path, (char *)(uintptr_t)"--version", NULL }, *envp[] = { NULL };
	posix_spawn_file_actions_t fa;
	int p[2], status;
	pid_t pid;

	*ret = '\0';
	if (pipe2(p, O_CLOEXEC) < 0)
		return;
	OM_AUTO_FD rd = p[0];
	int wr = p[1];
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_adddup2(&fa, wr, STDOUT_FILENO);
	int err = posix_spawn(&pid, path, &fa, NULL, argv, envp);
	(void)posix_spawn_file_actions_destroy(&fa);
	om_close(&wr);
	if (err != 0)
		return;
	ssize_t n = read(rd, ret, cap - 1);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
}

static void check_programs(struct flight *f)
{
	static const char *const names[2][2] = { { "worker", "objmapper-worker" }, { "lifecycle", "objmapper-lifecycle" } };
	char path[4200], want[96], got[96];

	for (unsigned i = 0; i < 2; i++) {
		struct sup_spawn_exe exe = { .fd = -1 };
		if (sup_spawn_find(names[i][0], names[i][1], &exe, path, sizeof(path)) < 0) {
			PROBLEM("program %s: %s: install it, or set OBJM_LIBEXEC", path, strerror(errno));
			continue;
		}
		om_close(&exe.fd);
		(void)snprintf(want, sizeof(want), "%s " OM_VERSION, names[i][1]);
		version_of(path, got, sizeof(got));
		if (strcmp(got, want))
			PROBLEM("program %s is \"%s\", this objmapperd is " OM_VERSION ": the upgrade is not complete", path, got);
		else
			OK("program %s, %s", path, OM_VERSION);
	}
}

/* ---- state_dir ---- */

static void check_lock(struct flight *f, int dirfd)
{
	char pid[16] = "";
	OM_AUTO_FD fd = openat(dirfd, "run.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return; /* no daemon has run yet */
	f->served = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	ssize_t n = read(fd, pid, sizeof(pid) - 1);
	pid[n > 0 ? n : 0] = '\0';
	if (f->served)
		NOTE("a daemon (pid %ld) runs on %s now: a restart takes its place, a second one is refused", strtol(pid, NULL, 10),
		     f->conf->state_dir);
}

static void check_state(struct flight *f)
{
	const char *dir = f->conf->state_dir;
	struct stat st;
	OM_AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		NOTE("state_dir %s does not exist: a first start makes it", dir);
		return;
	}
	if (fd < 0 || fstat(fd, &st) < 0 || faccessat(fd, ".", R_OK | W_OK | X_OK, 0) < 0) {
		PROBLEM("state_dir %s: %s: uid %u must own it", dir, strerror(errno), (unsigned)f->user.uid);
		return;
	}
	check_lock(f, fd);
	int err = idx_state_open_readonly(dir, !f->served, &f->state);
	if (err == -OBJM_STATUS_NOT_FOUND)
		NOTE("state_dir %s is empty: a first start, or it is not mounted", dir);
	else if (err < 0)
		PROBLEM("state_dir %s: %s", dir, idx_cat_message());
	else
		OK("state_dir %s", dir);
}

/* ---- sockets ---- */

static void check_socket(struct flight *f, const char *key, const char *path)
{
	char dir[4096];
	struct stat st;

	if (!*path)
		return;
	(void)snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (slash && slash != dir)
		*slash = '\0';
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		PROBLEM("%s: %s is not a socket: remove it, or set another path", key, path);
	else if (stat(dir, &st) < 0)
		NOTE("%s: the directory of %s does not exist yet", key, path);
	else if (!S_ISDIR(st.st_mode))
		PROBLEM("%s: %s is not a directory", key, dir);
	else
		OK("%s %s", key, path);
}

/* ---- tiers ---- */

static void check_catalog(struct flight *f, const struct om_conf_backend *b, const struct idx_state_tier *id)
{
	char buf[OM_CONF_DIR_MAX];
	struct idx_cat_params p = { .dir = om_conf_catalog_dir(f->conf->state_dir, b, buf, sizeof(buf)), .tier = id->number, .flags = IDX_CAT_READONLY | (f->served ? IDX_CAT_NOCHECK : 0u) };
	struct idx_cat_totals totals;
	struct idx_cat_snap *snap;
	struct idx_cat *cat;

	memcpy(p.secret, idx_state_identity(f->state)->secret, sizeof(p.secret));
	memcpy(p.tier_id, id->tier_id, sizeof(p.tier_id));
	memcpy(p.install_id, idx_state_identity(f->state)->install_id, sizeof(p.install_id));
	if (b->type == OM_TIER_MEMORY)
		p.flags |= IDX_CAT_VOLATILE;
	int err = idx_cat_open(&p, &cat);
	explicit_bzero(p.secret, sizeof(p.secret));
	if (err == -OBJM_STATUS_NOT_FOUND) {
		NOTE("tier %s: no catalog in %s: it is made again from the files", b->name, p.dir);
		return;
	}
	if (err == -OBJM_STATUS_CORRUPT) {
		PROBLEM("tier %s: %s: a start sets it aside and makes it again from the files, while it serves", b->name, idx_cat_message());
		return;
	}
	if (err < 0) {
		PROBLEM("tier %s: its catalog cannot be opened: %s", b->name, idx_cat_message());
		return;
	}
	err = idx_cat_snap_open(cat, &snap);
	if (err == 0) {
		err = idx_cat_snap_totals(snap, &totals);
		idx_cat_snap_close(snap);
	}
	if (err < 0)
		PROBLEM("tier %s: its catalog cannot be read: %s", b->name, idx_cat_message());
	else
		OK("tier %s (%s): %llu objects, %llu bytes", b->name, b->path, (unsigned long long)totals.objects, (unsigned long long)totals.bytes);
	idx_cat_close(cat);
}

static void check_unmarked(struct flight *f, const struct om_conf_backend *b, bool known)
{
	if (known && b->type != OM_TIER_MEMORY)
		PROBLEM("tier %s (%s): no marker in the directory: the disk is not mounted, or it is another directory; it would be absent",
			b->name, b->path);
	else
		NOTE("tier %s (%s): no marker: a start takes it as a new, empty tier", b->name, b->path);
}

static void check_marked(struct flight *f, const struct om_conf_backend *b, int rootfd)
{
	struct idx_state_tier known;
	struct idx_tier_mark mark;
	int found = f->state ? idx_state_tier_known(f->state, b->name, &known) : 0;
	int err = idx_tier_mark_read(rootfd, &mark);

	if (found < 0)
		PROBLEM("state_dir %s: its tiers cannot be read: %s", f->conf->state_dir, idx_cat_message());
	else if (err == -OBJM_STATUS_NOT_FOUND)
		check_unmarked(f, b, found > 0);
	else if (err < 0)
		PROBLEM("tier %s (%s): its marker: %s; it would be absent", b->name, b->path, idx_cat_message());
	else if (!f->state || memcmp(mark.install_id, idx_state_identity(f->state)->install_id, sizeof(mark.install_id)))
		PROBLEM("tier %s (%s): it belongs to another installation (state_dir %s is not the one it was made with); it would be absent, "
			"or see --adopt", b->name, b->path, f->conf->state_dir);
	else if (!found)
		NOTE("tier %s (%s): state_dir does not know it: a start takes it in", b->name, b->path);
	else if (memcmp(mark.tier_id, known.tier_id, sizeof(mark.tier_id)))
		PROBLEM("tier %s (%s): it is another tier of this installation: correct `path`; it would be absent", b->name, b->path);
	else
		check_catalog(f, b, &known);
}

/* Two paths may lead to one directory: a link, a bind mount. */
static bool check_twins(struct flight *f, const struct om_conf_backend *b, int rootfd)
{
	struct stat st, other;

	for (const struct om_conf_backend *o = f->conf->backends; o < b && fstat(rootfd, &st) == 0; o++) {
		if (stat(o->path, &other) < 0 || other.st_dev != st.st_dev || other.st_ino != st.st_ino)
			continue;
		PROBLEM("tier %s (%s): its directory is that of tier %s (%s); it would be absent", b->name, b->path, o->name, o->path);
		return true;
	}
	return false;
}

static void check_tier(struct flight *f, const struct om_conf_backend *b)
{
	struct be_probe probe = { 0 };
	char why[256] = "";
	OM_AUTO_FD fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		NOTE("tier %s: %s does not exist: a start makes it if it may, else the tier is absent", b->name, b->path);
		return;
	}
	if (fd < 0) {
		PROBLEM("tier %s: %s: %s; it would be absent", b->name, b->path, strerror(errno));
		return;
	}
	int err = be_probe(fd, b->type, b->allow_swap, &probe, why, sizeof(why));
	if (err == -OBJM_STATUS_READ_ONLY && b->type != OM_TIER_MEMORY) {
		NOTE("tier %s (%s): its filesystem is read-only: it would serve what it holds and take nothing", b->name, b->path);
		why[0] = '\0';
	} else if (err < 0) {
		PROBLEM("tier %s (%s): %s; it would be absent", b->name, b->path, why);
		return;
	}
	if (*why)
		NOTE("tier %s (%s, %s): %s", b->name, b->path, probe.fs, why);
	if (!check_twins(f, b, fd))
		check_marked(f, b, fd);
}

static int check_left_out(void *arg, const struct idx_state_tier *row)
{
	struct flight *f = arg;

	if (!om_conf_find_tier(f->conf, row->name))
		NOTE("tier %s: state_dir knows it, and it is not in the configuration: objects that only it holds would be missing, and what is deleted or "
		     "replaced meanwhile would come back with it", row->name);
	return 0;
}

int sup_preflight(struct om_conf *conf, const struct sup_run_opt *opt, FILE *out)
{
	struct flight flight = { .conf = conf, .out = out }, *f = &flight;

	if (sup_start_check(conf, opt, out) > 0)
		return SUP_EXIT_CONF;
	OK("configuration %s", conf->file);
	check_programs(f);
	if (sup_start_user(conf, opt, &f->user) < 0 || sup_priv_drop(&f->user) < 0) {
		PROBLEM("cannot become user \"%s\": %s", f->user.name, strerror(errno));
		return SUP_EXIT_FAILED;
	}
	check_state(f);
	check_socket(f, "listen.data", conf->listen.data);
	check_socket(f, "listen.admin", conf->listen.admin);
	check_socket(f, "listen.legacy", conf->listen.legacy);
	for (size_t i = 0; i < conf->n_backends; i++)
		check_tier(f, &conf->backends[i]);
	if (f->state)
		(void)idx_state_tier_iter(f->state, check_left_out, f);
	idx_state_close(f->state);
	if (f->problems)
		(void)fprintf(out, "preflight: %u problem%s: do not restart before they are solved\n", f->problems, f->problems == 1 ? "" : "s");
	else
		(void)fputs("preflight: objmapperd " OM_VERSION " would come up\n", out);
	return f->problems ? SUP_EXIT_FAILED : SUP_EXIT_OK;
}
