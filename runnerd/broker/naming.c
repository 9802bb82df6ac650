#include "naming.h"

#include <sodium/crypto_hash_sha256.h>
#include <stdio.h>
#include <string.h>

enum { HASH_DIGITS = 8 };

static bool
plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

void
name_expose(const char *server, const char *name, char exposed[EXPOSED_NAME_MAX + 1])
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char whole[SERVER_NAME_MAX + 2 + TOOL_NAME_MAX + 1];
	int length = snprintf(whole, sizeof(whole), "%s%s%s", server ? server : "",
			      server ? "__" : "", name);
	size_t used = (size_t)length < sizeof(whole) ? (size_t)length : sizeof(whole) - 1;
	size_t keep = used <= EXPOSED_NAME_MAX ? used : EXPOSED_NAME_MAX - HASH_DIGITS - 1;

	for (size_t i = 0; i < keep; i++)
		exposed[i] = plain(whole[i]) ? whole[i] : '_';
	exposed[keep] = '\0';
	if (used <= EXPOSED_NAME_MAX)
		return;
	crypto_hash_sha256(hash, (const unsigned char *)whole, used);
	snprintf(exposed + keep, HASH_DIGITS + 2, "_%02x%02x%02x%02x", hash[0], hash[1], hash[2],
		 hash[3]);
}

bool
name_reserved(const char *exposed)
{
	return strncmp(exposed, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0;
}

void
uri_prefix(const char *server, char prefix[SERVER_NAME_MAX + 6])
{
	prefix[0] = '\0';
	if (server)
		snprintf(prefix, SERVER_NAME_MAX + 6, "mcp.%s+", server);
}
