/*
 * cmd_msg.c: what `objm` says: one line a message on standard error, safe for a terminal.
 */
#include "client/cmd/cmd.h"

#include <stdarg.h>

#include "common/om_text.h"

#define SUBJECT_MAX 512u

/* One write, so that lines of several threads do not mix. */
static void say(const char *what, const char *subject, const char *text, const char *end)
{
	/* The start of a very long name is enough to find it. */
	OM_AUTO_FREE char *q_subject = subject ? om_text_quote(subject, strnlen(subject, SUBJECT_MAX)) : NULL;
	OM_AUTO_FREE char *q_text = om_text_quote(text, strlen(text));

	flockfile(stderr);
	fprintf(stderr, "objm: %s%s%s%s%s%s%s\n", what ? what : "", what && q_subject ? " " : "", q_subject ? q_subject : "",
		subject && strlen(subject) > SUBJECT_MAX ? "..." : "", what || q_subject ? ": " : "",
		q_text ? q_text : "out of memory", end);
	funlockfile(stderr);
}

/* Messages are short; what does not fit is cut. */
#define TEXT_MAX 8192

int cmd_fail(const char *what, const char *subject, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(what, subject, text, "");
	return CMD_FAILED;
}

int cmd_fail_lib(objm_t *s, const char *what, const char *uri, int status)
{
	const char *text = objm_error(s), *todo = objm_status_todo(status);
	char hint[512] = "";

	if (status != -OBJM_STATUS_SYSTEM && strcmp(todo, "nothing") != 0)
		(void)snprintf(hint, sizeof(hint), " (%s)", todo);
	/* The library's message mostly begins with operation and object: never say them twice. */
	if (*uri && strstr(text, uri))
		say(NULL, NULL, text, hint);
	else
		say(what, uri, *text ? text : objm_status_text(status), hint);
	return CMD_FAILED;
}

int cmd_usage(const char *cmd, const char *fmt, ...)
{
	char text[TEXT_MAX], end[128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(end, sizeof(end), "\nTry: objm %s%s--help", cmd ? cmd : "", cmd ? " " : "");
	say(cmd, NULL, text, end);
	return CMD_USAGE;
}

void cmd_note(const char *subject, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(NULL, subject, text, "");
}

void cmd_put_uri(FILE *f, bool terminal, const char *uri)
{
	OM_AUTO_FREE char *quoted = terminal ? om_text_quote(uri, strlen(uri)) : NULL;

	fputs(quoted ? quoted : terminal ? "?" : uri, f);
}

int cmd_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CMD_OK;
	return cmd_fail("write", "standard output", "%s", strerror(errno));
}
