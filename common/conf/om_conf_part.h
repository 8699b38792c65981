/*
 * om_conf_part.h: what the files that complete and check a configuration share; nobody else includes it.
 *
 * Main structure: struct om_conf_ctx, with the tree still there, so that every message has its line. A key that was already
 * reported is not reported again as a part of something larger. Errors are what cannot work; warnings are what works and is probably not
 * meant. Called at the end of each reading, in the thread that reads.
 */
#ifndef OM_CONF_PART_H
#define OM_CONF_PART_H

#include "common/conf/om_conf_priv.h"

/* ---- where a value stands in the file (om_conf_at.c) ---- */

/** The node of a section, or of its element i; NULL: not in the file. */
struct om_conf_node *om_conf_section_node(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i);
/** The node of a key, under whatever name; NULL: not in the file. */
struct om_conf_node *om_conf_key_node(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key);
/** The key, or what it stands in, was already reported. */
bool om_conf_key_bad(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key);
/** In the file, and not as `auto`. */
bool om_conf_key_given(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key);
/** Every tier's type and flags could be read: else nothing is said of what follows from them. */
bool om_conf_tiers_known(const struct om_conf_ctx *ctx);
/** Say something of a key of a section that the file does not have. */
void om_conf_say_nowhere(struct om_conf_ctx *ctx, bool error, enum om_conf_section_id section, const char *key, const char *fmt, ...)
	OM_PRINTF(5, 6);

/* Say something of a key: at its line, or its section's, or the file. */
#define OM_CONF_SAY(ctx, error, section, i, key, ...) \
	do { \
		const struct om_conf_node *say_at_ = om_conf_key_node(ctx, section, i, key); \
		if (say_at_) \
			om_conf_say(ctx, error, say_at_, NULL, __VA_ARGS__); \
		else if (om_conf_section_node(ctx, section, i)) \
			om_conf_say(ctx, error, om_conf_section_node(ctx, section, i), key, __VA_ARGS__); \
		else \
			om_conf_say_nowhere(ctx, error, section, key, __VA_ARGS__); \
	} while (0)
#define ERROR(ctx, section, i, key, ...) OM_CONF_SAY(ctx, true, OM_CONF_S_##section, i, key, __VA_ARGS__)
#define WARN(ctx, section, i, key, ...) OM_CONF_SAY(ctx, false, OM_CONF_S_##section, i, key, __VA_ARGS__)

/* ---- the parts ---- */

/** Ids of tiers, and what follows from their types (om_conf_tier.c). Out of memory: ctx->oom. */
void om_conf_complete_tiers(struct om_conf_ctx *ctx);
/** Tiers, each by itself and against the others (om_conf_check_tier.c). */
void om_conf_check_tiers(struct om_conf_ctx *ctx);
/** Give the roles, and check them (om_conf_role.c). Out of memory: ctx->oom. */
void om_conf_check_roles(struct om_conf_ctx *ctx);

#endif
