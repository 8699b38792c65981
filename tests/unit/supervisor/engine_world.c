/*
 * engine_world.c: see engine_world.h.
 */
#include "engine_world.h"

#include <dirent.h>

static void on_kill(void *arg, unsigned place, uint32_t serial, const char *why)
{
	struct world *x = arg;
	(void)serial;
	(void)why;
	x->killed = (int)place + 1;
}

static void on_index(void *arg, uint32_t seq, int index_rofd, int heatfd)
{
	struct world *x = arg;
	om_close(&index_rofd);
	om_close(&heatfd);
	sup_engine_index_ack(x->e, 0, seq);
	sup_engine_index_ack(x->e, 1, seq);
}

static void attach(struct world *x, struct peer *p, unsigned place, enum om_role role)
{
	struct sup_engine_child c;
	struct om_seg own, peer;

	assert_int_equal(sup_engine_child_open(x->e, place, role, &c), 0);
	assert_int_equal(om_seg_attach(c.ring_own, 1, true, &own), 0);
	assert_int_equal(om_seg_attach(c.ring_peer, 1, false, &peer), 0);
	assert_int_equal(om_ring_init(&p->ring, own, peer, c.kick_peer, c.kick_self), 0);
	assert_int_equal(idxr_attach(c.index, &p->idx), 0);
	om_close(&c.gens);
	om_close(&c.heat);
}

void start(struct world *x)
{
	struct sup_engine_cb cb = { on_kill, on_index, x };

	assert_int_equal(sup_engine_open(x->conf, x->adopt, &cb, &x->e), 0);
	assert_int_equal(sup_engine_start(x->e), 0);
	memset(&x->w, 0, sizeof(x->w));
	memset(&x->l, 0, sizeof(x->l));
	attach(x, &x->l, 0, OM_ROLE_LIFECYCLE);
	attach(x, &x->w, 1, OM_ROLE_WORKER);
}

void stop(struct world *x)
{
	sup_engine_close(x->e);
	x->e = NULL;
	om_ring_fini(&x->w.ring);
	om_ring_fini(&x->l.ring);
	idxr_detach(&x->w.idx);
	idxr_detach(&x->l.idx);
}

static const char tiers[] = "state_dir: '%s/state'\n"
			    "backends:\n"
			    "  - {name: memory, type: memory, path: '%s', capacity: 300M, allow_swap: true}\n"
			    "  - {name: disk, type: ssd, path: '%s/disk', capacity: 1G}\n"
			    "  - {name: slow, type: hdd, path: '%s/slow', capacity: 1G}\n";

int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

struct world *world_make(void)
{
	struct world *x = calloc(1, sizeof(*x));
	struct om_conf_report rep = { 0 };

	assert_non_null(x);
	strcpy(x->dir, "/tmp/om-engine-XXXXXX");
	strcpy(x->mem, "/dev/shm/om-engine-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	assert_non_null(mkdtemp(x->mem));
	char path[128], text[1024];
	int n = snprintf(text, sizeof(text), tiers, x->dir, x->mem, x->dir, x->dir);
	assert_int_equal(om_conf_parse(text, (size_t)n, "test.yaml", x->dir, &x->conf, &rep), 0);
	om_conf_report_free(&rep);
	for (const char *const *name = (const char *const[]){ "disk", "slow", NULL }; *name; name++) {
		snprintf(path, sizeof(path), "%s/%s", x->dir, *name);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof(path), "%s/state", x->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	om_log_level(OM_LOG_ERR);
	return x;
}

void world_unmake(struct world *x)
{
	om_conf_free(x->conf);
	nftw(x->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	nftw(x->mem, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(x);
}

int setup(void **state)
{
	struct world *x = world_make();

	start(x);
	wait_complete(x); /* until the index is whole, moves are put off */
	*state = x;
	return 0;
}

int teardown(void **state)
{
	struct world *x = *state;

	if (x->e)
		stop(x);
	world_unmake(x);
	return 0;
}

union world_msg msg;

const char *world_root(const struct world *x, uint8_t tier)
{
	struct sup_engine_stat st;

	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		if (st.tiers[i].tier == tier)
			return st.tiers[i].path;
	fail_msg("no tier %u", tier);
	return NULL;
}

static void file_path(const struct world *x, uint8_t tier, uint64_t id, char ret[static 256], bool dir)
{
	char obj[OM_OBJ_PATH_MAX];

	if (dir)
		om_obj_dir(id, obj);
	else
		om_obj_path(id, obj);
	snprintf(ret, 256, "%s/objects/%s", world_root(x, tier), obj);
}

/* What a scan finds in a file: its attribute, as it were. */
struct content {
	uint32_t flags, uid;
	char uri[60];
};

void world_file_make_uri(const struct world *x, uint8_t tier, uint64_t id, const char *uri, uint32_t flags)
{
	struct content c = { .flags = flags, .uid = x->uid };
	char path[256];

	file_path(x, tier, id, path, true);
	(void)mkdir(path, 0700);
	file_path(x, tier, id, path, false);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	assert_true(fd >= 0);
	(void)snprintf(c.uri, sizeof(c.uri), "%s", uri);
	assert_int_equal(write(fd, &c, sizeof(c)), sizeof(c));
	om_close(&fd);
}

void world_file_make(const struct world *x, uint8_t tier, uint64_t id) { world_file_make_uri(x, tier, id, "", 0); }

bool world_file_is(const struct world *x, uint8_t tier, uint64_t id)
{
	char path[256];

	file_path(x, tier, id, path, false);
	return access(path, F_OK) == 0;
}

void world_file_remove(const struct world *x, uint8_t tier, uint64_t id)
{
	char path[256];

	file_path(x, tier, id, path, false);
	(void)unlink(path);
}

static void l_put(struct world *x, void *m, size_t len, const char *uri, size_t uri_len)
{
	struct iovec iov[] = { { m, len }, { (void *)(uintptr_t)uri, uri_len } };

	((struct om_op_hdr *)m)->len = (uint32_t)(len + uri_len);
	assert_int_equal(om_ring_put(&x->l.ring, iov, 2), 0);
	om_ring_kick(&x->l.ring);
}

static void scan_file(struct world *x, const char *dir, const char *file)
{
	struct om_op_found m = { .hdr.type = OM_OP_FOUND, .size = 5, .mtime_ns = 7, .rev = 1, .tier = x->l.scan.tier };
	struct content c = { 0 };
	char path[1024];

	if (!om_obj_id(file, &m.id) || m.id < x->l.scan.id_from || m.id >= x->l.scan.id_to)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &c, sizeof(c)) != sizeof(c))
		c.uri[0] = '\0';
	om_close(&fd);
	m.flags = c.flags;
	m.uid = c.uid;
	m.uri_len = (uint16_t)strnlen(c.uri, sizeof(c.uri));
	l_put(x, &m, sizeof(m), c.uri, m.uri_len);
}

static void scan(struct world *x)
{
	struct om_op_scanned d = { .hdr.type = OM_OP_SCANNED, .tier = x->l.scan.tier };
	char top[160], sub[440];

	(void)snprintf(top, sizeof(top), "%s/objects", world_root(x, x->l.scan.tier));
	DIR *dirs = opendir(top);
	for (struct dirent *e; dirs && (e = readdir(dirs));) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(sub, sizeof(sub), "%s/%s", top, e->d_name);
		DIR *dir = opendir(sub);
		for (struct dirent *f; dir && (f = readdir(dir));)
			scan_file(x, sub, f->d_name);
		if (dir)
			(void)closedir(dir);
	}
	if (dirs)
		(void)closedir(dirs);
	l_put(x, &d, sizeof(d), "", 0);
}

/* The lifecycle's REAPs are answered on the side; the last verdict for it is kept. */
void serve_reaps(struct world *x)
{
	static union {
		struct om_op_hdr hdr;
		struct om_op_reap reap;
		unsigned char b[OM_RING_MSG_MAX];
	} m;
	size_t len;

	while (!x->l.idle && om_ring_get(&x->l.ring, m.b, sizeof(m.b), &len) == 0) {
		if (m.hdr.type == OM_OP_SCAN) {
			memcpy(&x->l.scan, m.b, sizeof(x->l.scan));
			if (x->scans)
				scan(x);
		}
		if (m.hdr.type == OM_OP_ROOM && ((const struct om_op_room *)m.b)->bytes) {
			memcpy(&x->l.room, m.b, sizeof(x->l.room));
			x->l.n_rooms++;
		}
		if (m.hdr.type == OM_OP_VERDICT)
			memcpy(&x->l.verdict, m.b, sizeof(x->l.verdict));
		if (m.hdr.type != OM_OP_REAP)
			continue;
		world_file_remove(x, m.reap.tier, m.reap.id);
		if (x->l.n_reaped < 256)
			x->l.reaped[x->l.n_reaped++] = m.reap.id;
		struct om_op_reaped r = { .hdr = { .len = sizeof(r), .type = OM_OP_REAPED, .req = m.hdr.req }, .id = m.reap.id,
					  .tier = m.reap.tier };
		struct iovec iov = { &r, sizeof(r) };
		assert_int_equal(om_ring_put(&x->l.ring, &iov, 1), 0);
		om_ring_kick(&x->l.ring);
	}
}

/* Waits for the next message. */
void next(struct world *x)
{
	size_t len;

	for (int i = 0; i < 10000; i++) {
		serve_reaps(x);
		if (om_ring_get(&x->w.ring, msg.b, sizeof(msg.b), &len) == 0) {
			assert_int_equal(len, msg.hdr.len);
			return;
		}
		usleep(500);
	}
	fail_msg("no answer");
}

void put_msg(struct peer *p, void *m, size_t len, const char *uri, const void *more, size_t more_len)
{
	struct om_op_hdr *h = m;
	struct iovec iov[] = { { m, len }, { (void *)(uintptr_t)uri, strlen(uri) }, { (void *)(uintptr_t)more, more_len } };

	h->len = (uint32_t)(len + strlen(uri) + more_len);
	h->req = ++p->req;
	assert_int_equal(om_ring_put(&p->ring, iov, 3), 0);
	om_ring_kick(&p->ring);
}

uint8_t tier_no(struct world *x, const char *name)
{
	struct sup_engine_stat st;

	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		if (!strcmp(st.tiers[i].name, name))
			return st.tiers[i].tier;
	fail_msg("no tier %s", name);
	return 0;
}

const struct om_op_verdict *verdict(struct world *x)
{
	next(x);
	assert_int_equal(msg.hdr.type, OM_OP_VERDICT);
	assert_int_equal(msg.hdr.req, x->w.req);
	return (const void *)msg.b;
}

int prepare(struct world *x, const char *uri, uint8_t tier, uint32_t flags, struct om_op_cond cond, uint64_t *ret_id)
{
	struct om_op_prepare m = { .hdr.type = OM_OP_PREPARE, .tier = tier, .flags = flags, .size = 5, .cond = cond, .uid = x->uid,
				   .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	const struct om_op_verdict *v = verdict(x);
	int status = v->status;
	*ret_id = v->id;
	if (status == 0)
		world_file_make_uri(x, tier, *ret_id, uri, flags);
	return status;
}

int commit(struct world *x, const char *uri, uint8_t tier, uint32_t flags, uint64_t id)
{
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier, .flags = flags, .size = 5, .id = id, .mtime_ns = 7,
				  .uri_len = (uint16_t)strlen(uri), .type_len = 4 };

	put_msg(&x->w, &m, sizeof(m), uri, "text", 4);
	return verdict(x)->status;
}

uint64_t put(struct world *x, const char *uri, const char *tier, uint32_t flags)
{
	uint64_t id;

	assert_int_equal(prepare(x, uri, tier_no(x, tier), flags, (struct om_op_cond){ 0 }, &id), 0);
	assert_int_equal(commit(x, uri, tier_no(x, tier), flags, id), 0);
	return id;
}

int del(struct world *x, const char *uri)
{
	struct om_op_delete m = { .hdr.type = OM_OP_DELETE, .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	return verdict(x)->status;
}

int lookup(struct world *x, const char *uri, struct om_op_record *ret)
{
	struct om_op_lookup m = { .hdr.type = OM_OP_LOOKUP, .uri_len = (uint16_t)strlen(uri), .full = 1 };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	next(x);
	assert_int_equal(msg.hdr.type, OM_OP_RECORD);
	memcpy(ret, msg.b, sizeof(*ret));
	return ret->status;
}

struct sup_engine_owner world_owns(struct world *x, uint32_t uid)
{
	struct sup_engine_owner *v, ret = { .uid = uid };
	size_t n;

	assert_int_equal(sup_engine_owners(x->e, &v, &n), 0);
	for (size_t i = 0; i < n; i++)
		if (v[i].uid == uid)
			ret = v[i];
	free(v);
	return ret;
}

int index_get(struct world *x, const char *uri, struct idx_ent *ret)
{
	struct idx_key key;

	idx_key_make(sup_engine_secret(x->e), uri, strlen(uri), &key);
	return idxr_get(&x->w.idx, &key, ret, NULL);
}

void wait_complete(struct world *x)
{
	struct sup_engine_stat st;

	for (int i = 0; i < 5000; i++) {
		serve_reaps(x);
		sup_engine_stat(x->e, &st);
		if (st.complete && st.pending_removals == 0 && st.pending_ops == 0)
			return;
		usleep(1000);
	}
	fail_msg("not complete: ops %llu removals %llu", (unsigned long long)st.pending_ops, (unsigned long long)st.pending_removals);
}

void world_restart(struct world *x)
{
	stop(x);
	start(x);
	wait_complete(x);
}

void world_wait_scan(struct world *x)
{
	WORLD_UNTIL(x, x->l.scan.id_to != 0);
}

void world_scanned(struct world *x, uint8_t tier, uint64_t files)
{
	struct om_op_scanned d = { .hdr.type = OM_OP_SCANNED, .tier = tier, .files = files };

	put_msg(&x->l, &d, sizeof(d), "", NULL, 0);
}

void world_found(struct world *x, uint8_t tier, const char *uri, uint64_t id, uint32_t flags)
{
	struct om_op_found m = { .hdr.type = OM_OP_FOUND, .id = id, .size = 5, .rev = 1, .tier = tier, .flags = flags,
				 .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->l, &m, sizeof(m), uri, NULL, 0);
}

void world_wait_state(struct world *x, const char *tier, int state)
{
	struct sup_engine_stat st;

	for (int n = 0; n < 20000; n++, usleep(1000)) {
		serve_reaps(x);
		sup_engine_stat(x->e, &st);
		for (unsigned i = 0; i < st.n_tiers; i++)
			if (!strcmp(st.tiers[i].name, tier) && st.tiers[i].state == state)
				return;
	}
	fail_msg("tier %s does not become %s", tier, om_tier_state_name((unsigned)state));
}

/* Where its configuration says, whether the engine runs or not. */
static void tier_root(const struct world *x, const char *tier, char root[static 160])
{
	if (!strcmp(tier, "memory"))
		(void)snprintf(root, 160, "%s", x->mem);
	else
		(void)snprintf(root, 160, "%s/%s", x->dir, tier);
}

void world_tier_away(const struct world *x, const char *tier, char away[static 192])
{
	char root[160];

	tier_root(x, tier, root);
	(void)snprintf(away, 192, "%s.away", root);
	assert_int_equal(rename(root, away), 0);
}

void world_tier_back(const struct world *x, const char *tier, const char *away)
{
	char root[160];

	tier_root(x, tier, root);
	assert_int_equal(rename(away, root), 0);
}

bool was_reaped(const struct world *x, uint64_t id)
{
	for (unsigned i = 0; i < x->l.n_reaped; i++)
		if (x->l.reaped[i] == id)
			return true;
	return false;
}

unsigned list_count(struct world *x, const char *prefix, uint32_t limit, char last[static 64], bool *ret_more)
{
	struct om_op_list m = { .hdr.type = OM_OP_LIST, .limit = limit, .prefix_len = (uint16_t)strlen(prefix),
				.after_len = (uint16_t)strlen(last) };
	unsigned n = 0;

	put_msg(&x->w, &m, sizeof(m), prefix, last, strlen(last));
	for (;;) {
		next(x);
		if (msg.hdr.type == OM_OP_LIST_END)
			break;
		assert_int_equal(msg.hdr.type, OM_OP_ENTRY);
		const struct om_op_entry *ent = (const void *)msg.b;
		char name[64];
		snprintf(name, sizeof(name), "%.*s", (int)ent->uri_len, (const char *)(ent + 1));
		assert_true(strcmp(name, last) > 0);
		strcpy(last, name);
		n++;
	}
	const struct om_op_list_end *end = (const void *)msg.b;
	assert_int_equal(end->status, 0);
	*ret_more = end->more;
	return n;
}

static void again(struct world *x, struct peer *p, unsigned place, enum om_role role)
{
	sup_engine_child_close(x->e, place);
	om_ring_fini(&p->ring);
	idxr_detach(&p->idx);
	memset(p, 0, sizeof(*p));
	attach(x, p, place, role);
}

void world_lifecycle_again(struct world *x) { again(x, &x->l, SUP_CHILD_LIFECYCLE, OM_ROLE_LIFECYCLE); }

void world_worker_again(struct world *x) { again(x, &x->w, 1, OM_ROLE_WORKER); }
