/*
 * wrk_out_int.h: what the two files of the output queue share: wrk_out.c fills it, wrk_out_tx.c empties it.
 */
#ifndef WRK_OUT_INT_H
#define WRK_OUT_INT_H

#include "worker/wrk_out.h"

struct wrk_out_msg {
	bool file;
	bool alone;   /* nothing may join it */
	bool started; /* its first byte, and with it its descriptors, has left */
	uint8_t how;  /* file: enum wrk_out_how */
	uint8_t plain, plain_run; /* WRK_OUT_CODED: blocks that go as they are before the next attempt; how many it was last */
	uint16_t nfds;
	uint32_t len;  /* bytes in buf */
	int fd;	       /* file: owned */
	uint64_t off;  /* file */
	uint64_t left; /* file */
};

#endif
