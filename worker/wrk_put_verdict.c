/*
 * wrk_put_verdict.c: a change that the supervisor refuses: what its client is told. Process objmapper-worker, loop thread.
 */
#include "common/om_counter.h"
#include "worker/wrk_put_int.h"

static const char *verdict_why(int status)
{
	switch (status) {
	case -OBJM_STATUS_PRECONDITION_FAILED:
		return "the condition does not hold: another version of the object stands (or none)";
	case -OBJM_STATUS_TRY_AGAIN:
		return "another change of the same object is under way: commit again";
	case -OBJM_STATUS_NO_SPACE:
		return "the tier has no space for the object, and none became free in time: delete objects, or try again";
	case -OBJM_STATUS_LIMIT_EXCEEDED:
		return "pinned objects may take half of a tier, and do";
	case -OBJM_STATUS_COLLISION:
		return "the URI's key is that of another URI: choose another one";
	default:
		return NULL;
	}
}

/* A user, as who reads the text knows him. */
static void user_text(uint32_t uid, char *ret, size_t cap)
{
	if (uid == OM_UID_NONE)
		(void)snprintf(ret, cap, "what came over TCP");
	else
		(void)snprintf(ret, cap, "uid %u", uid);
}

bool wrk_put_owner_limit(struct wrk_put *p, const struct om_op_verdict *v)
{
	unsigned long long limit = v->cur_id;
	char who[32];

	if (v->status != -OBJM_STATUS_LIMIT_EXCEEDED || v->cur_rev == OM_OWNER_OK)
		return false;
	om_count(OM_C_OWNER_LIMIT, 1);
	user_text(p->rec.uid, who, sizeof(who));
	switch (v->cur_rev) {
	case OM_OWNER_BYTES:
		(void)snprintf(p->why, sizeof(p->why), "%s: all objects together may have %llu bytes (limits.bytes_per_uid, or max_bytes of a "
			       "rule): with this one they would have more: delete some", who, limit);
		break;
	case OM_OWNER_OBJECTS:
		(void)snprintf(p->why, sizeof(p->why), "%s: %llu objects are as many as there may be (limits.objects_per_uid, or max_objects "
			       "of a rule): delete some", who, limit);
		break;
	case OM_OWNER_ROOM:
		(void)snprintf(p->why, sizeof(p->why), "%s: open puts may reserve %llu bytes together (limits.bytes_per_uid, or max_bytes of a "
			       "rule): commit or abort some", who, limit);
		break;
	default:
		(void)snprintf(p->why, sizeof(p->why), "%s: objects are owned by %llu users already, the most there may be", who, limit);
	}
	return true;
}

void wrk_put_refused(struct wrk_put *p, const struct om_op_verdict *v)
{
	const char *why = verdict_why(v->status);

	p->err = 0;
	if (wrk_put_owner_limit(p, v)) {
		wrk_put_answer(p, v->status);
		return;
	}
	p->cur_id = v->cur_id;
	p->cur_rev = v->cur_rev;
	if (why)
		(void)snprintf(p->why, sizeof(p->why), "%s", why);
	else
		p->step = "the change was refused";
	wrk_put_answer(p, v->status);
}
