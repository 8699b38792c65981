/*
 * cmd_json.h: objects as JSON, and in words: what stat and ls have in common. Main thread.
 */
#ifndef CMD_JSON_H
#define CMD_JSON_H

#include <jansson.h>

#include "client/objm.h"

/** The members that stat --json and ls --json share: uri, size, version, revision, flags, mtime, expiry. NULL: out of memory. */
json_t *cmd_json_info(const char *uri, const struct objm_info *info);
/** Text of others, who may have put any bytes: a string, or {"base64": "..."} if it is no UTF-8. NULL: out of memory. */
json_t *cmd_json_text(const void *data, size_t len);
/** Custom metadata as a map, its values as cmd_json_text(). NULL: out of memory. */
json_t *cmd_json_meta(const struct objm_meta *meta, size_t count);
/** Print one value a line on standard output and free it. 0; CMD_FAILED after a message (out of memory; NULL is taken for that). */
int cmd_json_print(json_t *value);

#define CMD_FLAGS_TEXT 40
/** "ephemeral,pinned", "-" for none. */
void cmd_flags_text(uint32_t flags, char ret_text[static CMD_FLAGS_TEXT]);

#endif
