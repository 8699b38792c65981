/*
 * idx_state.c: the state environment: opening it, and its identity. Runs in the supervisor; any thread. Below it: transactions
 * (idx_state_txn.c) and the tables (idx_state_ids.c, _tier.c, _pending.c, _tomb.c).
 *
 * All of it is read once at the open (state_read_all), so damage shows there and not at the first removal; if the last
 * open did not get through that, a child process looks first (idx_cat_check.c).
 */
#include <fcntl.h>

#include "index/cat/idx_state_int.h"

#define STATE_DIR "state"

/* ---- opening ---- */

static const char *const state_tables[] = { "meta", "tiers", "pending", "tombs" };

/* Values are sealed: a right length and checksum for whatever key. */
static int state_entry_check(const void *arg, const MDB_val *key, const MDB_val *val)
{
	const unsigned char *p;

	(void)arg;
	if (val->mv_size < IDX_CAT_SEAL_BYTES || val->mv_size > IDX_CAT_SEALED_MAX + IDX_CAT_SEAL_BYTES)
		return -OBJM_STATUS_CORRUPT;
	return idx_cat_seal_open(key, val, val->mv_size - IDX_CAT_SEAL_BYTES, &p) ? 0 : -OBJM_STATUS_CORRUPT;
}

static int state_read_all(struct idx_cat_env *env, MDB_txn *txn, const void *arg)
{
	int rc = 0;

	(void)arg;
	for (size_t i = 0; i < OM_ARRAY_SIZE(state_tables) && rc == 0; i++)
		rc = idx_cat_check_db(env, txn, state_tables[i], state_entry_check, NULL);
	return rc;
}

static int state_dbs_open(struct idx_state *st, MDB_txn *txn)
{
	MDB_dbi *dbis[] = { &st->meta, &st->tiers, &st->pending, &st->tombs };
	int mrc = MDB_SUCCESS;

	for (size_t i = 0; i < OM_ARRAY_SIZE(dbis) && mrc == MDB_SUCCESS; i++)
		mrc = mdb_dbi_open(txn, state_tables[i], st->env.created ? MDB_CREATE : 0, dbis[i]);
	if (mrc == MDB_SUCCESS)
		return 0;
	return idx_cat_env_fail(&st->env, mrc == MDB_NOTFOUND ? MDB_CORRUPTED : mrc, "cannot open its tables");
}

/*
 * File and environment each hold the identity; whichever is lost is made from the other. `file_rc` is what reading the file
 * gave. *ret_write: the file has to be written.
 */
static int state_identity(struct idx_state *st, struct idx_state_txn *txn, int file_rc, const char *dir, bool *ret_write)
{
	const unsigned char *p;
	unsigned char both[IDX_STATE_IDENT_BYTES];
	struct idx_identity *id = &st->identity;
	int rc, mrc = idx_cat_seal_get(txn->mdb, st->meta, IDX_STATE_IDENT_KEY, sizeof(IDX_STATE_IDENT_KEY) - 1, sizeof(both), &p);

	if (mrc != MDB_SUCCESS && mrc != MDB_NOTFOUND)
		return idx_state_broken(txn, mrc, "cannot read the identity");
	*ret_write = file_rc != 0;
	if (mrc == MDB_SUCCESS) {
		if (file_rc == 0 && (memcmp(id->install_id, p, sizeof(id->install_id)) != 0 ||
				     memcmp(id->secret, p + sizeof(id->install_id), sizeof(id->secret)) != 0))
			return idx_cat_fail(-OBJM_STATUS_PRECONDITION_FAILED,
					    "%s: the file `identity` and the environment `state` are of different installations: "
					    "put back the right one, or remove the one that is wrong", dir);
		memcpy(id->install_id, p, sizeof(id->install_id));
		memcpy(id->secret, p + sizeof(id->install_id), sizeof(id->secret));
		return 0;
	}
	if (file_rc == -OBJM_STATUS_CORRUPT)
		return idx_cat_fail(-OBJM_STATUS_PRECONDITION_FAILED,
				    "%s/identity: damaged, and the environment does not have it: restore the file from a backup; "
				    "without it the tiers are another installation's", dir);
	rc = file_rc == -OBJM_STATUS_NOT_FOUND ? idx_state_ident_make(id) : 0;
	if (rc != 0)
		return rc;
	memcpy(both, id->install_id, sizeof(id->install_id));
	memcpy(both + sizeof(id->install_id), id->secret, sizeof(id->secret));
	mrc = idx_cat_seal_put(txn->mdb, st->meta, IDX_STATE_IDENT_KEY, sizeof(IDX_STATE_IDENT_KEY) - 1, both, sizeof(both));
	explicit_bzero(both, sizeof(both)); /* half of it is the secret */
	return mrc == MDB_SUCCESS ? 0 : idx_state_broken(txn, mrc, "cannot store the identity");
}

static int state_setup(struct idx_state *st, const char *dir, int dirfd)
{
	struct idx_state_txn *txn = NULL;
	bool write_file = false;
	int file_rc = idx_state_ident_read(dirfd, dir, &st->identity), rc;

	if (file_rc != 0 && file_rc != -OBJM_STATUS_NOT_FOUND && file_rc != -OBJM_STATUS_CORRUPT)
		return file_rc;
	rc = idx_state_txn_begin(st, false, &txn);
	if (rc != 0)
		return rc;
	rc = state_dbs_open(st, txn->mdb);
	if (rc == 0)
		rc = state_read_all(&st->env, txn->mdb, NULL);
	if (rc == 0)
		rc = state_identity(st, txn, file_rc, dir, &write_file);
	if (rc == 0)
		rc = idx_state_ids_load(txn, &st->recovery);
	/* The file first: an environment of an identity that no file has is repaired at the next open, but an installation
	 * whose tiers know an identity that was never stored would be lost. */
	if (rc == 0 && write_file)
		rc = idx_state_ident_write(dirfd, dir, &st->identity);
	if (rc != 0) {
		idx_state_txn_abort(txn);
		return rc;
	}
	return idx_state_txn_commit(txn);
}

/* The databases and the identity, as they are. */
static int state_setup_readonly(struct idx_state *st, const char *dir, int dirfd)
{
	bool owes_file = false;
	MDB_txn *mdb;
	int file_rc = idx_state_ident_read(dirfd, dir, &st->identity);
	int rc = idx_cat_env_read_begin(&st->env, &mdb);

	if (rc != 0)
		return rc;
	struct idx_state_txn txn = { .state = st, .mdb = mdb, .readonly = true };
	rc = state_dbs_open(st, mdb);
	if (rc == 0)
		rc = state_read_all(&st->env, mdb, NULL);
	if (rc == 0 && file_rc == -OBJM_STATUS_NOT_FOUND)
		rc = idx_cat_fail(file_rc, "%s/identity: there is none", dir);
	if (rc == 0)
		rc = state_identity(st, &txn, file_rc, dir, &owes_file);
	/* a commit of a read transaction keeps the handles of the databases, an abort would close them */
	if (rc == 0) {
		rc = mdb_txn_commit(mdb) == MDB_SUCCESS ? 0 : -OBJM_STATUS_INTERNAL;
		idx_cat_env_read_leave(&st->env);
		return rc;
	}
	idx_cat_env_read_end(&st->env, mdb);
	return rc;
}

int idx_state_open_readonly(const char *state_dir, bool alone, struct idx_state **ret_state)
{
	OM_AUTO_FD dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OM_AUTO_FREE char *dir = NULL;
	int rc;

	if (dirfd < 0)
		return idx_cat_fail(-om_status_errno(errno), "%s: cannot open the state directory: %s", state_dir, strerror(errno));
	if (asprintf(&dir, "%s/" STATE_DIR, state_dir) < 0) {
		dir = NULL;
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory to open it", state_dir);
	}
	if (alone && idx_cat_env_check_due(dir)) {
		rc = idx_cat_check_run(dir, 0, state_read_all, NULL);
		if (rc != 0)
			return rc;
	}
	struct idx_state *st = calloc(1, sizeof(*st));
	if (!st)
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory to open it", state_dir);
	rc = idx_cat_env_open(dir, IDX_CAT_READONLY, 0, &st->env);
	if (rc != 0) {
		free(st);
		return rc;
	}
	rc = state_setup_readonly(st, state_dir, dirfd);
	if (rc != 0)
		idx_state_close(st);
	else
		*ret_state = st;
	return rc;
}

int idx_state_open(const char *state_dir, struct idx_state **ret_state)
{
	OM_AUTO_FD dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OM_AUTO_FREE char *dir = NULL;
	struct idx_state *st;
	int rc;

	if (dirfd < 0)
		return idx_cat_fail(-om_status_errno(errno), "%s: cannot open the state directory: %s", state_dir, strerror(errno));
	if (asprintf(&dir, "%s/" STATE_DIR, state_dir) < 0) {
		dir = NULL;
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory to open it", state_dir);
	}
	if (idx_cat_env_check_due(dir)) {
		rc = idx_cat_check_run(dir, 0, state_read_all, NULL);
		if (rc != 0)
			return rc;
	}
	st = calloc(1, sizeof(*st));
	if (!st)
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory to open it", state_dir);
	rc = idx_cat_env_open(dir, 0, 0, &st->env);
	if (rc != 0) {
		free(st);
		return rc;
	}
	rc = state_setup(st, state_dir, dirfd);
	idx_cat_env_proven(&st->env); /* read, or refused: either way it was survived */
	if (rc != 0) {
		if (st->env.created)
			(void)unlinkat(st->env.dirfd, IDX_CAT_DATA_NAME, 0); /* half-made: the next open begins anew */
		idx_state_close(st);
		return rc;
	}
	*ret_state = st;
	return 0;
}

void idx_state_close(struct idx_state *state)
{
	if (!state)
		return;
	idx_cat_env_close(&state->env);
	explicit_bzero(&state->identity, sizeof(state->identity));
	free(state);
}

int idx_state_set_aside(const char *state_dir)
{
	OM_AUTO_FREE char *dir = NULL;

	if (asprintf(&dir, "%s/" STATE_DIR, state_dir) < 0) {
		dir = NULL;
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory", state_dir);
	}
	return idx_cat_set_aside(dir);
}

const struct idx_identity *idx_state_identity(const struct idx_state *state)
{
	return &state->identity;
}

const struct idx_state_recovery *idx_state_recovery(const struct idx_state *state)
{
	return &state->recovery;
}
