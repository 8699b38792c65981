/*
 * ctl.h: objmctl, inside: asks the supervisor over its admin socket and shows the answer.
 *
 * Protocol (doc/admin.md): one line of JSON there, one back. Commands are rows of common/tbl/admin.def. Single-threaded.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>

#include "common/om_base.h"

#define CTL_SOCKET_DEFAULT "/run/objmapper/objmapper-ctl.sock"
#define CTL_REPLY_MAX (16u << 20) /* bytes of an answer; more is refused */
#define CTL_TIMEOUT_S 30
#define CTL_ARGS_MAX 4

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_DENIED = 3, CTL_UNREACHABLE = 4 };

/* One operand or option of a command, from the `args` of its row. */
struct ctl_arg {
	char key[32];	/* member of the request; of an option its name */
	char title[32]; /* of an operand in the synopsis: "TIER" */
	bool option, number, optional;
};

/* One command. */
struct ctl_cmd {
	const char *words[2]; /* "tier", "list"; the second may be "" */
	const char *request;  /* value of "cmd" */
	bool change;	      /* for root and the daemon's own uid */
	const char *args;
	void (*print)(const json_t *reply);
	const char *help;
};
extern const struct ctl_cmd ctl_table[];
extern const size_t ctl_table_len;

/* ctl_table.c */
/** The args of a command, in order. @return how many, at most CTL_ARGS_MAX */
unsigned ctl_args(const struct ctl_cmd *cmd, struct ctl_arg ret[static CTL_ARGS_MAX]);
/** "tier drain TIER [--stop]". */
void ctl_synopsis(const struct ctl_cmd *cmd, char *ret, size_t cap);

/* ctl_client.c */
/** Ask. CTL_OK and *ret_reply (json_decref it); else after a message that says why and what to do: CTL_UNREACHABLE (nobody
 * answers), CTL_DENIED (for others only), CTL_FAILED. */
int ctl_ask(const char *socket_path, json_t *request, json_t **ret_reply);

/* ctl_print*.c: answers for people, on standard output. Members that are missing are left out or shown as "-". */
#define OM_ADMIN(id, name, word1, word2, change, args, help) void ctl_print_##id(const json_t *reply);
#include "common/tbl/admin.def"
#undef OM_ADMIN

/* ctl_table_print.c: tables of JSON objects */
enum ctl_kind { CTL_TEXT, CTL_NUMBER, CTL_SIZE, CTL_SPAN, CTL_RATIO, CTL_RATE };
struct ctl_column {
	const char *title;
	const char *key;
	enum ctl_kind kind;
};
#define CTL_COLUMNS_MAX 16
/** A value in words, in memory of its own; "-" for what is missing. NULL: out of memory. */
char *ctl_cell(const json_t *value, enum ctl_kind kind);
/** Rows of a JSON array of objects; widths follow from the contents. */
void ctl_print_table(const json_t *rows, const struct ctl_column *columns, size_t n);
/** Lines "title  value" of members of one object; what is missing is left out. */
void ctl_print_members(const json_t *o, const struct ctl_column *columns, size_t n);

#endif
