/*
 * seed_example.h: what test_client_seed.c runs and asks.
 */
#ifndef SEED_EXAMPLE_H
#define SEED_EXAMPLE_H

extern const char *seed_example_socket;
int seed_example_main(void);
int seed_example_files(void);	  /* files that had the right bytes */
int seed_example_seen(int i);	  /* ... of the i-th URI */

#endif
