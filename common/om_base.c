/*
 * om_base.c: see om_base.h. Linked by every program.
 */
#include "common/om_base.h"

void om_assert_fail(const char *cond, const char *file, int line, const char *func)
{
	(void)fprintf(stderr, "<2>assertion failed: %s (%s:%d, %s)\n", cond, file, line, func);
	abort();
}

static const struct status_row {
	uint8_t code, old;
	const char *name, *text, *todo;
} status_table[] = {
#define ROW(name, code, old, text, todo) { code, old, #name, text, todo },
	OBJM_STATUS_MAP(ROW)
#undef ROW
};

static const struct status_row *status_row(int status)
{
	static const struct status_row unknown = { 0xff, 0x10, "UNKNOWN", "unknown status", "report it" };
	int code = status < 0 ? -status : status;

	for (size_t i = 0; i < OM_ARRAY_SIZE(status_table); i++)
		if (status_table[i].code == code)
			return &status_table[i];
	return &unknown;
}

const char *om_status_text(int status) { return status_row(status)->text; }
const char *om_status_name(int status) { return status_row(status)->name; }
const char *om_status_todo(int status) { return status_row(status)->todo; }
uint8_t om_status_old(uint8_t status) { return status_row(status)->old; }

int om_status_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return OBJM_STATUS_NO_SPACE;
	case EFBIG:
		return OBJM_STATUS_TOO_LARGE;
	case ENOENT:
		return OBJM_STATUS_NOT_FOUND;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return OBJM_STATUS_OUT_OF_MEMORY;
	case EROFS:
		return OBJM_STATUS_READ_ONLY;
	case EACCES:
	case EPERM:
		return OBJM_STATUS_PERMISSION_DENIED;
	default:
		return OBJM_STATUS_STORAGE;
	}
}
