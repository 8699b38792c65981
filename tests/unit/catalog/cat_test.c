/*
 * cat_test.c: see cat_test.h.
 */
#include "tests/unit/catalog/cat_test.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

void cat_test_ok(int rc, const char *expr, const char *file, int line)
{
	if (rc == 0)
		return;
	print_error("%s: %s (%s)\n", expr, om_status_name(rc), idx_cat_message());
	_fail(file, line);
}

char *cat_test_mkdir(const char *base)
{
	const char *tmp = base ? base : getenv("TMPDIR");
	char *dir = NULL;

	assert_true(asprintf(&dir, "%s/objm-cat-XXXXXX", tmp ? tmp : "/tmp") > 0);
	assert_non_null(mkdtemp(dir));
	return dir;
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void cat_test_rmdir(char *dir)
{
	(void)nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

uint64_t cat_test_rnd(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

struct idx_cat_params cat_test_params(const char *dir, uint8_t tier)
{
	static char paths[OM_TIERS_MAX][256];
	struct idx_cat_params p = { .dir = paths[tier], .tier = tier, .map_bytes = CAT_TEST_MAP };

	(void)snprintf(paths[tier], sizeof(paths[tier]), "%s/cat%u", dir, tier);
	memset(p.secret, 's', sizeof(p.secret));
	memset(p.tier_id, 't' + tier, sizeof(p.tier_id));
	memset(p.install_id, 'i', sizeof(p.install_id));
	return p;
}

struct idx_cat *cat_test_open(const char *dir, uint8_t tier)
{
	struct idx_cat_params p = cat_test_params(dir, tier);
	struct idx_cat *cat = NULL;

	cat_ok(idx_cat_open(&p, &cat));
	return cat;
}

struct idx_cat *cat_test_open_memory(const char *dir, uint8_t tier)
{
	struct idx_cat_params p = cat_test_params(dir, tier);
	struct idx_cat *cat = NULL;

	p.flags |= IDX_CAT_VOLATILE;
	cat_ok(idx_cat_open(&p, &cat));
	return cat;
}

struct om_rec cat_test_rec(const char *uri, size_t len, uint64_t id, uint64_t size, uint8_t tier)
{
	return (struct om_rec){
		.id = id, .size = size, .mtime_ns = id * 1000, .rev = 1, .tier = tier, .home = tier,
		.uri_len = (uint16_t)len, .uri = uri, .type = "text/plain", .type_len = 10,
	};
}

int cat_test_put(struct idx_cat *cat, const struct om_rec *rec)
{
	struct idx_cat_txn *txn;
	int rc = idx_cat_txn_begin(cat, &txn);

	if (rc != 0)
		return rc;
	rc = idx_cat_txn_put(txn, rec, 0, NULL);
	if (rc != 0) {
		idx_cat_txn_abort(txn);
		return rc;
	}
	return idx_cat_txn_commit(txn);
}

int cat_test_del(struct idx_cat *cat, const char *uri)
{
	struct idx_cat_txn *txn;
	int rc = idx_cat_txn_begin(cat, &txn);

	if (rc != 0)
		return rc;
	rc = idx_cat_txn_del(txn, uri, strlen(uri), 0, NULL);
	if (rc != 0) {
		idx_cat_txn_abort(txn);
		return rc;
	}
	return idx_cat_txn_commit(txn);
}

size_t cat_test_uri(uint64_t *seed, char ret_uri[static OM_URI_MAX])
{
	/* Lengths around the border between raw and hashed keys, and everything else now and then. */
	static const unsigned lens[] = { 1, 2, 3, 8, 494, 495, 496, 497, 510, 511, 512, 600, 4095, 4096 };
	static const char *const units[] = { "\x01", "/", "a", "b", "~", "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf4\x8f\xbf\xbf" };
	uint64_t r = cat_test_rnd(seed);
	size_t want = lens[r % OM_ARRAY_SIZE(lens)], len = 0, same = 0;

	if ((r >> 8) % 3 == 0)
		want = 1 + (r >> 16) % 700;
	if ((r >> 40) % 2 == 0) /* a shared beginning, so that long ones fall into one group */
		same = OM_MIN(want, 490 + (r >> 48) % 8);
	while (len < same)
		ret_uri[len++] = 'p';
	while (len < want) {
		const char *u = units[cat_test_rnd(seed) % OM_ARRAY_SIZE(units)];
		if (strlen(u) > want - len)
			u = "z";
		memcpy(ret_uri + len, u, strlen(u));
		len += strlen(u);
	}
	return len;
}

void cat_test_write_at(const char *dir, const char *file, off_t off, const void *bytes, size_t len)
{
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	OM_AUTO_FD fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, off), (ssize_t)len);
}

off_t cat_test_file_size(const char *dir, const char *file)
{
	char path[600];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	return stat(path, &st) == 0 ? st.st_size : -1;
}
