/*
 * wrk_access.c: see wrk_access.h (process objmapper-worker, loop thread). Called by wrk_conn_set.c at accept and after a reload.
 */
#include "worker/wrk_access.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/om_fdpass.h"
#include "common/om_seg.h"

#define WRK_ACCESS_GROUPS_MAX 65536u /* NGROUPS_MAX */

/* The tables: each is kept as long as a peer uses its rules. */
struct wrk_access_table {
	struct om_seg seg;
	struct om_rule *rules;
	unsigned n;
	bool groups; /* a rule is about a group */
	unsigned refs;
};

struct wrk_access_node {
	struct wrk_access access;
	struct wrk_access_node *next, **prevp; /* prevp NULL: of an older table, not to be given out any more */
	struct wrk_access_table *table;
	unsigned refs;
	const struct om_rule *rules[];
};

struct wrk_access_set {
	struct wrk_access_table *table;
	struct wrk_access_node *nodes;
};

struct wrk_access_peer {
	bool unix_socket;
	uint32_t uid, gid;
	gid_t *groups;
	unsigned n_groups;
	int family; /* TCP; 0: not known */
	uint8_t addr[16];
};

/* ---------------------------------------------------------------- tables */

static void wrk_access_table_put(struct wrk_access_table *t)
{
	if (!t || --t->refs)
		return;
	om_seg_close(&t->seg);
	free(t->rules);
	free(t);
}

static int wrk_access_by_prefix(const void *a, const void *b)
{
	const struct om_rule *x = a, *y = b;
	int c = memcmp(x->prefix, y->prefix, OM_MIN(x->prefix_len, y->prefix_len));

	return c ? c : (int)x->prefix_len - (int)y->prefix_len;
}

static int wrk_access_table_new(int rules_fd, struct wrk_access_table **ret)
{
	struct wrk_access_table *t = calloc(1, sizeof(*t));
	int rc = 0;

	if (!t)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	t->seg = OM_SEG_INIT;
	t->refs = 1;
	if (rules_fd >= 0) {
		rc = om_seg_attach(rules_fd, 16, false, &t->seg);
		if (rc == 0)
			rc = om_rules_decode(t->seg.base, t->seg.bytes, &t->rules, &t->n);
	}
	if (rc < 0) {
		if (t->seg.base)
			t->seg.rofd = -1; /* the descriptor stays the caller's */
		wrk_access_table_put(t);
		return rc;
	}
	if (t->n)
		qsort(t->rules, t->n, sizeof(*t->rules), wrk_access_by_prefix);
	for (unsigned i = 0; i < t->n; i++)
		t->groups |= t->rules[i].subject == OM_RULE_GROUP;
	*ret = t;
	return 0;
}

int wrk_access_load(struct wrk *w, int rules_fd)
{
	struct wrk_access_set *s = w->access ? w->access : calloc(1, sizeof(*s));
	struct wrk_access_table *t = NULL;
	int rc;

	if (!s)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	rc = wrk_access_table_new(rules_fd, &t);
	if (rc < 0) {
		if (!w->access)
			free(s);
		return rc;
	}
	for (struct wrk_access_node *n = s->nodes; n; n = n->next)
		n->prevp = NULL; /* they end with their last peer */
	s->nodes = NULL;
	wrk_access_table_put(s->table);
	s->table = t;
	w->access = s;
	return 0;
}

void wrk_access_free(struct wrk *w)
{
	if (!w->access)
		return;
	OM_ASSERT(!w->access->nodes); /* peers have given theirs back */
	wrk_access_table_put(w->access->table);
	free(w->access);
	w->access = NULL;
}

/* ---------------------------------------------------------------- peers */

/* Supplementary groups as of the connect; none where they cannot be told. */
static void wrk_access_groups(int fd, struct wrk_access_peer *p)
{
	socklen_t len = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE || len == 0 ||
	    len > WRK_ACCESS_GROUPS_MAX * sizeof(gid_t))
		return;
	p->groups = malloc(len);
	if (!p->groups)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &len) == 0)
		p->n_groups = (unsigned)(len / sizeof(gid_t));
}

static void wrk_access_address(int fd, struct wrk_access_peer *p)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_storage room;
	} a;
	socklen_t len = sizeof(a);

	if (getpeername(fd, &a.sa, &len) < 0)
		return;
	if (a.sa.sa_family == AF_INET) {
		p->family = AF_INET;
		memcpy(p->addr, &a.in4.sin_addr, 4);
	} else if (a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr)) {
		p->family = AF_INET; /* one that came to an IPv6 listener: rules name it as what it is */
		memcpy(p->addr, a.in6.sin6_addr.s6_addr + 12, 4);
	} else if (a.sa.sa_family == AF_INET6) {
		p->family = AF_INET6;
		memcpy(p->addr, &a.in6.sin6_addr, 16);
	}
}

static bool wrk_access_is_about(const struct om_rule *r, const struct wrk_access_peer *p)
{
	switch (r->subject) {
	case OM_RULE_ANY:
		return p->unix_socket;
	case OM_RULE_USER:
		return p->unix_socket && p->uid == r->id && p->uid != UINT32_MAX;
	case OM_RULE_GROUP:
		if (!p->unix_socket || p->uid == UINT32_MAX)
			return false;
		for (unsigned i = 0; i < p->n_groups; i++)
			if (p->groups[i] == r->id)
				return true;
		return p->gid == r->id;
	default:
		return !p->unix_socket && p->family && om_rule_net_has(r, p->family, p->addr);
	}
}

/* ---------------------------------------------------------------- compiling */

static bool wrk_access_same(const struct wrk_access_node *n, const struct wrk_access *a, const struct om_rule *const *rules)
{
	return n->access.everywhere == a->everywhere && n->access.somewhere == a->somewhere && n->access.n == a->n &&
	       memcmp(n->rules, rules, a->n * sizeof(rules[0])) == 0;
}

static const struct wrk_access *wrk_access_share(struct wrk_access_set *s, const struct wrk_access *a,
						 const struct om_rule *const *rules)
{
	struct wrk_access_node *n;

	for (n = s->nodes; n; n = n->next)
		if (wrk_access_same(n, a, rules)) {
			n->refs++;
			return &n->access;
		}
	n = malloc(sizeof(*n) + a->n * sizeof(rules[0]));
	if (!n)
		return NULL;
	*n = (struct wrk_access_node){ .access = *a, .refs = 1, .table = s->table, .next = s->nodes, .prevp = &s->nodes };
	memcpy(n->rules, rules, a->n * sizeof(rules[0]));
	n->access.rules = n->rules;
	if (s->nodes)
		s->nodes->prevp = &n->next;
	s->nodes = n;
	s->table->refs++;
	return &n->access;
}

static const struct wrk_access wrk_access_none; /* out of memory: no rights */

const struct wrk_access *wrk_access_get(struct wrk *w, int fd, enum om_listen_kind kind, uint32_t uid)
{
	const struct wrk_access_table *t = w->access->table;
	struct wrk_access_peer p = { .unix_socket = kind != OM_LISTEN_TCP, .uid = uid, .gid = UINT32_MAX };
	struct wrk_access a = { 0 };
	const struct om_rule *rules[OM_RULES_MAX];
	const struct wrk_access *ret;
	struct om_peer cred;
	unsigned n = 0;

	if (!t->n && p.unix_socket)
		a.everywhere = OM_RIGHTS_ALL & ~OM_RIGHT_LEGACY;
	if (t->n && p.unix_socket && om_fdpass_peer(fd, &cred) == 0)
		p.gid = cred.gid;
	if (t->groups && p.unix_socket)
		wrk_access_groups(fd, &p);
	if (!p.unix_socket)
		wrk_access_address(fd, &p);
	if (p.unix_socket && wrk_uid_legacy(w, uid))
		a.everywhere |= OM_RIGHT_LEGACY;
	for (unsigned i = 0; i < t->n; i++)
		if (wrk_access_is_about(&t->rules[i], &p)) {
			rules[n++] = &t->rules[i];
			if (t->rules[i].prefix_len == 0)
				a.everywhere |= t->rules[i].rights;
		}
	free(p.groups);
	for (unsigned i = 0; i < n; i++) {
		a.somewhere |= rules[i]->rights;
		if (rules[i]->rights & ~a.everywhere)
			rules[a.n++] = rules[i];
	}
	a.somewhere |= a.everywhere;
	ret = wrk_access_share(w->access, &a, rules);
	if (ret)
		return ret;
	om_log(OM_MSG_PEER_LIMIT, "out of memory for the rights of uid %d: it has none on this connection", (int)uid);
	return &wrk_access_none;
}

static struct wrk_access_node *wrk_access_node(const struct wrk_access *a)
{
	return (struct wrk_access_node *)(uintptr_t)((const char *)a - offsetof(struct wrk_access_node, access));
}

const struct wrk_access *wrk_access_hold(const struct wrk_access *a)
{
	if (a != &wrk_access_none)
		wrk_access_node(a)->refs++;
	return a;
}

void wrk_access_put(struct wrk *w, const struct wrk_access *a)
{
	struct wrk_access_node *n;

	(void)w;
	if (!a || a == &wrk_access_none)
		return;
	n = wrk_access_node(a);
	if (--n->refs)
		return;
	if (n->prevp) {
		*n->prevp = n->next;
		if (n->next)
			n->next->prevp = n->prevp;
	}
	wrk_access_table_put(n->table);
	free(n);
}

/* ---------------------------------------------------------------- matching */

bool wrk_access_match(const struct wrk_access *a, uint32_t rights, const void *uri, size_t len)
{
	uint32_t missing = rights & ~a->everywhere;

	for (unsigned i = 0; i < a->n && missing; i++)
		if ((a->rules[i]->rights & missing) && om_rule_covers(a->rules[i], uri, len))
			missing &= ~a->rules[i]->rights;
	return !missing;
}
