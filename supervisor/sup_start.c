/*
 * sup_start.c: see sup_start.h. In the supervisor, once, before its second thread exists.
 *
 * The order: who we are, limits, directories (as root, if we are), run.lock (from here on nobody else's processes use this
 * store), sockets, privileges away. run.lock comes before the sockets: the workers of a predecessor that was killed still
 * listen on them until they are gone.
 */
#include "supervisor/sup_start.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "common/om_cpus.h"
#include "common/om_fault.h"
#include "common/om_log.h"
#include "common/om_sd.h"
#include "supervisor/sup_bus.h"
#include "supervisor/sup_dir.h"

#define LOCK_WAIT_MS 10000u
#define LOCK_QUIET_MS 500u /* a predecessor that was killed is gone by then */
#define DEFAULT_USER "objmapper"

/* Descriptors 0 to 2 are open, standard input gives nothing, nothing that we make is readable for others. */
static int set_process(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0); /* fills what was closed */
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0) {
		om_log(OM_MSG_FATAL, "cannot open /dev/null: %m");
		return -OBJM_STATUS_SYSTEM;
	}
	om_close(&fd);
	(void)umask(0077);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGIO, SIG_IGN); /* a broken lease would end us; children inherit this */
	sup_bus_watch();
	return 0;
}

static int set_signals(struct sup *sup)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	/* before the first thread exists: all inherit it */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -OBJM_STATUS_SYSTEM;
	sup->signalfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return sup->signalfd < 0 ? -OBJM_STATUS_SYSTEM : 0;
}

int sup_start_user(const struct om_conf *conf, const struct sup_run_opt *opt, struct sup_user *ret)
{
	const char *name = opt->user ? opt->user : conf->user;

	return sup_priv_user(name, opt->embedded ? NULL : DEFAULT_USER, ret);
}

static int decide_user(struct sup *sup, const struct sup_run_opt *opt)
{
	struct om_conf_report rep = { 0 };
	int err = sup_start_user(sup->conf, opt, &sup->user);

	if (err < 0) {
		om_log(OM_MSG_FATAL, "user \"%s\": %s; make it (useradd), or correct `user` in the configuration",
		       opt->user ? opt->user : sup->conf->user, err == -OBJM_STATUS_NOT_FOUND ? "there is no such user" : strerror(errno));
		return err;
	}
	err = om_conf_resolve_ids(sup->conf, (uint32_t)sup->user.uid, &rep);
	for (size_t i = 0; i < rep.n; i++)
		om_log(rep.v[i].error ? OM_MSG_FATAL : OM_MSG_CONFIG, "%s:%u: %s: %s", rep.v[i].file, rep.v[i].line, rep.v[i].key,
		       rep.v[i].text);
	om_conf_report_free(&rep);
	if (err == 0 && sup->user.uid == 0)
		om_log(OM_MSG_CONFIG, "running as root: name an account in `user` (or --user), so that a fault in the daemon is not "
				      "a fault of the whole machine");
	return err;
}

void sup_start_limits(struct sup *sup)
{
	uint64_t need = sup_priv_nofile_need(sup->conf), have = 0;

	sup->max_workers = om_conf_max_workers(sup->conf, om_cpus());
	if (sup->max_workers >= SUP_CHILDREN_MAX) {
		om_log(OM_MSG_LIMIT, "max_workers %u: at most %u are possible and used", sup->max_workers, SUP_CHILDREN_MAX - 1);
		sup->max_workers = SUP_CHILDREN_MAX - 1;
	}
	if (sup_priv_nofile(need, &have) < 0)
		om_log(OM_MSG_LIMIT, "a worker may have %llu files open, index.max_open_fds and limits need %llu: %m; raise LimitNOFILE= "
				     "(ulimit -n) or lower them",
		       (unsigned long long)have, (unsigned long long)need);
	sup->env.nofile = have;
	sup->env.max_workers = sup->max_workers;
}

static bool inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return !strncmp(path, dir, n) && (path[n] == '/' || path[n] == '\0');
}

static int make_dirs(const struct sup *sup)
{
	const struct om_conf *conf = sup->conf;
	const struct sup_owner owner = { .change = sup->user.drop, .uid = sup->user.uid, .gid = sup->user.gid };
	const char *const sockets[] = { conf->listen.data, conf->listen.admin, conf->listen.legacy };

	if (sup_dir_make(conf->state_dir, 0700, &owner) < 0) {
		om_log(OM_MSG_FATAL, "cannot make the directory %s (`state_dir`): %m", conf->state_dir);
		return -OBJM_STATUS_SYSTEM;
	}
	for (size_t i = 0; i < OM_ARRAY_SIZE(sockets); i++) {
		if (*sockets[i] && sup_dir_make_parent(sockets[i], 0755, &owner) < 0) {
			om_log(OM_MSG_FATAL, "cannot make the directory of the socket %s: %m", sockets[i]);
			return -OBJM_STATUS_SYSTEM;
		}
	}
	/* a tier without its directory is absent, which the engine says; the others serve */
	for (size_t i = 0; i < conf->n_backends; i++) {
		const struct om_conf_backend *b = &conf->backends[i];
		if (sup_dir_make(b->path, 0700, &owner) < 0)
			om_log(OM_MSG_TIER_ABSENT, "tier %s: cannot make its directory %s: %m", b->name, b->path);
		else if (*b->index_path && !inside(b->index_path, b->path) && !inside(b->index_path, conf->state_dir) &&
			 sup_dir_make(b->index_path, 0700, &owner) < 0)
			om_log(OM_MSG_CATALOG, "tier %s: cannot make the directory of its catalog %s: %m", b->name, b->index_path);
	}
	return 0;
}

/* Open state_dir and take run.lock, as the user that owns them. */
static int take_lock(struct sup *sup)
{
	const char *dir = sup->conf->state_dir;
	long holder = 0;
	int err = sup_priv_borrow(&sup->user);

	if (err == 0) {
		sup->state_dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = sup->state_dirfd < 0 ? -OBJM_STATUS_SYSTEM : sup_dir_lock(sup->state_dirfd, LOCK_QUIET_MS, &sup->run_lock, &holder);
	}
	if (err == -OBJM_STATUS_BUSY) {
		om_log(OM_MSG_NOTE, "%s is in use by objmapperd (pid %ld) or its children: waiting for up to %u s", dir, holder,
		       LOCK_WAIT_MS / 1000u);
		err = sup_dir_lock(sup->state_dirfd, LOCK_WAIT_MS, &sup->run_lock, &holder);
	}
	if (err == -OBJM_STATUS_BUSY)
		om_log(OM_MSG_FATAL, "another objmapperd (pid %ld) uses %s; stop it first, or give this one a state_dir and tiers of its own",
		       holder, dir);
	else if (err < 0)
		om_log(OM_MSG_FATAL, "cannot lock %s/run.lock: %m; it must be a local directory that uid %u owns", dir,
		       (unsigned)sup->user.uid);
	else if (holder)
		om_log(OM_MSG_NOTE, "waited for the processes of the last run (pid %ld) to end", holder);
	if (sup_priv_unborrow(&sup->user) < 0 && err == 0) {
		om_log(OM_MSG_FATAL, "cannot change user: %m");
		err = -OBJM_STATUS_SYSTEM;
	}
	return err;
}

static int open_sockets(struct sup *sup)
{
	char **names = NULL;
	int n = om_sd_listen_fds(&names);

	if (n < 0) {
		om_log(OM_MSG_FATAL, "cannot take the sockets that systemd hands over: %s", om_status_text(n));
		return n;
	}
	sup_sock_adopt(&sup->socks, OM_SD_FD_FIRST, n, names);
	om_sd_names_free(names, n);
	return sup_sock_open(&sup->socks, sup->conf, &sup->user);
}

static int find_programs(struct sup_spawn_exe exe[2])
{
	static const struct {
		const char *folder, *name;
	} programs[2] = {
		[OM_ROLE_WORKER] = { "worker", "objmapper-worker" },
		[OM_ROLE_LIFECYCLE] = { "lifecycle", "objmapper-lifecycle" },
	};
	char path[4200];

	for (unsigned i = 0; i < 2; i++) {
		if (sup_spawn_find(programs[i].folder, programs[i].name, &exe[i], path, sizeof(path)) < 0) {
			om_log(OM_MSG_FATAL, "cannot use the program %s: %m; set OBJM_LIBEXEC to the directory that holds %s", path,
			       programs[i].name);
			return -OBJM_STATUS_NOT_FOUND;
		}
	}
	return 0;
}

/* Where the lifecycle process keeps heat over a restart. Without it heat starts anew, which is no reason not to start. The dot
 * in its name keeps it apart from a network tier's catalog, which is called like the tier. */
static void open_heat_dir(struct sup *sup)
{
	if (mkdirat(sup->state_dirfd, "heat.d", 0700) == 0 || errno == EEXIST)
		sup->heat_dirfd = openat(sup->state_dirfd, "heat.d", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sup->heat_dirfd < 0)
		om_log(OM_MSG_NOTE, "%s/heat.d cannot be used: %m; how hot objects are will be forgotten at a restart", sup->conf->state_dir);
}

int sup_start(struct sup *sup, const struct sup_run_opt *opt, struct sup_spawn_exe ret_exe[static 2])
{
	if (set_process() < 0 || set_signals(sup) < 0)
		return SUP_EXIT_FAILED;
	if (om_fault_init() < 0) {
		om_log(OM_MSG_FATAL, "OBJM_FAULT=%s: expected POINT[:ACTION[:NTH]] with a point of objmapperd --list-faults, in a build that has "
				     "them (-Dfaults)",
		       getenv("OBJM_FAULT"));
		return SUP_EXIT_CONF;
	}
	if (decide_user(sup, opt) < 0)
		return SUP_EXIT_CONF;
	if (sup_sock_count(sup->conf) > OM_LISTEN_MAX) {
		om_log(OM_MSG_FATAL, "listen: %u sockets for clients, at most %u are possible; remove some of listen.tcp",
		       sup_sock_count(sup->conf), OM_LISTEN_MAX);
		return SUP_EXIT_CONF;
	}
	sup_start_limits(sup);
	if (find_programs(ret_exe) < 0 || make_dirs(sup) < 0 || take_lock(sup) < 0 || open_sockets(sup) < 0)
		return SUP_EXIT_FAILED;
	if (sup_priv_drop(&sup->user) < 0) {
		om_log(OM_MSG_FATAL, "cannot become user \"%s\": %m", sup->user.name);
		return SUP_EXIT_FAILED;
	}
	sup_priv_narrow();
	open_heat_dir(sup);
	return SUP_EXIT_OK;
}

unsigned sup_start_check(struct om_conf *conf, const struct sup_run_opt *opt, FILE *out)
{
	const char *const groups[] = { conf->listen.group, conf->listen.admin_group };
	struct om_conf_report rep = { 0 };
	struct sup_user user;
	unsigned errors = 0;
	gid_t gid;

	if (sup_sock_count(conf) > OM_LISTEN_MAX) {
		(void)fprintf(out, "%s: error: listen: found %u sockets for clients, expected at most %u\n", conf->file,
			      sup_sock_count(conf), OM_LISTEN_MAX);
		errors++;
	}
	for (size_t i = 0; i < OM_ARRAY_SIZE(groups); i++) {
		if (*groups[i] && sup_priv_group(groups[i], &gid) < 0) {
			(void)fprintf(out, "%s: error: %s: found `%s`, expected the name of a group: there is none of that name\n", conf->file,
				      i ? "listen.admin_group" : "listen.group", groups[i]);
			errors++;
		}
	}
	if (sup_start_user(conf, opt, &user) < 0) {
		(void)fprintf(out, "%s: error: user: found `%s`, expected the name of a user: there is none of that name\n", conf->file,
			      opt->user ? opt->user : conf->user);
		errors++;
		user.uid = getuid(); /* the others are still looked up */
	}
	if (om_conf_resolve_ids(conf, (uint32_t)user.uid, &rep) < 0 && rep.n_errors == 0)
		errors++; /* no memory to say which */
	om_conf_report_print(&rep, out);
	errors += (unsigned)rep.n_errors;
	om_conf_report_free(&rep);
	return errors;
}
