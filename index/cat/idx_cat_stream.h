/*
 * idx_cat_stream.h: the records of one snapshot in exact bytewise order of their URIs, from any position.
 *
 * Private to index/cat: listings merge one stream for each tier. One thread at a time; the snapshot stays active as long
 * as the stream is open. Inside a group of long URIs with equal keys up to the hash, the order is made here: the members
 * beyond the position are collected, the smallest IDX_CAT_STREAM_PAGE kept and sorted; when they are used up the group is
 * read again. So memory is bounded, whatever stands in the catalog.
 */
#ifndef IDX_CAT_STREAM_H
#define IDX_CAT_STREAM_H

#include "index/cat/idx_cat_int.h"

#define IDX_CAT_STREAM_PAGE 16384u

struct idx_cat_member {
	const char *uri; /* in the map */
	uint32_t uri_len;
	uint32_t val_len;
	const void *key;
	const void *val;
};

struct idx_cat_stream {
	struct idx_cat_snap *snap;
	MDB_cursor *cur;
	bool end;	   /* no record here; else `rec` is the current one, borrowed from the map */
	struct om_rec rec;
	uint64_t steps;	   /* records looked at */
	uint64_t damaged;  /* records left out */
	/* The group that the stream is in, if group_key is set: a page of its members, in order. */
	const unsigned char *group_key;
	struct idx_cat_member *page;
	size_t page_len, page_cap, page_at, page_max;
	bool page_more; /* members greater than the page's last were left out */
};

int idx_cat_stream_open(struct idx_cat_stream *s, struct idx_cat_snap *snap);
void idx_cat_stream_close(struct idx_cat_stream *s);
/** To the first record whose URI is not less than (strict: is greater than) `pos`, of up to OM_URI_MAX + 1 bytes. */
int idx_cat_stream_seek(struct idx_cat_stream *s, const char *pos, size_t pos_len, bool strict);
/** To the next record. Not at the end. */
int idx_cat_stream_next(struct idx_cat_stream *s);

#endif
