/*
 * fake_engine.c: see fake_engine.h.
 */
#include "fake_engine.h"

#include <sys/mman.h>

struct fake_engine fake_engine = { .seq = 7 };

int fake_fd(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC);
}

int sup_engine_open(const struct om_conf *conf, const char *const *adopt, const struct sup_engine_cb *cb, struct sup_engine **ret)
{
	(void)conf, (void)adopt;
	fake_engine.cb = *cb;
	*ret = (struct sup_engine *)&fake_engine;
	return 0;
}
int sup_engine_start(struct sup_engine *e)
{
	(void)e;
	return 0;
}
void sup_engine_close(struct sup_engine *e) { (void)e; }
int sup_engine_owners(struct sup_engine *e, struct sup_engine_owner **ret, size_t *ret_n)
{
	(void)e;
	*ret = calloc(3, sizeof(**ret));
	if (!*ret)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	(*ret)[0] = (struct sup_engine_owner){ .uid = 1000, .objects = 3, .bytes = 70, .reserved_bytes = 5, .max_bytes = 100 };
	(*ret)[1] = (struct sup_engine_owner){ .uid = OM_UID_NONE, .objects = 1, .bytes = 60 };
	(*ret)[2] = (struct sup_engine_owner){ .uid = OM_UID_OLD, .objects = 2, .bytes = 50 };
	*ret_n = 3;
	return 0;
}
const uint8_t *sup_engine_secret(const struct sup_engine *e)
{
	(void)e;
	return (const uint8_t *)"0123456789abcdef";
}
unsigned sup_engine_tiers(const struct sup_engine *e, struct om_boot_tier ret[static OM_TIERS_MAX],
			  int ret_dirs[static OM_TIERS_MAX][2])
{
	static int dirs[FAKE_TIERS][2];

	(void)e;
	for (unsigned i = 0; i < FAKE_TIERS; i++) {
		char name[16];
		ret[i] = (struct om_boot_tier){ .tier = (uint8_t)i, .state = i == 1 ? OM_TIERS_ABSENT : OM_TIERS_READY };
		for (unsigned k = 0; k < 2; k++) {
			(void)snprintf(name, sizeof(name), "tier%u-%s", i, k ? "staging" : "objects");
			if (i != 1 && !dirs[i][k])
				dirs[i][k] = fake_fd(name);
			ret_dirs[i][k] = i == 1 ? -1 : dup(dirs[i][k]);
		}
	}
	return FAKE_TIERS;
}
void sup_engine_roles(const struct sup_engine *e, uint32_t *ret_default, uint32_t *ret_ephemeral, uint32_t *ret_cache)
{
	(void)e;
	*ret_default = 2;
	*ret_ephemeral = 0;
	*ret_cache = OM_TIER_NONE;
}
int sup_engine_child_open(struct sup_engine *e, unsigned place, enum om_role role, struct sup_engine_child *ret)
{
	int fail = fake_engine.fail_open;

	(void)e;
	fake_engine.fail_open = 0;
	if (fail)
		return fail;
	OM_ASSERT(!fake_engine.open[place]);
	fake_engine.open[place] = true;
	fake_engine.opened++;
	*ret = (struct sup_engine_child){
		.ring_own = fake_fd("ring-own"), .ring_peer = fake_fd("ring-peer"), .kick_peer = fake_fd("kick-peer"),
		.kick_self = fake_fd("kick-self"), .index = fake_fd("index"), .gens = fake_fd("gens"),
		.heat = role == OM_ROLE_LIFECYCLE ? fake_fd("heat") : -1, .index_seq = fake_engine.seq, .serial = ++fake_engine.serial,
	};
	return 0;
}
void sup_engine_child_close(struct sup_engine *e, unsigned place)
{
	(void)e;
	OM_ASSERT(fake_engine.open[place]);
	fake_engine.open[place] = false;
	fake_engine.closed++;
}
void sup_engine_index_ack(struct sup_engine *e, unsigned place, uint32_t seq)
{
	(void)e;
	OM_ASSERT(fake_engine.open[place]);
	fake_engine.acks++;
	fake_engine.last_ack = seq;
}
void sup_engine_heartbeat(struct sup_engine *e) { (void)e; }
unsigned sup_engine_pulses(struct sup_engine *e, struct sup_pulse *ret[static SUP_PULSES_MAX])
{
	(void)e;
	ret[0] = &fake_engine.pulse;
	return 1;
}
void sup_engine_stat(struct sup_engine *e, struct sup_engine_stat *ret)
{
	(void)e;
	*ret = (struct sup_engine_stat){ .objects = 5, .slots = 100, .index_bytes = 6400, .complete = true, .pending_removals = 2, .n_tiers = 1 };
	ret->tiers[0] = (struct sup_engine_tier_stat){
		.name = "disk", .path = "/srv/\xff", .type = OM_TIER_SSD, .state = OM_TIERS_READY, .flags = OM_TIERF_PERSISTENT | OM_TIERF_READABLE | OM_TIERF_WRITABLE,
		.capacity_bytes = UINT64_MAX, .used_bytes = 4096, .objects = 5, .rebuilding = true, .rebuilt_files = 3,
	};
}
int sup_engine_rebuild(struct sup_engine *e, const char *tier)
{
	(void)e;
	if (!strcmp(tier, "busy"))
		return -OBJM_STATUS_BUSY;
	if (strcmp(tier, "disk"))
		return -OBJM_STATUS_NOT_FOUND;
	fake_engine.rebuilds++;
	return 0;
}

static void fake_ask(sup_engine_done_fn *done, void *arg)
{
	OM_ASSERT(!fake_engine.done);
	fake_engine.asked++;
	fake_engine.done = done;
	fake_engine.done_arg = arg;
}
int sup_engine_task(struct sup_engine *e, const struct sup_engine_task *task, sup_engine_done_fn *done, void *arg)
{
	(void)e;
	if (fake_engine.done)
		return -OBJM_STATUS_TRY_AGAIN;
	fake_engine.task = *task;
	(void)snprintf(fake_engine.uri, sizeof(fake_engine.uri), "%.*s", (int)task->uri_len, task->uri ? task->uri : "");
	fake_ask(done, arg);
	return 0;
}
int sup_engine_lookup(struct sup_engine *e, const char *uri, size_t uri_len, uint32_t wait_ms, sup_engine_done_fn *done, void *arg)
{
	const struct sup_engine_task t = { .kind = OM_TASK_KINDS, .uri = uri, .uri_len = uri_len, .wait_ms = wait_ms };

	return sup_engine_task(e, &t, done, arg);
}
void fake_answer(const struct sup_engine_answer *a)
{
	sup_engine_done_fn *done = fake_engine.done;

	OM_ASSERT(done);
	fake_engine.done = NULL;
	done(fake_engine.done_arg, a);
}
int sup_engine_asks_fd(const struct sup_engine *e)
{
	(void)e;
	return -1;
}
void sup_engine_asks(struct sup_engine *e, uint64_t now_ns) { (void)e, (void)now_ns; }
uint8_t sup_engine_tier_no(const struct sup_engine *e, const char *name)
{
	(void)e;
	return !strcmp(name, "disk") ? 0 : OM_TIER_NONE;
}
void sup_engine_conf(struct sup_engine *e, const struct om_conf *conf) { (void)e, (void)conf; }
void sup_engine_gens_bump_all(struct sup_engine *e) { (void)e; }
int sup_engine_set(struct sup_engine *e, const struct sup_engine_set *set, sup_engine_done_fn *done, void *arg)
{
	const struct sup_engine_task t = { .kind = OM_TASK_KINDS, .uri = set->uri, .uri_len = set->uri_len, .wait_ms = set->wait_ms,
					   .arg = (uint64_t)set->flags_mask << 32 | set->flags };

	return sup_engine_task(e, &t, done, arg);
}
int sup_engine_tier_order(struct sup_engine *e, const char *name, enum sup_engine_order order, bool lost, uint32_t wait_ms,
			  sup_engine_done_fn *done, void *arg)
{
	const struct sup_engine_task t = { .kind = OM_TASK_KINDS, .uri = name, .uri_len = strlen(name), .wait_ms = wait_ms,
					   .arg = (uint64_t)order << 1 | lost };

	return strcmp(name, "disk") ? -OBJM_STATUS_NOT_FOUND : sup_engine_task(e, &t, done, arg);
}
int sup_engine_tier_draining(struct sup_engine *e, const char *name, bool on)
{
	(void)e, (void)on;
	return strcmp(name, "disk") ? -OBJM_STATUS_NOT_FOUND : 0;
}
