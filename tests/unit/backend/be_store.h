/*
 * be_store.h: a driver for tests: a small object store in memory. What it holds are blobs with an attribute, under ids; nobody
 * has a descriptor of one: be_open() fetches it into a file of its own each time. It proves that be.h supposes no directory.
 */
#ifndef BE_STORE_H
#define BE_STORE_H

#include "backend/be.h"

#define BE_STORE_MAX 64u

struct be_blob {
	uint64_t id; /* 0: free */
	size_t size, attr_len;
	bool durable; /* the store has said so */
	unsigned char *bytes;
	unsigned char attr[BE_ATTR_MAX];
};

struct be_store {
	struct be_blob blob[BE_STORE_MAX];
	unsigned fetched, uploaded;
	bool damage; /* the next upload arrives with a wrong byte, once */
	int fail; /* the next operation fails with this errno, once */
};

/** A tier on the store. */
void be_store_init(struct be *be, struct be_store *store);
void be_store_fini(struct be_store *store);
struct be_blob *be_store_find(struct be_store *store, uint64_t id);

#endif
