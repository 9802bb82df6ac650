#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/netrule.h"
#include "sniff.h"

enum { METHOD_MAX = 256 /* servers take any word */ };

struct line {
	const char *at;
	size_t length;
};

static enum sniff
bad(struct sniffed *result, const char *why)
{
	result->why = why;
	return SNIFF_BAD;
}

/* The next line, without its end, which may be a lone line feed (RFC 9112 2.2); at NULL: it has not
 * come whole. */
static struct line
next_line(const char **at, size_t *left)
{
	const char *end = memchr(*at, '\n', *left);
	struct line line = {*at, 0};

	if (!end)
		return (struct line){0};
	line.length = (size_t)(end - *at);
	*left -= line.length + 1;
	*at = end + 1;
	if (line.length && line.at[line.length - 1] == '\r')
		line.length--;
	return line;
}

static bool
is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110 5.6.2: of a method as well. */
static bool
is_token(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* RFC 9112 3: servers may part the words of a request at any of these. */
static bool
is_blank(char c)
{
	return c && strchr(" \t\v\f\r", c);
}

enum sniff
sniff_host(const char *text, size_t length, struct sniffed *result)
{
	size_t name = 0;

	while (name < length && text[name] != ':')
		name++;
	for (size_t i = name + 1; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return bad(result, "its host is malformed");
	if (name > 1 && text[name - 1] == '.')
		name--;
	if (name == 0 || name > NET_NAME_MAX)
		return bad(result, "its host is malformed");
	for (size_t i = 0; i < name; i++)
		result->name[i] =
		    text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 'a' - 'A') : text[i];
	result->name[name] = '\0';
	/* An address is another host than any name. */
	return net_name_valid(result->name) ? SNIFF_NAME : bad(result, "its host is no name");
}

/* --- the request line ----------------------------------------------------------------------------
 */

static bool
is_http(struct line line, const char *version)
{
	size_t length = strlen(version);

	return line.length > length && memcmp(line.at + line.length - length, version, length) == 0;
}

/* Is there a server that would take it for a request of HTTP/1? */
static bool
resembles_http(struct line line)
{
	for (size_t i = 1; i + 5 <= line.length; i++)
		if (is_blank(line.at[i - 1]) && strncasecmp(line.at + i, "HTTP/", 5) == 0)
			return true;
	return false;
}

/* What stands between the two outer spaces. */
static struct line
target_of(struct line line)
{
	const char *begin = memchr(line.at, ' ', line.length);
	const char *end = memrchr(line.at, ' ', line.length);

	if (!begin || begin == end)
		return (struct line){0};
	return (struct line){begin + 1, (size_t)(end - begin - 1)};
}

/* A target that names a host itself outranks the header Host. SNIFF_NONE: it names none. */
static enum sniff
host_of_target(struct line line, struct line target, struct sniffed *result)
{
	const char *scheme, *at;
	size_t length;

	if (!target.at || target.length == 0 || memchr(target.at, ' ', target.length) ||
	    memchr(target.at, '\t', target.length))
		return bad(result, "its request line is malformed");
	if (strncasecmp(line.at, "CONNECT ", 8) == 0)
		return sniff_host(target.at, target.length, result);
	if (target.at[0] == '/' || target.at[0] == '*')
		return SNIFF_NONE;
	scheme = memmem(target.at, target.length, "://", 3);
	if (!scheme)
		return bad(result, "its request line is malformed");
	at = scheme + 3;
	length = target.length - (size_t)(at - target.at);
	for (size_t i = 0; i < length; i++) {
		if (at[i] == '@')
			return bad(result, "its target names a user");
		if (strchr("/?#", at[i])) {
			length = i;
			break;
		}
	}
	return sniff_host(at, length, result);
}

/* --- the header ------------------------------------------------------------------------------- */

static struct line
trimmed(struct line value)
{
	while (value.length && (*value.at == ' ' || *value.at == '\t')) {
		value.at++;
		value.length--;
	}
	while (value.length && strchr(" \t", value.at[value.length - 1]))
		value.length--;
	return value;
}

/* One line. SNIFF_NONE: it is not Host. Servers differ about spaces before the colon and about
 * folded lines (CVE-2019-16276, CVE-2019-20444): such a head is refused. */
static enum sniff
field(struct line line, struct sniffed *result)
{
	const char *colon = memchr(line.at, ':', line.length);
	size_t name = colon ? (size_t)(colon - line.at) : 0;
	struct line value;

	if (memchr(line.at, '\0', line.length))
		return bad(result, "its head has a NUL");
	if (!colon || name == 0 || memchr(line.at, ' ', name) || memchr(line.at, '\t', name))
		return bad(result, "its head has a malformed line");
	if (name != 4 || strncasecmp(line.at, "Host", 4) != 0)
		return SNIFF_NONE;
	value = trimmed((struct line){colon + 1, line.length - name - 1});
	return sniff_host(value.at, value.length, result);
}

static bool
same_name(const struct sniffed *one, const struct sniffed *other)
{
	return strcmp(one->name, other->name) == 0;
}

/* To the empty line; found: what the target said already, in result. */
static enum sniff
fields(const char *at, size_t left, enum sniff found, struct sniffed *result)
{
	bool hosted = false;
	struct sniffed one;
	struct line line;
	enum sniff rc;

	while ((line = next_line(&at, &left)).at) {
		if (line.length == 0)
			return found;
		rc = field(line, &one);
		if (rc == SNIFF_BAD)
			return bad(result, one.why);
		if (rc == SNIFF_NONE)
			continue;
		if (hosted || (found == SNIFF_NAME && !same_name(&one, result)))
			return bad(result, "it names two hosts");
		hosted = true;
		found = rc;
		memcpy(result->name, one.name, sizeof(one.name));
	}
	return SNIFF_MORE;
}

/* Could it be a method so far? What begins with a digit is git's protocol, or another with lengths.
 */
static enum sniff
method(const char *at, size_t left)
{
	size_t i = 0;

	if (left && !is_letter(*at))
		return SNIFF_NONE;
	while (i < left && i <= METHOD_MAX && is_token(at[i]))
		i++;
	if (i == left && i <= METHOD_MAX)
		return SNIFF_MORE;
	return i > 0 && i < left && is_blank(at[i]) ? SNIFF_NAME : SNIFF_NONE;
}

static enum sniff
head(const char *at, size_t left, struct sniffed *result)
{
	struct line line;
	enum sniff found;

	found = method(at, left);
	if (found != SNIFF_NAME)
		return found;
	line = next_line(&at, &left);
	if (!line.at)
		return SNIFF_MORE;
	if (is_http(line, " HTTP/2.0"))
		return bad(result, "HTTP/2 without TLS hides its host");
	if (!is_http(line, " HTTP/1.1") && !is_http(line, " HTTP/1.0"))
		return resembles_http(line) ? bad(result, "its request line is malformed")
					    : SNIFF_NONE;
	if (memchr(line.at, '\0', line.length))
		return bad(result, "its head has a NUL");
	result->http = true;
	found = host_of_target(line, target_of(line), result);
	return found == SNIFF_BAD ? found : fields(at, left, found, result);
}

enum sniff
sniff_http(const uint8_t *bytes, size_t length, struct sniffed *result)
{
	const char *at = (const char *)bytes;
	size_t left = length;
	enum sniff rc;

	/* Servers skip empty lines before a request. */
	while (left && (*at == '\r' || *at == '\n')) {
		at++;
		left--;
	}
	rc = head(at, left, result);
	if (rc == SNIFF_MORE && length >= SNIFF_BYTES)
		return bad(result, "its head is too long");
	return rc;
}

enum sniff
sniff(const uint8_t *bytes, size_t length, struct sniffed *result)
{
	*result = (struct sniffed){0};
	if (length == 0)
		return SNIFF_MORE;
	return bytes[0] == 22 ? sniff_tls(bytes, length, result)
			      : sniff_http(bytes, length, result);
}
