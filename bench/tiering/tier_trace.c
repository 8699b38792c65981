/*
 * tier_trace.c: request traces from files. In objm-tiering.
 *
 * Three formats of lines: `time,key,size`; the CloudPhysics one, `version,time,op,size,lbn`; and keys, one a line, or
 * ranges `start count ...` as in the traces of the ARC paper. Keys become dense numbers through one hash table (open
 * addressing, the keys themselves are compared, so two objects never become one).
 */
#include "bench/tiering/tier.h"

#include "common/om_text.h"

#include <stdarg.h>

#include <xxhash.h>

#define LINE_MAX_BYTES (64u << 10)

/* Plain decimal numbers are keys by value, so that ranges and single keys meet; all else by its text. */
struct key {
	uint64_t number;
	char *text; /* NULL: a number */
};

struct reader {
	const char *path;
	FILE *err;
	uint64_t line;
	struct tier_trace trace;
	struct key *key;    /* of each object */
	uint32_t *table;    /* object + 1; 0: empty */
	uint64_t table_size, key_room;
};

OM_PRINTF(2, 3) static int complain(const struct reader *r, const char *fmt, ...)
{
	va_list ap;

	fprintf(r->err, "%s:%llu: ", r->path, (unsigned long long)r->line);
	va_start(ap, fmt);
	(void)vfprintf(r->err, fmt, ap);
	va_end(ap);
	fputc('\n', r->err);
	return -OBJM_STATUS_INVALID_REQUEST;
}

/* ---------------------------------------------------------------- the trace itself */

static void *grown(void *mem, uint64_t *room, size_t each)
{
	uint64_t want = *room ? *room * 2 : 1024;
	void *bigger = realloc(mem, want * each);

	if (bigger)
		*room = want;
	return bigger;
}

int tier_trace_add(struct tier_trace *t, uint32_t obj, uint64_t size)
{
	uint64_t room = t->obj_room;

	OM_ASSERT(obj <= t->objects);
	if (t->requests >= TIER_REQUESTS_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (t->requests == t->req_room) {
		uint32_t *req = grown(t->req, &t->req_room, sizeof(*req));
		if (!req)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		t->req = req;
	}
	size = OM_MAX(size, 1);
	if (obj == t->objects) {
		if (t->objects == t->obj_room) {
			uint64_t *sizes = grown(t->size, &room, sizeof(*sizes));
			if (!sizes)
				return -OBJM_STATUS_OUT_OF_MEMORY;
			t->size = sizes;
			t->obj_room = (uint32_t)room;
		}
		t->size[t->objects++] = size;
		t->footprint += size;
	} else if (t->size[obj] != size) {
		t->resized++;
	}
	t->req[t->requests++] = obj;
	return 0;
}

void tier_trace_fini(struct tier_trace *t)
{
	free(t->req);
	free(t->size);
	*t = (struct tier_trace){0};
}

/* ---------------------------------------------------------------- keys */

static uint64_t hash_of(uint64_t number, const char *text, size_t len)
{
	return text ? XXH3_64bits(text, len) : XXH3_64bits(&number, sizeof(number));
}

static bool same(const struct key *k, uint64_t number, const char *text, size_t len)
{
	if (!text || !k->text)
		return !text && !k->text && k->number == number;
	return strncmp(k->text, text, len) == 0 && k->text[len] == '\0';
}

static int table_grow(struct reader *r)
{
	uint64_t size = r->table_size ? r->table_size * 2 : 4096;
	uint32_t *table = calloc(size, sizeof(*table));

	if (!table)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < r->trace.objects; i++) {
		const struct key *k = &r->key[i];
		uint64_t at = hash_of(k->number, k->text, k->text ? strlen(k->text) : 0) & (size - 1);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = i + 1;
	}
	free(r->table);
	r->table = table;
	r->table_size = size;
	return 0;
}

/* The place of a key in the table: of its object, or an empty one. */
static uint32_t *place_of(const struct reader *r, uint64_t number, const char *text, size_t len)
{
	uint64_t at = hash_of(number, text, len) & (r->table_size - 1);

	while (r->table[at] && !same(&r->key[r->table[at] - 1], number, text, len))
		at = (at + 1) & (r->table_size - 1);
	return &r->table[at];
}

static int request(struct reader *r, uint64_t number, const char *text, size_t len, uint64_t size)
{
	uint32_t *place;
	char *copy = NULL;

	if ((uint64_t)r->trace.objects * 2 >= r->table_size && table_grow(r) < 0)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	place = place_of(r, number, text, len);
	if (!*place) {
		if (r->trace.objects == r->key_room) {
			struct key *key = grown(r->key, &r->key_room, sizeof(*key));
			if (!key)
				return -OBJM_STATUS_OUT_OF_MEMORY;
			r->key = key;
		}
		if (text && !(copy = strndup(text, len)))
			return -OBJM_STATUS_OUT_OF_MEMORY;
		r->key[r->trace.objects] = (struct key){.number = number, .text = copy};
	}

	uint32_t obj = *place ? *place - 1 : r->trace.objects;
	int err = tier_trace_add(&r->trace, obj, size);
	if (err == 0)
		*place = obj + 1;
	else
		free(copy);
	return err == -OBJM_STATUS_INVALID_REQUEST ? complain(r, "more than %llu requests", (unsigned long long)TIER_REQUESTS_MAX)
						   : err;
}

/* A number as it would be printed: "0", or digits that do not begin with 0. */
static bool is_number(char *text, size_t len, uint64_t *ret_number)
{
	char was = text[len];
	bool ok;

	if (len == 0 || text[0] < '0' || text[0] > '9' || (text[0] == '0' && len > 1))
		return false;
	text[len] = '\0';
	ok = om_text_parse_number(text, 0, UINT64_MAX, ret_number) == 0;
	text[len] = was;
	return ok;
}

static int request_text(struct reader *r, char *text, size_t len, uint64_t size)
{
	uint64_t number = 0;

	if (len == 0)
		return complain(r, "the key is empty");
	if (is_number(text, len, &number))
		return request(r, number, NULL, 0, size);
	return request(r, 0, text, len, size);
}

/* ---------------------------------------------------------------- lines */

static bool size_of_text(const char *text, uint64_t *ret_size)
{
	return om_text_parse_number(text, 0, TIER_SIZE_MAX, ret_size) == 0;
}

/* A first line whose size is no number is a heading. */
static int no_size(const struct reader *r, const char *text)
{
	if (r->line == 1)
		return 0;
	return complain(r, "\"%.40s\" is not a size (bytes, a whole number up to 2^50)", text);
}

/* time,key,size: the key may have commas in it. */
static int line_csv(struct reader *r, char *line)
{
	char *key = strchr(line, ','), *size = strrchr(line, ',');
	uint64_t bytes;

	if (!key || key == size)
		return complain(r, "expected time,key,size");
	if (!size_of_text(size + 1, &bytes))
		return no_size(r, size + 1);
	return request_text(r, key + 1, (size_t)(size - key - 1), bytes);
}

/* version,time,op,size,lbn */
static int line_cloudphysics(struct reader *r, char *line)
{
	char *field[5], *rest = line;
	unsigned n = 0;
	uint64_t bytes;

	for (char *f; n < 5 && (f = strsep(&rest, ",")); n++)
		field[n] = f;
	if (n != 5 || rest)
		return complain(r, "expected version,time,op,size,lbn");
	if (!size_of_text(field[3], &bytes))
		return no_size(r, field[3]);
	return request_text(r, field[4], strlen(field[4]), bytes);
}

/* A key, or a range: start count, and whatever follows. */
static int line_keys(struct reader *r, char *line)
{
	const char *blank = " \t";
	char *save = NULL, *first = strtok_r(line, blank, &save), *second = strtok_r(NULL, blank, &save);
	uint64_t start, count;

	if (!first)
		return 0; /* an empty line */
	if (!second)
		return request_text(r, first, strlen(first), 1);
	if (!is_number(first, strlen(first), &start) || !is_number(second, strlen(second), &count))
		return complain(r, "expected one key, or a range: start count, both whole numbers");
	if (count > TIER_REQUESTS_MAX || UINT64_MAX - start < count)
		return complain(r, "a range of %llu keys from %llu is too long", (unsigned long long)count, (unsigned long long)start);
	for (uint64_t i = 0; i < count; i++) {
		int err = request(r, start + i, NULL, 0, 1);
		if (err < 0)
			return err;
	}
	return 0;
}

static int read_lines(struct reader *r, FILE *f, int (*take)(struct reader *, char *))
{
	OM_AUTO_FREE char *line = NULL;
	size_t room = 0;
	ssize_t len;

	while ((len = getline(&line, &room, f)) >= 0) {
		int err;

		r->line++;
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			line[--len] = '\0';
		if (strlen(line) != (size_t)len)
			return complain(r, "a zero byte: this is not a text file");
		if ((size_t)len > LINE_MAX_BYTES)
			return complain(r, "the line is longer than %u bytes", LINE_MAX_BYTES);
		if (len == 0)
			continue;
		err = take(r, line);
		if (err < 0)
			return err;
	}
	if (ferror(f)) {
		int err = errno;

		(void)complain(r, "cannot be read: %s", strerror(err));
		return -om_status_errno(err);
	}
	return 0;
}

static void reader_fini(struct reader *r)
{
	for (uint32_t i = 0; i < r->trace.objects; i++)
		free(r->key[i].text);
	free(r->key);
	free(r->table);
}

int tier_trace_read(const char *path, enum tier_format format, FILE *err, struct tier_trace *ret_trace)
{
	struct reader r = {.path = path, .err = err};
	OM_AUTO_FILE f = fopen(path, "re");
	int status;

	if (!f) {
		int e = errno;

		fprintf(err, "%s: cannot be opened: %s\n", path, strerror(e));
		return -om_status_errno(e);
	}
	status = read_lines(&r, f, format == TIER_CSV ? line_csv : format == TIER_CLOUDPHYSICS ? line_cloudphysics : line_keys);
	reader_fini(&r);
	if (status == -OBJM_STATUS_OUT_OF_MEMORY)
		(void)complain(&r, "out of memory");
	if (status < 0)
		tier_trace_fini(&r.trace);
	else
		*ret_trace = r.trace;
	return status;
}
