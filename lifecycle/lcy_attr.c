/*
 * lcy_attr.c: what a file says of itself changes (SET). Runs on the loop's thread of objmapper-lifecycle; a disk that is
 * slow to make it durable holds removals and heat up for as long.
 */
#include "common/om_fault.h"
#include "lifecycle/lcy.h"

static int replace(struct lcy *l, const struct om_op_attr *m, size_t len)
{
	const char *uri = (const char *)(m + 1);
	struct om_rec rec = { .id = m->id, .mtime_ns = m->mtime_ns, .expiry_s = m->expiry_s, .flags = m->flags, .rev = m->rev, .uid = m->uid,
			      .uri_len = m->uri_len, .type_len = m->type_len, .meta_len = m->meta_len, .uri = uri,
			      .type = uri + m->uri_len, .meta = (const unsigned char *)uri + m->uri_len + m->type_len };

	if (len != sizeof(*m) + (size_t)m->uri_len + m->type_len + m->meta_len || !om_uri_valid(uri, m->uri_len) ||
	    m->type_len > OM_TYPE_MAX || m->meta_len > OM_META_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (m->tier >= OM_TIERS_MAX || !l->tiers[m->tier].on)
		return -OBJM_STATUS_UNAVAILABLE;
	return be_attr_replace(&l->tiers[m->tier].be, m->id, &rec, m->durable);
}

void lcy_attr(struct lcy *l, const struct om_op_attr *m, size_t len)
{
	int status = replace(l, m, len);
	int err = om_fault(OM_FAULT_ATTR_WRITTEN);
	struct om_op_attred done = { .hdr = { .len = sizeof(done), .type = OM_OP_ATTRED, .req = m->hdr.req }, .id = m->id,
				     .status = err ? -om_status_errno(err) : status, .tier = m->tier };
	struct iovec iov = { &done, sizeof(done) };

	if (l->send(l, &iov, 1) < 0)
		om_log(OM_MSG_NOTE, "lifecycle: the end of a SET could not be told: the ring is broken"); /* the loop sees it too */
}
