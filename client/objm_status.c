/*
 * objm_status.c: texts of the status codes, from the one table (objm_status.h).
 *
 * Runs in clients. The library has its own copy of this small table because it links nothing of the daemon's.
 */
#include "client/objm_priv.h"

struct status_row {
	const char *name;
	const char *text;
	const char *todo;
	int code;
	uint8_t old;
};
static const struct status_row rows[] = {
#define STATUS_ROW(name, code, old, text, todo) {#name, text, todo, code, old},
	OBJM_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

static const struct status_row *row_of(int status)
{
	static const struct status_row unknown = {"UNKNOWN", "unknown status", "the peer is newer than this library",
						  -1, OBJM_STATUS_INTERNAL};
	size_t i;

	if (status < 0 && status >= -0xff)
		status = -status;
	for (i = 0; i < OM_ARRAY_SIZE(rows); i++) {
		if (rows[i].code == status)
			return &rows[i];
	}
	return &unknown;
}

const char *objm_status_text(int status) { return row_of(status)->text; }
const char *objm_status_name(int status) { return row_of(status)->name; }
const char *objm_status_todo(int status) { return row_of(status)->todo; }
uint8_t objm_status_old(uint8_t status) { return row_of(status)->old; }
