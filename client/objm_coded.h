/*
 * objm_coded.h: content that comes compressed. Inside libobjm only; one thread at a time, as the owner of the objm_io.
 */
#ifndef OBJM_CODED_H
#define OBJM_CODED_H

#include "client/objm_priv.h"

/** What a client of this library may ask for: 0 or OM_PROTO_CAP_COMPRESSION. */
#define OBJM_CODED_CAP (OM_HAVE_ZSTD ? OM_PROTO_CAP_COMPRESSION : 0)

/**
 * Read the blocks that follow a response, `len` bytes of the object in all (at least 1).
 *
 * @param coding       what the response says, enum om_proto_coding
 * @param sink         -1; or a descriptor that they are written to as they come
 * @param ret_content  without a sink: the object's bytes and a NUL behind them; free() it
 * @return 0; as objm_io_need(); -SYSTEM: the sink could not be written, errno says why; -PROTO_ERROR: another coding, a block that does not add up, or bytes that are no zstd;
 *         -TOO_LARGE; -OUT_OF_MEMORY. After an error the stream is of no more use
 */
int objm_coded_read(struct objm_io *io, uint8_t coding, uint64_t len, int sink, void **ret_content);

#endif
