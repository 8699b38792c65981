/*
 * be_test.h: what the tests of backend/ share: tiers in fresh directories, on a disk and on tmpfs, with capabilities as
 * probed or fewer.
 */
#ifndef BE_TEST_H
#define BE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/be.h"

struct be_test {
	char path[256];
	int root_fd, objects_fd, staging_fd;
	uint32_t probed; /* capabilities */
	struct be be;
};

/** A tier below `parent` (NULL: $TMPDIR or /tmp), with the probed capabilities without those of `without`. */
void be_test_open(struct be_test *t, const char *parent, unsigned type, uint32_t without);
/** Close it and remove everything. */
void be_test_close(struct be_test *t);
/** A record with this name, type "text/plain", the flags EVICTABLE, and metadata k = v. Its texts are static or `uri`. */
struct om_rec be_test_rec(const char *uri);
/** Begin, write, freeze: a file ready to be linked. */
void be_test_frozen(struct be_test *t, const char *bytes, const struct om_rec *rec, struct be_file *ret);
/** Begin, write, freeze, link. */
void be_test_put(struct be_test *t, uint64_t id, const char *bytes, const struct om_rec *rec);
/** Does the object exist, with these bytes (NULL: any)? */
bool be_test_is(struct be_test *t, uint64_t id, const char *bytes);
/** Entries of a directory of the tier, without . and .., in staging without its lanes; `name` "staging" or "objects/000000000".
 * -1: not there */
int be_test_entries(struct be_test *t, const char *name);
/** rm -r */
void be_test_rm(const char *path);

#endif
