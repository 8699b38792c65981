/*
 * idx_state_ident.c: the file `identity` in state_dir: installation id and secret, made once. Runs in the supervisor, at
 * the open of the state environment. It lies beside the environment, so that a damaged environment does not turn every
 * tier into another installation's.
 *
 * One line: objmapper-identity 1 install=<32 hex digits> secret=<32 hex digits> sum=<16 hex digits>
 */
#include "index/cat/idx_line.h"
#include "index/cat/idx_state_int.h"

#include <sys/random.h>

#define IDENT_NAME "identity"
#define IDENT_HEAD "objmapper-identity 1"
static const char *const ident_fields[] = { "install", "secret" };

int idx_state_ident_make(struct idx_identity *ret_identity)
{
	unsigned char both[IDX_STATE_IDENT_BYTES];

	if (getrandom(both, sizeof(both), 0) != (ssize_t)sizeof(both)) /* up to 256 bytes are never short */
		return idx_cat_fail(-OBJM_STATUS_SYSTEM, "no random bytes for a new installation: %s", strerror(errno));
	memcpy(ret_identity->install_id, both, sizeof(ret_identity->install_id));
	memcpy(ret_identity->secret, both + sizeof(ret_identity->install_id), sizeof(ret_identity->secret));
	explicit_bzero(both, sizeof(both));
	return 0;
}

int idx_state_ident_read(int dirfd, const char *dir, struct idx_identity *ret_identity)
{
	struct idx_identity id;
	uint8_t *const values[] = { id.install_id, id.secret };
	int rc = idx_line_read(dirfd, IDENT_NAME, IDENT_HEAD, ident_fields, values, OM_ARRAY_SIZE(values));

	if (rc == -OBJM_STATUS_CORRUPT)
		return idx_cat_fail(rc, "%s/" IDENT_NAME ": damaged", dir);
	if (rc != 0)
		return idx_cat_fail(rc, "%s/" IDENT_NAME ": cannot read it: %s", dir, strerror(errno));
	*ret_identity = id;
	return 0;
}

int idx_state_ident_write(int dirfd, const char *dir, const struct idx_identity *identity)
{
	const uint8_t *const values[] = { identity->install_id, identity->secret };
	int rc = idx_line_write(dirfd, IDENT_NAME, IDENT_HEAD, ident_fields, values, OM_ARRAY_SIZE(values), true);

	return rc == 0 ? 0 : idx_cat_fail(rc, "%s/" IDENT_NAME ": cannot write it: %s", dir, strerror(errno));
}
