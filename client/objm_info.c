/*
 * objm_info.c: URIs on their way into requests, and what answers say of an object. Runs in clients, on the session's thread.
 */
#include "client/objm_priv.h"

int objm_uri_len(objm_t *s, const char *uri, uint32_t *ret_len)
{
	size_t n = uri ? strnlen(uri, OM_URI_MAX + 1) : 0;

	if (n == 0)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "a URI has at least one byte");
	if (n > OM_URI_MAX)
		return objm_fail(s, -OBJM_STATUS_URI_TOO_LONG, "the URI is longer than %u bytes", OM_URI_MAX);
	*ret_len = (uint32_t)n;
	return 0;
}

int objm_body_uri(objm_t *s, struct om_proto_body *body, const char *uri)
{
	uint32_t n = 0;
	int r = objm_uri_len(s, uri, &n);

	if (r < 0)
		return r;
	body->uri = (struct om_proto_str){uri, n};
	body->have |= OM_PROTO_BIT(URI);
	return 0;
}

static void name_fill(char dst[OBJM_TIER_NAME_MAX], const struct om_proto_body *body, uint64_t bit,
		      const struct om_proto_str *name)
{
	if ((body->have & bit) && name->len < OBJM_TIER_NAME_MAX)
		memcpy(dst, name->p, name->len); /* the rest is zero */
}

/* Member by member: of a structure of this size compilers clear the whole by a string instruction, which takes 10 ns to begin. */
void objm_info_obj(const struct om_proto_obj *o, struct objm_info *ret_info)
{
	ret_info->id = o->id;
	ret_info->size = o->size;
	ret_info->mtime_ns = o->mtime_ns;
	ret_info->expiry_s = o->expiry_s;
	ret_info->gen = o->gen;
	ret_info->rev = o->rev;
	ret_info->flags = o->flags;
	ret_info->bucket = o->bucket;
	ret_info->server_ns = 0;
	ret_info->tier = o->tier;
	ret_info->home = o->home;
	ret_info->durability = OBJM_DURABILITY_DEFAULT;
	memset(ret_info->reserved1, 0, sizeof(ret_info->reserved1));
	memset(ret_info->tier_name, 0, sizeof(ret_info->tier_name));
	memset(ret_info->home_name, 0, sizeof(ret_info->home_name));
	memset(ret_info->reserved2, 0, sizeof(ret_info->reserved2));
}

void objm_info_wire(const uint8_t *obj, struct objm_info *ret_info)
{
	struct om_proto_obj o;

	om_proto_obj_decode(obj, &o);
	objm_info_obj(&o, ret_info);
}

void objm_info_fill(const struct om_proto_body *body, struct objm_info *ret_info)
{
	objm_info_obj(&body->obj, ret_info);
	if (body->have & OM_PROTO_BIT(SERVER_NS))
		ret_info->server_ns = body->server_ns;
	if ((body->have & OM_PROTO_BIT(DURABILITY)) && body->durability < OM_DUR_COUNT)
		ret_info->durability = body->durability + 1u; /* 0 is "default" here, "none" on the wire */
	name_fill(ret_info->tier_name, body, OM_PROTO_BIT(TIER_NAME), &body->tier_name);
	name_fill(ret_info->home_name, body, OM_PROTO_BIT(HOME_NAME), &body->home_name);
}

int objm_frame_info(void *arg, const struct objm_frame *f)
{
	if (f->status < 0)
		return 0;
	if (!(f->body->have & OM_PROTO_BIT(OBJ)))
		return -OBJM_STATUS_PROTO_ERROR;
	objm_info_fill(f->body, arg);
	return 0;
}
