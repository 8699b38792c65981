/*
 * om_conf_priv.h: what the files of the configuration share among themselves and with their tests.
 *
 * A file goes through four hands: om_conf_yaml.c makes a bounded tree of nodes of it; om_conf_load.c walks tree and table
 * together and fills the struct, by way of om_conf_value.c and the files of its types for each single value; om_conf_check.c and the files of
 * its parts (om_conf_part.h) complete what follows from other values and check what spans several keys. All of them report through one context.
 */
#ifndef OM_CONF_PRIV_H
#define OM_CONF_PRIV_H

#include "common/conf/om_conf.h"

#define OM_CONF_DEPTH_MAX 12u	   /* nested collections: our deepest key lies at 5 */
#define OM_CONF_NODES_MAX 65536u   /* nodes of a file */
#define OM_CONF_CHILDREN_MAX 2048u /* elements of one collection */
#define OM_CONF_MSGS_MAX 200u	   /* messages kept; the rest is counted */
#define OM_CONF_KEY_MAX 256u	   /* bytes of a dotted key in a message */
#define OM_CONF_EXPECT_MAX 320u	   /* bytes of what a value may be, with its terminator */

/* ---- the tree ---- */

enum om_conf_kind { OM_CONF_SCALAR, OM_CONF_LIST, OM_CONF_MAP };

struct om_conf_node {
	enum om_conf_kind kind;
	bool plain; /* a scalar without quotes */
	bool bad;   /* already reported: not to be looked at again */
	unsigned line, column;
	char *text; /* of a scalar; terminated, may hold NUL bytes before that */
	size_t len;
	char *key; /* in a map: its key, terminated; NULL elsewhere */
	size_t index; /* in a list: which element */
	struct om_conf_node *parent, *next, *first, *last;
	size_t n; /* children */
};

struct om_conf_ctx {
	const char *name;     /* of the file, for messages */
	const char *base_dir; /* relative paths are taken from here */
	struct om_conf_report *rep;
	struct om_conf_node *root; /* NULL: an empty file */
	struct om_conf *conf;
	bool oom;	 /* sticky: some allocation failed */
	size_t n_errors; /* of this file */
};

/**
 * Make a tree of a text: at most the bounds above; no anchors, aliases, tags or second documents; no key twice.
 * @return 0 (*ret_root is NULL for an empty file); INVALID_REQUEST: unreadable as a whole, reported.
 *         Other errors are reported and counted in ctx, and the tree is returned.
 */
int om_conf_yaml_read(struct om_conf_ctx *ctx, const char *text, size_t len, struct om_conf_node **ret_root);
void om_conf_node_free(struct om_conf_node *node);
/** The child of that key; NULL: none, or node is NULL or no map. */
struct om_conf_node *om_conf_node_child(const struct om_conf_node *node, const char *key);
/** A plain null: nothing, ~ or null. */
bool om_conf_node_null(const struct om_conf_node *node);

/* ---- the table ---- */

enum om_conf_section_id {
#define OM_CONF_SECTION(section, path, kind, max, text) OM_CONF_S_##section,
#include "common/tbl/conf.def"
	OM_CONF_S_COUNT
};

struct om_conf_section {
	const char *path; /* "access.rules[]" */
	bool list;
	size_t max;    /* elements of a list */
	size_t offset; /* of a map's struct in struct om_conf */
	size_t size;   /* of one element's struct */
	const char *text;
};

enum om_conf_row_kind { OM_CONF_ROW_KEY, OM_CONF_ROW_ALIAS, OM_CONF_ROW_OBSOLETE };

struct om_conf_row {
	enum om_conf_row_kind kind;
	enum om_conf_section_id section;
	const char *key;
	enum om_conf_type type;
	size_t offset; /* in the section's struct */
	const char *unit;
	double min, max; /* sizes up to 2^53 and powers of two: exact in a double */
	const char *def;
	bool live;
	const char *help, *text;
	const char *canonical; /* of an alias: the key that it stands for */
};

extern const struct om_conf_section om_conf_sections[OM_CONF_S_COUNT];
extern const struct om_conf_row om_conf_rows[];
extern const size_t om_conf_n_rows;

/** The row of a key of a section, of whatever kind; NULL: none. */
const struct om_conf_row *om_conf_row_find(enum om_conf_section_id section, const char *key);
/** The row of kind KEY that an alias stands for; any other row itself. */
const struct om_conf_row *om_conf_row_canonical(const struct om_conf_row *row);
/** The section that stands under `key` inside of section `parent`: false if none. */
bool om_conf_section_child(enum om_conf_section_id parent, const char *key, enum om_conf_section_id *ret_section);
/** The section that holds `section` and its key there ("rules"); top has none: false. */
bool om_conf_section_parent(enum om_conf_section_id section, enum om_conf_section_id *ret_parent, char *ret_key,
			    size_t size);
/** The known key nearest to `key`, as a dotted path; "" if nothing is near. */
void om_conf_suggest(enum om_conf_section_id section, const char *key, char *ret_text, size_t size);

/* ---- values ---- */

/** Free what a field owns and make it empty: texts "", numbers 0. False: out of memory. */
bool om_conf_value_init(enum om_conf_type type, void *field);
void om_conf_value_clear(enum om_conf_type type, void *field);
/** Set a field from a node. False: not written, reported, node->bad set. */
bool om_conf_value_set(struct om_conf_ctx *ctx, const struct om_conf_row *row, struct om_conf_node *node, void *field);
/** Bytes of a field of this type. */
size_t om_conf_value_size(enum om_conf_type type);
/** Write a field as it would stand in a file. */
void om_conf_value_print(enum om_conf_type type, const void *field, FILE *out);
/** What a key may be: "a whole number, 1 to 1024". */
void om_conf_value_expect(const struct om_conf_row *row, char *ret_text, size_t size);
/** Write a text as a YAML scalar, in quotes where it needs them. */
void om_conf_text_print(const char *text, FILE *out);
/** base/path without ".", ".." and double slashes; NULL: out of memory. Absolute if base is. */
char *om_conf_path_join(const char *base, const char *path);

/* ---- completing and checking ---- */

/** Fill in what follows from other values, and report what does not fit together. */
void om_conf_check(struct om_conf_ctx *ctx);

/* ---- messages ---- */

/**
 * Report an error or a warning. The message stands at node (NULL: the file as a whole); its key is the node's, with
 * `.subkey` appended unless NULL.
 */
void om_conf_say(struct om_conf_ctx *ctx, bool error, const struct om_conf_node *node, const char *subkey,
		 const char *fmt, ...) OM_PRINTF(5, 6);
#define om_conf_error(ctx, node, subkey, ...) om_conf_say(ctx, true, node, subkey, __VA_ARGS__)
#define om_conf_warn(ctx, node, subkey, ...) om_conf_say(ctx, false, node, subkey, __VA_ARGS__)
/** The same at a line of no node. */
void om_conf_say_at(struct om_conf_ctx *ctx, bool error, unsigned line, unsigned column, const char *key,
		    const char *fmt, ...) OM_PRINTF(6, 7);
/** Put the messages from index `from` on in the order of their lines. */
void om_conf_report_sort(struct om_conf_report *rep, size_t from);
/** What was found, for a message: "`12x`", "a list", "nothing"; quoted, escaped and cut. */
const char *om_conf_found(const struct om_conf_node *node, char *buf, size_t size);

#endif
