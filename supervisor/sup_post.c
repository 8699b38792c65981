/*
 * sup_post.c: see sup_post.h. Written by the engine's threads, read by the supervisor's main thread.
 */
#include "supervisor/sup_post.h"

#include <sys/eventfd.h>

int sup_post_init(struct sup_post *post)
{
	*post = (struct sup_post){ .lock = PTHREAD_MUTEX_INITIALIZER, .index = { .index_rofd = -1, .heatfd = -1 } };
	post->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return post->wakefd < 0 ? -OBJM_STATUS_SYSTEM : 0;
}

void sup_post_fini(struct sup_post *post)
{
	om_close(&post->index.index_rofd);
	om_close(&post->index.heatfd);
	om_close(&post->wakefd);
}

static void wake(struct sup_post *post)
{
	(void)eventfd_write(post->wakefd, 1); /* fails only when it is far from zero: awake already */
}

static void post_kill(void *arg, unsigned place, uint32_t serial, const char *why)
{
	struct sup_post *post = arg;

	OM_ASSERT(place < SUP_CHILDREN_MAX);
	pthread_mutex_lock(&post->lock);
	post->kill[place] = (struct sup_post_kill){ place, serial, why };
	pthread_mutex_unlock(&post->lock);
	wake(post);
}

static void post_index(void *arg, uint32_t seq, int index_rofd, int heatfd)
{
	struct sup_post *post = arg;

	pthread_mutex_lock(&post->lock);
	om_close(&post->index.index_rofd); /* a newer one replaces one that was not sent yet */
	om_close(&post->index.heatfd);
	post->index = (struct sup_post_index){ seq, index_rofd, heatfd };
	pthread_mutex_unlock(&post->lock);
	wake(post);
}

static void post_tiers(void *arg)
{
	struct sup_post *post = arg;

	pthread_mutex_lock(&post->lock);
	post->tiers = true;
	pthread_mutex_unlock(&post->lock);
	wake(post);
}

struct sup_engine_cb sup_post_cb(struct sup_post *post)
{
	return (struct sup_engine_cb){ .kill_child = post_kill, .index_new = post_index, .arg = post, .tiers_changed = post_tiers };
}

bool sup_post_take_index(struct sup_post *post, struct sup_post_index *ret)
{
	pthread_mutex_lock(&post->lock);
	bool some = post->index.index_rofd >= 0;
	if (some) {
		*ret = post->index;
		post->index = (struct sup_post_index){ .index_rofd = -1, .heatfd = -1 };
	}
	pthread_mutex_unlock(&post->lock);
	return some;
}

bool sup_post_take_tiers(struct sup_post *post)
{
	pthread_mutex_lock(&post->lock);
	bool some = post->tiers;
	post->tiers = false;
	pthread_mutex_unlock(&post->lock);
	return some;
}

bool sup_post_take_kill(struct sup_post *post, struct sup_post_kill *ret)
{
	bool some = false;

	pthread_mutex_lock(&post->lock);
	for (unsigned i = 0; i < SUP_CHILDREN_MAX && !some; i++) {
		if (post->kill[i].why) {
			*ret = post->kill[i];
			post->kill[i].why = NULL;
			some = true;
		}
	}
	pthread_mutex_unlock(&post->lock);
	return some;
}

void sup_post_awake(struct sup_post *post)
{
	eventfd_t n;
	(void)eventfd_read(post->wakefd, &n); /* EAGAIN: nothing came */
}
