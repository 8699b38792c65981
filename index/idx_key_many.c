/*
 * idx_key_many.c: keys of many URIs at once, see idx_key.h. Runs in workers, on the GET path.
 *
 * SipHash is a chain in which each step waits for the one before: a processor has time to do sixteen side by side. The library does
 * one. This is the same function in sixteen lanes of vectors, with the library's results (tests/unit/index/test_key.c compares them);
 * the compiler makes it for what the processor has, and the loader chooses.
 */
#include "index/idx_key.h"

#include <endian.h>

#include "common/proto/om_proto.h"

#define LANES 16u
#define BLOCK 8u     /* bytes that SipHash takes at once */
#define LONGEST 255u /* bytes of a URI that goes into a lane */

typedef uint64_t lanes_t __attribute__((vector_size(LANES * 8)));

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__) && !defined(__clang__)
/* Not under sanitizers: the loader chooses before they are ready. */
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define CLONES
#endif

#define ROTL(v, n) (((v) << (n)) | ((v) >> (64 - (n))))
#define ROUND(s) \
	do { \
		(s)[0] += (s)[1]; \
		(s)[2] += (s)[3]; \
		(s)[1] = ROTL((s)[1], 13) ^ (s)[0]; \
		(s)[3] = ROTL((s)[3], 16) ^ (s)[2]; \
		(s)[0] = ROTL((s)[0], 32) + (s)[3]; \
		(s)[2] += (s)[1]; \
		(s)[3] = ROTL((s)[3], 21) ^ (s)[0]; \
		(s)[1] = ROTL((s)[1], 17) ^ (s)[2]; \
		(s)[2] = ROTL((s)[2], 32); \
	} while (0)

static inline uint64_t load64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* The last block: what is left over, and the length. */
static inline uint64_t load_last(const char *p, size_t len)
{
	size_t rest = len % BLOCK;
	uint64_t v = 0;

	if (rest && len >= BLOCK)
		v = load64(p + len - BLOCK) >> 8 * (BLOCK - rest);
	else
		for (size_t i = 0; i < rest; i++)
			v |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return v | (uint64_t)len << 56;
}

/* The blocks of one URI, into its lane. @return how many are in front of the last */
static inline size_t load_lane(const struct om_proto_str *u, uint64_t word[][LANES])
{
	size_t whole = u->len / BLOCK;

	for (size_t b = 0; b < whole; b++)
		word[b][0] = load64(u->p + b * BLOCK);
	word[whole][0] = load_last(u->p, u->len);
	return whole;
}

/* Keys of the first `n` of LANES, none longer than LONGEST. */
CLONES static void make_lanes(const unsigned char *secret, const struct om_proto_str *uris, unsigned n, struct idx_key *ret_keys)
{
	const uint64_t k0 = load64(secret), k1 = load64(secret + 8);
	_Alignas(64) uint64_t word[LONGEST / BLOCK + 1][LANES], whole[LANES] = {0};
	lanes_t zero = {0}, s[4], was[4], lo, hi, last, w;
	size_t blocks = 0;

	for (unsigned i = 0; i < n; i++) {
		whole[i] = load_lane(&uris[i], (uint64_t(*)[LANES])&word[0][i]);
		blocks = OM_MAX(blocks, whole[i]);
	}
	memcpy(&last, whole, sizeof(last));
	s[0] = zero + (k0 ^ 0x736f6d6570736575u);
	s[1] = zero + (k1 ^ 0x646f72616e646f6du ^ 0xee); /* 0xee and 0xdd: 128 bits of result */
	s[2] = zero + (k0 ^ 0x6c7967656e657261u);
	s[3] = zero + (k1 ^ 0x7465646279746573u);
	for (size_t b = 0; b <= blocks; b++) {
		lanes_t live = (lanes_t)(last >= zero + b);

		memcpy(was, s, sizeof(was));
		memcpy(&w, word[b], sizeof(w)); /* of lanes that are through: anything */
		s[3] ^= w;
		ROUND(s);
		ROUND(s);
		s[0] ^= w;
		for (unsigned i = 0; i < 4; i++) /* they stay as they were */
			s[i] = (s[i] & live) | (was[i] & ~live);
	}
	s[2] ^= 0xee;
	for (unsigned i = 0; i < 4; i++)
		ROUND(s);
	lo = s[0] ^ s[1] ^ s[2] ^ s[3];
	s[1] ^= 0xdd;
	for (unsigned i = 0; i < 4; i++)
		ROUND(s);
	hi = s[0] ^ s[1] ^ s[2] ^ s[3];
	for (unsigned i = 0; i < n; i++)
		ret_keys[i] = (struct idx_key){.lo = lo[i] | (lo[i] == 0 && hi[i] == 0), .hi = hi[i]};
}

void idx_key_make_many(const unsigned char secret[static IDX_SECRET_BYTES], const struct om_proto_str *uris, unsigned n,
		       struct idx_key *ret_keys)
{
	for (unsigned i = 0, k; i < n; i += k) {
		for (k = 0; k < OM_MIN(n - i, LANES) && uris[i + k].len <= LONGEST; k++)
			;
		if (k > 1) {
			make_lanes(secret, uris + i, k, ret_keys + i);
		} else {
			k = 1;
			idx_key_make(secret, uris[i].p, uris[i].len, &ret_keys[i]);
		}
	}
}
