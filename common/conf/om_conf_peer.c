/*
 * om_conf_peer.c: users, groups, networks, addresses to listen on.
 *
 * Runs wherever a configuration is read or printed. No state, and no look-ups: names stay names (om_conf_ids.c).
 * Called by om_conf_value.c through the om_conf_ops at the end.
 */
#include "common/conf/om_conf_value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>

static bool set_id(struct om_conf_input *in, void *field)
{
	struct om_conf_id *id = field;
	size_t len = strlen(in->text);
	enum om_conf_id_kind kind = OM_CONF_ID_NAME;
	uint64_t v = 0;

	if (len == 0) {
		if (in->row->type == OM_CONF_T_IDS)
			return false;
		kind = OM_CONF_ID_NONE;
	} else if (strcmp(in->text, "self") == 0) {
		kind = OM_CONF_ID_SELF;
	} else if (strcmp(in->text, "*") == 0) {
		kind = OM_CONF_ID_ANY;
	} else if (!in->text[strspn(in->text, "0123456789")]) {
		v = len > 10 ? UINT64_MAX : strtoull(in->text, NULL, 10);
		kind = OM_CONF_ID_ID;
		/* (uid_t)-1 means "no change" to chown and setresuid: it is nobody's number. */
		if (v >= UINT32_MAX) {
			(void)snprintf(in->expect, sizeof(in->expect), "a name, or a number of 0 to 4294967294");
			return false;
		}
	} else if (len > 256 || in->text[0] == '-' || strpbrk(in->text, ":/, *")) {
		(void)snprintf(in->expect, sizeof(in->expect), "a name of at most 256 bytes without space or any of : / , *");
		return false;
	}
	if (!om_conf_text_replace(in, &id->name, kind == OM_CONF_ID_NAME ? in->text : ""))
		return false;
	id->kind = kind;
	id->id = (uint32_t)v;
	id->line = in->line;
	return true;
}

static void print_id(const void *field, FILE *out)
{
	const struct om_conf_id *id = field;

	switch (id->kind) {
	case OM_CONF_ID_NONE:
		(void)fputs("\"\"", out);
		break;
	case OM_CONF_ID_SELF:
		(void)fputs("self", out);
		break;
	case OM_CONF_ID_ANY:
		(void)fputs("\"*\"", out);
		break;
	case OM_CONF_ID_NAME:
		om_conf_text_print(id->name, out);
		break;
	case OM_CONF_ID_ID:
		(void)fprintf(out, "%" PRIu32, id->id);
		break;
	}
}

static bool add_id(struct om_conf_input *in, void *field)
{
	struct om_conf_ids *ids = field;
	struct om_conf_id id = { .name = strdup("") };
	struct om_conf_id *v = realloc(ids->v, (ids->n + 1) * sizeof(*v));

	if (v)
		ids->v = v;
	if (!v || !id.name)
		in->oom = true;
	if (in->oom || !set_id(in, &id)) {
		free(id.name);
		return false;
	}
	ids->v[ids->n++] = id;
	return true;
}

static void print_ids(const void *field, FILE *out)
{
	const struct om_conf_ids *ids = field;

	(void)fputc('[', out);
	for (size_t i = 0; i < ids->n; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		print_id(&ids->v[i], out);
	}
	(void)fputc(']', out);
}

static bool set_net(struct om_conf_input *in, void *field)
{
	struct om_conf_net net = { 0 };
	char addr[INET6_ADDRSTRLEN];
	size_t len = strcspn(in->text, "/");
	const char *bits = in->text[len] == '/' ? in->text + len + 1 : NULL;

	if (!in->text[0]) {
		*(struct om_conf_net *)field = net;
		return true;
	}
	if (len >= sizeof(addr))
		return false;
	memcpy(addr, in->text, len);
	addr[len] = 0;
	net.family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(net.family, addr, net.addr) != 1)
		return false;
	unsigned max = net.family == AF_INET ? 32 : 128;
	if (bits && (!bits[0] || strlen(bits) > 3 || bits[strspn(bits, "0123456789")] || strtoul(bits, NULL, 10) > max))
		return false;
	net.prefix_len = (uint8_t)(bits ? strtoul(bits, NULL, 10) : max);
	for (unsigned i = net.prefix_len; i < max; i++) {
		if (net.addr[i / 8] & (0x80u >> i % 8)) {
			(void)snprintf(in->expect, sizeof(in->expect), "a network: the bits after the first %u must be 0",
				       net.prefix_len);
			return false;
		}
	}
	*(struct om_conf_net *)field = net;
	return true;
}

static void print_net(const void *field, FILE *out)
{
	const struct om_conf_net *net = field;
	char addr[INET6_ADDRSTRLEN] = "";

	if (net->family == 0)
		(void)fputs("\"\"", out);
	else if (inet_ntop(net->family, net->addr, addr, sizeof(addr)))
		(void)fprintf(out, "\"%s/%u\"", addr, net->prefix_len);
}

/* ADDR:PORT, [ADDR]:PORT or PORT into an address. */
static bool scan_tcp(const char *text, struct om_conf_tcp *tcp)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&tcp->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&tcp->addr;
	const char *colon = strrchr(text, ':');
	const char *port = colon ? colon + 1 : text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	char addr[INET6_ADDRSTRLEN + 2];

	if (!port[0] || strlen(port) > 5 || port[strspn(port, "0123456789")] || len >= sizeof(addr))
		return false;
	unsigned long number = strtoul(port, NULL, 10);
	if (number < 1 || number > 65535)
		return false;
	memcpy(addr, text, len);
	addr[len] = 0;
	if (len > 1 && addr[0] == '[' && addr[len - 1] == ']') {
		addr[len - 1] = 0;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)number);
		tcp->addr_len = sizeof(*in6);
		if (inet_pton(AF_INET6, addr + 1, &in6->sin6_addr) != 1)
			return false;
		tcp->loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
		return true;
	}
	in4->sin_family = AF_INET;
	in4->sin_port = htons((uint16_t)number);
	tcp->addr_len = sizeof(*in4);
	if (inet_pton(AF_INET, colon ? addr : "127.0.0.1", &in4->sin_addr) != 1)
		return false;
	tcp->loopback = ntohl(in4->sin_addr.s_addr) >> 24 == 127;
	return true;
}

/* The one way in which an address is written; NULL: out of memory. */
static char *tcp_text(const struct om_conf_tcp *tcp)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&tcp->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&tcp->addr;
	bool six = tcp->addr.ss_family == AF_INET6;
	char addr[INET6_ADDRSTRLEN] = "";
	char *text = NULL;

	(void)inet_ntop(tcp->addr.ss_family, six ? (const void *)&in6->sin6_addr : &in4->sin_addr, addr, sizeof(addr));
	if (asprintf(&text, six ? "[%s]:%u" : "%s:%u", addr, ntohs(six ? in6->sin6_port : in4->sin_port)) < 0)
		return NULL;
	return text;
}

static bool add_tcp(struct om_conf_input *in, void *field)
{
	struct om_conf_tcps *tcps = field;
	struct om_conf_tcp tcp = { 0 };

	if (!scan_tcp(in->text, &tcp)) {
		(void)snprintf(in->expect, sizeof(in->expect),
			       "ADDRESS:PORT such as 127.0.0.1:7070 or [::1]:7070 (no names), or a port of 1 to 65535");
		return false;
	}
	tcp.text = tcp_text(&tcp);
	struct om_conf_tcp *v = realloc(tcps->v, (tcps->n + 1) * sizeof(*v));
	if (v)
		tcps->v = v;
	if (!v || !tcp.text) {
		free(tcp.text);
		in->oom = true;
		return false;
	}
	for (size_t i = 0; i < tcps->n; i++) {
		if (strcmp(tcps->v[i].text, tcp.text) == 0) {
			(void)snprintf(in->expect, sizeof(in->expect), "each address once");
			free(tcp.text);
			return false;
		}
	}
	tcps->v[tcps->n++] = tcp;
	return true;
}

static void print_tcps(const void *field, FILE *out)
{
	const struct om_conf_tcps *tcps = field;

	(void)fputc('[', out);
	for (size_t i = 0; i < tcps->n; i++)
		(void)fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", tcps->v[i].text);
	(void)fputc(']', out);
}

static void clear_ids(void *field)
{
	struct om_conf_ids *ids = field;

	for (size_t i = 0; i < ids->n; i++)
		free(ids->v[i].name);
	free(ids->v);
}

static void clear_tcps(void *field)
{
	struct om_conf_tcps *tcps = field;

	for (size_t i = 0; i < tcps->n; i++)
		free(tcps->v[i].text);
	free(tcps->v);
}

const struct om_conf_ops om_conf_ops_ID = { set_id, print_id, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_ID), .owns_text = true,
	.text_offset = offsetof(struct om_conf_id, name) };
const struct om_conf_ops om_conf_ops_IDS = { add_id, print_ids, OM_CONF_SHAPE_LIST, sizeof(om_conf_IDS), .clear = clear_ids };
const struct om_conf_ops om_conf_ops_NET = { set_net, print_net, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_NET) };
const struct om_conf_ops om_conf_ops_TCPS = { add_tcp, print_tcps, OM_CONF_SHAPE_LIST, sizeof(om_conf_TCPS), .clear = clear_tcps };
