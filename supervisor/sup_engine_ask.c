/*
 * sup_engine_ask.c: questions of the main loop that somebody else answers (sup_engine_task.c says who). One table of open questions, the
 * main loop's alone; answers come back as a list with an eventfd. Who is too late, or answers what nobody asked, is not heard: the
 * place's serial tells.
 */
#include <sys/eventfd.h>

#include "supervisor/sup_engine_ask.h"

#define MS 1000000u
#define ASK_BITS 6 /* a cookie is serial << ASK_BITS | place */
static_assert(SUP_ASKS_MAX == 1u << ASK_BITS, "places fit the cookie");

struct sup_ask { /* main loop */
	uint64_t cookie; /* 0: free */
	uint64_t due_ns;
	sup_engine_done_fn *done;
	void *arg;
};

/* An answer on its way to the main loop. */
struct sup_ask_reply {
	struct sup_ask_reply *next;
	uint64_t cookie;
	struct sup_engine_answer a; /* `text` is behind the struct */
};

struct sup_asks {
	int fd; /* eventfd */
	uint64_t serial;
	struct sup_ask ask[SUP_ASKS_MAX];
	pthread_mutex_t lock;
	struct sup_ask_reply *replies, **replies_end;
};

static void ask_end(struct sup_ask *a, const struct sup_engine_answer *answer)
{
	struct sup_ask was = *a;

	*a = (struct sup_ask){ .cookie = 0 }; /* first: `done` may ask again */
	was.done(was.arg, answer);
}

int sup_asks_new(struct sup_asks **ret)
{
	struct sup_asks *q = calloc(1, sizeof(*q));

	if (!q)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	q->replies_end = &q->replies;
	pthread_mutex_init(&q->lock, NULL);
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd < 0) {
		free(q);
		return -OBJM_STATUS_SYSTEM;
	}
	*ret = q;
	return 0;
}

void sup_asks_free(struct sup_asks *q)
{
	const struct sup_engine_answer gone = { .status = -OBJM_STATUS_GONE };

	if (!q)
		return;
	for (unsigned i = 0; i < SUP_ASKS_MAX; i++)
		if (q->ask[i].cookie)
			ask_end(&q->ask[i], &gone); /* who asked has memory to give back */
	while (q->replies) {
		struct sup_ask_reply *r = q->replies;
		q->replies = r->next;
		free(r);
	}
	om_close(&q->fd);
	free(q);
}

int sup_engine_asks_fd(const struct sup_engine *e) { return e->asks->fd; }

/* ---- main loop ---- */

uint64_t sup_ask_new(struct sup_engine *e, uint32_t wait_ms, sup_engine_done_fn *done, void *arg)
{
	struct sup_asks *q = e->asks;

	for (unsigned i = 0; i < SUP_ASKS_MAX; i++) {
		struct sup_ask *a = &q->ask[i];
		if (a->cookie)
			continue;
		*a = (struct sup_ask){ .cookie = ++q->serial << ASK_BITS | i, .due_ns = om_now_ns() + (uint64_t)wait_ms * MS,
				       .done = done, .arg = arg };
		return a->cookie;
	}
	return 0;
}

void sup_engine_asks(struct sup_engine *e, uint64_t now_ns)
{
	struct sup_asks *q = e->asks;
	const struct sup_engine_answer late = { .status = -OBJM_STATUS_TIMEOUT };
	eventfd_t n;

	(void)eventfd_read(q->fd, &n);
	pthread_mutex_lock(&q->lock);
	struct sup_ask_reply *list = q->replies;
	q->replies = NULL;
	q->replies_end = &q->replies;
	pthread_mutex_unlock(&q->lock);
	while (list) {
		struct sup_ask_reply *r = list;
		struct sup_ask *a = &q->ask[r->cookie % SUP_ASKS_MAX];
		list = r->next;
		if (a->cookie && a->cookie == r->cookie)
			ask_end(a, &r->a);
		free(r);
	}
	for (unsigned i = 0; i < SUP_ASKS_MAX; i++)
		if (q->ask[i].cookie && now_ns >= q->ask[i].due_ns)
			ask_end(&q->ask[i], &late);
}

/* ---- who answers; any thread ---- */

/* Without memory for it the question ends by its time. */
void sup_ask_answer(struct sup_engine *e, uint64_t cookie, const struct sup_engine_answer *a)
{
	struct sup_asks *q = e->asks;
	struct sup_ask_reply *r = malloc(sizeof(*r) + a->text_len);

	if (!r)
		return;
	r->next = NULL;
	r->cookie = cookie;
	r->a = *a;
	if (a->text_len)
		r->a.text = memcpy(r + 1, a->text, a->text_len);
	pthread_mutex_lock(&q->lock);
	*q->replies_end = r;
	q->replies_end = &r->next;
	pthread_mutex_unlock(&q->lock);
	(void)eventfd_write(q->fd, 1); /* fails only when it is already far from zero */
}

void sup_ask_fail(struct sup_engine *e, uint64_t cookie, int status)
{
	const struct sup_engine_answer a = { .status = status };

	sup_ask_answer(e, cookie, &a);
}

void sup_ask_text(struct sup_engine *e, uint64_t cookie, int status, const char *text)
{
	const struct sup_engine_answer a = { .status = status, .text = text, .text_len = strlen(text) };

	sup_ask_answer(e, cookie, &a);
}
