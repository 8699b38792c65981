/*
 * objm_list.c: listings, a page at a time.
 *
 * Runs in clients. A page is one LIST request; the TLVs of its frames are kept as they came and decoded one by one as
 * the
 * program asks, so other calls on the session may come in between.
 */
#include "client/objm_priv.h"

#define PAGE_DEFAULT 1000u
#define PAGE_BYTES_MAX (64u << 20) /* of one page: 10,000 of the longest entries fit; more is an attack */

struct objm_list {
	objm_t *s;
	char prefix[OM_URI_MAX + 1];
	char start_after[OM_URI_MAX + 1]; /* of the next page */
	uint32_t start_len, prefix_len, page;
	uint16_t flags;
	char delimiter;
	bool more; /* a page is still to be fetched */

	uint8_t *buf; /* TLVs of the present page */
	size_t cap, len, pos;
	unsigned try_no; /* of the request whose frames lie in buf */
	const struct objm_req *req;
	bool next_seen;

	struct objm_entry entry; /* what was returned last, and its texts */
	char uri[OM_URI_MAX + 1];
	char type[OM_TYPE_MAX + 1];
};

static int copy_option(objm_t *s, const char *what, const char *v, char dst[OM_URI_MAX + 1], uint32_t *ret_len)
{
	size_t n = v ? strnlen(v, OM_URI_MAX + 1) : 0;

	if (n > OM_URI_MAX)
		return objm_fail(s, -OBJM_STATUS_URI_TOO_LONG, "LIST: %s is longer than %u bytes", what, OM_URI_MAX);
	if (n)
		memcpy(dst, v, n);
	dst[n] = '\0';
	*ret_len = (uint32_t)n;
	return 0;
}

int objm_list_open(objm_t *s, const struct objm_list_options *opt, objm_list_t **ret_list)
{
	struct objm_list_options o;
	objm_list_t *list;
	int r;

	objm_enter(s);
	OBJM_OPT_COPY(o, opt, (struct objm_list_options)OBJM_LIST_OPTIONS_INIT);
	list = calloc(1, sizeof(*list));
	if (!list)
		return objm_leave(s, objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "LIST: out of memory"));
	list->s = s;
	list->delimiter = o.delimiter;
	list->page = o.page ? o.page : PAGE_DEFAULT;
	list->flags = o.flags & OBJM_WANT_META ? OM_PROTO_F_WANT_META : 0;
	list->more = true;
	r = copy_option(s, "the prefix", o.prefix, list->prefix, &list->prefix_len);
	if (r == 0)
		r = copy_option(s, "start_after", o.start_after, list->start_after, &list->start_len);
	if (r < 0) {
		objm_list_close(list);
		return objm_leave(s, r);
	}
	*ret_list = list;
	return 0;
}

void objm_list_close(objm_list_t *list)
{
	if (!list)
		return;
	free(list->buf);
	free(list);
}

/* Keep the TLVs of a frame. */
static int list_frame(void *arg, const struct objm_frame *f)
{
	objm_list_t *list = arg;
	size_t want, cap = list->cap ? list->cap : 65536;
	uint8_t *p;

	if (list->try_no != list->req->try_no) {
		list->try_no = list->req->try_no;
		list->len = 0;
	}
	if (f->status < 0)
		return 0;
	want = list->len + f->ext->tlv_len; /* both bounded far below overflow */
	if (want > PAGE_BYTES_MAX)
		return -OBJM_STATUS_PROTO_ERROR;
	while (cap < want)
		cap *= 2;
	if (cap > list->cap) {
		p = realloc(list->buf, cap);
		if (!p)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		list->buf = p;
		list->cap = cap;
	}
	if (f->ext->tlv_len)
		memcpy(list->buf + list->len, f->ext->tlv, f->ext->tlv_len);
	list->len = want;
	return 0;
}

static int fetch(objm_list_t *list)
{
	objm_t *s = list->s;
	struct objm_req req = {.op = OM_PROTO_OP_LIST, .flags = list->flags, .frame = list_frame, .arg = list};
	struct om_proto_body *b = &req.body;
	int r;

	b->have = OM_PROTO_BIT(PREFIX) | OM_PROTO_BIT(START_AFTER) | OM_PROTO_BIT(LIMIT);
	b->prefix = (struct om_proto_str){list->prefix, list->prefix_len};
	b->start_after = (struct om_proto_str){list->start_after, list->start_len};
	b->limit = s->limits.page_max ? OM_MIN(list->page, s->limits.page_max) : list->page;
	if (list->delimiter) {
		b->delimiter = (uint8_t)list->delimiter;
		b->have |= OM_PROTO_BIT(DELIMITER);
	}
	list->len = list->pos = 0;
	list->try_no = 0;
	list->next_seen = false;
	list->req = &req;
	r = objm_call(s, &req);
	list->req = NULL;
	if (r < 0)
		list->len = 0;
	else
		list->more = false; /* unless a NEXT is found in it */
	return r;
}

static int malformed(objm_list_t *list)
{
	list->more = false;
	list->len = list->pos = 0;
	return objm_fail(list->s, -OBJM_STATUS_PROTO_ERROR, "LIST: the server's answer is malformed");
}

/* Where the next page begins. It must lie behind where this one began, or a bad server would keep us here for ever. */
static int take_next(objm_list_t *list, const struct om_proto_str *next)
{
	size_t least = OM_MIN((size_t)next->len, (size_t)list->start_len);
	int c;

	if (next->len == 0 || next->len > OM_URI_MAX || list->next_seen)
		return malformed(list);
	c = memcmp(next->p, list->start_after, least);
	if (c < 0 || (c == 0 && next->len <= list->start_len))
		return malformed(list);
	memcpy(list->start_after, next->p, next->len);
	list->start_after[next->len] = '\0';
	list->start_len = next->len;
	list->next_seen = true;
	list->more = true;
	return 0;
}

static int take_entry(objm_list_t *list, const struct om_proto_str *data)
{
	struct om_proto_body body;

	if (om_proto_entry_decode(data, &body) < 0)
		return malformed(list);
	memcpy(list->uri, body.uri.p, body.uri.len);
	list->uri[body.uri.len] = '\0';
	list->type[0] = '\0';
	if (body.have & OM_PROTO_BIT(TYPE)) {
		memcpy(list->type, body.type.p, body.type.len);
		list->type[body.type.len] = '\0';
	}
	list->entry = (struct objm_entry){.uri = list->uri, .is_prefix = false, .type = list->type};
	objm_info_fill(&body, &list->entry.info);
	return 1;
}

static int take_prefix(objm_list_t *list, const struct om_proto_str *data)
{
	if (data->len == 0 || data->len > OM_URI_MAX)
		return malformed(list);
	memcpy(list->uri, data->p, data->len);
	list->uri[data->len] = '\0';
	list->entry = (struct objm_entry){.uri = list->uri, .is_prefix = true, .type = ""};
	return 1;
}

/* The next entry of the page that is there: 1; 0: none is left. */
static int next_in_page(objm_list_t *list)
{
	struct om_proto_str data;
	uint16_t tag;
	int r;

	while ((r = om_proto_tlv_next(list->buf, list->len, &list->pos, &tag, &data)) > 0) {
		switch (tag) {
		case OM_PROTO_TAG_ENTRY:
			return take_entry(list, &data);
		case OM_PROTO_TAG_COMMON_PREFIX:
			return take_prefix(list, &data);
		case OM_PROTO_TAG_NEXT:
			r = take_next(list, &data);
			if (r < 0)
				return r;
			break;
		default:
			break;
		}
	}
	return r < 0 ? malformed(list) : 0;
}

int objm_list_next(objm_list_t *list, const struct objm_entry **ret_entry)
{
	int r;

	objm_enter(list->s);
	for (;;) {
		r = next_in_page(list);
		if (r > 0)
			*ret_entry = &list->entry;
		if (r != 0 || !list->more)
			return objm_leave(list->s, r);
		r = fetch(list);
		if (r < 0)
			return objm_leave(list->s, r);
	}
}
