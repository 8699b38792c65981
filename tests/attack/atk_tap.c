/*
 * atk_tap.c: results of attack programs as TAP. The counters lie in shared memory, so that forked children, which do the
 * things that need another user, can report by themselves.
 */
#include "tests/attack/atk.h"

#include <stdarg.h>
#include <sys/mman.h>

struct counts {
	int done, failed;
};

static struct counts *counts;

void atk_tap_init(void)
{
	void *p = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	OM_ASSERT(p != MAP_FAILED);
	counts = p;
	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* nothing is left in a buffer that a fork would double */
}

bool atk_tap_ok(bool ok, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	counts->failed += !ok;
	printf("%s %d - %s\n", ok ? "ok" : "not ok", ++counts->done, text);
	return ok;
}

void atk_tap_skip(const char *what, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("ok %d - %s # SKIP %s\n", ++counts->done, what, text);
}

void atk_tap_note(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("# %s\n", text);
}

int atk_tap_done(void)
{
	printf("1..%d\n", counts->done);
	return counts->failed > 0 || counts->done == 0;
}
