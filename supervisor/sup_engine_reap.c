/*
 * sup_engine_reap.c: files that no record names any more: removed by the lifecycle process, window by window. Publisher's thread. Then
 * their records are dropped: sup_engine_settle.c.
 *
 * A removal is PENDING (recorded in the state environment or, on a volatile tier, in its catalog; the record is dropped when
 * the file's name is durably gone) or UNSETTLED (an id given out that never got a record: after a crash the scan of the
 * unsettled range finds its file again, so nothing is written for it).
 */
#include "common/om_counter.h"
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_room.h"

static struct sup_removal **busy_slot(struct sup_engine *e, uint64_t id) { return &e->rm_busy[id % SUP_RM_BUCKETS]; }

void sup_reap_busy_add(struct sup_engine *e, struct sup_removal *r)
{
	r->hnext = *busy_slot(e, r->id);
	*busy_slot(e, r->id) = r;
}

void sup_reap_busy_del(struct sup_engine *e, const struct sup_removal *r)
{
	struct sup_removal **p = busy_slot(e, r->id);

	while (*p && *p != r)
		p = &(*p)->hnext;
	if (*p)
		*p = r->hnext;
}

bool sup_reap_busy(const struct sup_engine *e, const struct sup_tier *t, uint64_t id)
{
	for (const struct sup_removal *r = e->rm_busy[id % SUP_RM_BUCKETS]; r; r = r->hnext)
		if (r->id == id && r->tier == t)
			return true;
	return false;
}

void sup_reap_push(struct sup_engine *e, struct sup_removal *r)
{
	r->next = NULL;
	*e->rm_end = r;
	e->rm_end = &r->next;
	e->n_rm++;
}

/*
 * Where many objects come and go, files are removed a little later than they could be: not before the directory in which they were
 * made has had its turn, for an inode that is given back there makes each new one dearer; if such a turn is short (be_removes_late()). Not where room is
 * short: of a tier that takes objects a part waits so; of one that is drained, nobody wants the room, and a disk is read without being
 * turned away for each file that goes.
 */
static uint64_t late_most(const struct sup_tier *t)
{
	return atomic_load(&t->draining) ? SUP_LATE_BYTES : OM_MIN(SUP_LATE_BYTES, atomic_load(&t->capacity_bytes) / 64);
}

static bool comes_late(struct sup_engine *e, const struct sup_removal *r)
{
	uint64_t second = om_coarse_ns() / 1000000000u;
	const struct sup_tier *t = r->tier;

	if (t->is_volatile || r->kind != SUP_RM_PENDING || !(atomic_load(&t->late) || atomic_load(&t->draining)))
		return false;
	if (second != e->late_second) {
		e->late_before = second == e->late_second + 1 ? e->late_now : 0;
		e->late_now = 0;
		e->late_second = second;
	}
	e->late_now++;
	return OM_MAX(e->late_now, e->late_before) > atomic_load(&e->late_from) && !sup_room_waited(e) &&
	       e->late_bytes + r->bytes <= late_most(t);
}

static void push_late(struct sup_engine *e, struct sup_removal *r)
{
	r->since_ns = om_coarse_ns();
	r->next = NULL;
	r->late = e->rm_late_end;
	*e->rm_late_end = r;
	e->rm_late_end = &r->next;
	e->late_bytes += r->bytes;
	e->n_rm++;
}

/* It waits no longer. */
static void late_end(struct sup_engine *e, struct sup_removal *r)
{
	*r->late = r->next;
	if (r->next)
		r->next->late = r->late;
	else
		e->rm_late_end = r->late;
	r->late = NULL;
	e->late_bytes -= r->bytes;
	e->n_rm--;
	sup_reap_push(e, r);
}

/* Those that have waited long enough, or all of them when somebody waits for room. */
static void late_due(struct sup_engine *e)
{
	while (e->rm_late && (sup_room_waited(e) || om_coarse_ns() - e->rm_late->since_ns >= atomic_load(&e->late_ns)))
		late_end(e, e->rm_late);
}

bool sup_reap_wanted(struct sup_engine *e, const struct sup_tier *t, uint64_t id)
{
	struct sup_removal *r = e->rm_busy[id % SUP_RM_BUCKETS];

	while (r && (r->id != id || r->tier != t))
		r = r->hnext;
	if (r && r->late)
		late_end(e, r);
	if (r)
		e->settle_wanted = true;
	return r != NULL;
}

void sup_reap_add(struct sup_engine *e, struct sup_tier *t, uint64_t id, uint64_t size, enum sup_removal_kind kind)
{
	struct sup_removal *r = malloc(sizeof(*r));

	if (!OM_CHECK(r != NULL))
		return; /* recorded or found again: the next start removes it */
	*r = (struct sup_removal){ .id = id, .bytes = sup_room_of(size), .tier = t, .kind = (uint8_t)kind };
	t->acct.removals += r->bytes;
	sup_reap_busy_add(e, r);
	if (atomic_load(&t->frozen)) { /* when it can be written again: sup_reap_again() */
		r->next = e->rm_failed;
		e->rm_failed = r;
		e->n_rm_failed++;
	} else if (comes_late(e, r))
		push_late(e, r);
	else
		sup_reap_push(e, r);
}

/* Takes the removal out of a list; NULL: it is not there. */
static struct sup_removal *pull(struct sup_removal **list, const struct sup_tier *t, uint64_t id)
{
	for (struct sup_removal **p = list; *p; p = &(*p)->next)
		if ((*p)->id == id && (*p)->tier == t) {
			struct sup_removal *r = *p;
			*p = r->next;
			return r;
		}
	return NULL;
}

/* Keep the lifecycle process's window full. */
void sup_reap_pump(struct sup_engine *e)
{
	struct sup_child *c = &e->child[SUP_CHILD_LIFECYCLE];

	late_due(e);
	while (c->on && !c->doomed && !c->out && e->rm && e->n_rm_flight < SUP_REAP_WINDOW) {
		struct sup_removal *r = e->rm;
		struct om_op_reap m = { .hdr = { .len = sizeof(m), .type = OM_OP_REAP }, .id = r->id, .tier = r->tier->no };
		e->rm = r->next;
		if (!e->rm)
			e->rm_end = &e->rm;
		e->n_rm--;
		r->next = e->rm_flight;
		e->rm_flight = r;
		e->n_rm_flight++;
		sup_pub_answer(e, SUP_CHILD_LIFECYCLE, c->serial, &m, sizeof(m), false);
	}
}

void sup_reap_done(struct sup_engine *e, struct sup_tier *t, uint64_t id, int status)
{
	struct sup_removal *r = pull(&e->rm_flight, t, id);

	if (!r)
		return; /* answered twice: harmless */
	e->n_rm_flight--;
	if (status < 0 && ++r->tries < 3) {
		sup_reap_push(e, r);
		return;
	}
	if (status < 0) {
		bool waits = r->tier->away || atomic_load(&r->tier->frozen) || !r->tier->cat || !sup_tier_known_to(r->tier, &e->child[SUP_CHILD_LIFECYCLE]);
		if (!waits) /* else the next lifecycle process knows the tier: sup_reap_again() */
			om_log(OM_MSG_REAP, "tier %s: file %016llx cannot be removed: %s; the next start tries again", t->conf->name,
		       (unsigned long long)id, om_status_text(status));
		r->next = e->rm_failed;
		e->rm_failed = r;
		e->n_rm_failed++;
		return;
	}
	om_count(OM_C_REAPED, 1);
	t->acct.removals -= r->bytes;
	sup_pub_rows(e, t);
	if (r->kind == SUP_RM_UNSETTLED) {
		sup_reap_busy_del(e, r);
		free(r);
		return;
	}
	r->next = e->settle;
	e->settle = r;
	e->n_settle++;
	if (!e->settle_since_ns)
		e->settle_since_ns = om_coarse_ns();
}

void sup_reap_lost(struct sup_engine *e)
{
	while (e->rm_flight) {
		struct sup_removal *r = e->rm_flight;
		e->rm_flight = r->next;
		e->n_rm_flight--;
		sup_reap_push(e, r);
	}
}

/* Another lifecycle process: it may know a tier that the last one did not. */
void sup_reap_again(struct sup_engine *e)
{
	for (struct sup_removal **p = &e->rm_failed; *p;) {
		struct sup_removal *r = *p;
		if (!r->tier->cat || r->tier->away || r->tier->hides || atomic_load(&r->tier->frozen)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		e->n_rm_failed--;
		r->tries = 0;
		sup_reap_push(e, r);
	}
}

bool sup_reap_flies(const struct sup_engine *e, const struct sup_tier *t)
{
	for (const struct sup_removal *r = e->rm_flight; r; r = r->next)
		if (r->tier == t)
			return true;
	return false;
}

/* Drop those of `t` from a list; the end of the list, and how many and how much went, where they are counted. */
static void drop_all(struct sup_engine *e, const struct sup_tier *t, struct sup_removal **list, struct sup_removal ***end, uint64_t *n,
		     uint64_t *bytes)
{
	struct sup_removal **p = list, *r;

	while ((r = *p)) {
		if (r->tier != t) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		*n -= 1;
		if (bytes)
			*bytes -= r->bytes;
		sup_reap_busy_del(e, r);
		free(r);
	}
	if (end)
		*end = p;
}

void sup_reap_forget(struct sup_engine *e, struct sup_tier *t)
{
	drop_all(e, t, &e->rm, &e->rm_end, &e->n_rm, NULL);
	drop_all(e, t, &e->rm_late, &e->rm_late_end, &e->n_rm, &e->late_bytes);
	for (struct sup_removal **p = &e->rm_late; *p; p = &(*p)->next)
		(*p)->late = p; /* those that are left may have lost the one before them */
	drop_all(e, t, &e->rm_failed, NULL, &e->n_rm_failed, NULL);
	drop_all(e, t, &e->settle, NULL, &e->n_settle, NULL);
	t->acct.removals = 0;
}

static void free_list(struct sup_removal *r)
{
	while (r) {
		struct sup_removal *next = r->next;
		free(r);
		r = next;
	}
}

void sup_reap_free(struct sup_engine *e)
{
	free_list(e->rm);
	free_list(e->rm_late);
	free_list(e->rm_flight);
	free_list(e->rm_failed);
	free_list(e->settle);
}
