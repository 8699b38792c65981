/*
 * om_text.c: text for people: names from outside made safe to print, sizes and times in units.
 *
 * Runs in the commands. URIs and metadata come from other users: printed raw, an escape sequence in a name could rewrite what a
 * terminal shows, so everything that is not plainly printable is written as an escape.
 */
#include "common/om_text.h"

#include <ctype.h>

/* Length of the UTF-8 character that begins with byte `c`, 0 if none does. */
static size_t utf8_length(unsigned char c)
{
	return c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

/* Length of the UTF-8 character at `s` (1..4), 0 if there is none within `len` bytes; *ret_code is its number. */
static size_t utf8_char(const unsigned char *s, size_t len, uint32_t *ret_code)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = utf8_length(s[0]);
	uint32_t code;

	if (n == 0 || len < n)
		return 0;
	code = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

/* C0 and C1 controls, line and paragraph separators, and the marks that change the direction of writing. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f || code == 0x061c || code == 0xfeff;
}

static char *put_escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	*out++ = '\\';
	if (c == '\n' || c == '\t' || c == '\r') {
		*out++ = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
		return out;
	}
	*out++ = 'x';
	*out++ = hex[c >> 4];
	*out++ = hex[c & 15];
	return out;
}

char *om_text_quote(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	char *buf, *out;

	if (len > (SIZE_MAX - 1) / 4 || !(buf = malloc(len * 4 + 1)))
		return NULL;
	out = buf;
	for (size_t i = 0; i < len;) {
		uint32_t code = 0;
		size_t n = utf8_char(s + i, len - i, &code);

		if (n && !is_control(code)) {
			memcpy(out, s + i, n);
			out += n;
			i += n;
			continue;
		}
		for (size_t end = i + (n ? n : 1); i < end; i++)
			out = put_escape(out, s[i]);
	}
	*out = '\0';
	return buf;
}

bool om_text_is_binary(const void *data, size_t len)
{
	const unsigned char *s = data;

	for (size_t i = 0; i < len;) {
		uint32_t code = 0;
		size_t n = utf8_char(s + i, len - i, &code);

		/* A character that the end of the sample cuts in two does not speak against text. */
		if (n == 0 && utf8_length(s[i]) > len - i) {
			while (++i < len && (s[i] & 0xc0) == 0x80)
				;
			return i < len;
		}
		if (n == 0)
			return true;
		if (is_control(code) && code != '\n' && code != '\t' && code != '\r' && code != '\f' && code != 0xfeff)
			return true;
		i += n;
	}
	return false;
}

void om_text_size(uint64_t bytes, char ret_text[static OM_TEXT_SHORT])
{
	static const char *const unit[] = {"", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
	unsigned u = 0;
	double v = (double)bytes;

	while (v >= 999.5 && u + 1 < OM_ARRAY_SIZE(unit)) {
		v /= 1024;
		u++;
	}
	(void)snprintf(ret_text, OM_TEXT_SHORT, "%.*f%s", u > 0 && v < 9.95 ? 1 : 0, v, unit[u]);
}

void om_text_span(uint64_t seconds, char ret_text[static OM_TEXT_SHORT])
{
	uint64_t days = seconds / 86400, hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;

	if (days > 0)
		(void)snprintf(ret_text, OM_TEXT_SHORT, "%llud %lluh", (unsigned long long)days, (unsigned long long)hours);
	else if (hours > 0)
		(void)snprintf(ret_text, OM_TEXT_SHORT, "%lluh %llum", (unsigned long long)hours, (unsigned long long)minutes);
	else if (minutes > 0)
		(void)snprintf(ret_text, OM_TEXT_SHORT, "%llum %llus", (unsigned long long)minutes,
			       (unsigned long long)(seconds % 60));
	else
		(void)snprintf(ret_text, OM_TEXT_SHORT, "%llus", (unsigned long long)seconds);
}

void om_text_time(uint64_t since_1970_s, char ret_text[static OM_TEXT_SHORT])
{
	time_t t = (time_t)since_1970_s;
	struct tm tm;

	if (since_1970_s == 0)
		(void)snprintf(ret_text, OM_TEXT_SHORT, "never");
	else if (!localtime_r(&t, &tm) || strftime(ret_text, OM_TEXT_SHORT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(ret_text, OM_TEXT_SHORT, "@%llu", (unsigned long long)since_1970_s);
}

/* Digits at *text, moved past: false when there are none or they pass 64 bits. */
static bool parse_digits(const char **text, uint64_t *ret)
{
	char *end;
	unsigned long long v;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	v = strtoull(*text, &end, 10);
	if (errno)
		return false;
	*text = end;
	*ret = v;
	return true;
}

static int scaled(uint64_t value, uint64_t factor, uint64_t max, uint64_t *ret)
{
	if (value > max / factor)
		return -OBJM_STATUS_INVALID_REQUEST;
	*ret = value * factor;
	return 0;
}

int om_text_parse_span(const char *text, uint64_t max, uint64_t *ret_seconds)
{
	static const struct { char unit; uint32_t factor; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	uint64_t v;

	if (!parse_digits(&text, &v))
		return -OBJM_STATUS_INVALID_REQUEST;
	if (*text == '\0')
		return scaled(v, 1, max, ret_seconds);
	for (size_t i = 0; i < OM_ARRAY_SIZE(units); i++)
		if (*text == units[i].unit && text[1] == '\0')
			return scaled(v, units[i].factor, max, ret_seconds);
	return -OBJM_STATUS_INVALID_REQUEST;
}

int om_text_parse_size(const char *text, uint64_t max, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	const char *at;
	uint64_t v, factor = 1;

	if (!parse_digits(&text, &v))
		return -OBJM_STATUS_INVALID_REQUEST;
	if (*text && (at = strchr(units, toupper((unsigned char)*text)))) {
		factor = UINT64_C(1) << (10 * (at - units + 1));
		text++;
		if (*text == 'i' && text[1] == 'B')
			text++;
	}
	if (*text == 'B')
		text++;
	return *text ? -OBJM_STATUS_INVALID_REQUEST : scaled(v, factor, max, ret_bytes);
}

int om_text_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t v;

	if (!parse_digits(&text, &v) || *text || v < min || v > max)
		return -OBJM_STATUS_INVALID_REQUEST;
	*ret_value = v;
	return 0;
}
