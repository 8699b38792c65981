/*
 * ctl.h: objmctl, inside: asks the supervisor over its admin socket and shows the answer.
 *
 * Protocol (doc/admin.md): one line of JSON there, one back. Commands are rows of ctl_table.c. Single-threaded.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>

#include "common/om_base.h"

#define CTL_SOCKET_DEFAULT "/run/objmapper/objmapper-ctl.sock"
#define CTL_REPLY_MAX (16u << 20) /* bytes of an answer; more is refused */
#define CTL_TIMEOUT_S 30

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

/* One command. */
struct ctl_cmd {
	const char *words[2]; /* "tier", "list"; the second may be NULL */
	const char *arg;      /* name of its operand in the synopsis, NULL: takes none */
	const char *request;  /* value of "cmd" */
	const char *arg_key;  /* member that carries the operand */
	void (*print)(const json_t *reply);
	const char *help;
};
extern const struct ctl_cmd ctl_table[];
extern const size_t ctl_table_len;

/* ctl_client.c */
/** Ask. CTL_OK and *ret_reply (json_decref it), or CTL_FAILED after a message that says why and what to do. */
int ctl_ask(const char *socket_path, json_t *request, json_t **ret_reply);

/* ctl_print.c: answers for people, on standard output. Members that are missing are left out or shown as "-". */
void ctl_print_status(const json_t *reply);
void ctl_print_tiers(const json_t *reply);
void ctl_print_rebuild(const json_t *reply);
void ctl_print_workers(const json_t *reply);
void ctl_print_counters(const json_t *reply);
void ctl_print_metrics(const json_t *reply);
void ctl_print_ping(const json_t *reply);

#endif
