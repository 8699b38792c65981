/*
 * idx_cat.c: opening and closing the catalog of a tier, its head (whose it is, in which layout) and its running totals.
 * Runs in the supervisor. The write side is idx_cat_txn.c, the read side idx_cat_snap.c and idx_cat_scan.c.
 *
 * Databases of the environment: "objects" (key of a URI -> record), "removed" (id -> nothing), "meta" with sealed values:
 *   head    u32 layout | u8 tier | 3 x 0 | tier id | installation id | check of the secret | u64 created (s since 1970)
 *   totals  u64 objects | u64 bytes | u64 copies | u64 copy_bytes
 *   flags   u8 clean | u8 complete
 *   owner   and behind it the uid (u32 big-endian): u64 objects | u64 bytes; see idx_cat_owner.c
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "common/om_text.h"
#include "index/cat/idx_cat_int.h"

#define CAT_LAYOUT 1u
#define CAT_HEAD_KEY "head"
#define CAT_TOTALS_KEY "totals"
#define CAT_FLAGS_KEY "flags"

enum { HEAD_LAYOUT = 0, HEAD_TIER = 4, HEAD_TIER_ID = 8, HEAD_INSTALL_ID = 24, HEAD_SECRET = 40, HEAD_CREATED = 56, HEAD_BYTES = 64 };
enum { TOTALS_BYTES = 32, FLAGS_BYTES = 2 };
static_assert(HEAD_BYTES <= IDX_CAT_SEALED_MAX, "the head is a sealed value");

/* What the secret makes of a constant: tells two secrets apart and gives neither away. */
static void cat_secret_check(const struct idx_cat *cat, uint8_t ret_check[static IDX_CAT_HASH_BYTES])
{
	static const char text[] = "objmapper catalog, check of the secret";

	idx_cat_key_hash(text, sizeof(text), cat->secret, ret_check);
}

int idx_cat_totals_read(struct idx_cat_env *env, MDB_txn *txn, MDB_dbi meta, struct idx_cat_totals *ret_totals)
{
	const unsigned char *p;
	int rc = idx_cat_seal_get(txn, meta, CAT_TOTALS_KEY, sizeof(CAT_TOTALS_KEY) - 1, TOTALS_BYTES, &p);

	if (rc == MDB_NOTFOUND)
		rc = MDB_CORRUPTED;
	if (rc != MDB_SUCCESS)
		return idx_cat_env_fail(env, rc, "cannot read its totals");
	*ret_totals = (struct idx_cat_totals){ idx_le64(p), idx_le64(p + 8), idx_le64(p + 16), idx_le64(p + 24) };
	return 0;
}

int idx_cat_totals_write(MDB_txn *txn, MDB_dbi meta, const struct idx_cat_totals *t)
{
	unsigned char p[TOTALS_BYTES];

	idx_put64(p, t->objects);
	idx_put64(p + 8, t->bytes);
	idx_put64(p + 16, t->copies);
	idx_put64(p + 24, t->copy_bytes);
	return idx_cat_seal_put(txn, meta, CAT_TOTALS_KEY, sizeof(CAT_TOTALS_KEY) - 1, p, sizeof(p));
}

void idx_cat_totals_add(struct idx_cat_totals *t, uint64_t size, bool copy)
{
	t->objects++;
	t->bytes += size;
	if (copy) {
		t->copies++;
		t->copy_bytes += size;
	}
}

/* Saturates: totals that damage made wrong must not wrap around (idx_cat_txn_recount puts them right). */
void idx_cat_totals_sub(struct idx_cat_totals *t, uint64_t size, bool copy)
{
	t->objects -= OM_MIN(t->objects, UINT64_C(1));
	t->bytes -= OM_MIN(t->bytes, size);
	if (copy) {
		t->copies -= OM_MIN(t->copies, UINT64_C(1));
		t->copy_bytes -= OM_MIN(t->copy_bytes, size);
	}
}

int idx_cat_flags_write(MDB_txn *txn, MDB_dbi meta, bool clean, bool complete)
{
	unsigned char p[FLAGS_BYTES] = { clean, complete };

	return idx_cat_seal_put(txn, meta, CAT_FLAGS_KEY, sizeof(CAT_FLAGS_KEY) - 1, p, sizeof(p));
}

/* ---- head ---- */

static int cat_head_write(struct idx_cat *cat, MDB_txn *txn)
{
	unsigned char p[HEAD_BYTES] = { 0 };

	idx_put32(p + HEAD_LAYOUT, CAT_LAYOUT);
	p[HEAD_TIER] = cat->tier;
	memcpy(p + HEAD_TIER_ID, cat->tier_id, sizeof(cat->tier_id));
	memcpy(p + HEAD_INSTALL_ID, cat->install_id, sizeof(cat->install_id));
	cat_secret_check(cat, p + HEAD_SECRET);
	idx_put64(p + HEAD_CREATED, om_wall_ns() / 1000000000u);
	return idx_cat_seal_put(txn, cat->meta, CAT_HEAD_KEY, sizeof(CAT_HEAD_KEY) - 1, p, sizeof(p));
}

static int cat_head_check(struct idx_cat *cat, MDB_txn *txn)
{
	uint8_t check[IDX_CAT_HASH_BYTES];
	const unsigned char *p;
	int rc = idx_cat_seal_get(txn, cat->meta, CAT_HEAD_KEY, sizeof(CAT_HEAD_KEY) - 1, HEAD_BYTES, &p);

	if (rc != MDB_SUCCESS)
		return idx_cat_env_fail(&cat->env, rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc, "cannot read its head");
	if (idx_le32(p + HEAD_LAYOUT) != CAT_LAYOUT)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: layout %u, this program knows %u: rebuild it", cat->env.dir,
				    idx_le32(p + HEAD_LAYOUT), CAT_LAYOUT);
	if (memcmp(p + HEAD_INSTALL_ID, cat->install_id, sizeof(cat->install_id)) != 0)
		return idx_cat_fail(-OBJM_STATUS_PRECONDITION_FAILED, "%s: belongs to another installation: adopt the tier first",
				    cat->env.dir);
	if (memcmp(p + HEAD_TIER_ID, cat->tier_id, sizeof(cat->tier_id)) != 0)
		return idx_cat_fail(-OBJM_STATUS_PRECONDITION_FAILED, "%s: belongs to another tier: check the configured paths",
				    cat->env.dir);
	if (p[HEAD_TIER] != cat->tier)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: was made as tier number %u and this is %u: rebuild it", cat->env.dir,
				    p[HEAD_TIER], cat->tier);
	cat_secret_check(cat, check);
	if (memcmp(p + HEAD_SECRET, check, sizeof(check)) != 0)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: was made under another secret: rebuild it", cat->env.dir);
	return 0;
}

/* ---- open and close ---- */

static int cat_dbs_open(struct idx_cat *cat, MDB_txn *txn, unsigned flags)
{
	int rc = mdb_dbi_open(txn, "objects", flags, &cat->objects);

	if (rc == MDB_SUCCESS)
		rc = mdb_dbi_open(txn, "removed", flags, &cat->removed);
	if (rc == MDB_SUCCESS)
		rc = mdb_dbi_open(txn, "meta", flags, &cat->meta);
	if (rc == MDB_SUCCESS)
		return 0;
	/* An existing environment without them is not a catalog of ours, or no longer. */
	return idx_cat_env_fail(&cat->env, rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc, "cannot open its databases");
}

static int cat_flags_read(struct idx_cat *cat, MDB_txn *txn)
{
	const unsigned char *p;
	int rc = idx_cat_seal_get(txn, cat->meta, CAT_FLAGS_KEY, sizeof(CAT_FLAGS_KEY) - 1, FLAGS_BYTES, &p);

	if (rc != MDB_SUCCESS)
		return idx_cat_env_fail(&cat->env, rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc, "cannot read its flags");
	cat->was_clean = p[0] == 1;
	atomic_store(&cat->complete, p[1] == 1);
	return 0;
}

static int cat_setup_readonly(struct idx_cat *cat)
{
	struct idx_cat_totals totals;
	MDB_txn *txn;
	int rc = idx_cat_env_read_begin(&cat->env, &txn);

	if (rc != 0)
		return rc;
	rc = cat_dbs_open(cat, txn, 0);
	if (rc == 0)
		rc = cat_head_check(cat, txn);
	if (rc == 0)
		rc = cat_flags_read(cat, txn);
	if (rc == 0)
		rc = idx_cat_totals_read(&cat->env, txn, cat->meta, &totals);
	/* A commit of a read transaction keeps the handles of the databases, an abort would close them. */
	if (rc == 0) {
		rc = mdb_txn_commit(txn) == MDB_SUCCESS ? 0 : -OBJM_STATUS_INTERNAL;
		idx_cat_env_read_leave(&cat->env);
		return rc;
	}
	idx_cat_env_read_end(&cat->env, txn);
	return rc;
}

/* In one transaction: databases and head made or checked, and "not clean" written. */
static int cat_setup(struct idx_cat *cat)
{
	static const struct idx_cat_totals none;
	struct idx_cat_totals totals;
	MDB_txn *txn;
	int rc = idx_cat_env_write_begin(&cat->env, &txn), mrc = MDB_SUCCESS;

	if (rc != 0)
		return rc;
	rc = cat_dbs_open(cat, txn, cat->env.created ? MDB_CREATE : 0);
	if (rc == 0 && cat->env.created) {
		cat->was_clean = true;
		mrc = cat_head_write(cat, txn);
		if (mrc == MDB_SUCCESS)
			mrc = idx_cat_totals_write(txn, cat->meta, &none);
	} else if (rc == 0) {
		rc = cat_head_check(cat, txn);
		if (rc == 0)
			rc = cat_flags_read(cat, txn);
		if (rc == 0)
			rc = idx_cat_totals_read(&cat->env, txn, cat->meta, &totals);
	}
	if (rc == 0 && mrc == MDB_SUCCESS)
		mrc = idx_cat_flags_write(txn, cat->meta, false, atomic_load(&cat->complete));
	if (rc == 0 && mrc != MDB_SUCCESS)
		rc = idx_cat_env_fail(&cat->env, mrc, "cannot write its head");
	if (rc != 0) {
		idx_cat_env_write_abort(&cat->env, txn);
		return rc;
	}
	return idx_cat_env_write_commit(&cat->env, txn);
}

/* A catalog whose making failed half-way (a full disk) must not be found by the next start as a damaged one. */
static void cat_unmake(struct idx_cat *cat)
{
	if (cat->env.mdb)
		mdb_env_close(cat->env.mdb);
	cat->env.mdb = NULL;
	(void)unlinkat(cat->env.dirfd, IDX_CAT_DATA_NAME, 0);
}

int idx_cat_open(const struct idx_cat_params *params, struct idx_cat **ret_cat)
{
	struct idx_cat *cat;
	int rc;

	if (params->tier >= OM_TIERS_MAX)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "%s: tier number %u is out of range", params->dir, params->tier);
	if ((params->flags & IDX_CAT_NOCHECK) == 0 && idx_cat_env_check_due(params->dir)) {
		rc = idx_cat_check(params, 0);
		if (rc != 0)
			return rc;
	}
	cat = calloc(1, sizeof(*cat));
	if (!cat)
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory to open it", params->dir);
	rc = idx_cat_env_open(params->dir, params->flags & (IDX_CAT_VOLATILE | IDX_CAT_READONLY), params->map_bytes, &cat->env);
	if (rc != 0) {
		free(cat);
		return rc;
	}
	cat->tier = params->tier;
	memcpy(cat->secret, params->secret, sizeof(cat->secret));
	memcpy(cat->tier_id, params->tier_id, sizeof(cat->tier_id));
	memcpy(cat->install_id, params->install_id, sizeof(cat->install_id));
	rc = (params->flags & IDX_CAT_READONLY) ? cat_setup_readonly(cat) : cat_setup(cat);
	if (rc != 0) {
		if (cat->env.created)
			cat_unmake(cat);
		/* The head was read and says why not: that is no crash to look into at the next start. */
		idx_cat_env_proven(&cat->env);
		idx_cat_env_close(&cat->env);
		free(cat);
		return rc;
	}
	*ret_cat = cat;
	return 0;
}

static void cat_mark_clean(struct idx_cat *cat)
{
	MDB_txn *txn;

	if (idx_cat_env_write_begin(&cat->env, &txn) != 0)
		return; /* not clean, then: the next start is only more careful */
	if (idx_cat_flags_write(txn, cat->meta, true, atomic_load(&cat->complete)) == MDB_SUCCESS)
		(void)idx_cat_env_write_commit(&cat->env, txn);
	else
		idx_cat_env_write_abort(&cat->env, txn);
}

void idx_cat_close(struct idx_cat *cat)
{
	if (!cat)
		return;
	if (idx_cat_writable(cat))
		cat_mark_clean(cat);
	if (!atomic_load(&cat->env.failed))
		idx_cat_env_proven(&cat->env);
	idx_cat_env_close(&cat->env);
	free(cat->owners.v);
	free(cat);
}

bool idx_cat_read_ahead(struct idx_cat *cat, uint64_t *at, uint64_t bytes)
{
	struct stat st;
	int fd;

	if (mdb_env_get_fd(cat->env.mdb, &fd) != MDB_SUCCESS || fstat(fd, &st) < 0 || *at >= (uint64_t)st.st_size)
		return false;
	if (posix_fadvise(fd, (off_t)*at, (off_t)bytes, POSIX_FADV_WILLNEED) != 0)
		return false; /* only slower */
	*at += bytes;
	return *at < (uint64_t)st.st_size;
}

int idx_cat_set_aside(const char *dir)
{
	OM_AUTO_FD dirfd = -1;
	int rc = idx_cat_file_dir(dir, true, &dirfd);

	if (rc == -OBJM_STATUS_NOT_FOUND)
		return 0;
	return rc == 0 ? idx_cat_file_set_aside(dirfd, dir) : rc;
}

int idx_cat_discard(const char *dir)
{
	OM_AUTO_FD dirfd = -1;
	int rc = idx_cat_file_dir(dir, true, &dirfd);

	if (rc == -OBJM_STATUS_NOT_FOUND)
		return 0;
	return rc == 0 ? idx_cat_file_discard(dirfd, dir) : rc;
}

/* ---- small questions ---- */

bool idx_cat_writable(const struct idx_cat *cat)
{
	return (cat->env.flags & IDX_CAT_READONLY) == 0 && !atomic_load(&cat->env.failed);
}

const char *idx_cat_dir(const struct idx_cat *cat) { return cat->env.dir; }

void idx_cat_info(struct idx_cat *cat, struct idx_cat_info *ret_info)
{
	MDB_envinfo mi;
	struct stat st;
	int fd;

	(void)mdb_env_info(cat->env.mdb, &mi); /* these fail only for NULL */
	(void)mdb_env_get_fd(cat->env.mdb, &fd);
	*ret_info = (struct idx_cat_info){
		.created = cat->env.created,
		.clean = cat->was_clean,
		.complete = atomic_load(&cat->complete),
		.map_bytes = mi.me_mapsize,
		.file_bytes = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0,
		.readers = mi.me_numreaders,
		.readers_max = mi.me_maxreaders,
	};
}

int idx_cat_reader_check(struct idx_cat *cat)
{
	int dead = 0, rc = mdb_reader_check(cat->env.mdb, &dead);

	return rc == MDB_SUCCESS ? dead : idx_cat_env_fail(&cat->env, rc, "cannot clear dead readers");
}

/* ---- one entry ---- */

void idx_cat_test_hash(struct idx_cat *cat, idx_cat_hash_fn *hash)
{
	cat->hash = hash;
}

bool idx_cat_key_matches(const struct idx_cat *cat, const MDB_val *key, const struct om_rec *rec)
{
	struct idx_cat_key want;

	if (!idx_cat_key_is_long(rec->uri_len))
		return true; /* the key is the URI */
	idx_cat_key_make(rec->uri, rec->uri_len, cat->secret, cat->hash, &want);
	return key->mv_size == want.len && memcmp(key->mv_data, want.b, want.len) == 0;
}

int idx_cat_lookup(struct idx_cat *cat, MDB_txn *txn, const char *uri, size_t uri_len, struct idx_cat_key *ret_key,
		   MDB_val *ret_val)
{
	MDB_val k;

	idx_cat_key_make(uri, uri_len, cat->secret, cat->hash, ret_key);
	k.mv_size = ret_key->len;
	k.mv_data = ret_key->b;
	return mdb_get(txn, cat->objects, &k, ret_val);
}

int idx_cat_found(struct idx_cat *cat, const struct idx_cat_key *key, const MDB_val *val, const char *uri, size_t uri_len,
		  struct om_rec *ret_rec)
{
	struct om_rec rec;

	if (idx_cat_rec_decode(key->b, key->len, val->mv_data, val->mv_size, cat->tier, &rec) != 0) {
		OM_AUTO_FREE char *name = om_text_quote(uri, OM_MIN(uri_len, (size_t)200));
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: the record of '%s' is damaged: rebuild the tier's catalog",
				    cat->env.dir, name ? name : "?");
	}
	if (rec.uri_len != uri_len || memcmp(rec.uri, uri, uri_len) != 0)
		return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "%s: no such record (another long URI has its key)", cat->env.dir);
	if (!idx_cat_key_is_long(uri_len))
		rec.uri = uri; /* `key` ends with the caller's frame */
	*ret_rec = rec;
	return 0;
}
