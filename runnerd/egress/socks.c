#include "socks.h"

#include <string.h>

#include "common/netaddr.h"
#include "common/netrule.h"
#include "sniff.h"

enum { METHOD_NONE = 0, COMMAND_CONNECT = 1, ADDRESS_V4 = 1, ADDRESS_NAME = 3, ADDRESS_V6 = 4 };

enum socks
socks_greeting(const uint8_t *bytes, size_t length, size_t *taken)
{
	if (length >= 1 && bytes[0] != SOCKS_VERSION)
		return SOCKS_BAD;
	if (length < 2 || length < 2U + bytes[1])
		return SOCKS_MORE;
	*taken = 2U + bytes[1];
	return memchr(bytes + 2, METHOD_NONE, bytes[1]) ? SOCKS_WHOLE : SOCKS_BAD;
}

static enum socks
bad(struct socks_request *request, enum socks_reply reply, const char *why)
{
	request->reply = reply;
	request->why = why;
	return SOCKS_BAD;
}

/* A name, or an address as text, which is what it says. */
static enum socks
take_name(struct socks_request *request, const uint8_t *text, size_t length)
{
	struct sniffed found;
	char host[64];

	/* A port belongs behind it. */
	if (memchr(text, ':', length) == NULL &&
	    sniff_host((const char *)text, length, &found) == SNIFF_NAME) {
		memcpy(request->name, found.name, sizeof(found.name));
		return SOCKS_WHOLE;
	}
	if (length == 0 || length >= sizeof(host) || memchr(text, '\0', length) ||
	    memchr(text, '[', length))
		return bad(request, SOCKS_NO_ADDRESS, "its host is no name");
	memcpy(host, text, length);
	host[length] = '\0';
	return net_address(host, &request->address)
		   ? SOCKS_WHOLE
		   : bad(request, SOCKS_NO_ADDRESS, "its host is no name");
}

/* How long the address is, with what says so; 0: there is no such kind. */
static size_t
address_length(const uint8_t *bytes)
{
	switch (bytes[3]) {
	case ADDRESS_V4:
		return 4;
	case ADDRESS_V6:
		return 16;
	case ADDRESS_NAME:
		return 1U + bytes[4];
	default:
		return 0;
	}
}

static enum socks
take_address(struct socks_request *request, const uint8_t *bytes, size_t length)
{
	uint32_t v4;

	switch (bytes[3]) {
	case ADDRESS_V4:
		memcpy(&v4, bytes + 4, sizeof(v4));
		net_from_v4(&request->address, ntohl(v4));
		return SOCKS_WHOLE;
	case ADDRESS_V6:
		memcpy(&request->address, bytes + 4, sizeof(request->address));
		return SOCKS_WHOLE;
	default:
		return take_name(request, bytes + 5, length - 1);
	}
}

enum socks
socks_request(const uint8_t *bytes, size_t length, struct socks_request *request)
{
	size_t address;
	enum socks rc;

	*request = (struct socks_request){0};
	if (length >= 1 && bytes[0] != SOCKS_VERSION)
		return bad(request, SOCKS_FAILED, "it is not of SOCKS 5");
	if (length >= 2 && bytes[1] != COMMAND_CONNECT)
		return bad(request, SOCKS_NO_COMMAND, "it asks for something else than to connect");
	if (length < 5)
		return SOCKS_MORE;
	address = address_length(bytes);
	if (bytes[2] != 0 || address == 0)
		return bad(request, SOCKS_NO_ADDRESS, "its kind of address is not known");
	if (length < 4 + address + 2)
		return SOCKS_MORE;
	request->bytes = 4 + address + 2;
	request->port = (unsigned)bytes[4 + address] << 8 | bytes[4 + address + 1];
	rc = take_address(request, bytes, address);
	return rc == SOCKS_WHOLE && request->port == 0
		   ? bad(request, SOCKS_NOT_ALLOWED, "there is no port 0")
		   : rc;
}

void
socks_answer(enum socks_reply reply, uint8_t out[SOCKS_REPLY_BYTES])
{
	memset(out, 0, SOCKS_REPLY_BYTES);
	out[0] = SOCKS_VERSION;
	out[1] = (uint8_t)reply;
	out[3] = ADDRESS_V4;
}
