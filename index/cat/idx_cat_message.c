/*
 * idx_cat_message.c: the words to a status: what, on which file, why. Each thread has its last one. Runs in the supervisor, below
 * everything else in this folder.
 */
#include <stdarg.h>

#include "index/cat/idx_cat_int.h"

static _Thread_local char message[768];

const char *idx_cat_message(void)
{
	return message;
}

int idx_cat_fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	return status;
}
