/*
 * sup_engine_task.c: questions of the main loop that somebody else answers: the lifecycle process (TASK, by way of the
 * publisher and the ring) or a catalog reader. One table of open questions, the main loop's alone; answers come back as a
 * list with an eventfd. Who is too late, or answers what nobody asked, is not heard: the place's serial tells.
 */
#include <sys/eventfd.h>

#include "supervisor/sup_engine_int.h"

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
	uint64_t at_lifecycle[SUP_ASKS_MAX]; /* publisher: cookies given to the process, by place; 0: none */
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

static struct sup_ask *ask_new(struct sup_asks *q, uint32_t wait_ms, sup_engine_done_fn *done, void *arg)
{
	for (unsigned i = 0; i < SUP_ASKS_MAX; i++) {
		struct sup_ask *a = &q->ask[i];
		if (a->cookie)
			continue;
		*a = (struct sup_ask){ .cookie = ++q->serial << ASK_BITS | i, .due_ns = om_now_ns() + (uint64_t)wait_ms * MS,
				       .done = done, .arg = arg };
		return a;
	}
	return NULL;
}

static struct sup_job *task_job(const struct sup_engine_task *task)
{
	struct sup_job *job = malloc(sizeof(*job));
	struct om_op_task m = { .hdr = { .type = OM_OP_TASK }, .arg = task->arg, .kind = (uint8_t)task->kind, .tier = task->tier,
				.uri_len = (uint16_t)task->uri_len };

	if (!job)
		return NULL;
	OM_ASSERT(task->kind < OM_TASK_KINDS && task->uri_len <= OM_URI_MAX);
	memset(job, 0, offsetof(struct sup_job, msg));
	job->len = sizeof(m) + task->uri_len;
	m.hdr.len = (uint32_t)job->len;
	memcpy(job->msg.bytes, &m, sizeof(m));
	if (task->uri_len)
		memcpy(job->msg.bytes + sizeof(m), task->uri, task->uri_len);
	return job;
}

int sup_engine_task(struct sup_engine *e, const struct sup_engine_task *task, sup_engine_done_fn *done, void *arg)
{
	struct sup_job *job = task_job(task);
	struct sup_mail *mail = calloc(1, sizeof(*mail));
	struct sup_ask *a = job && mail ? ask_new(e->asks, task->wait_ms, done, arg) : NULL;

	if (!a) {
		bool full = job && mail;
		free(job);
		free(mail);
		return full ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY;
	}
	job->msg.hdr.req = a->cookie;
	mail->kind = SUP_MAIL_TASK;
	mail->job = job;
	sup_mail_post(e, mail);
	return 0;
}

int sup_engine_lookup(struct sup_engine *e, const char *uri, size_t uri_len, uint32_t wait_ms, sup_engine_done_fn *done,
		      void *arg)
{
	const struct sup_engine_task as_task = { .uri = uri, .uri_len = uri_len, .wait_ms = wait_ms };
	struct sup_job *job = task_job(&as_task); /* the same carrier: a header and the URI */
	struct sup_ask *a = job ? ask_new(e->asks, wait_ms, done, arg) : NULL;

	if (!a) {
		int err = job ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY;
		free(job);
		return err;
	}
	job->kind = SUP_JOB_ASK;
	job->msg.hdr.req = a->cookie;
	sup_read_queue(e, job);
	return 0;
}

int sup_engine_set(struct sup_engine *e, const struct sup_engine_set *set, sup_engine_done_fn *done, void *arg)
{
	struct om_op_set m = { .hdr = { .type = OM_OP_SET }, .flags_mask = set->flags_mask, .flags = set->flags,
			       .uri_len = (uint16_t)set->uri_len };
	struct sup_job *job = calloc(1, sizeof(*job));
	struct sup_mail *mail = calloc(1, sizeof(*mail));
	struct sup_ask *a;

	OM_ASSERT(set->uri_len <= OM_URI_MAX && !((set->flags | set->flags_mask) & ~OM_OBJ_FLAGS_ALL));
	a = job && mail ? ask_new(e->asks, set->wait_ms, done, arg) : NULL;
	if (!a) {
		int err = job && mail ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY;
		free(job);
		free(mail);
		return err;
	}
	job->len = sizeof(m) + set->uri_len;
	m.hdr.len = (uint32_t)job->len;
	m.hdr.req = a->cookie;
	memcpy(job->msg.bytes, &m, sizeof(m));
	memcpy(job->msg.bytes + sizeof(m), set->uri, set->uri_len);
	mail->kind = SUP_MAIL_SET;
	mail->job = job;
	sup_mail_post(e, mail);
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

int sup_engine_tier_order(struct sup_engine *e, const char *name, enum sup_engine_order order, bool lost, uint32_t wait_ms,
			  sup_engine_done_fn *done, void *arg)
{
	static const enum sup_order kinds[] = { [SUP_TIER_ADD] = SUP_ORDER_OPEN, [SUP_TIER_ADOPT] = SUP_ORDER_ADOPT,
						[SUP_TIER_FORGET] = SUP_ORDER_FORGET };
	struct sup_tier *t = sup_tier_named(e, name);

	if (!t)
		return -OBJM_STATUS_NOT_FOUND;
	struct sup_ask *a = ask_new(e->asks, wait_ms, done, arg);
	if (!a)
		return -OBJM_STATUS_TRY_AGAIN;
	sup_tierd_order(e, kinds[order], t, lost, a->cookie);
	return 0;
}

/* ---- who answers; any thread ---- */

/* Without memory for it the question ends by its time. */
static void reply(struct sup_asks *q, uint64_t cookie, const struct sup_engine_answer *a)
{
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

	reply(e->asks, cookie, &a);
}

void sup_ask_text(struct sup_engine *e, uint64_t cookie, int status, const char *text)
{
	const struct sup_engine_answer a = { .status = status, .text = text, .text_len = strlen(text) };

	reply(e->asks, cookie, &a);
}

void sup_ask_found(struct sup_engine *e, struct sup_job *job, const struct sup_engine_answer *a)
{
	reply(e->asks, job->msg.hdr.req, a);
}

/* ---- the lifecycle process; publisher ---- */

void sup_task_send(struct sup_engine *e, struct sup_job *job)
{
	struct sup_child *c = &e->child[SUP_CHILD_LIFECYCLE];
	uint64_t cookie = job->msg.hdr.req;

	if (!c->on || c->doomed) {
		sup_ask_fail(e, cookie, -OBJM_STATUS_UNAVAILABLE);
	} else {
		e->asks->at_lifecycle[cookie % SUP_ASKS_MAX] = cookie;
		sup_pub_answer(e, SUP_CHILD_LIFECYCLE, c->serial, job->msg.bytes, job->len, false);
	}
	free(job);
}

void sup_task_lost(struct sup_engine *e)
{
	for (unsigned i = 0; i < SUP_ASKS_MAX; i++) {
		if (e->asks->at_lifecycle[i])
			sup_ask_fail(e, e->asks->at_lifecycle[i], -OBJM_STATUS_UNAVAILABLE);
		e->asks->at_lifecycle[i] = 0;
	}
}

static bool task_done(struct sup_engine *e, const struct om_op_tasked *m)
{
	uint64_t *at = &e->asks->at_lifecycle[m->hdr.req % SUP_ASKS_MAX];
	const struct sup_engine_answer a = { .status = m->status, .text = (const char *)(m + 1), .text_len = m->text_len };

	if (m->status > 0 || m->text_len > OM_TASKED_TEXT_MAX || !m->hdr.req) /* 0 stands for a free place here */
		return false;
	if (*at == m->hdr.req) { /* else it is of a question that was given up long ago, its place used again */
		*at = 0;
		reply(e->asks, m->hdr.req, &a);
	}
	return true;
}

bool sup_task_take(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_tasked *m = msg;

	if (m->text_len != len - sizeof(*m) || !task_done(c->e, m))
		return sup_msg_broken(c, "bad TASKED");
	return true;
}
