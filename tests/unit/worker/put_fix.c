/* put_fix.c: see put_fix.h. */
#include "put_fix.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "common/om_counter.h"

/* ---- the fake supervisor ---- */

static void answer(struct put_fix *f, uint64_t req, int status, uint64_t id)
{
	struct om_op_verdict v = {
		.hdr = { .len = sizeof(v), .type = OM_OP_VERDICT, .req = req }, .status = status, .id = id, .rev = 1, .cur_id = 42,
		.cur_rev = 7,
	};
	struct iovec iov = { &v, sizeof(v) };

	assert_int_equal(om_ring_put(&f->sup, &iov, 1), 0);
	om_ring_kick(&f->sup);
}

static void take(struct put_fix *f, const void *msg)
{
	const struct om_op_hdr *h = msg;
	const struct om_op_abort *a = msg;
	const struct om_op_commit *c = msg;

	switch (h->type) {
	case OM_OP_PREPARE:
		f->prepares++;
		f->last_room = ((const struct om_op_prepare *)msg)->room;
		if (f->keep && f->prepares > f->keep)
			f->kept[f->n_kept++ % OM_ARRAY_SIZE(f->kept)] = h->req;
		else if (f->prepare_busy > 0 && f->prepare_busy--)
			answer(f, h->req, -OBJM_STATUS_TRY_AGAIN, 0);
		else
			answer(f, h->req, f->prepare_status, f->prepare_status ? 0 : ++f->next_id);
		return;
	case OM_OP_RESERVE:
		f->reserves++;
		f->last_reserve = *(const struct om_op_reserve *)msg;
		answer(f, h->req, f->last_reserve.wait ? f->wait_status : f->reserve_status[f->last_reserve.tier], 0);
		return;
	case OM_OP_ADMIT:
		answer(f, h->req, 0, 0);
		return;
	case OM_OP_LEAVE:
		return;
	case OM_OP_RELEASE:
		f->releases++;
		return;
	case OM_OP_COMMIT:
		f->commits++;
		f->last = *c;
		memcpy(f->last_uri, c + 1, c->uri_len);
		f->last_uri[c->uri_len] = '\0';
		if (f->keep_commits) {
			assert_true(f->n_kept_commits < OM_ARRAY_SIZE(f->kept_commits));
			f->kept_commits[f->n_kept_commits++] = (struct put_fix_kept){ h->req, c->id };
			return;
		}
		answer(f, h->req, f->commit_status, c->id);
		return;
	case OM_OP_ABORT:
		f->aborts++;
		f->abort_status = a->status;
		return;
	default:
		fail_msg("unexpected message %u", h->type);
	}
}

void put_fix_let(struct put_fix *f)
{
	assert_true(f->n_kept <= OM_ARRAY_SIZE(f->kept));
	f->keep = 0;
	while (f->n_kept > 0)
		answer(f, f->kept[--f->n_kept], 0, ++f->next_id);
}

void put_fix_let_commits(struct put_fix *f)
{
	f->keep_commits = false;
	while (f->n_kept_commits > 0) {
		struct put_fix_kept k = f->kept_commits[--f->n_kept_commits];
		answer(f, k.req, f->commit_status, k.id);
	}
}

static void supervise(struct put_fix *f)
{
	static _Alignas(8) char msg[OM_RING_MSG_MAX];
	size_t len;

	while (!f->hold && om_ring_get(&f->sup, msg, sizeof(msg), &len) == 0)
		take(f, msg);
}

/* ---- time ---- */

static bool before_wait(void *arg) { return wrk_ring_before_wait(((struct put_fix *)arg)->w.ring); }
static void after_wait(void *arg) { wrk_ring_after_wait(((struct put_fix *)arg)->w.ring); }

static void turn(struct put_fix *f)
{
	supervise(f);
	wrk_loop_turn(&f->w.loop, 1);
}

void put_fix_until(struct put_fix *f, const unsigned *n, unsigned want)
{
	uint64_t due = om_now_ns() + 10000000000u;

	while (*n != want) {
		if (om_now_ns() > due)
			fail_msg("waited in vain: %u instead of %u", *n, want);
		turn(f);
	}
}

void put_fix_for(struct put_fix *f, unsigned ms)
{
	uint64_t due = om_now_ns() + ms * UINT64_C(1000000);

	do
		turn(f);
	while (om_now_ns() < due);
}

/* ---- start and stop ---- */

static void make_tier(struct put_fix *f, unsigned i, const char *name, unsigned type, unsigned durability)
{
	struct wrk_tier *t = &f->w.tiers[i];
	const char *parent = type == OM_TIER_MEMORY ? "/dev/shm" : getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	struct be_probe p;
	char why[256];

	(void)snprintf(f->dirs[i], sizeof(f->dirs[i]), "%s/objm-put.XXXXXX", parent);
	assert_non_null(mkdtemp(f->dirs[i]));
	int root = open(f->dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(be_probe(root, type, true, &p, why, sizeof(why)), 0);
	assert_int_equal(be_dir_prepare(root, &t->objects_fd, &t->staging_fd), 0);
	om_close(&root);
	t->known = true;
	t->row = (struct om_boot_tier){
		.capacity_bytes = 1ull << 30, .caps = p.caps, .tier = (uint8_t)i, .type = (uint8_t)type,
		.durability = (uint8_t)durability,
		.flags = OM_TIERF_READABLE | OM_TIERF_WRITABLE | (type == OM_TIER_MEMORY ? OM_TIERF_EPHEMERAL : OM_TIERF_PERSISTENT),
	};
	(void)snprintf(t->row.name, sizeof(t->row.name), "%s", name);
	f->w.boot.tiers[i] = t->row;
	put_fix_row(f, i, 0, 1ull << 30, OM_TIERS_READY);
}

void put_fix_row(struct put_fix *f, unsigned tier, uint64_t used, uint64_t capacity, enum om_tier_state state)
{
	struct idxr_tier row = { .used_bytes = used, .capacity_bytes = capacity, .state = state };

	idxw_tier(f->idx, tier, &row);
}

static void make_ring(struct put_fix *f)
{
	struct om_seg a, b;
	struct om_ring mine;
	int ka = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), kb = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct om_seg a_ro = OM_SEG_INIT, b_ro = OM_SEG_INIT;

	assert_int_equal(om_ring_seg_create("a", OM_RING_BYTES, &a), 0);
	assert_int_equal(om_ring_seg_create("b", OM_RING_BYTES, &b), 0);
	assert_int_equal(om_seg_attach(dup(a.rofd), 0, false, &a_ro), 0);
	assert_int_equal(om_seg_attach(dup(b.rofd), 0, false, &b_ro), 0);
	assert_int_equal(om_ring_init(&mine, a, b_ro, ka, kb), 0);
	assert_int_equal(om_ring_init(&f->sup, b, a_ro, dup(kb), dup(ka)), 0);
	assert_int_equal(wrk_ring_new(&f->w.loop, &mine, &f->w.ring), 0);
}

void put_fix_start(struct put_fix *f, unsigned durability, void (*tune)(struct om_proc_boot *))
{
	(void)signal(SIGIO, SIG_IGN);
	memset(f, 0, sizeof(*f));
	f->w.boot.limits = (struct om_boot_limits){
		.put_sessions = 64, .put_sessions_per_uid = 16, .commit_wait_ms = 100, .io_threads = 2, .inline_bytes = 1 << 20,
	};
	f->wait_status = -OBJM_STATUS_NO_SPACE;
	f->w.boot.default_tier = 1;
	f->w.boot.ephemeral_tier = 0;
	f->w.boot.cache_tier = OM_TIER_NONE;
	f->w.boot.n_tiers = PUT_FIX_TIERS;
	f->w.boot.n_trusted = 1;
	f->w.boot.trusted_uid[0] = 1000;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		f->w.tiers[i].objects_fd = f->w.tiers[i].staging_fd = -1;
	assert_int_equal(idxw_new(100, &f->idx), 0);
	idxw_fill_done(f->idx);
	idxw_view(f->idx, &f->w.idx);
	make_tier(f, 0, "mem", OM_TIER_MEMORY, OM_DUR_NONE);
	make_tier(f, 1, "disk", OM_TIER_SSD, durability);
	make_tier(f, 2, "spare", OM_TIER_HDD, durability);
	if (tune)
		tune(&f->w.boot);
	for (unsigned i = 0; i < PUT_FIX_TIERS; i++)
		f->w.tiers[i].row = f->w.boot.tiers[i];
	assert_int_equal(wrk_loop_init(&f->w.loop), 0);
	make_ring(f);
	f->w.loop.before_wait = before_wait;
	f->w.loop.after_wait = after_wait;
	f->w.loop.hook_arg = f;
	assert_int_equal(wrk_io_new(&f->w.loop, 2, NULL, NULL, &f->w.io), 0);
	assert_int_equal(wrk_put_new(&f->w, &f->w.puts), 0);
	assert_int_equal(wrk_legacy_new(&f->w, &f->w.legacy), 0);
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void put_fix_stop(struct put_fix *f)
{
	wrk_legacy_free(f->w.legacy);
	wrk_io_free(f->w.io);
	f->w.io = NULL;
	wrk_put_free(f->w.puts);
	wrk_ring_free(f->w.ring);
	om_ring_fini(&f->sup);
	wrk_loop_fini(&f->w.loop);
	idxw_free(f->idx);
	for (unsigned i = 0; i < PUT_FIX_TIERS; i++) {
		om_close(&f->w.tiers[i].objects_fd);
		om_close(&f->w.tiers[i].staging_fd);
		(void)nftw(f->dirs[i], rm_one, 16, FTW_DEPTH | FTW_PHYS);
	}
}

/* ---- puts ---- */

void put_fix_begun(void *arg, const struct wrk_put_begun *b)
{
	struct put_fix *f = arg;

	f->n_begun++;
	f->begun = *b;
	(void)snprintf(f->text, sizeof(f->text), "%s", b->text ? b->text : "");
	assert_true((b->status == 0) == (b->fd >= 0));
	assert_true((b->status == 0) == (b->text == NULL));
}

void put_fix_done(void *arg, const struct wrk_put_done *d)
{
	struct put_fix *f = arg;

	f->n_done++;
	f->done = *d;
	(void)snprintf(f->text, sizeof(f->text), "%s", d->text ? d->text : "");
	assert_true((d->status == 0) == (d->text == NULL));
}

struct wrk_put_req put_fix_req(const char *uri)
{
	return (struct wrk_put_req){
		.uri = uri, .uri_len = (uint16_t)strlen(uri), .type = "text/plain", .type_len = 10, .durability = OM_DUR_COUNT,
	};
}

int put_fix_begin(struct put_fix *f, struct wrk_put_owner *o, const struct wrk_put_req *req)
{
	unsigned n = f->n_begun;
	const char *text = "";
	int rc = wrk_put_begin(f->w.puts, o, req, put_fix_begun, f, &text);

	if (rc < 0)
		fail_msg("begin: %s", text);
	assert_int_equal(f->n_begun, n); /* never from inside the call */
	put_fix_until(f, &f->n_begun, n + 1);
	if (f->begun.status < 0)
		fail_msg("begin: %s", f->text);
	return f->begun.fd;
}

int put_fix_commit(struct put_fix *f, struct wrk_put_owner *o)
{
	unsigned n = f->n_done;
	const char *text = "";
	struct wrk_put *p = wrk_put_find(f->w.puts, o, f->begun.session);

	assert_non_null(p);
	assert_int_equal(wrk_put_commit(f->w.puts, p, put_fix_done, f, &text), 0);
	assert_int_equal(f->n_done, n);
	put_fix_until(f, &f->n_done, n + 1);
	return f->done.status;
}

ssize_t put_fix_read(struct put_fix *f, unsigned tier, uint64_t id, char *buf, size_t len, unsigned *ret_mode)
{
	struct stat st;
	OM_AUTO_FD fd = -1;

	if (be_dir_open(f->w.tiers[tier].objects_fd, id, &fd) < 0)
		return -1;
	assert_int_equal(fstat(fd, &st), 0);
	if (ret_mode)
		*ret_mode = st.st_mode & 07777;
	return pread(fd, buf, len, 0);
}

static unsigned counted;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	counted += type == FTW_F;
	return 0;
}

unsigned put_fix_files(struct put_fix *f, unsigned tier)
{
	char path[128];

	counted = 0;
	(void)snprintf(path, sizeof(path), "%s/objects", f->dirs[tier]);
	(void)nftw(path, count_one, 16, FTW_PHYS);
	return counted;
}
