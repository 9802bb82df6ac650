/* Values that speak of the network, of capabilities and of schedules. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "cron.h"
#include "netrule.h"
#include "template.h"
#include "values.h"

enum { HOST_TEXT = 256 };

bool
value_rule(const char *text, char why[REASON_SIZE])
{
	struct net_rule rule;

	return net_rule_parse(text, &rule, why);
}

bool
value_inject_host(const char *text, char why[REASON_SIZE])
{
	const char *colon = strchr(text, ':'), *port = colon ? colon + 1 : "443";
	const char *suffix;
	char host[HOST_TEXT];

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(text, ":"), text);
	if (!net_name_valid(host) || !net_port(&port) || *port)
		return value_wrong(why, "must be a host's name, NAME or NAME:PORT");
	for (const char *c = host; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			return value_wrong(why, "must be a host's name in lower case");
	if (strcmp(host, NET_HOST_NAME) == 0)
		return value_wrong(why,
				   "must not be " NET_HOST_NAME ", which speaks no verified TLS");
	/* The agent reaches it as NAME.agentd, too. */
	suffix = strrchr(host, '.');
	return (strcmp(host, "host") != 0 && (!suffix || strcmp(suffix, ".agentd") != 0)) ||
	       value_wrong(why,
			   "must not be host or end in .agentd, where names are the runtime's");
}

bool
value_listen(const char *text, char why[REASON_SIZE])
{
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	char host[HOST_TEXT];
	struct in6_addr address;

	if (!colon || (size_t)(colon - text) >= sizeof(host) || !net_port(&port) || *port)
		return value_wrong(why, "must be ADDRESS:PORT, such as 127.0.0.1:8787");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (!net_address(host, &address) || (*host == '[') != (strchr(host, ':') != NULL))
		return value_wrong(why,
				   "must be ADDRESS:PORT, such as 127.0.0.1:8787 or [::1]:8787");
	return true;
}

/* Whose value is the connection's own, or is told by the request itself. */
static bool
is_own_header(const char *text)
{
	static const char *const own[] = {
	    "Host",    "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "TE",
	    "Trailer", "Upgrade",    "Expect",     "Accept-Encoding",   "HTTP2-Settings",
	};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcasecmp(text, own[i]) == 0)
			return true;
	return strncasecmp(text, "Proxy-", 6) == 0;
}

bool
value_header(const char *text, char why[REASON_SIZE])
{
	if (is_own_header(text))
		return value_wrong(why, "must not be a header of the connection itself");
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
value_method(const char *text, char why[REASON_SIZE])
{
	return (*text && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == strlen(text)) ||
	       value_wrong(why, "must be a method in capital letters, such as POST");
}

bool
value_inject_path(const char *text, char why[REASON_SIZE])
{
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '#')
			return value_wrong(why,
					   "must be a path of a URL, in ASCII, without spaces");
	return *text == '/' || value_wrong(why, "must begin with /, such as /v1/*");
}

bool
value_base_path(const char *text, char why[REASON_SIZE])
{
	return (value_inject_path(text, why) && !strpbrk(text, "*?[")) ||
	       value_wrong(why, "must be a path of a URL, such as /v1");
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
	unsigned low, high;

	if (colon && colon > text &&
	    (strcmp(colon + 1, "*") == 0 || net_ports(colon + 1, &low, &high)))
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
