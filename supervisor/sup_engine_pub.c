/*
 * sup_engine_pub.c: the publisher's thread: the rings, the index, generations, answers.
 *
 * A turn: mail from other threads; ring messages of each child (bounded); changes that waited; a step of the index's
 * growth; removals; answers that found no room before; then sleep, unless something came meanwhile.
 */
#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "common/om_counter.h"
#include "common/om_slice.h"
#include "supervisor/sup_engine_admit.h"
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_commit.h"
#include "supervisor/sup_engine_fill.h"
#include "supervisor/sup_engine_job.h"
#include "supervisor/sup_engine_msg.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_recover.h"
#include "supervisor/sup_engine_room.h"
#include "supervisor/sup_engine_scan.h"
#include "supervisor/sup_engine_settle.h"
#include "supervisor/sup_engine_task.h"
#include "supervisor/sup_engine_watch.h"

/* ---- children ---- */

static void attach(struct sup_engine *e, struct sup_mail *mail)
{
	struct sup_child *c = &e->child[mail->place];

	OM_ASSERT(!c->on);
	*c = *mail->child;
	free(mail->child);
	c->on = true;
	e->max_serial = OM_MAX(e->max_serial, c->serial);
	c->out = NULL;
	c->out_end = &c->out;
	if (mail->place == SUP_CHILD_LIFECYCLE) {
		sup_reap_again(e);
		sup_scan_pump(e);
	} /* SETs go on in this turn, too: sup_set_pump() */
}

/* The process is gone: its reservations end, what it may have linked is removed. */
static void detach(struct sup_engine *e, unsigned place)
{
	struct sup_child *c = &e->child[place];

	if (!c->on)
		return;
	for (struct sup_res *r = c->res, *next; r; r = next) {
		next = r->cnext;
		if (r->committing)
			continue; /* its op ends it */
		sup_res_give_back(e, r);
	}
	/* those that are committing leave the list of a child that is about to be forgotten */
	while (c->res) {
		struct sup_res *r = c->res;
		c->res = r->cnext;
		if (c->res)
			c->res->cprev = &c->res;
		r->cnext = NULL;
		r->cprev = &r->cnext;
		r->place = SUP_CHILDREN_MAX;
	}
	while (c->out) {
		struct sup_out *out = c->out;
		c->out = out->next;
		free(out);
	}
	sup_room_lost(e, place);
	sup_admit_gone(e, place);
	om_ring_fini(&c->ring);
	bool lifecycle = c->role == OM_ROLE_LIFECYCLE;
	memset(c, 0, sizeof(*c));
	if (lifecycle) {
		sup_move_lost(e);
		sup_reap_lost(e);
		sup_set_lost(e);
		sup_scan_lost(e);
		sup_task_lost(e);
	}
}

/* ---- ids ---- */

/* Asks for a block while half of the last one is left, so that nobody waits for the disk. */
static void ids_ahead(struct sup_engine *e)
{
	if (e->ids_asked || e->id2_end || e->id_end - e->id_next > SUP_ID_BLOCK / 2)
		return;
	struct sup_job *job = calloc(1, sizeof(*job));
	if (!job)
		return;
	job->kind = SUP_JOB_IDS;
	job->oldest = sup_res_oldest(e);
	e->ids_asked = true;
	sup_job_queue(e, job);
}

/* ---- mail ---- */

static void job_done(struct sup_engine *e, struct sup_job *job)
{
	if (job->kind == SUP_JOB_IDS) {
		e->ids_asked = false;
		if (job->status == 0 && job->first_id >= e->id_floor) { /* else it was reserved before a tier came that uses them */
			e->id2_next = job->first_id;
			e->id2_end = job->first_id + SUP_ID_BLOCK;
		}
	} else if (job->kind == SUP_JOB_STALE) {
		e->stale_asked = false; /* their ops are before everything that comes now */
		sup_recover_found(e, job);
		for (unsigned i = 0; i < e->n_tiers; i++)
			e->tiers[i].dirty &= (uint8_t)~SUP_DIRTY_LOSERS;
	} else if (job->kind == SUP_JOB_RESOLVE) {
		sup_msg_resolved(e, job);
	} else if (job->kind == SUP_JOB_SET) {
		sup_set_read_done(e, OM_TAKE_PTR(job->ops));
	}
	while (job->ops) {
		struct sup_op *op = job->ops;
		job->ops = op->next;
		op->key = sup_key_find(e, &op->ikey, true);
		if (OM_CHECK(op->key != NULL))
			sup_op_submit(e, op);
		else
			free(op);
	}
	while (job->answer) {
		struct sup_out *out = job->answer;
		job->answer = out->next;
		sup_pub_answer(e, job->place, job->serial, out->bytes, out->len, job->answer == NULL);
		free(out);
	}
	free(job);
}

static void take_ops(struct sup_engine *e, struct sup_op *ops)
{
	while (ops) {
		struct sup_op *op = ops;
		ops = op->next;
		sup_op_stage_done(e, op);
	}
}

static void start_rebuild(struct sup_engine *e, struct sup_tier *t)
{
	if (t->scan_mode >= 0)
		return;
	if (t->away || !t->cat || atomic_load(&t->frozen))
		return;
	t->verify = true;
	t->owes_rebuild = true;
	atomic_store(&t->state, OM_TIERS_REBUILDING);
	sup_pub_rows(e, t);
	if (e->fill_done)
		sup_scan_start(e);
}

static void take_mail(struct sup_engine *e, struct sup_mail *mail)
{
	switch (mail->kind) {
	case SUP_MAIL_OPS:
		take_ops(e, mail->ops);
		break;
	case SUP_MAIL_JOB:
		job_done(e, mail->job);
		break;
	case SUP_MAIL_FILL:
		sup_fill_later(e, mail->fill);
		break;
	case SUP_MAIL_ATTACH:
		attach(e, mail);
		break;
	case SUP_MAIL_DETACH:
		detach(e, mail->place);
		break;
	case SUP_MAIL_ACK:
		if (e->child[mail->place].on)
			e->child[mail->place].index_seq = OM_MAX(e->child[mail->place].index_seq, mail->seq);
		break;
	case SUP_MAIL_REBUILD:
		start_rebuild(e, mail->tier);
		break;
	case SUP_MAIL_TASK:
		sup_task_send(e, mail->job);
		break;
	case SUP_MAIL_SET:
		sup_set_asked(e, mail->job);
		break;
	case SUP_MAIL_ROWS:
		for (unsigned i = 0; i < e->n_tiers; i++)
			sup_pub_rows(e, &e->tiers[i]);
		break;
	case SUP_MAIL_COMING:
	case SUP_MAIL_BACK:
	case SUP_MAIL_COME:
	case SUP_MAIL_AWAY:
	case SUP_MAIL_FORGET:
		sup_tiers_mail(e, mail);
		break;
	case SUP_MAIL_NUDGE:
		break;
	}
	free(mail);
}

static bool take_inbox(struct sup_engine *e)
{
	pthread_mutex_lock(&e->inbox_lock);
	struct sup_mail *list = e->inbox;
	e->inbox = NULL;
	e->inbox_end = &e->inbox;
	pthread_mutex_unlock(&e->inbox_lock);
	bool any = list != NULL;
	while (list) {
		struct sup_mail *mail = list;
		list = mail->next;
		take_mail(e, mail);
	}
	return any;
}

/* ---- the rings ---- */

/* Changes wait in their rings while too much is waiting here already. */
static bool intake_held(const struct sup_engine *e, const struct sup_child *c)
{
	if (c->doomed || c->out_bytes > SUP_OUT_BYTES_MAX)
		return true;
	if (c->role == OM_ROLE_LIFECYCLE)
		return e->n_ops - e->n_sets > 4 * SUP_BATCH_MAX; /* scans go at the committers' pace; SETs wait for what is read here */
	return e->stalled || e->n_rm > atomic_load(&e->rm_max) || (e->id_next == e->id_end && !e->id2_end);
}

static bool take_ring(struct sup_engine *e, unsigned place)
{
	static union {
		struct om_op_hdr align;
		unsigned char bytes[OM_RING_MSG_MAX];
	} buf; /* the publisher is one thread */
	struct sup_child *c = &e->child[place];
	unsigned n = 0;

	for (; n < SUP_TURN_MSGS && !intake_held(e, c); n++) {
		const char *why = "its ring is broken";
		size_t len;
		int err = om_ring_get(&c->ring, buf.bytes, sizeof(buf.bytes), &len);
		if (err == -OBJM_STATUS_WOULD_BLOCK)
			break;
		if (err < 0 || !sup_msg_take(e, place, buf.bytes, len, &why))
			sup_pub_doom(e, place, why);
	}
	return n > 0;
}

static bool take_rings(struct sup_engine *e)
{
	bool any = false;

	for (unsigned i = 0; i < SUP_CHILDREN_MAX; i++)
		if (e->child[i].on)
			any |= take_ring(e, i);
	return any;
}

/* Those that waited for room and have it now. */
static void take_waiters(struct sup_engine *e)
{
	for (struct sup_waiter *w; (w = sup_room_next(e));) {
		sup_msg_again(e, w->place, w->msg, w->len);
		free(w);
	}
}

static void flush_all(struct sup_engine *e)
{
	for (unsigned i = 0; i < SUP_CHILDREN_MAX; i++)
		if (e->child[i].on)
			sup_pub_flush(e, i);
}

/* Says to all children that we sleep; false: something has come. */
static bool sleep_all(struct sup_engine *e)
{
	bool quiet = true;

	for (unsigned i = 0; i < SUP_CHILDREN_MAX; i++)
		if (e->child[i].on && !om_ring_sleep(&e->child[i].ring) && !intake_held(e, &e->child[i]))
			quiet = false;
	pthread_mutex_lock(&e->inbox_lock);
	quiet &= e->inbox == NULL;
	pthread_mutex_unlock(&e->inbox_lock);
	return quiet;
}

static void publish_figures(struct sup_engine *e)
{
	struct idxr_stat st;

	idxw_stat(e->index, &st);
	atomic_store(&e->stat_ops, e->n_ops);
	atomic_store(&e->stat_rm, e->n_rm + e->n_rm_flight + e->n_rm_failed);
	atomic_store(&e->stat_live, st.live);
	atomic_store(&e->stat_slots, st.slots);
	atomic_store(&e->stat_bytes, st.bytes + st.slots * 4 + IDX_HEAT_HEADER_BYTES + sizeof(struct idx_gen_table));
	bool scanning = false;
	for (unsigned i = 0; i < e->n_tiers; i++)
		scanning |= sup_tier_state(&e->tiers[i]) == OM_TIERS_REBUILDING;
	atomic_store(&e->stat_complete, e->fill_done && !scanning);
}

static void wait_for_work(struct sup_engine *e)
{
	struct pollfd p[2] = { { .fd = e->kick_fd, .events = POLLIN }, { .fd = e->inbox_fd, .events = POLLIN } };
	eventfd_t n;
	bool held = e->n_settle || e->stalled || e->rm_late || sup_room_waited(e);
	bool waiting = false;

	for (unsigned i = 0; i < SUP_CHILDREN_MAX && !waiting; i++)
		waiting = e->child[i].on && (e->child[i].out || sup_watch_behind(e, &e->child[i]));
	/* a child that makes room does not tell: look again soon */
	sup_pulse_rest(&e->pulse);
	if (sleep_all(e) && poll(p, 2, waiting ? 2 : held ? 20 : 1000) == 0 && !waiting && !held && e->trim) {
		(void)malloc_trim(0); /* quiet after work: what a burst needed goes back, or it stays with the arenas for good */
		e->trim = false;
	}
	(void)eventfd_read(e->kick_fd, &n);
	(void)eventfd_read(e->inbox_fd, &n);
	for (unsigned i = 0; i < SUP_CHILDREN_MAX; i++)
		if (e->child[i].on)
			om_ring_awake(&e->child[i].ring);
}

static bool ended(struct sup_engine *e)
{
	if (!atomic_load(&e->stopping) || e->n_ops)
		return false;
	pthread_mutex_lock(&e->inbox_lock);
	bool quiet = e->inbox == NULL;
	pthread_mutex_unlock(&e->inbox_lock);
	return quiet;
}

void *sup_pub_main(void *arg)
{
	struct sup_engine *e = arg;

	sup_pulse_begin(&e->pulse, "the publisher", "");
	om_slice(OM_SLICE_LONG_US); /* until the index is complete: sup_fill_end() */
	while (!ended(e)) {
		sup_pulse_work(&e->pulse);
		bool busy = take_inbox(e);
		sup_commit_kick(e);
		busy |= take_rings(e);
		busy |= sup_fill_turn(e);
		if (e->stalled || e->deferred)
			sup_op_retry_held(e);
		sup_commit_kick(e);
		busy |= sup_grow(e);
		busy |= sup_tiers_turn(e);
		ids_ahead(e);
		take_waiters(e);
		sup_room_turn(e);
		sup_reap_pump(e);
		sup_scan_pump(e);
		sup_set_pump(e);
		sup_settle_due(e, atomic_load(&e->stopping));
		busy |= sup_watch_pump(e);
		sup_commit_kick(e);
		flush_all(e);
		publish_figures(e);
		e->trim |= busy;
		if (!busy)
			wait_for_work(e);
	}
	sup_pulse_end(&e->pulse);
	return NULL;
}
