/*
 * admin_fix.h: an admin socket over a fake engine, with no process behind it, and a client's side of it.
 */
#ifndef ADMIN_FIX_H
#define ADMIN_FIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_engine.h"
#include "supervisor/sup_admin_cmd.h"

#define MS UINT64_C(1000000)

extern struct admin_fix {
	struct sup sup;
	struct om_conf conf;
	struct sup_sock sock;
	char dir[64], path[96];
} w;

int setup(void **state);
int teardown(void **state);
/** A connection, non-blocking. */
int connect_admin(void);
/** Turns of the supervisor's loop. */
void turn(unsigned n);
void say(int fd, const char *s, size_t len);
/** The next line as JSON; NULL at the end of the stream. Fails the test when none comes. */
json_t *answer(int fd);
json_t *ask(int fd, const char *line);
bool ok(json_t *j);
/** True, and `j` is freed, if it is an error of that status. */
bool is_error(json_t *j, const char *status);

#endif
