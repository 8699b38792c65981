/*
 * ctl_monitor.c: see ctl_monitor.h. Asks what objmctl's other commands ask (status, counters, metrics, lifecycle-status, top) and draws it.
 * Latencies are those of the requests between two looks: differences of the histograms in `metrics`.
 */
#include "ctl/ctl_monitor.h"

#include <curses.h>
#include <locale.h>

#include "common/om_text.h"
#include "ctl/ctl.h"

#define BUCKETS_MAX 64u
#define TOP 50

struct hist {
	unsigned n;
	double le[BUCKETS_MAX];	   /* seconds; the last is infinite */
	uint64_t sum[BUCKETS_MAX]; /* up to le */
};

/* One look. */
struct look {
	uint64_t at_ns;
	json_t *status, *total, *lifecycle, *top; /* borrowed from the answers, or NULL */
	json_t *answer[4];
	struct hist get, put;
};

struct monitor {
	const char *socket;
	struct look now, before;
	char error[512]; /* "": the daemon answers */
	int row;
};

/* ---- asking ---- */

/* Messages of ctl_ask() are for the screen, not for the terminal below it. */
static json_t *ask(struct monitor *m, json_t *request)
{
	char *text = NULL;
	size_t len = 0;
	json_t *reply = NULL;
	FILE *real = stderr, *caught = open_memstream(&text, &len);

	if (caught)
		stderr = caught;
	int r = request ? ctl_ask(m->socket, request, &reply) : CTL_FAILED;
	stderr = real;
	if (caught)
		(void)fclose(caught);
	if (r != CTL_OK)
		(void)snprintf(m->error, sizeof(m->error), "%s", text ? text : "out of memory");
	free(text);
	json_decref(request);
	return r == CTL_OK ? reply : NULL;
}

/* Lines of one histogram, in the order of their bounds. */
static void parse_hist(const char *text, const char *op, struct hist *h)
{
	char want[96];
	const char *p = text;

	(void)snprintf(want, sizeof(want), "objmapper_request_seconds_bucket{op=\"%s\",le=\"", op);
	h->n = 0;
	while (p && h->n < BUCKETS_MAX && (p = strstr(p, want))) {
		char *end;

		p += strlen(want);
		h->le[h->n] = strtod(p, &end);
		p = strchr(end, ' ');
		if (p)
			h->sum[h->n++] = strtoull(p, NULL, 10);
	}
}

static void look_free(struct look *k)
{
	for (unsigned i = 0; i < OM_ARRAY_SIZE(k->answer); i++)
		json_decref(k->answer[i]);
	memset(k, 0, sizeof(*k));
}

static void look(struct monitor *m)
{
	struct look k = {.at_ns = om_now_ns()};
	json_t *metrics;

	*m->error = '\0';
	k.answer[0] = k.status = ask(m, json_pack("{s:s}", "cmd", "status"));
	if (k.status)
		k.answer[1] = ask(m, json_pack("{s:s}", "cmd", "counters"));
	k.total = json_object_get(k.answer[1], "total");
	metrics = k.total ? ask(m, json_pack("{s:s, s:s}", "cmd", "metrics", "format", "prometheus")) : NULL;
	const char *text = json_string_value(json_object_get(metrics, "text"));
	if (text) {
		parse_hist(text, "get", &k.get);
		parse_hist(text, "put", &k.put);
	}
	json_decref(metrics);
	if (k.status && !*m->error) { /* the lifecycle process may have no time: the rest is shown all the same */
		k.answer[2] = k.lifecycle = ask(m, json_pack("{s:s}", "cmd", "lifecycle-status"));
		k.answer[3] = k.lifecycle ? ask(m, json_pack("{s:s, s:i}", "cmd", "top", "n", TOP)) : NULL;
		k.top = json_object_get(k.answer[3], "objects");
		*m->error = '\0';
	}
	if (!k.status) { /* what was seen last stays on the screen */
		look_free(&k);
		return;
	}
	look_free(&m->before);
	m->before = m->now;
	m->now = k;
}

/* ---- figures ---- */

static double num(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : 0;
}

/* A counter's growth in a second. */
static double rate(const struct monitor *m, const char *key)
{
	double s = (double)(m->now.at_ns - m->before.at_ns) / 1e9;

	return m->before.total && s > 0 ? OM_MAX((num(m->now.total, key) - num(m->before.total, key)) / s, 0.0) : 0;
}

/* The bound under which this share of the requests between the two looks stayed; 0: there were none. */
static double percentile(const struct hist *now, const struct hist *before, double share)
{
	uint64_t all = 0, n;

	if (now->n == 0)
		return 0;
	all = now->sum[now->n - 1] - (before->n == now->n ? before->sum[now->n - 1] : 0);
	for (unsigned i = 0; i < now->n && all; i++) {
		n = now->sum[i] - (before->n == now->n ? before->sum[i] : 0);
		if ((double)n >= share * (double)all)
			return now->le[i];
	}
	return 0;
}

static const char *seconds(double s, char ret[static 24])
{
	if (!(s > 0))
		(void)snprintf(ret, 24, "-");
	else if (s < 1e-3)
		(void)snprintf(ret, 24, "%.0f us", s * 1e6);
	else if (s < 1)
		(void)snprintf(ret, 24, "%.1f ms", s * 1e3);
	else
		(void)snprintf(ret, 24, "%.1f s", s);
	return ret;
}

static const char *size(double bytes, char ret[static OM_TEXT_SHORT])
{
	om_text_size((uint64_t)OM_MAX(bytes, 0.0), ret);
	return ret;
}

/* ---- drawing ---- */

static void line(struct monitor *m, const char *fmt, ...) OM_PRINTF(2, 3);
static void line(struct monitor *m, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (m->row < LINES)
		(void)mvaddnstr(m->row++, 0, text, COLS);
}

static void title(struct monitor *m, const char *text)
{
	m->row++;
	(void)attron(A_BOLD);
	line(m, "%s", text);
	(void)attroff(A_BOLD);
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static void draw_head(struct monitor *m)
{
	const json_t *st = m->now.status, *sup = json_object_get(st, "supervisor"), *ix = json_object_get(st, "index");
	char up[OM_TEXT_SHORT], bytes[OM_TEXT_SHORT];

	om_text_span((uint64_t)num(st, "uptime_s"), up);
	(void)attron(A_REVERSE);
	line(m, "objmapperd %s  %s  pid %.0f  up %s  %zu workers  %.0f connections%*s", text_of(sup, "version"), text_of(sup, "state"), num(sup, "pid"),
	     up, json_array_size(json_object_get(st, "workers")), num(m->now.total, "connections"), COLS, "");
	(void)attroff(A_REVERSE);
	line(m, "%.0f objects, index %s%s, %.0f changes and %.0f removals under way", num(ix, "objects"), size(num(ix, "bytes"), bytes),
	     json_is_false(json_object_get(ix, "complete")) ? " (being built)" : "", num(st, "pending_ops"), num(st, "pending_removals"));
	if (*m->error) {
		(void)attron(A_BOLD);
		line(m, "%.*s", (int)strcspn(m->error, "\n"), m->error);
		(void)attroff(A_BOLD);
	}
}

static void draw_rates(struct monitor *m)
{
	char b[OM_TEXT_SHORT], t[6][24];
	const struct hist *g0 = &m->before.get, *p0 = &m->before.put;
	double hit = rate(m, "fd_cache_hit"), miss = rate(m, "fd_cache_miss");

	title(m, "REQUESTS A SECOND");
	line(m, "get   %9.0f found %9.0f missing %6.0f failed     p50 %-8s p99 %-8s p99.9 %s", rate(m, "get_hit"), rate(m, "get_miss"),
	     rate(m, "get_error"), seconds(percentile(&m->now.get, g0, .5), t[0]), seconds(percentile(&m->now.get, g0, .99), t[1]),
	     seconds(percentile(&m->now.get, g0, .999), t[2]));
	line(m, "put   %9.0f done  %9.0f failed  %6.0f deletes    p50 %-8s p99 %-8s p99.9 %s", rate(m, "put_done"), rate(m, "put_failed"),
	     rate(m, "deleted"), seconds(percentile(&m->now.put, p0, .5), t[3]), seconds(percentile(&m->now.put, p0, .99), t[4]),
	     seconds(percentile(&m->now.put, p0, .999), t[5]));
	line(m, "sent  %9.0f descriptors, %s copied     descriptor cache %.0f %% hits     %.0f at limits", rate(m, "fds_sent"),
	     size(rate(m, "bytes_sent"), b), hit + miss > 0 ? 100 * hit / (hit + miss) : 0, rate(m, "peer_limit"));
}

static void draw_tiers(struct monitor *m)
{
	const json_t *t;
	size_t i;

	title(m, "TIER         STATE        OBJECTS         USED     CAPACITY");
	json_array_foreach(json_object_get(m->now.status, "tiers"), i, t) {
		double cap = num(t, "capacity_bytes"), used = num(t, "used_bytes"), full = cap > 0 ? OM_MIN(used / cap, 1.0) : 0;
		char a[OM_TEXT_SHORT], b[OM_TEXT_SHORT], bar[21] = "....................";

		memset(bar, '#', (size_t)(full * 20));
		line(m, "%-12s %-10s %9.0f %12s %12s  %s %3.0f %%", text_of(t, "name"), text_of(t, "state"), num(t, "objects"), size(used, a),
		     size(cap, b), bar, full * 100);
	}
}

static void draw_moves(struct monitor *m)
{
	const json_t *l = m->now.lifecycle, *b = m->before.lifecycle;
	double s = (double)(m->now.at_ns - m->before.at_ns) / 1e9;
	char rate_text[OM_TEXT_SHORT];

	title(m, "MOVES");
	if (!l) {
		line(m, "the lifecycle process does not answer");
		return;
	}
	line(m, "%s%.0f under way, %.0f waiting, %s a second; up %.0f, down %.0f, copies %.0f, dropped %.0f, failed %.0f",
	     json_is_true(json_object_get(l, "paused")) ? "PAUSED  " : "", num(l, "jobs"), num(l, "waiting"),
	     size(b && s > 0 ? (num(l, "moved_bytes") - num(b, "moved_bytes")) / s : 0, rate_text), num(l, "moved_up"), num(l, "moved_down"),
	     num(l, "cached"), num(l, "dropped"), num(l, "failed"));
}

static void draw_top(struct monitor *m)
{
	const json_t *o;
	size_t i;

	title(m, "HOTTEST   HEAT  TIER         SIZE  OBJECT");
	json_array_foreach(m->now.top, i, o) {
		char a[OM_TEXT_SHORT];
		const char *uri = text_of(o, "uri");
		OM_AUTO_FREE char *quoted = om_text_quote(uri, strlen(uri));

		if (m->row >= LINES)
			break;
		line(m, "%7zu  %5.3f  %-8s %8s  %s", i + 1, num(o, "heat"), text_of(o, "tier"), size(num(o, "size"), a), quoted ? quoted : "?");
	}
}

static void draw(struct monitor *m)
{
	(void)erase();
	m->row = 0;
	if (m->now.status) {
		draw_head(m);
		draw_rates(m);
		draw_tiers(m);
		draw_moves(m);
		draw_top(m);
	} else {
		line(m, "%.*s", (int)strcspn(m->error, "\n"), m->error);
	}
	if (LINES > 1)
		(void)mvaddnstr(LINES - 1, OM_MAX(COLS - 10, 0), " q: quit ", 9);
	(void)refresh();
}

/* ---- */

int ctl_monitor(const char *socket_path, unsigned every_s)
{
	struct monitor m = {.socket = socket_path};
	int key;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fprintf(stderr, "objmctl: monitor draws on a terminal, and this is none; --watch and --json are for pipes\n");
		return CTL_USAGE;
	}
	(void)setlocale(LC_ALL, "");
	look(&m);
	if (!m.now.status) { /* said where it can be read */
		fputs(m.error, stderr);
		return CTL_UNREACHABLE;
	}
	SCREEN *screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		fprintf(stderr, "objmctl: TERM=%s is not known to ncurses; try TERM=xterm\n", getenv("TERM") ? getenv("TERM") : "");
		look_free(&m.now);
		return CTL_FAILED;
	}
	(void)noecho();
	(void)cbreak();
	(void)curs_set(0);
	timeout((int)OM_MIN(every_s, 86400u) * 1000);
	do {
		draw(&m);
		key = getch();
		if (key == KEY_RESIZE)
			continue;
		look(&m);
		if (key == ERR && (feof(stdin) || !isatty(STDIN_FILENO)))
			break;
	} while (key != 'q' && key != 'Q' && key != 4);
	(void)endwin();
	delscreen(screen);
	look_free(&m.now);
	look_free(&m.before);
	return CTL_OK;
}
