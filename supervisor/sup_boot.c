/*
 * sup_boot.c: see sup_boot.h. In the supervisor, each time that a child is started.
 */
#include "supervisor/sup_boot.h"

#include "common/om_log.h"
#include "common/proto/om_proto.h"

static_assert(OM_BOOT_FD_COUNT + OM_LISTEN_MAX + 2 * OM_TIERS_MAX <= OM_FDPASS_MAX, "BOOT is one message");

/* Accesses logged: every one. A full log drops, which samples by itself where there are too many. */
#define ALOG_SAMPLE 1u

/* Connections and open puts are counted by the supervisor, over all workers: each worker has the whole as its own bound. */
static void fill_limits(const struct sup_boot_env *env, struct om_boot_limits *ret)
{
	const struct om_conf *c = env->conf;

	*ret = (struct om_boot_limits){
		/* where the system allows less than was asked for, connections need their half (sup_start.c has said so) */
		.max_open_fds = (uint32_t)OM_MIN((uint64_t)c->index.max_open_fds, OM_MAX(env->nofile / 2, 16u)),
		.connections = c->limits.connections,
		.connections_per_uid = c->limits.connections_per_uid,
		.max_pipeline = c->protocol.max_pipeline,
		.queue_bytes = (uint32_t)c->limits.connection_queue_bytes,
		/* the kernel counts descriptors in flight by user, over all our processes, and stops at RLIMIT_NOFILE */
		.unread_fds = (uint32_t)OM_MAX(env->nofile / 2 / OM_MAX(env->max_workers, 1u), 16u),
		.conn_unread_fds = c->limits.unread_fds,
		.list_page = c->limits.list_page,
		.compression = c->protocol.compression,
		.put_sessions = c->limits.put_sessions,
		.put_sessions_per_uid = c->limits.put_sessions_per_uid,
		.frame_bytes = (uint32_t)OM_MIN(c->limits.frame_bytes, OM_PROTO_TLV_MAX),
		.inline_bytes = (uint32_t)c->limits.frame_bytes,
		.idle_timeout_ms = c->limits.idle_timeout_ms,
		.request_timeout_ms = c->limits.request_timeout_ms,
		.commit_wait_ms = c->commit_wait_ms,
		.drain_ms = c->drain_timeout_ms,
		.io_threads = c->io_threads,
		.alog_sample = ALOG_SAMPLE,
		.decay_s = c->lifecycle.hotness_decay_s,
		.busy_poll_us = c->thread_pool.busy_poll_us,
	};
}

static void fill_lifecycle(const struct om_conf_lifecycle *c, struct om_boot_lifecycle *ret)
{
	*ret = (struct om_boot_lifecycle){
		.hot_threshold = c->hot_threshold,
		.cold_threshold = c->cold_threshold,
		.evict_when_full = c->evict_when_full,
		.evict_target = c->evict_target,
		.share_while_serving = c->share_while_serving,
		.bandwidth = c->bandwidth,
		.migration_batch = c->migration_batch_size,
		.interval_s = c->interval_s,
		.scrub_days = c->scrub_days,
	};
}

static uint32_t fill_uids(const struct om_conf_ids *ids, const char *key, uint32_t ret[static OM_TRUSTED_MAX])
{
	uint32_t n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		if (ids->v[i].kind != OM_CONF_ID_ID)
			continue;
		if (n == OM_TRUSTED_MAX) {
			om_log(OM_MSG_CONFIG, "%s: only the first %u are used", key, OM_TRUSTED_MAX);
			break;
		}
		ret[n++] = ids->v[i].id;
	}
	return n;
}

void sup_boot_done(const struct om_proc_boot *boot, int fds[static OM_FDPASS_MAX], unsigned nfds)
{
	for (unsigned i = OM_BOOT_FD_COUNT + boot->n_listen; i < nfds; i++)
		om_close(&fds[i]);
}

void sup_boot_live(const struct sup_boot_env *env, struct om_proc_live *ret, int ret_dirs[static OM_TIERS_MAX][2])
{
	const struct om_conf *c = env->conf;

	memset(ret, 0, sizeof(*ret));
	ret->log_level = (uint32_t)c->log.level;
	ret->access_log_ppm = (uint32_t)(c->log.access * 1e6 + 0.5);
	sup_engine_roles(env->engine, &ret->default_tier, &ret->ephemeral_tier, &ret->cache_tier);
	ret->n_trusted = fill_uids(&c->access.trusted_writers, "access.trusted_writers", ret->trusted_uid);
	ret->n_legacy = fill_uids(&c->access.legacy, "access.legacy", ret->legacy_uid);
	fill_limits(env, &ret->limits);
	fill_lifecycle(&c->lifecycle, &ret->lifecycle);
	ret->n_tiers = sup_engine_tiers(env->engine, ret->tiers, ret_dirs);
	for (unsigned i = 0; i < ret->n_tiers; i++)
		if (ret_dirs[i][0] < 0 || ret_dirs[i][1] < 0) {
			om_close(&ret_dirs[i][0]);
			om_close(&ret_dirs[i][1]);
			ret->tiers[i].state = OM_TIERS_ABSENT;
		}
}

void sup_boot_fill(const struct sup_boot_env *env, const struct sup_boot_child *child, struct om_proc_boot *ret,
		   int ret_fds[static OM_FDPASS_MAX], unsigned *ret_nfds)
{
	const struct sup_engine_child *ec = child->engine;
	int dirs[OM_TIERS_MAX][2];
	unsigned n = 0;

	memset(ret, 0, sizeof(*ret));
	ret->hdr = (struct om_proc_hdr){
		.magic = OM_PROC_MAGIC, .len = sizeof(*ret), .type = OM_PROC_BOOT, .layout = OM_PROC_LAYOUT
	};
	ret->role = child->role;
	ret->child = child->place;
	ret->generation = child->generation;
	ret->index_seq = ec->index_seq;
	ret->paused = env->paused && child->role == OM_ROLE_LIFECYCLE;
	memcpy(ret->key_secret, sup_engine_secret(env->engine), sizeof(ret->key_secret));
	sup_boot_live(env, &ret->live, dirs);

	ret_fds[OM_BOOT_RING_OWN] = ec->ring_own;
	ret_fds[OM_BOOT_RING_PEER] = ec->ring_peer;
	ret_fds[OM_BOOT_KICK_PEER] = ec->kick_peer;
	ret_fds[OM_BOOT_KICK_SELF] = ec->kick_self;
	ret_fds[OM_BOOT_COUNTERS] = child->counters;
	ret_fds[OM_BOOT_INDEX] = ec->index;
	ret_fds[OM_BOOT_GENS] = child->role == OM_ROLE_LIFECYCLE && env->heat_dir > 0 ? env->heat_dir : ec->gens;
	ret_fds[OM_BOOT_OWN_SEG] = child->role == OM_ROLE_LIFECYCLE ? ec->heat : child->own_seg;
	ret_fds[OM_BOOT_RUN_LOCK] = env->run_lock;
	ret_fds[OM_BOOT_RULES] = env->rules_fd;
	n = OM_BOOT_FD_COUNT;
	for (unsigned i = 0; child->role == OM_ROLE_WORKER && i < env->socks->n; i++) {
		const struct sup_sock *s = &env->socks->v[i];
		if (s->kind == SUP_SOCK_ADMIN || s->fd < 0)
			continue;
		OM_ASSERT(ret->n_listen < OM_LISTEN_MAX);
		ret->listen_kind[ret->n_listen++] = (uint8_t)s->kind;
		ret_fds[n++] = s->fd;
	}
	for (unsigned i = 0; i < ret->n_tiers; i++) {
		if (ret->tiers[i].state == OM_TIERS_ABSENT)
			continue;
		ret_fds[n++] = dirs[i][0];
		ret_fds[n++] = dirs[i][1];
	}
	*ret_nfds = n;
}
