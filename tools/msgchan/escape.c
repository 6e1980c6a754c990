// SPDX-License-Identifier: MIT
/*
 * Text of others, safe for a terminal and for JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/*
 * Names and comms come from other users and are printed on root's terminal: whatever is not
 * printable ASCII becomes \xNN, and so does the backslash, so that nothing can look like an escape
 * that it is not. Returns the length; what does not fit is cut.
 */
size_t escape_bytes(char *to, size_t room, const char *from, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)from[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '\\';

		if (n + (plain ? 1 : 4) >= room)
			break;
		if (plain)
			to[n++] = (char)c;
		else
			n += (size_t)snprintf(to + n, room - n, "\\x%02x", c);
	}
	to[n] = '\0';
	return n;
}

/* A name, which ends with a NUL if it is shorter than @len. */
size_t escape(char *to, size_t room, const char *from, size_t len)
{
	return escape_bytes(to, room, from, strnlen(from, len));
}

/* @text is UTF-8. */
void json_text(FILE *out, const char *text, size_t len)
{
	static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";

	putc('"', out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		const char *s = c ? strchr(special, c) : NULL;

		if (s)
			fprintf(out, "\\%c", letter[s - special]);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			putc(c, out);
	}
	putc('"', out);
}

static void json_base64(FILE *out, const unsigned char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	putc('"', out);
	for (size_t i = 0; i < len; i += 3) {
		size_t rest = len - i;
		unsigned int v = data[i] << 16U | (rest > 1 ? data[i + 1] << 8U : 0) |
				 (rest > 2 ? data[i + 2] : 0);

		putc(digits[v >> 18], out);
		putc(digits[v >> 12 & 63], out);
		putc(rest > 1 ? digits[v >> 6 & 63] : '=', out);
		putc(rest > 2 ? digits[v & 63] : '=', out);
	}
	putc('"', out);
}

/* How many bytes a sequence has that begins with @c, 0 where none does. */
static size_t utf8_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	return c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
}

/* The bytes of the sequence that begins at @p, 0 where there is no valid one. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
	static const unsigned int least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = utf8_length(p[0]);
	unsigned int v = n > 1 ? p[0] & (0x7fU >> n) : p[0];

	if (!n || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		v = v << 6 | (p[i] & 63);
	}
	return v >= least[n] && v <= 0x10ffff && (v < 0xd800 || v > 0xdfff) ? n : 0;
}

static bool is_utf8(const unsigned char *data, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_sequence(data + i, len - i);
		if (!n)
			return false;
	}
	return true;
}

/*
 * A message's bytes, as text where they are text, which has no NUL. Who sent it can still change
 * it: what is looked at has to be what is printed.
 */
void json_payload(FILE *out, const void *data, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		exit(complain(ST_FAILED, "out of memory"));
	if (len)
		memcpy(copy, data, len);
	if (is_utf8((unsigned char *)copy, len) && !memchr(copy, '\0', len)) {
		fputs("\"payload\":", out);
		json_text(out, copy, len);
	} else {
		fputs("\"payload_base64\":", out);
		json_base64(out, (unsigned char *)copy, len);
	}
	free(copy);
}
