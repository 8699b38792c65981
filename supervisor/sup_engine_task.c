/*
 * sup_engine_task.c: what the main loop asks of others: tasks of the lifecycle process (by way of the publisher and the ring), look-ups by a
 * catalog reader, SETs, orders about tiers. The open questions are sup_engine_ask.c's.
 */
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_ask.h"
#include "supervisor/sup_engine_job.h"
#include "supervisor/sup_engine_mail.h"
#include "supervisor/sup_engine_task.h"

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
	uint64_t cookie = job && mail ? sup_ask_new(e, task->wait_ms, done, arg) : 0;

	if (!cookie) {
		bool full = job && mail;
		free(job);
		free(mail);
		return full ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY;
	}
	job->msg.hdr.req = cookie;
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
	uint64_t cookie = job ? sup_ask_new(e, wait_ms, done, arg) : 0;

	if (!cookie) {
		int err = job ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY;
		free(job);
		return err;
	}
	job->kind = SUP_JOB_ASK;
	job->msg.hdr.req = cookie;
	sup_job_queue(e, job);
	return 0;
}

int sup_engine_set(struct sup_engine *e, const struct sup_engine_set *set, sup_engine_done_fn *done, void *arg)
{
	struct om_op_set m = { .hdr = { .type = OM_OP_SET }, .flags_mask = set->flags_mask, .flags = set->flags,
			       .uri_len = (uint16_t)set->uri_len };
	struct sup_job *job = calloc(1, sizeof(*job));
	struct sup_mail *mail = calloc(1, sizeof(*mail));
	uint64_t cookie;

	OM_ASSERT(set->uri_len <= OM_URI_MAX && !((set->flags | set->flags_mask) & ~OM_OBJ_FLAGS_ALL));
	cookie = job && mail ? sup_ask_new(e, set->wait_ms, done, arg) : 0;
	if (!cookie) {
		int err = job && mail ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY;
		free(job);
		free(mail);
		return err;
	}
	job->len = sizeof(m) + set->uri_len;
	m.hdr.len = (uint32_t)job->len;
	m.hdr.req = cookie;
	memcpy(job->msg.bytes, &m, sizeof(m));
	memcpy(job->msg.bytes + sizeof(m), set->uri, set->uri_len);
	mail->kind = SUP_MAIL_SET;
	mail->job = job;
	sup_mail_post(e, mail);
	return 0;
}

int sup_engine_tier_order(struct sup_engine *e, const char *name, enum sup_engine_order order, bool lost, uint32_t wait_ms,
			  sup_engine_done_fn *done, void *arg)
{
	static const enum sup_order kinds[] = { [SUP_TIER_ADD] = SUP_ORDER_OPEN, [SUP_TIER_ADOPT] = SUP_ORDER_ADOPT,
						[SUP_TIER_FORGET] = SUP_ORDER_FORGET };
	struct sup_tier *t = sup_tier_named(e, name);

	if (!t)
		return -OBJM_STATUS_NOT_FOUND;
	uint64_t cookie = sup_ask_new(e, wait_ms, done, arg);
	if (!cookie)
		return -OBJM_STATUS_TRY_AGAIN;
	sup_tierd_order(e, kinds[order], t, lost, cookie);
	return 0;
}

/* ---- the lifecycle process; publisher ---- */

void sup_task_send(struct sup_engine *e, struct sup_job *job)
{
	struct sup_child *c = &e->child[SUP_CHILD_LIFECYCLE];
	uint64_t cookie = job->msg.hdr.req;

	if (!c->on || c->doomed) {
		sup_ask_fail(e, cookie, -OBJM_STATUS_UNAVAILABLE);
	} else {
		e->tasks_out[cookie % SUP_ASKS_MAX] = cookie;
		sup_pub_answer(e, SUP_CHILD_LIFECYCLE, c->serial, job->msg.bytes, job->len, false);
	}
	free(job);
}

void sup_task_lost(struct sup_engine *e)
{
	for (unsigned i = 0; i < SUP_ASKS_MAX; i++) {
		if (e->tasks_out[i])
			sup_ask_fail(e, e->tasks_out[i], -OBJM_STATUS_UNAVAILABLE);
		e->tasks_out[i] = 0;
	}
}

static bool task_done(struct sup_engine *e, const struct om_op_tasked *m)
{
	uint64_t *at = &e->tasks_out[m->hdr.req % SUP_ASKS_MAX];
	const struct sup_engine_answer a = { .status = m->status, .text = (const char *)(m + 1), .text_len = m->text_len };

	if (m->status > 0 || m->text_len > OM_TASKED_TEXT_MAX || !m->hdr.req) /* 0 stands for a free place here */
		return false;
	if (*at == m->hdr.req) { /* else it is of a question that was given up long ago, its place used again */
		*at = 0;
		sup_ask_answer(e, m->hdr.req, &a);
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
