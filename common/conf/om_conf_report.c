/*
 * om_conf_report.c: collects what is wrong or unwise in a configuration, and prints it.
 *
 * Runs wherever a configuration is read. Main structure: struct om_conf_report. Called by the other files here; the
 * supervisor prints. What comes out of a file is escaped before it goes into a message: messages end up on terminals.
 */
#include "common/conf/om_conf_priv.h"

#include <stdarg.h>

/* Append `text` with control characters and backslashes escaped; never cuts a UTF-8 character; returns the length. */
static size_t escape(char *buf, size_t size, size_t len, const char *text, size_t n)
{
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)text[i];
		size_t more = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		char out[8];

		if (c < 0x20 || c == 0x7f || c == '\\' || (c >= 0x80 && c < 0xc0) || i + more > n) {
			more = 1;
			(void)snprintf(out, sizeof(out), c == '\\' ? "\\\\" : "\\x%02x", c);
		} else if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0) { /* C1 control characters */
			(void)snprintf(out, sizeof(out), "\\x%02x", (unsigned char)text[i + 1]);
		} else {
			memcpy(out, text + i, more);
			out[more] = 0;
		}
		size_t add = strlen(out);
		if (size - len <= add)
			break;
		memcpy(buf + len, out, add);
		len += add;
		i += more;
	}
	buf[len] = 0;
	return len;
}

const char *om_conf_found(const struct om_conf_node *node, char *buf, size_t size)
{
	const size_t cut = 60;

	OM_ASSERT(size > 5 * cut); /* every byte escaped, and the quotes */
	if (node->kind == OM_CONF_LIST)
		return "a list";
	if (node->kind == OM_CONF_MAP)
		return "a group of keys";
	if (om_conf_node_null(node))
		return "nothing";
	if (node->len == 0)
		return "an empty text";
	buf[0] = '`';
	size_t len = escape(buf, size - 8, 1, node->text, OM_MIN(node->len, cut));
	(void)snprintf(buf + len, size - len, "%s`", node->len > cut ? "..." : "");
	return buf;
}

/* The dotted key of a node: its parents' keys first. Depth is bounded by the tree. */
static size_t node_key(const struct om_conf_node *node, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	if (node && node->parent) {
		len = node_key(node->parent, buf, size);
		if (node->key) {
			if (len > 0 && len + 2 < size)
				buf[len++] = '.';
			len = escape(buf, size, len, node->key, strnlen(node->key, 64));
		} else if (len + 24 < size) {
			len += (size_t)snprintf(buf + len, size - len, "[%zu]", node->index);
		}
	}
	return len;
}

OM_PRINTF(6, 0)
static void add(struct om_conf_ctx *ctx, bool error, unsigned line, unsigned column, const char *key, const char *fmt,
		va_list ap)
{
	struct om_conf_report *rep = ctx->rep;
	struct om_conf_msg msg = { .error = error, .line = line, .column = column };

	if (error) {
		rep->n_errors++;
		ctx->n_errors++;
	} else {
		rep->n_warnings++;
	}
	if (rep->n >= OM_CONF_MSGS_MAX)
		return;
	struct om_conf_msg *v = realloc(rep->v, (rep->n + 1) * sizeof(*v));
	if (!v) {
		ctx->oom = true;
		return;
	}
	rep->v = v;
	msg.file = strdup(ctx->name);
	msg.key = strdup(key);
	if (vasprintf(&msg.text, fmt, ap) < 0)
		msg.text = NULL;
	if (!msg.file || !msg.key || !msg.text) {
		free(msg.file);
		free(msg.key);
		free(msg.text);
		ctx->oom = true;
		return;
	}
	rep->v[rep->n++] = msg;
}

void om_conf_say(struct om_conf_ctx *ctx, bool error, const struct om_conf_node *node, const char *subkey,
		 const char *fmt, ...)
{
	char key[OM_CONF_KEY_MAX];
	size_t len = node_key(node, key, sizeof(key));
	va_list ap;

	if (subkey)
		(void)snprintf(key + len, sizeof(key) - len, "%s%s", len > 0 ? "." : "", subkey);
	va_start(ap, fmt);
	add(ctx, error, node ? node->line : 0, node ? node->column : 0, key, fmt, ap);
	va_end(ap);
}

void om_conf_say_at(struct om_conf_ctx *ctx, bool error, unsigned line, unsigned column, const char *key,
		    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(ctx, error, line, column, key, fmt, ap);
	va_end(ap);
}

void om_conf_report_sort(struct om_conf_report *rep, size_t from)
{
	/* At most OM_CONF_MSGS_MAX, nearly in order: insertion keeps equal lines as they came. */
	for (size_t i = from + 1; i < rep->n; i++) {
		struct om_conf_msg msg = rep->v[i];
		size_t k = i;

		for (; k > from && rep->v[k - 1].line > msg.line; k--)
			rep->v[k] = rep->v[k - 1];
		rep->v[k] = msg;
	}
}

void om_conf_report_print(const struct om_conf_report *rep, FILE *out)
{
	for (size_t i = 0; i < rep->n; i++) {
		const struct om_conf_msg *m = &rep->v[i];

		if (m->line > 0)
			(void)fprintf(out, "%s:%u: ", m->file, m->line);
		else
			(void)fprintf(out, "%s: ", m->file);
		(void)fprintf(out, "%s: %s%s%s\n", m->error ? "error" : "warning", m->key, m->key[0] ? ": " : "", m->text);
	}
	if (rep->n_errors + rep->n_warnings > rep->n)
		(void)fprintf(out, "... and %zu more\n", rep->n_errors + rep->n_warnings - rep->n);
}

void om_conf_report_free(struct om_conf_report *rep)
{
	for (size_t i = 0; i < rep->n; i++) {
		free(rep->v[i].file);
		free(rep->v[i].key);
		free(rep->v[i].text);
	}
	free(rep->v);
	*rep = (struct om_conf_report){ 0 };
}
