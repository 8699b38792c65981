/*
 * sup_engine_watch.c: changes told to those who watch. Publisher's thread.
 *
 * A ring of the last changes, whoever watches: SUP_WATCH_BYTES of messages and SUP_WATCH_MAX of them at the most, the oldest
 * give way. Each child that asked has a place in it, and gets what is behind that place whenever its own ring has room: a
 * child that does not read falls behind by itself, and when what it wants has given way it is told LOST. Nobody waits for it.
 *
 * The messages lie one behind the other in `bytes`; one that does not fit before the end begins at 0 again. `off` says where
 * each position's message is.
 */
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_watch.h"

#define SUP_WATCH_BYTES (4u << 20)
#define SUP_WATCH_MAX 32768u
#define SUP_WATCH_TURN 256u /* messages to one child in a turn */

struct sup_watch {
	uint64_t epoch;
	uint64_t first, next; /* positions held: first..next - 1; they begin at 1 */
	size_t head;	      /* where the next message goes */
	uint32_t off[SUP_WATCH_MAX];
	_Alignas(8) unsigned char bytes[SUP_WATCH_BYTES];
};

int sup_watch_new(struct sup_watch **ret)
{
	struct sup_watch *w = calloc(1, sizeof(*w)); /* pages come as they are written */

	if (!w)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	w->epoch = om_wall_ns() | 1; /* another one than any run before */
	w->first = w->next = 1;
	*ret = w;
	return 0;
}

void sup_watch_free(struct sup_watch *w) { free(w); }

/* Room for `n` bytes at the head; what is in the way goes. */
static unsigned char *make_room(struct sup_watch *w, size_t n)
{
	if (w->head + n > SUP_WATCH_BYTES) {
		while (w->first < w->next && w->off[w->first % SUP_WATCH_MAX] >= w->head)
			w->first++;
		w->head = 0;
	}
	while (w->first < w->next && w->off[w->first % SUP_WATCH_MAX] >= w->head && w->off[w->first % SUP_WATCH_MAX] < w->head + n)
		w->first++;
	if (w->next - w->first == SUP_WATCH_MAX)
		w->first++;
	return w->bytes + w->head;
}

void sup_watch_note(struct sup_engine *e, const struct sup_op *op, enum om_change change, const struct idx_ent *ent)
{
	struct sup_watch *w = e->watch;
	struct om_op_changed m = {
		.hdr = { .type = OM_OP_CHANGED }, .epoch = w->epoch, .pos = w->next, .id = ent->id, .size = ent->size,
		.mtime_ns = ent->mtime_ns, .expiry_s = ent->expiry_s, .rev = ent->rev, .flags = ent->flags, .change = (uint8_t)change,
		.tier = ent->tier, .home = ent->home, .uri_len = op->rec.uri_len,
	};
	size_t len = sizeof(m) + op->rec.uri_len, room = (len + 7) & ~(size_t)7;
	unsigned char *to = make_room(w, room);

	m.hdr.len = (uint32_t)len;
	memcpy(to, &m, sizeof(m));
	memcpy(to + sizeof(m), op->rec.uri, op->rec.uri_len);
	w->off[w->next % SUP_WATCH_MAX] = (uint32_t)w->head;
	w->head += room;
	w->next++;
}

static void tell(struct sup_engine *e, unsigned place, enum om_change change, uint64_t pos)
{
	struct om_op_changed m = { .hdr = { .len = sizeof(m), .type = OM_OP_CHANGED }, .epoch = e->watch->epoch, .pos = pos,
				   .change = (uint8_t)change };

	sup_pub_answer(e, place, e->child[place].serial, &m, sizeof(m), false);
}

bool sup_watch_take(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_watch *m = msg;
	const struct sup_watch *w = c->e->watch;

	if (len != sizeof(*m))
		return sup_msg_broken(c, "bad WATCH");
	c->child->watch = m->on;
	if (!m->on)
		return true;
	c->child->watch_pos = m->from < w->next ? m->from + 1 : w->next;
	tell(c->e, c->place, OM_CHANGE_HERE, c->child->watch_pos - 1);
	return true;
}

bool sup_watch_behind(const struct sup_engine *e, const struct sup_child *c)
{
	return c->watch && c->watch_pos < e->watch->next;
}

/* True: all that the child's ring takes now is in it. */
static void pump(struct sup_engine *e, unsigned place)
{
	struct sup_watch *w = e->watch;
	struct sup_child *c = &e->child[place];

	if (c->watch_pos < w->first) {
		tell(e, place, OM_CHANGE_LOST, w->first - 1);
		c->watch_pos = w->first;
	}
	for (unsigned n = 0; n < SUP_WATCH_TURN && c->watch_pos < w->next && !c->out; n++) {
		const struct om_op_changed *m = (const void *)(w->bytes + w->off[c->watch_pos % SUP_WATCH_MAX]);
		struct iovec iov = { (void *)(uintptr_t)m, m->hdr.len };

		if (om_ring_put(&c->ring, &iov, 1) < 0)
			return; /* full: again when there is room; broken: whoever answers it next finds out */
		c->watch_pos++;
	}
}

bool sup_watch_pump(struct sup_engine *e)
{
	bool more = false;

	for (unsigned i = 0; i < SUP_CHILDREN_MAX; i++) {
		struct sup_child *c = &e->child[i];

		if (!c->on || c->doomed || c->out || !sup_watch_behind(e, c))
			continue;
		uint64_t was = c->watch_pos;
		pump(e, i);
		more |= c->watch_pos != was && c->watch_pos < e->watch->next;
	}
	return more;
}
