#include <string.h>

#include "common/netrule.h"
#include "sniff.h"

enum {
	RECORD_HEADER = 5,
	RECORD_HANDSHAKE = 22,
	RECORD_MAX = 16384,
	HANDSHAKE_HEADER = 4,
	CLIENT_HELLO = 1,
	EXTENSION_SERVER_NAME = 0,
	NAME_HOST = 0,
	RANDOM_BYTES = 32,
};

/* What is left to read; at NULL: it was too short. */
struct rest {
	const uint8_t *at;
	size_t left;
};

static enum sniff
bad(struct sniffed *result, const char *why)
{
	result->why = why;
	return SNIFF_BAD;
}

/* count bytes of it, and what follows. */
static struct rest
take(struct rest *from, size_t count)
{
	struct rest part = {from->at, count};

	if (!from->at || from->left < count) {
		*from = (struct rest){0};
		return *from;
	}
	from->at += count;
	from->left -= count;
	return part;
}

static size_t
take_number(struct rest *from, size_t bytes)
{
	struct rest part = take(from, bytes);
	size_t number = 0;

	for (size_t i = 0; part.at && i < bytes; i++)
		number = number << 8 | part.at[i];
	return number;
}

/* A vector with its length before it. */
static struct rest
take_vector(struct rest *from, size_t length_bytes)
{
	size_t length = take_number(from, length_bytes);

	return take(from, length);
}

/* --- records ---------------------------------------------------------------------------------- */

/* Puts the handshake's bytes together as far as they came. SNIFF_NAME: whole, *used of them. */
static enum sniff
reassemble(const uint8_t *bytes, size_t length, uint8_t *hello, size_t *used,
	   struct sniffed *result)
{
	size_t record, part, wanted = HANDSHAKE_HEADER;

	for (*used = 0; *used < wanted;
	     bytes += RECORD_HEADER + record, length -= RECORD_HEADER + record) {
		if (length > 0 && bytes[0] != RECORD_HANDSHAKE)
			return bad(result, "the ClientHello is interrupted");
		if (length < RECORD_HEADER)
			return SNIFF_MORE;
		record = (size_t)bytes[3] << 8 | bytes[4];
		if (bytes[1] != 3 || record == 0 || record > RECORD_MAX)
			return bad(result, "its TLS record has a wrong header");
		part = length - RECORD_HEADER < record ? length - RECORD_HEADER : record;
		if (*used + part > SNIFF_BYTES)
			return bad(result, "its ClientHello is too long");
		memcpy(hello + *used, bytes + RECORD_HEADER, part);
		*used += part;
		if (*used >= HANDSHAKE_HEADER)
			wanted = HANDSHAKE_HEADER +
				 ((size_t)hello[1] << 16 | (size_t)hello[2] << 8 | hello[3]);
		if (*used > 0 && hello[0] != CLIENT_HELLO)
			return bad(result, "its first TLS message is no ClientHello");
		if (wanted > SNIFF_BYTES)
			return bad(result, "its ClientHello is too long");
		if (part < record && *used < wanted)
			return SNIFF_MORE;
		if (part < record)
			break;
	}
	return SNIFF_NAME;
}

/* --- the ClientHello
 * ------------------------------------------------------------------------------
 */

static enum sniff
server_name(struct rest extension, struct sniffed *result)
{
	struct rest list = take_vector(&extension, 2), name;
	size_t type = take_number(&list, 1);

	name = take_vector(&list, 2);
	if (!name.at || !list.at || list.left > 0 || !extension.at || extension.left > 0)
		return bad(result, "its server_name is malformed");
	if (type != NAME_HOST || name.left == 0 || memchr(name.at, ':', name.left))
		return bad(result, "its server_name is no host's name");
	return sniff_host((const char *)name.at, name.left, result);
}

static enum sniff
extensions(struct rest all, struct sniffed *result)
{
	enum sniff found = SNIFF_NONE;
	struct rest extension;
	size_t type;

	while (all.at && all.left > 0) {
		type = take_number(&all, 2);
		extension = take_vector(&all, 2);
		if (!extension.at)
			return bad(result, "its ClientHello is malformed");
		if (type != EXTENSION_SERVER_NAME)
			continue;
		if (found != SNIFF_NONE)
			return bad(result, "its ClientHello names a server twice");
		found = server_name(extension, result);
		if (found == SNIFF_BAD)
			return found;
	}
	return found;
}

static enum sniff
client_hello(struct rest hello, struct sniffed *result)
{
	struct rest session, ciphers, compression, all;

	take(&hello, 2 + RANDOM_BYTES);
	session = take_vector(&hello, 1);
	ciphers = take_vector(&hello, 2);
	compression = take_vector(&hello, 1);
	if (!hello.at || session.left > 32 || ciphers.left < 2 || compression.left < 1)
		return bad(result, "its ClientHello is malformed");
	if (hello.left == 0)
		return SNIFF_NONE; /* SSL 3 and early TLS: there are no extensions */
	all = take_vector(&hello, 2);
	if (!all.at || hello.left > 0)
		return bad(result, "its ClientHello is malformed");
	return extensions(all, result);
}

enum sniff
sniff_tls(const uint8_t *bytes, size_t length, struct sniffed *result)
{
	static uint8_t hello[SNIFF_BYTES];
	struct rest body = {hello + HANDSHAKE_HEADER, 0};
	size_t used;
	enum sniff rc = reassemble(bytes, length, hello, &used, result);

	if (rc == SNIFF_MORE && length >= SNIFF_BYTES)
		return bad(result, "its ClientHello is too long");
	if (rc != SNIFF_NAME)
		return rc;
	body.left = (size_t)hello[1] << 16 | (size_t)hello[2] << 8 | hello[3];
	return client_hello(body, result);
}
