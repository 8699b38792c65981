/*
 * om_log.c: see om_log.h. Runs in every process; the sink decides where a line goes.
 */
#include "common/om_log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

const struct om_msg_info om_msg_table[OM_MSG_COUNT] = {
#define OM_LOG_MSG(name, uuid, prio, limited, what, todo) { #name, uuid, prio, limited, what, todo },
#include "common/tbl/log.def"
#undef OM_LOG_MSG
};

static struct {
	pthread_mutex_t lock;
	om_log_sink_fn *fn;
	void *arg;
	const char *ident;
	_Atomic int max;
	struct {
		uint64_t window; /* number of the window that `lines` counts */
		uint32_t lines, dropped;
	} limit[OM_MSG_COUNT];
} g = { .lock = PTHREAD_MUTEX_INITIALIZER, .ident = "objmapper", .max = OM_LOG_INFO };

void om_log_level(enum om_log_prio max) { atomic_store(&g.max, (int)max); }
void om_log_ident(const char *name) { g.ident = name; }

void om_log_sink(om_log_sink_fn *fn, void *arg)
{
	pthread_mutex_lock(&g.lock);
	g.fn = fn;
	g.arg = arg;
	pthread_mutex_unlock(&g.lock);
}

void om_log_stderr(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	(void)id;
	(void)arg;
	/* one write, so that lines of several processes do not mix */
	char line[OM_LOG_TEXT_MAX + 96];
	int n = snprintf(line, sizeof(line), "<%d>%s[%d]: %s\n", (int)prio, g.ident, (int)getpid(), text);
	if (n > 0) {
		ssize_t w = write(STDERR_FILENO, line, OM_MIN((size_t)n, sizeof(line) - 1));
		(void)w; /* nowhere left to say that standard error is gone */
	}
}

static _Thread_local const struct om_log_about *current;

const struct om_log_about *om_log_fields(void)
{
	static const struct om_log_about none;
	return current ? current : &none;
}

/* True if the line may go out; *ret_dropped: lines that were left out before it. */
static bool admit(enum om_msg id, bool limited, uint32_t *ret_dropped)
{
	uint64_t window = om_coarse_ns() / (OM_LOG_WINDOW_S * UINT64_C(1000000000));
	bool ok = true;

	*ret_dropped = 0;
	if (!limited)
		return true;
	if (g.limit[id].window != window) {
		*ret_dropped = g.limit[id].dropped;
		g.limit[id].window = window;
		g.limit[id].lines = g.limit[id].dropped = 0;
	}
	if (g.limit[id].lines >= OM_LOG_BURST) {
		g.limit[id].dropped++;
		ok = false;
	} else {
		g.limit[id].lines++;
	}
	return ok;
}

/* A line in the log is one line, whatever a peer put into a URI. */
static void clean(char *to, size_t cap, const char *from)
{
	size_t n = 0;

	for (; *from && n + 5 < cap; from++) {
		unsigned char c = (unsigned char)*from;
		if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(to + n, cap - n, "\\x%02x", c);
		else
			to[n++] = (char)c;
	}
	to[n] = '\0';
}

static void emit(enum om_msg id, om_log_sink_fn *fn, void *arg, const char *text)
{
	(fn ? fn : om_log_stderr)(id, om_msg_table[id].prio, text, arg);
}

OM_PRINTF(3, 0)
static void log_line(enum om_msg id, const struct om_log_about *about, const char *fmt, va_list ap)
{
	char raw[OM_LOG_TEXT_MAX], text[OM_LOG_TEXT_MAX];
	int saved = errno;
	uint32_t dropped;

	OM_ASSERT((unsigned)id < OM_MSG_COUNT);
	if ((int)om_msg_table[id].prio > atomic_load_explicit(&g.max, memory_order_relaxed))
		return;
	pthread_mutex_lock(&g.lock);
	bool ok = admit(id, om_msg_table[id].limited || (about && about->child && id != OM_MSG_ACCESS), &dropped);
	om_log_sink_fn *fn = g.fn;
	void *arg = g.arg;
	pthread_mutex_unlock(&g.lock);
	current = NULL;
	if (dropped) {
		(void)snprintf(text, sizeof(text), "%u more lines like the last %s were left out", dropped, om_msg_table[id].name);
		emit(id, fn, arg, text);
	}
	if (ok) {
		errno = saved; /* for %m */
		(void)vsnprintf(raw, sizeof(raw), fmt, ap);
		clean(text, sizeof(text), raw);
		current = about;
		emit(id, fn, arg, text);
		current = NULL;
	}
	errno = saved;
}

void om_log(enum om_msg id, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(id, NULL, fmt, ap);
	va_end(ap);
}

void om_log_about(enum om_msg id, const struct om_log_about *about, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(id, about, fmt, ap);
	va_end(ap);
}
