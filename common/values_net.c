/* Values that speak of the network, of capabilities and of schedules. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cron.h"
#include "template.h"
#include "values.h"

enum { HOST_TEXT = 256, PORT_MAX = 65535 };

/* One port number of at most five digits; moves *text behind it. 0: none. */
static unsigned
port_number(const char **text)
{
	unsigned port = 0;
	int digits = 0;

	if (**text == '0')
		return 0;
	for (; **text >= '0' && **text <= '9' && digits < 6; (*text)++, digits++)
		port = port * 10 + (unsigned)(**text - '0');
	return port <= PORT_MAX ? port : 0;
}

static bool
ports_valid(const char *text)
{
	unsigned low = port_number(&text), high = low;

	if (*text == '-') {
		text++;
		high = port_number(&text);
	}
	return low > 0 && high >= low && *text == '\0';
}

static bool
dns_label(const char *text, size_t length)
{
	if (length == 0 || length > 63 || text[0] == '-' || text[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
			    text[i]))
			return false;
	return true;
}

/* Labels of letters, digits and -, the last one not a number (that would be an address). */
static bool
dns_name(const char *text)
{
	size_t length;

	if (strlen(text) > 253)
		return false;
	for (;; text += length + 1) {
		length = strcspn(text, ".");
		if (!dns_label(text, length))
			return false;
		if (text[length] == '\0')
			return strspn(text, "0123456789") < length;
	}
}

/* The address in text, its length in bits; 0 when it is none. IPv6 may stand in brackets. */
static unsigned
address_bits(const char *text, uint8_t address[16])
{
	char plain[HOST_TEXT];
	size_t length = strlen(text);

	if (inet_pton(AF_INET, text, address) == 1)
		return 32;
	if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	snprintf(plain, sizeof(plain), "%.*s", (int)length, text);
	return inet_pton(AF_INET6, plain, address) == 1 ? 128 : 0;
}

static bool
bits_beyond(const uint8_t *address, unsigned prefix, unsigned bits)
{
	for (unsigned i = prefix; i < bits; i++)
		if (address[i / 8] & (0x80 >> (i % 8)))
			return true;
	return false;
}

static bool
cidr_valid(char *text, char why[REASON_SIZE])
{
	char *slash = strchr(text, '/');
	size_t digits = strspn(slash + 1, "0123456789");
	uint8_t address[16];
	unsigned bits, prefix = 0;

	*slash = '\0';
	bits = address_bits(text, address);
	if (bits == 0 || digits == 0 || digits > 3 || slash[1 + digits] != '\0')
		return value_wrong(why, "must be ADDRESS/PREFIX:PORT, such as 10.0.0.0/8:443");
	sscanf(slash + 1, "%3u", &prefix);
	if (prefix > bits)
		return value_wrong(why, "has a prefix longer than the address");
	if (bits_beyond(address, prefix, bits))
		return value_wrong(why, "has address bits beyond its prefix");
	return true;
}

static bool
rule_host_valid(char *host, char why[REASON_SIZE])
{
	uint8_t address[16];

	if (strchr(host, '/'))
		return cidr_valid(host, why);
	if (address_bits(host, address))
		return (*host == '[') == (strchr(host, ':') != NULL) ||
		       value_wrong(why, "an IPv6 address needs brackets: [2001:db8::1]:443");
	if (dns_name(host + (strncmp(host, "*.", 2) == 0 ? 2 : 0)))
		return true;
	return value_wrong(
	    why, "must name a host (NAME, *.NAME, ADDRESS/PREFIX or host.agentd) before the port");
}

bool
value_rule(const char *text, char why[REASON_SIZE])
{
	const char *colon = strrchr(text, ':');
	char host[HOST_TEXT + 64];

	if (!colon || (strchr(text, ']') && colon < strchr(text, ']')))
		return value_wrong(why, "needs a port: NAME:443");
	if (!ports_valid(colon + 1))
		return value_wrong(
		    why, "must end with a port from 1 to 65535, or a range such as 8000-8010");
	if ((size_t)(colon - text) >= sizeof(host))
		return value_wrong(why, "has too long a name");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	return rule_host_valid(host, why);
}

bool
value_host(const char *text, char why[REASON_SIZE])
{
	uint8_t address[16];

	return dns_name(text) || address_bits(text, address) ||
	       value_wrong(why, "must be a host's name or address, without a port");
}

bool
value_listen(const char *text, char why[REASON_SIZE])
{
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	char host[HOST_TEXT];
	uint8_t address[16];

	if (!colon || (size_t)(colon - text) >= sizeof(host) || !port_number(&port) || *port)
		return value_wrong(why, "must be ADDRESS:PORT, such as 127.0.0.1:8787");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (!address_bits(host, address) || (*host == '[') != (strchr(host, ':') != NULL))
		return value_wrong(why,
				   "must be ADDRESS:PORT, such as 127.0.0.1:8787 or [::1]:8787");
	return true;
}

bool
value_header(const char *text, char why[REASON_SIZE])
{
	return (*text && strlen(text) <= 64 && value_made_of(text, "!#$%&'*+-.^_`|~")) ||
	       value_wrong(why, "must be an HTTP header's name such as x-api-key");
}

bool
value_inject_format(const char *text, char why[REASON_SIZE])
{
	const char *first = strchr(text, '%');

	if (!value_line(text, why))
		return false;
	return (first && first[1] == 's' && !strchr(first + 1, '%')) ||
	       value_wrong(why, "must contain %%s once, where the secret goes, and no other %%");
}

bool
value_url(const char *text, char why[REASON_SIZE])
{
	size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
			: strncmp(text, "http://", 7) == 0 ? 7
							   : 0;

	if (scheme == 0 || strchr("/:?#", text[scheme]))
		return value_wrong(why, "must be an http:// or https:// URL with a host");
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return value_wrong(why, "must not contain spaces or control characters");
	if (strcspn(text + scheme, "@") < strcspn(text + scheme, "/?#"))
		return value_wrong(why, "must not contain a user or password");
	return true;
}

bool
value_template(const char *text, char why[REASON_SIZE])
{
	struct template_part part;
	int rc;

	if (!value_text(text, why))
		return false;
	while ((rc = template_next(&text, &part)) == 1)
		;
	return rc == 0 || value_wrong(why, "has {{ that does not begin {{secret:NAME}}");
}

bool
value_cron(const char *text, char why[REASON_SIZE])
{
	struct cron cron;

	return cron_parse(text, &cron, why);
}

/* --- capabilities ----------------------------------------------------------------------------- */

static bool
lower_word(const char **text)
{
	size_t length = strspn(*text, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	if (length == 0 || **text == '-' || **text == '_')
		return false;
	*text += length;
	return true;
}

/* scarab/v1 writes DOMAIN.ACTION, with a pattern behind a colon. */
static bool
foreign_shape(const char *text)
{
	int words = 0;

	do {
		text += words > 0;
		if (!lower_word(&text))
			return false;
		words++;
	} while (*text == '.');
	return words >= 2 && (*text == '\0' || (*text == ':' && text[1] != '\0'));
}

static bool
connect_valid(const char *text, char why[REASON_SIZE])
{
	const char *colon = strrchr(text, ':');

	if (colon && colon > text && (strcmp(colon + 1, "*") == 0 || ports_valid(colon + 1)))
		return true;
	return value_wrong(why, "must be net.connect:HOST:PORT; HOST may be a pattern, PORT *");
}

static bool
mcp_valid(const char *text, char why[REASON_SIZE])
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-*?");

	if (length < 1 || length > 16 || text[length] != '.' || text[length + 1] == '\0')
		return value_wrong(why, "must be mcp.SERVER.TOOL; TOOL may be a pattern");
	return true;
}

bool
capability_known(const char *capability)
{
	static const char *const prefixes[] = {"tool.invoke:", "mcp.",
					       "secret.use:", "net.connect:", "event.emit:"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(capability, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

bool
value_capability(const char *text, char why[REASON_SIZE])
{
	if (!value_glob(text, why))
		return false;
	if (strncmp(text, "net.connect:", 12) == 0)
		return connect_valid(text + 12, why);
	if (strncmp(text, "mcp.", 4) == 0)
		return mcp_valid(text + 4, why);
	if (strcmp(text, "tool.invoke:") == 0 || strcmp(text, "secret.use:") == 0 ||
	    strcmp(text, "event.emit:") == 0)
		return value_wrong(why, "needs a pattern after the colon; * stands for everything");
	if (capability_known(text) || foreign_shape(text))
		return true;
	return value_wrong(why, "must be tool.invoke:GLOB, mcp.SERVER.GLOB, secret.use:GLOB, "
				"event.emit:GLOB or net.connect:HOST:PORT");
}
