/*
 * cat_test.h: what the tests of the catalogs share: a scratch directory, an open catalog, made-up records.
 */
#ifndef CAT_TEST_H
#define CAT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "index/cat/idx_cat_int.h"
#include "index/cat/idx_cat_list.h"

#define CAT_TEST_MAP (UINT64_C(1) << 30) /* sanitizers do not like many maps of 1 TiB */

/* Fails the test with the library's own words. */
#define cat_ok(expr) cat_test_ok((expr), #expr, __FILE__, __LINE__)
void cat_test_ok(int rc, const char *expr, const char *file, int line);

/* A new directory under $TMPDIR, /tmp or `base`; removed with all below by cat_test_rmdir. */
char *cat_test_mkdir(const char *base);
void cat_test_rmdir(char *dir);

/* Deterministic pseudo-random numbers. */
uint64_t cat_test_rnd(uint64_t *seed);

/* Parameters of a test catalog <dir>/cat<tier>; the path lives until the next call with the same tier. */
struct idx_cat_params cat_test_params(const char *dir, uint8_t tier);
struct idx_cat *cat_test_open(const char *dir, uint8_t tier);
struct idx_cat *cat_test_open_memory(const char *dir, uint8_t tier); /* VOLATILE: of a memory tier */

/* A record with borrowed uri. */
struct om_rec cat_test_rec(const char *uri, size_t len, uint64_t id, uint64_t size, uint8_t tier);

/* One change in a transaction of its own. */
int cat_test_put(struct idx_cat *cat, const struct om_rec *rec);
int cat_test_del(struct idx_cat *cat, const char *uri);

/* A valid URI of random length and content; few alphabets, so that prefixes repeat. Up to OM_URI_MAX. Returns the length. */
size_t cat_test_uri(uint64_t *seed, char ret_uri[static OM_URI_MAX]);

void cat_test_write_at(const char *dir, const char *file, off_t off, const void *bytes, size_t len);
off_t cat_test_file_size(const char *dir, const char *file);

#endif
