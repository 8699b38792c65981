/*
 * sup_engine_answer.c: what a child is told: answers, which wait here while its ring has no room, and the end of a child that breaks a
 * rule. Publisher's thread. Every part of the publisher answers through this; it calls none of them.
 */
#include "supervisor/sup_engine_answer.h"

void sup_pub_doom(struct sup_engine *e, unsigned place, const char *why)
{
	if (e->child[place].doomed)
		return;
	e->child[place].doomed = true;
	e->cb.kill_child(e->cb.arg, place, e->child[place].serial, why);
}

static void out_append(struct sup_child *c, struct sup_out *out)
{
	out->next = NULL;
	*c->out_end = out;
	c->out_end = &out->next;
	c->out_bytes += out->len;
}

void sup_pub_flush(struct sup_engine *e, unsigned place)
{
	struct sup_child *c = &e->child[place];

	while (c->out && !c->doomed) {
		struct sup_out *out = c->out;
		struct iovec iov = { out->bytes, out->len };
		int err = om_ring_put(&c->ring, &iov, 1);
		if (err == -OBJM_STATUS_WOULD_BLOCK)
			break;
		if (err < 0) {
			sup_pub_doom(e, place, "its ring is broken");
			break;
		}
		c->out = out->next;
		if (!c->out)
			c->out_end = &c->out;
		c->out_bytes -= out->len;
		free(out);
	}
	om_ring_kick(&c->ring);
}

void sup_pub_answer(struct sup_engine *e, unsigned place, uint32_t serial, const void *msg, size_t len, bool last)
{
	struct sup_child *c = &e->child[place];
	struct iovec iov = { (void *)(uintptr_t)msg, len };

	if (!serial || !c->on || c->serial != serial || c->doomed)
		return;
	if (last && c->outstanding)
		c->outstanding--;
	int err = c->out ? -OBJM_STATUS_WOULD_BLOCK : om_ring_put(&c->ring, &iov, 1);
	if (err == 0)
		return; /* kicked at the end of the turn */
	struct sup_out *out = err == -OBJM_STATUS_WOULD_BLOCK ? malloc(sizeof(*out) + len) : NULL;
	if (!out) {
		sup_pub_doom(e, place, "an answer could not be given to it");
		return;
	}
	out->len = (uint32_t)len;
	memcpy(out->bytes, msg, len);
	out_append(c, out);
}

void sup_pub_verdict(struct sup_engine *e, unsigned place, uint32_t serial, uint64_t req, int status, uint64_t id,
		     uint32_t rev, uint64_t cur_id, uint32_t cur_rev)
{
	struct om_op_verdict v = {
		.hdr = { .len = sizeof(v), .type = OM_OP_VERDICT, .req = req }, .status = status, .rev = rev, .id = id,
		.cur_id = cur_id, .cur_rev = cur_rev,
	};

	sup_pub_answer(e, place, serial, &v, sizeof(v), true);
}

void sup_msg_answer(struct sup_msg *c, uint64_t req, int status)
{
	sup_pub_verdict(c->e, c->place, c->child->serial, req, status, 0, 0, 0, 0);
}

bool sup_msg_broken(struct sup_msg *c, const char *why)
{
	c->why = why;
	return false;
}
