/*
 * om_conf_value.h: what the files that read and print values share: the input of a setter, the functions of a type.
 *
 * Included by om_conf_value.c, om_conf_number.c, om_conf_text.c, om_conf_word.c, om_conf_peer.c alone. A type is a row of
 * OM_CONF_TYPE_MAP and one om_conf_ops; a row without ops does not link.
 */
#ifndef OM_CONF_VALUE_H
#define OM_CONF_VALUE_H

#include "common/conf/om_conf_priv.h"

/* One text on its way into a field. */
struct om_conf_input {
	const char *text; /* no control characters, no NUL */
	const struct om_conf_row *row;
	const char *base_dir;
	unsigned line; /* where it stands; 0: a default */
	char expect[OM_CONF_EXPECT_MAX]; /* set by a setter that knows better than the row what it expects */
	bool oom;
};

enum om_conf_shape {
	OM_CONF_SHAPE_SCALAR,
	OM_CONF_SHAPE_LIST,	    /* of scalars: each is given to `set` in its turn */
	OM_CONF_SHAPE_LIST_OR_AUTO, /* or the word auto, which leaves the field empty */
};

struct om_conf_ops {
	/* Write the field, or leave it and say false. What `print` writes, `set` reads back to the same value. */
	bool (*set)(struct om_conf_input *in, void *field);
	void (*print)(const void *field, FILE *out);
	enum om_conf_shape shape;
	size_t size;	    /* of the field */
	bool owns_text;	    /* the field has a char * on the heap, never NULL, */
	size_t text_offset; /* here */
	void (*clear)(void *field); /* free whatever else it owns; NULL: nothing */
};

#define OM_CONF_TYPE_EXTERN(type, ctype, text) extern const struct om_conf_ops om_conf_ops_##type;
OM_CONF_TYPE_MAP(OM_CONF_TYPE_EXTERN)
#undef OM_CONF_TYPE_EXTERN

/** True for types whose rows have a range of values. */
bool om_conf_number_is(enum om_conf_type type);
/** Write one end of such a range as it would be written in a file. */
void om_conf_number_print_bound(enum om_conf_type type, double v, FILE *out);

/** Put a copy of a text in the place of the field's. False: out of memory, in->oom set. */
bool om_conf_text_replace(struct om_conf_input *in, void *field, const char *text);
/** True if there is a control character (C0, DEL or C1) in it. */
bool om_conf_text_has_control(const char *text);

#endif
