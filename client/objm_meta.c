/*
 * objm_meta.c: what is known of objects, and changing it: stat, set, delete; content types, metadata and conditions
 * on the wire.
 *
 * Runs in clients. Metadata travel as one blob of entries: key length u8 | value length u16 | key | value.
 */
#include "client/objm_priv.h"

#define META_ENTRY_HDR 3u

/* ---------------------------------------------------------------- to the wire */

int objm_meta_encode(objm_t *s, const struct objm_meta *meta, size_t count, uint8_t ret_blob[OM_META_MAX], uint32_t *ret_len)
{
	size_t len = 0, key, i;

	if (count > OM_META_ENTRIES_MAX)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "metadata: %zu entries, at most %u are allowed", count,
				 OM_META_ENTRIES_MAX);
	for (i = 0; i < count; i++) {
		key = meta[i].key ? strnlen(meta[i].key, OM_META_KEY_MAX + 1) : 0;
		if (key == 0 || key > OM_META_KEY_MAX)
			return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST,
					 "metadata: entry %zu: a key has 1 to %u bytes", i + 1, OM_META_KEY_MAX);
		if (OM_META_MAX - len < META_ENTRY_HDR + key ||
		    OM_META_MAX - len - META_ENTRY_HDR - key < meta[i].value_len)
			return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "metadata: more than %u bytes in all", OM_META_MAX);
		ret_blob[len] = (uint8_t)key;
		ret_blob[len + 1] = (uint8_t)(meta[i].value_len >> 8);
		ret_blob[len + 2] = (uint8_t)meta[i].value_len;
		memcpy(ret_blob + len + META_ENTRY_HDR, meta[i].key, key);
		len += META_ENTRY_HDR + key;
		if (meta[i].value_len)
			memcpy(ret_blob + len, meta[i].value, meta[i].value_len);
		len += meta[i].value_len;
	}
	*ret_len = (uint32_t)len;
	return 0;
}

int objm_body_type(objm_t *s, struct om_proto_body *body, const char *type)
{
	size_t n = strnlen(type, OM_TYPE_MAX + 1);

	if (n > OM_TYPE_MAX)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "the content type is longer than %u bytes", OM_TYPE_MAX);
	body->type = (struct om_proto_str){type, (uint32_t)n};
	body->have |= OM_PROTO_BIT(TYPE);
	return 0;
}

int objm_body_cond(objm_t *s, struct om_proto_body *body, const struct objm_cond *cond)
{
	if (!cond || cond->kind == OBJM_COND_NONE)
		return 0;
	if (cond->kind != OBJM_COND_ABSENT && cond->kind != OBJM_COND_VERSION)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "unknown precondition");
	body->cond = (struct om_proto_cond){.kind = (uint8_t)cond->kind, .id = cond->id, .rev = cond->rev};
	body->have |= OM_PROTO_BIT(COND);
	return 0;
}
static_assert((int)OBJM_COND_ABSENT == (int)OM_COND_ABSENT && (int)OBJM_COND_VERSION == (int)OM_COND_VERSION,
	      "conditions have the same numbers on the wire");
static_assert(OBJM_EPHEMERAL == OM_OBJ_EPHEMERAL && OBJM_PINNED == OM_OBJ_PINNED && OBJM_EVICTABLE == OM_OBJ_EVICTABLE,
	      "flags have the same bits on the wire");
static_assert(OBJM_TIER_NAME_MAX == OM_TIER_NAME_MAX && OBJM_URI_MAX == OM_URI_MAX, "limits of objm.h are the project's");
static_assert(OBJM_PROMISE_POSITIONED == OM_PROTO_PROMISE_POSITIONED, "promises have the same bits on the wire");
static_assert(OBJM_DURABILITY_NONE == OM_DUR_NONE + 1 && OBJM_DURABILITY_SYNC == OM_DUR_SYNC + 1,
	      "durability is one higher here, 0 is the default");

/* ---------------------------------------------------------------- from the wire */

/* One entry of a blob: 1; 0 at the end; -PROTO_ERROR. */
static int meta_next(const struct om_proto_str *blob, size_t *pos, struct om_proto_str *ret_key,
		     struct om_proto_str *ret_value)
{
	const uint8_t *p = (const uint8_t *)blob->p + *pos;
	size_t left = blob->len - *pos, key, value;

	if (left == 0)
		return 0;
	if (left < META_ENTRY_HDR)
		return -OBJM_STATUS_PROTO_ERROR;
	key = p[0];
	value = (size_t)p[1] << 8 | p[2];
	if (left - META_ENTRY_HDR < key || left - META_ENTRY_HDR - key < value)
		return -OBJM_STATUS_PROTO_ERROR;
	*ret_key = (struct om_proto_str){(const char *)p + META_ENTRY_HDR, (uint32_t)key};
	*ret_value = (struct om_proto_str){ret_key->p + key, (uint32_t)value};
	*pos += META_ENTRY_HDR + key + value;
	return 1;
}

/* Copy with a NUL behind; *at moves past it. */
static const char *text_put(char **at, const struct om_proto_str *v)
{
	char *p = *at;

	if (v->len)
		memcpy(p, v->p, v->len);
	p[v->len] = '\0';
	*at += v->len + 1u;
	return p;
}

/* A struct objm_stat, its entries and their texts, in one piece of memory. */
static int stat_new(const struct om_proto_body *body, struct objm_stat **ret_stat)
{
	const struct om_proto_str none = {"", 0};
	struct om_proto_str blob = body->have & OM_PROTO_BIT(META) ? body->meta : none;
	struct om_proto_str key, value, type = body->have & OM_PROTO_BIT(TYPE) ? body->type : none;
	size_t pos = 0, count = 0, bytes = type.len + 1u;
	struct objm_stat *st;
	struct objm_meta *meta;
	char *text;
	int r;

	while ((r = meta_next(&blob, &pos, &key, &value)) > 0) {
		count++;
		bytes += (size_t)key.len + value.len + 2u;
	}
	if (r < 0)
		return r;
	st = calloc(1, sizeof(*st) + count * sizeof(*meta) + bytes);
	if (!st)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	meta = (struct objm_meta *)(st + 1);
	text = (char *)(meta + count);
	objm_info_fill(body, &st->info);
	st->type = text_put(&text, &type);
	st->meta = meta;
	st->meta_count = count;
	for (pos = 0; meta_next(&blob, &pos, &key, &value) > 0; meta++) {
		meta->key = text_put(&text, &key);
		meta->value = text_put(&text, &value);
		meta->value_len = value.len;
	}
	if (body->have & OM_PROTO_BIT(HEAT)) {
		st->heat = OM_MIN(body->heat.heat_millionths, 1000000u) / 1e6;
		st->access_count = body->heat.access_count;
		st->last_access_s = body->heat.last_access_s;
	}
	*ret_stat = st;
	return 0;
}

static int stat_frame(void *arg, const struct objm_frame *f)
{
	struct objm_stat **st = arg;

	objm_stat_free(*st); /* of a try that broke off behind it */
	*st = NULL;
	if (f->status < 0)
		return 0;
	if (!(f->body->have & OM_PROTO_BIT(OBJ)))
		return -OBJM_STATUS_PROTO_ERROR;
	return stat_new(f->body, st);
}

/* ---------------------------------------------------------------- public */

int objm_stat(objm_t *s, const char *uri, struct objm_stat **ret_stat)
{
	struct objm_stat *st = NULL;
	struct objm_req req = {
		.op = OM_PROTO_OP_STAT, .flags = OM_PROTO_F_WANT_META, .uri = uri, .frame = stat_frame, .arg = &st};
	int r;

	objm_enter(s);
	r = objm_body_uri(s, &req.body, uri);
	if (r == 0)
		r = objm_call(s, &req);
	if (r == 0)
		*ret_stat = st;
	else
		objm_stat_free(st);
	return objm_leave(s, r);
}

void objm_stat_free(struct objm_stat *st) { free(st); }

int objm_delete(objm_t *s, const char *uri, const struct objm_cond *cond)
{
	struct objm_req req = {.op = OM_PROTO_OP_DELETE, .uri = uri};
	int r;

	objm_enter(s);
	r = objm_body_uri(s, &req.body, uri);
	if (r == 0)
		r = objm_body_cond(s, &req.body, cond);
	req.once = req.body.have & OM_PROTO_BIT(COND);
	if (r == 0)
		r = objm_call(s, &req);
	if (r == -OBJM_STATUS_NOT_FOUND && req.repeated)
		r = 0; /* our own first try, whose answer was lost, did it */
	return objm_leave(s, r);
}

static int set_body(objm_t *s, struct om_proto_body *body, const struct objm_set_options *o, uint8_t blob[OM_META_MAX])
{
	int r = 0;

	if (o->which == 0 || (o->which & ~(OBJM_SET_FLAGS | OBJM_SET_TTL | OBJM_SET_TYPE | OBJM_SET_META)))
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "set: nothing, or something unknown, is to be changed");
	if (o->which & OBJM_SET_FLAGS) {
		body->put_flags = o->flags;
		body->have |= OM_PROTO_BIT(PUT_FLAGS);
	}
	if (o->which & OBJM_SET_TTL) {
		body->ttl_s = o->ttl_s;
		body->have |= OM_PROTO_BIT(TTL_S);
	}
	if (o->which & OBJM_SET_TYPE)
		r = objm_body_type(s, body, o->type ? o->type : "");
	if (r == 0 && (o->which & OBJM_SET_META)) {
		body->meta.p = (const char *)blob;
		body->have |= OM_PROTO_BIT(META);
		r = objm_meta_encode(s, o->meta, o->meta_count, blob, &body->meta.len);
	}
	return r < 0 ? r : objm_body_cond(s, body, &o->cond);
}

int objm_set(objm_t *s, const char *uri, const struct objm_set_options *opt, struct objm_info *ret_info)
{
	struct objm_info info = {0};
	struct objm_req req = {.op = OM_PROTO_OP_SET, .uri = uri, .frame = objm_frame_info, .arg = &info};
	struct objm_set_options o;
	uint8_t blob[OM_META_MAX];
	int r;

	objm_enter(s);
	OBJM_OPT_COPY(o, opt, (struct objm_set_options)OBJM_SET_OPTIONS_INIT);
	r = objm_body_uri(s, &req.body, uri);
	if (r == 0)
		r = set_body(s, &req.body, &o, blob);
	req.once = req.body.have & OM_PROTO_BIT(COND);
	if (r == 0)
		r = objm_call(s, &req);
	if (r == 0 && ret_info)
		*ret_info = info;
	return objm_leave(s, r);
}
