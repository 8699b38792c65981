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
	OM_AUTO_FREE char *q_subject = !subject ? NULL : *subject ? om_text_quote(subject, strnlen(subject, SUBJECT_MAX)) : strdup("\"\"");
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

/*
 * What is new in the library's message "GET /a: no such object (words of the server)": the part behind the object's name, and
 * without words that only say the status again. NULL: it is of another form.
 */
static char *message_rest(const char *text, const char *uri, int status)
{
	OM_AUTO_FREE char *quoted = om_text_quote(uri, strlen(uri));
	OM_AUTO_FREE char *again = NULL;
	const char *at = quoted && *uri ? strstr(text, quoted) : NULL;
	size_t len, tail;
	char *rest;

	if (!at || strncmp(at + strlen(quoted), ": ", 2) != 0 || !(rest = strdup(at + strlen(quoted) + 2)))
		return NULL;
	if (asprintf(&again, " (%s)", objm_status_text(status)) < 0)
		return rest;
	len = strlen(rest);
	tail = strlen(again);
	if (len > tail && strcmp(rest + len - tail, again) == 0)
		rest[len - tail] = '\0';
	return rest;
}

int cmd_fail_lib(objm_t *s, const char *what, const char *uri, int status)
{
	const char *text = objm_error(s), *todo = objm_status_todo(status);
	OM_AUTO_FREE char *rest = message_rest(text, uri, status);
	char hint[512] = "";

	/* A system's error and a malformed request say themselves what to do. */
	if (status != -OBJM_STATUS_SYSTEM && status != -OBJM_STATUS_INVALID_REQUEST && strcmp(todo, "nothing") != 0)
		(void)snprintf(hint, sizeof(hint), " (%s)", todo);
	if (rest)
		say(what, uri, rest, hint);
	else if (strncmp(text, "connect ", 8) == 0)
		say(what, uri, text, "");
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
