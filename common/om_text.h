/*
 * om_text.h: text for people: names from outside made safe to print, sizes and times in units.
 *
 * Linked by the commands (objm, objmctl). No state; every function may be called from any thread.
 */
#ifndef OM_TEXT_H
#define OM_TEXT_H

#include "common/om_base.h"

/**
 * Make a text from outside safe to print: control characters, bytes that are no UTF-8 and the marks that turn the
 * writing direction around are written as \n, \t, \xNN; everything else stays. A terminal can not be steered with it.
 * @return memory of its own, free() it; NULL: out of memory
 */
char *om_text_quote(const char *text, size_t len) OM_MUST_USE;

/** True if `data` does not belong on a terminal: it has control characters beyond those of plain text, or is not UTF-8. */
bool om_text_is_binary(const void *data, size_t len);

#define OM_TEXT_SHORT 24 /* room for what the functions below write, terminator included */
/** "0", "812", "1.5 KiB", "14 GiB": powers of 1024, at most 4 digits. */
void om_text_size(uint64_t bytes, char ret_text[static OM_TEXT_SHORT]);
/** A span of time in its two greatest units: "0s", "12s", "3m 4s", "2d 5h". */
void om_text_span(uint64_t seconds, char ret_text[static OM_TEXT_SHORT]);
/** A point in time, local: "2025-11-21 04:05:06"; "never" for 0. */
void om_text_time(uint64_t since_1970_s, char ret_text[static OM_TEXT_SHORT]);

/**
 * Read a whole number with an optional unit of time behind it (s, m, h, d; none: s).
 * @return 0 and the seconds; -OBJM_STATUS_INVALID_REQUEST: it is no such number, or more than `max` seconds
 */
int om_text_parse_span(const char *text, uint64_t max, uint64_t *ret_seconds) OM_MUST_USE;
/** The same with a size: K, M, G, T (powers of 1024, "iB" or "B" may follow; none: bytes). */
int om_text_parse_size(const char *text, uint64_t max, uint64_t *ret_bytes) OM_MUST_USE;
/** A plain decimal number from `min` to `max`. Same errors. */
int om_text_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value) OM_MUST_USE;

#endif
