#include <stdio.h>
#include <string.h>

#include "exchange.h"
#include "sniff.h"

/* Where the host ends: before the port's colon, or at the end. */
static size_t
host_length(struct http_text text)
{
	const char *bracket =
	    text.length && *text.at == '[' ? memchr(text.at, ']', text.length) : NULL;
	size_t from = bracket ? (size_t)(bracket - text.at) : 0;
	const char *colon = memchr(text.at + from, ':', text.length - from);

	return colon ? (size_t)(colon - text.at) : text.length;
}

static bool
parse_port(struct http_text text, unsigned *port)
{
	char digits[8];
	const char *at = digits;

	if (text.length == 0 || text.length >= sizeof(digits))
		return false;
	memcpy(digits, text.at, text.length);
	digits[text.length] = '\0';
	*port = net_port(&at);
	return *port && !*at;
}

bool
authority_parse(struct http_text text, unsigned usual, char name[NET_NAME_MAX + 1],
		struct in6_addr *address, unsigned *port)
{
	size_t length = host_length(text);
	struct http_text rest = {text.at + length + 1, text.length - length - 1};
	struct sniffed found;
	char host[64];

	name[0] = '\0';
	*port = usual;
	if (length < text.length ? !parse_port(rest, port) : !usual)
		return false;
	if (sniff_host(text.at, length, &found) == SNIFF_NAME) {
		memcpy(name, found.name, sizeof(found.name));
		return true;
	}
	if (length == 0 || length >= sizeof(host) || memchr(text.at, '\0', length))
		return false;
	memcpy(host, text.at, length);
	host[length] = '\0';
	return net_address(host, address) != 0 && (*host == '[') == (strchr(host, ':') != NULL);
}
