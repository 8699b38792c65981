/*
 * atk_target.c: what is attacked: a directory through backend/, with or without the copy that untrusted writers get, and
 * a running daemon through libobjm.
 */
#include "tests/attack/atk.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include <xxhash.h>

static int note(int rc, const char *what, const char *name)
{
	atk_tap_note("%s: %s: %s (%s)", name, what, om_status_text(rc), strerror(errno));
	return rc;
}

/* ---------------------------------------------------------------- opening */

int atk_target_dir(struct atk_target *t, enum atk_kind kind, const char *parent)
{
	struct be_probe probe;
	char why[256];
	int rc;

	*t = (struct atk_target){.kind = kind, .root_fd = -1, .objects_fd = -1, .staging_fd = -1, .file = BE_FILE_INIT, .id = 1};
	(void)snprintf(t->dir, sizeof(t->dir), "%s/objm-attack.XXXXXX", parent);
	if (!mkdtemp(t->dir)) {
		t->dir[0] = '\0';
		return note(-OBJM_STATUS_SYSTEM, "cannot make a directory", parent);
	}
	t->root_fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->root_fd < 0)
		return note(-OBJM_STATUS_SYSTEM, "cannot open", t->dir);
	rc = be_probe(t->root_fd, OM_TIER_SSD, true, &probe, why, sizeof(why));
	if (rc < 0)
		return note(rc, why, t->dir);
	rc = be_dir_prepare(t->root_fd, &t->objects_fd, &t->staging_fd);
	if (rc == 0)
		rc = be_dir_init(&t->be, t->objects_fd, t->staging_fd, probe.caps, 0);
	(void)snprintf(t->name, sizeof(t->name), "%s on %s", kind == ATK_COPY ? "freeze of a copy" : "plain freeze", probe.fs);
	return rc < 0 ? note(rc, "cannot make a tier", t->dir) : 0;
}

int atk_target_daemon(struct atk_target *t, const char *socket, bool memory)
{
	int rc;

	*t = (struct atk_target){.kind = ATK_DAEMON, .root_fd = -1, .objects_fd = -1, .staging_fd = -1, .file = BE_FILE_INIT};
	t->socket = socket;
	t->flags = memory ? OBJM_EPHEMERAL : 0;
	(void)snprintf(t->name, sizeof(t->name), "the daemon's %s tier", memory ? "memory" : "disk");
	(void)snprintf(t->uri, sizeof(t->uri), "/attack/%d/%d", (int)getpid(), memory);
	rc = objm_open(socket, NULL, &t->session);
	if (rc < 0)
		atk_tap_note("%s: %s", socket, objm_error(NULL));
	return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path); /* what is left over in a temporary directory harms nobody */
	return 0;
}

void atk_target_close(struct atk_target *t)
{
	atk_target_end(t);
	if (t->kind == ATK_DAEMON) {
		objm_close(t->session);
		t->session = NULL;
		return;
	}
	if (t->be.ops)
		be_fini(&t->be);
	om_close(&t->objects_fd);
	om_close(&t->staging_fd);
	om_close(&t->root_fd);
	if (t->dir[0])
		(void)nftw(t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---------------------------------------------------------------- an object */

int atk_target_begin(struct atk_target *t, size_t size, int *ret_fd)
{
	int fd, rc;

	if (t->kind == ATK_DAEMON) {
		struct objm_put_options opt = OBJM_PUT_OPTIONS_INIT;

		opt.flags = t->flags;
		opt.size_hint = size;
		rc = objm_put_begin(t->session, t->uri, &opt, &t->put);
		if (rc < 0) {
			atk_tap_note("begin: %s", objm_error(t->session));
			return rc;
		}
		fd = objm_put_writefd(t->put);
	} else {
		rc = be_begin(&t->be, size, &t->file);
		if (rc < 0)
			return note(rc, "be_begin", t->name);
		fd = t->file.rwfd;
	}
	if (ftruncate(fd, (off_t)size) < 0)
		return note(-OBJM_STATUS_SYSTEM, "ftruncate", t->name);
	*ret_fd = fd;
	return 0;
}

/* The worker's order: quiet, copy, freeze, name. */
static int backend_commit(struct atk_target *t)
{
	struct om_rec rec = {.rev = 1, .mtime_ns = om_wall_ns(), .uri = "/attack", .uri_len = 7};
	int rc;

	om_close(&t->file.rwfd);
	rc = be_quiet(&t->be, &t->file);
	if (rc < 0)
		return rc;
	if (t->kind == ATK_COPY) {
		struct be_file copy;

		rc = be_copy(&t->be, &t->file, &copy);
		if (rc < 0)
			return note(rc, "be_copy", t->name);
		be_drop(&t->file);
		t->file = copy;
	}
	rc = be_freeze(&t->be, &t->file, &rec);
	if (rc < 0)
		return note(rc, "be_freeze", t->name);
	rc = be_link(&t->be, &t->file, t->id, &rec);
	return rc < 0 ? note(rc, "be_link", t->name) : 0;
}

int atk_target_commit(struct atk_target *t)
{
	int rc;

	if (t->kind != ATK_DAEMON)
		return backend_commit(t);
	rc = objm_put_commit(t->put, NULL);
	if (rc == 0)
		t->put = NULL;
	else if (rc != -OBJM_STATUS_WRITER_STILL_OPEN)
		atk_tap_note("commit: %s", objm_error(t->session));
	return rc;
}

int atk_target_get(struct atk_target *t, int *ret_fd)
{
	if (t->kind == ATK_DAEMON)
		return objm_get(t->session, t->uri, 0, NULL, ret_fd);
	return be_open(&t->be, t->id, ret_fd);
}

void atk_target_end(struct atk_target *t)
{
	if (t->kind == ATK_DAEMON) {
		objm_put_abort(OM_TAKE_PTR(t->put));
		if (t->session)
			(void)objm_delete(t->session, t->uri, NULL); /* NOT_FOUND when nothing was committed */
		return;
	}
	be_drop(&t->file);
	t->file = BE_FILE_INIT;
	t->id++; /* the directory goes as a whole */
}

/* ---------------------------------------------------------------- checksums */

uint64_t atk_target_sum(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

uint64_t atk_target_sum_fd(int fd)
{
	struct stat st;
	OM_AUTO_FREE char *buf = NULL;
	size_t got = 0;

	if (fstat(fd, &st) < 0 || !(buf = malloc((size_t)st.st_size + 1)))
		return 0;
	for (;;) {
		ssize_t n = pread(fd, buf + got, (size_t)st.st_size + 1 - got, (off_t)got);

		if (n < 0)
			return 0;
		if (n == 0)
			break;
		got += (size_t)n;
		if (got > (size_t)st.st_size)
			return 0; /* it grew */
	}
	return atk_target_sum(buf, got);
}
