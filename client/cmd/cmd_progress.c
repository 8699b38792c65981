/*
 * cmd_progress.c: a line on a terminal that says how far a transfer is.
 *
 * Any thread adds to the counts; whoever finds that the line is old draws it, the others go on. Nothing is drawn in the first half
 * second, so short work leaves no trace.
 */
#include "client/cmd/cmd.h"

#include "common/om_text.h"

#define FIRST_NS 500000000u
#define AGAIN_NS 100000000u
#define BAR_WIDTH 24

void cmd_progress_init(struct cmd_progress *p, const char *verb)
{
	*p = (struct cmd_progress){.on = isatty(STDERR_FILENO) == 1, .verb = verb, .start_ns = om_now_ns()};
	atomic_flag_clear(&p->drawing);
}

static void draw_bar(FILE *f, uint64_t done, uint64_t total)
{
	unsigned filled = (unsigned)((double)OM_MIN(done, total) / (double)total * BAR_WIDTH);

	fputs(" [", f);
	for (unsigned i = 0; i < BAR_WIDTH; i++)
		fputc(i < filled ? '#' : '.', f);
	fprintf(f, "] %u%%", (unsigned)((double)OM_MIN(done, total) / (double)total * 100));
}

static void draw(struct cmd_progress *p, uint64_t now)
{
	uint64_t bytes = atomic_load(&p->bytes), total = atomic_load(&p->total_bytes);
	uint64_t files = atomic_load(&p->files), total_files = atomic_load(&p->total_files);
	double s = (double)(now - p->start_ns) / 1e9;
	char done[OM_TEXT_SHORT], rate[OM_TEXT_SHORT];

	om_text_size(bytes, done);
	om_text_size((uint64_t)((double)bytes / s), rate);
	flockfile(stderr);
	fprintf(stderr, "\r%s", p->verb);
	if (total)
		draw_bar(stderr, bytes, total);
	else if (total_files)
		draw_bar(stderr, files, total_files);
	if (files || total_files)
		fprintf(stderr, " %llu objects,", (unsigned long long)files);
	fprintf(stderr, " %s, %s/s\033[K", done, rate);
	fflush(stderr);
	funlockfile(stderr);
	atomic_store(&p->visible, true);
}

void cmd_progress_add(struct cmd_progress *p, uint64_t bytes, uint64_t files)
{
	uint64_t now;

	atomic_fetch_add_explicit(&p->bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->files, files, memory_order_relaxed);
	if (!p->on)
		return;
	now = om_now_ns();
	if (now - p->start_ns < FIRST_NS || now - atomic_load(&p->drawn_ns) < AGAIN_NS || atomic_flag_test_and_set(&p->drawing))
		return;
	draw(p, now);
	atomic_store(&p->drawn_ns, now);
	atomic_flag_clear(&p->drawing);
}

void cmd_progress_clear(struct cmd_progress *p)
{
	if (!atomic_exchange(&p->visible, false))
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
}
