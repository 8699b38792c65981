/*
 * objm_message.c: what a session says about a call that failed. Runs in clients, on the session's thread.
 */
#include "client/objm_priv.h"

#include <stdarg.h>

int objm_fail(objm_t *s, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->err, sizeof(s->err), fmt, ap); /* a message that is cut short is still one */
	va_end(ap);
	return status;
}

/* Bytes of the printable UTF-8 sequence at `p` (0-terminated); 0: there is none: escape the byte. */
static size_t printable(const unsigned char *p)
{
	size_t n, i;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f && p[0] != '\\';
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || (p[0] == 0xc2 && p[1] < 0xa0)) /* the last: control characters of C1 */
		return 0;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

const char *objm_quote(const char *uri, char buf[OBJM_QUOTE_MAX])
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)uri;
	size_t n = 0, k;

	while (*p) {
		if (n > OBJM_QUOTE_MAX - 9) { /* room for one character or escape, "..." and the end */
			memcpy(buf + n, "...", 3);
			n += 3;
			break;
		}
		k = printable(p);
		if (k > 0) {
			memcpy(buf + n, p, k);
			n += k;
			p += k;
		} else {
			buf[n++] = '\\';
			buf[n++] = 'x';
			buf[n++] = hex[*p >> 4];
			buf[n++] = hex[*p++ & 15];
		}
	}
	buf[n] = '\0';
	return buf;
}

/* "GET /a: no such object", with the server's words behind it if it had any. They are quoted: terminals show them. */
int objm_fail_status(objm_t *s, const struct objm_req *req, int status, const struct om_proto_str *text)
{
	char uri[OBJM_QUOTE_MAX], words[OBJM_QUOTE_MAX], raw[OBJM_QUOTE_MAX];
	size_t n = text ? OM_MIN((size_t)text->len, sizeof(raw) - 1) : 0;

	if (n)
		memcpy(raw, text->p, n);
	raw[n] = '\0';
	const char *plain = objm_status_text(status);
	bool says_it = strncmp(raw, plain, strlen(plain)) == 0; /* its words begin with the status: they are enough */
	return objm_fail(s, status, "%s%s%s: %s%s%s%s", om_proto_op_name(req->op), req->uri ? " " : "",
			 req->uri ? objm_quote(req->uri, uri) : "", says_it ? "" : plain, n && !says_it ? " (" : "",
			 n ? objm_quote(raw, words) : "", n && !says_it ? ")" : "");
}
