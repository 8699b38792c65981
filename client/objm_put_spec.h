/*
 * objm_put_spec.h: what a put says of its object, for the requests of objm_put.c and objm_put_many.c. Inside libobjm only.
 */
#ifndef OBJM_PUT_SPEC_H
#define OBJM_PUT_SPEC_H

#include "client/objm_priv.h"

/* A put's request body, and what its pointers point at. Not to be moved once it is initialised. */
struct objm_put_spec {
	struct om_proto_body body;
	struct objm_put_options o;
	const char *uri;
	bool conditional;
	uint8_t meta[OM_META_MAX];
};

/** Check the caller's options and make a body of them; `uri` is borrowed. @return 0; -INVALID_REQUEST; -URI_TOO_LONG; ... */
int objm_put_spec_init(objm_t *s, struct objm_put_spec *p, const char *uri, const struct objm_put_options *opt);

#endif
