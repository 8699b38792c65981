/*
 * objm_status.h: every status code of objmapper, declared once.
 *
 * Public: installed beside objm.h. Used by the wire codec, the daemon, libobjm, the commands and the pages
 * (`objmapperd --dump-tables`). A row: X(NAME, code, old, "text", "what to do").
 *   code  the byte on the wire; 0x40 and above only ever reach a peer that negotiated the extension
 *   old   the nearest code of protocol versions 1 and 2, sent to every other peer
 * Functions inside the project return 0 or the negative code: -OBJM_STATUS_NOT_FOUND. Codes from 0x80 are
 * internal to a process and never leave it.
 */
#ifndef OBJM_STATUS_H
#define OBJM_STATUS_H

#define OBJM_STATUS_MAP(X) \
	X(OK, 0x00, 0x00, "success", "nothing") \
	X(NOT_FOUND, 0x01, 0x01, "no such object", "check the URI with objm ls") \
	X(INVALID_REQUEST, 0x02, 0x02, "invalid request", "the client sent something malformed; see the message") \
	X(INVALID_MODE, 0x03, 0x03, "mode not possible here", "descriptors pass over Unix sockets only; use copy") \
	X(URI_TOO_LONG, 0x04, 0x04, "URI too long", "a URI has 1 to 4096 bytes") \
	X(UNSUPPORTED_OP, 0x05, 0x05, "operation not supported", "the server does not offer this operation here") \
	X(INTERNAL, 0x10, 0x10, "internal error", "read the daemon's log") \
	X(STORAGE, 0x11, 0x11, "storage error", "read the daemon's log; check the tier's disk") \
	X(OUT_OF_MEMORY, 0x12, 0x12, "out of memory", "give the daemon more memory or lower its limits") \
	X(TIMEOUT, 0x13, 0x13, "timed out", "try again; read the daemon's log if it stays") \
	X(UNAVAILABLE, 0x14, 0x14, "not available now", "try again once the tier is there (objmctl tier list) and the daemon is up") \
	X(PROTO_ERROR, 0x20, 0x20, "protocol error", "the peer does not speak this protocol") \
	X(PROTO_VERSION, 0x21, 0x21, "protocol version not supported", "use version 1 or 2") \
	X(PROTO_CAPABILITY, 0x22, 0x22, "capability was not negotiated", "ask for it in HELLO") \
	X(PERMISSION_DENIED, 0x40, 0x01, "permission denied", "ask for the right in `access:`") \
	X(PRECONDITION_FAILED, 0x41, 0x02, "precondition failed", "read the object's version again and decide") \
	X(RANGE_NOT_SATISFIABLE, 0x42, 0x02, "range lies outside of the object", "stat the object for its size") \
	X(WRITER_STILL_OPEN, 0x43, 0x11, "a writable descriptor or mapping is still open", "close and unmap it, in forked children too, then commit again") \
	X(NO_SPACE, 0x44, 0x11, "no space left on the tier", "delete objects, or give the tier more capacity") \
	X(TOO_LARGE, 0x45, 0x11, "larger than a limit allows", "see the message for the limit") \
	X(TRY_AGAIN, 0x46, 0x14, "busy, try again", "another change of the same object is under way") \
	X(LIMIT_EXCEEDED, 0x47, 0x14, "a limit was reached", "see the message for the limit") \
	X(NO_SESSION, 0x48, 0x02, "no such put session on this connection", "begin again") \
	X(READ_ONLY, 0x49, 0x11, "read only", "the tier or the socket takes no writes") \
	X(COLLISION, 0x4a, 0x11, "key collision with another URI", "choose another URI; the daemon's log names both") \
	X(WOULD_BLOCK, 0x80, 0x10, "would block", "internal") \
	X(GONE, 0x81, 0x10, "peer is gone", "internal") \
	X(CORRUPT, 0x82, 0x11, "damaged data", "internal") \
	X(BUSY, 0x83, 0x10, "gave up after too many tries", "internal") \
	X(SYSTEM, 0x84, 0x10, "system call failed", "internal; errno says why")

enum objm_status {
#define OBJM_STATUS_ENUM(name, code, old, text, todo) OBJM_STATUS_##name = code,
	OBJM_STATUS_MAP(OBJM_STATUS_ENUM)
#undef OBJM_STATUS_ENUM
};

#endif
