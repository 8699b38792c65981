/*
 * sup_conns.c: see sup_conns.h. In the supervisor's main thread.
 */
#include "supervisor/sup_conns.h"

#include "supervisor/sup_admin_cmd.h"

struct sup_conns {
	struct sup_admin_call *call;
	uint32_t seq;
	uint64_t due_ns, total;
	json_t *rows;
	pid_t waits[SUP_CHILDREN_MAX]; /* 0: this worker need not answer any more */
};

static const char *kind_name(uint8_t kind)
{
	return kind == OM_LISTEN_DATA ? "data" : kind == OM_LISTEN_LEGACY ? "legacy" : "tcp";
}

static void add_row(struct sup_conns *c, unsigned place, const struct om_proc_conn *r)
{
	json_t *o = json_object();

	sup_admin_put(o, "worker", sup_admin_num(place));
	sup_admin_put(o, "socket", json_string(kind_name(r->kind)));
	sup_admin_put(o, "version", sup_admin_num(r->version));
	sup_admin_put(o, "uid", r->uid == UINT32_MAX ? json_null() : sup_admin_num(r->uid));
	sup_admin_put(o, "pid", r->pid > 0 ? sup_admin_num((uint64_t)r->pid) : json_null());
	sup_admin_put(o, "outstanding", sup_admin_num(r->outstanding));
	sup_admin_put(o, "queued_bytes", sup_admin_num(r->queued_bytes));
	sup_admin_put(o, "unread_fds", sup_admin_num(r->unread_fds));
	sup_admin_put(o, "idle_ms", sup_admin_num(r->idle_ms));
	(void)json_array_append_new(c->rows, o);
}

static void end(struct sup *sup, bool whole)
{
	struct sup_conns *c = sup->conns;
	struct sup_admin_call *call = c->call;

	sup_admin_put(call->reply, "complete", json_boolean(whole && json_array_size(c->rows) >= c->total));
	sup_admin_put(call->reply, "total", sup_admin_num(c->total));
	sup_admin_put(call->reply, "connections", c->rows);
	sup->conns = NULL;
	free(c);
	sup_admin_done(call, 0);
}

/* True if a worker that was asked is still there and has not answered. */
static bool awaited(const struct sup *sup)
{
	for (unsigned i = 1; i < sup->kids.n; i++)
		if (sup->conns->waits[i] && sup->conns->waits[i] == sup->kids.place[i].pid)
			return true;
	return false;
}

void sup_conns_take(void *arg, struct sup_place *place, const struct om_proc_conns *m)
{
	struct sup *sup = arg;
	struct sup_conns *c = sup->conns;

	if (!c || m->seq != c->seq || c->waits[place->no] != place->pid)
		return; /* too late */
	for (uint32_t i = 0; i < m->n && json_array_size(c->rows) < (size_t)OM_CONNS_MAX * 16; i++)
		add_row(c, place->no, &m->row[i]);
	if (!m->last)
		return;
	c->total += m->total;
	c->waits[place->no] = 0;
	if (!awaited(sup))
		end(sup, true);
}

void sup_conns_tick(struct sup *sup, uint64_t now_ns)
{
	if (sup->conns && (now_ns >= sup->conns->due_ns || !awaited(sup)))
		end(sup, false);
}

int sup_admin_run_CONNECTIONS(struct sup_admin_call *call)
{
	static uint32_t seq;
	struct sup *sup = call->sup;
	unsigned asked = 0;

	if (sup->conns)
		return sup_admin_say(call, -OBJM_STATUS_TRY_AGAIN, "somebody else is just asking");
	sup->conns = calloc(1, sizeof(*sup->conns));
	if (!sup->conns)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	seq++;
	*sup->conns = (struct sup_conns){ .call = call, .seq = seq, .rows = json_array(),
					  .due_ns = om_now_ns() + SUP_CONNS_MS * UINT64_C(1000000) };
	for (unsigned i = 1; i < sup->kids.n; i++)
		if (sup_child_ask_conns(&sup->kids.place[i], seq)) {
			sup->conns->waits[i] = sup->kids.place[i].pid;
			asked++;
		}
	if (asked)
		return SUP_ADMIN_LATER;
	json_decref(sup->conns->rows);
	free(sup->conns);
	sup->conns = NULL;
	return sup_admin_say(call, -OBJM_STATUS_UNAVAILABLE, "no worker serves now");
}
