#include "dns.h"

#include <string.h>

#include "common/cleanup.h"

enum {
	LABEL_MAX = 63,
	TYPE_A = 1,
	TYPE_AAAA = 28,
	TYPE_OPT = 41,
	TYPE_SVCB = 64,
	TYPE_HTTPS = 65,
	CLASS_IN = 1,
	FLAG_RESPONSE = 0x80, /* of the third byte */
	OPCODE = 0x78,
	FLAG_AUTHORITATIVE = 0x04,
	FLAG_RECURSION_WANTED = 0x01,
	FLAG_RECURSION = 0x80, /* of the fourth */
	OPT_BYTES = 11,
};

static unsigned
u16_at(const uint8_t *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

static void
put_u16(uint8_t **to, unsigned value)
{
	*(*to)++ = (uint8_t)(value >> 8);
	*(*to)++ = (uint8_t)value;
}

/* --- the question ----------------------------------------------------------------------------- */

/* One that a host's name can have, in lower case; 0: none. */
static char
name_character(uint8_t byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return (char)(byte + 'a' - 'A');
	if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
	    byte == '_')
		return (char)byte;
	return '\0';
}

/* Copies one label; false when no rule can have it. */
static bool
take_label(const uint8_t *label, size_t length, char *name, size_t *used)
{
	if (*used + length + 1 > NET_NAME_MAX + 1)
		return false;
	if (*used)
		name[(*used)++] = '.';
	for (size_t i = 0; i < length; i++) {
		char c = name_character(label[i]);

		if (!c)
			return false;
		name[(*used)++] = c;
	}
	return true;
}

/* The name behind at: where it ends, or NULL when it is none. Others than hosts' have no text. */
static const uint8_t *
take_name(const uint8_t *at, const uint8_t *end, char *name)
{
	const uint8_t *begin = at;
	size_t used = 0, length;
	bool sound = true;

	for (; at < end; at += 1 + length) {
		length = *at;
		if (length > LABEL_MAX || at - begin > NET_NAME_MAX + 1)
			return NULL;
		if (length == 0) {
			name[sound ? used : 0] = '\0';
			return at + 1;
		}
		if ((size_t)(end - at) < 1 + length)
			return NULL;
		sound = sound && take_label(at + 1, length, name, &used);
	}
	return NULL;
}

static enum dns_wants
wants(unsigned type, unsigned class)
{
	if (class != CLASS_IN)
		return DNS_WANTS_OTHER;
	switch (type) {
	case TYPE_A:
		return DNS_WANTS_A;
	case TYPE_AAAA:
		return DNS_WANTS_AAAA;
	case TYPE_SVCB:
	case TYPE_HTTPS:
		return DNS_WANTS_NOTHING;
	default:
		return DNS_WANTS_OTHER;
	}
}

/* The only other record that is looked at: an OPT that follows the question at once. */
static bool
has_opt(const uint8_t *message, const uint8_t *at, const uint8_t *end)
{
	return u16_at(message + 6) == 0 && u16_at(message + 8) == 0 && u16_at(message + 10) > 0 &&
	       end - at >= OPT_BYTES && at[0] == 0 && u16_at(at + 1) == TYPE_OPT;
}

int
dns_parse(const uint8_t *message, size_t length, struct dns_query *query)
{
	const uint8_t *at, *end = message + length;

	*query = (struct dns_query){.wants = DNS_WANTS_OTHER};
	if (length < DNS_HEADER_BYTES || message[2] & FLAG_RESPONSE)
		return -1;
	if (message[2] & OPCODE)
		return DNS_NOTIMP;
	if (u16_at(message + 4) != 1)
		return DNS_FORMERR;
	at = take_name(message + DNS_HEADER_BYTES, end, query->name);
	if (!at || end - at < 4) {
		query->name[0] = '\0';
		return DNS_FORMERR;
	}
	query->type = (uint16_t)u16_at(at);
	query->wants = wants(query->type, u16_at(at + 2));
	at += 4;
	query->question_bytes = (size_t)(at - message - DNS_HEADER_BYTES);
	query->has_question = true;
	query->edns = has_opt(message, at, end);
	return DNS_NOERROR;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void
put_header(uint8_t **to, const uint8_t *message, const struct dns_query *query,
	   enum dns_rcode rcode, bool answer)
{
	*(*to)++ = message[0];
	*(*to)++ = message[1];
	*(*to)++ = (uint8_t)(FLAG_RESPONSE | FLAG_AUTHORITATIVE |
			     (message[2] & (OPCODE | FLAG_RECURSION_WANTED)));
	*(*to)++ = (uint8_t)(FLAG_RECURSION | (unsigned)rcode);
	put_u16(to, query->has_question);
	put_u16(to, answer);
	put_u16(to, 0);
	put_u16(to, query->edns);
}

static void
put_address(uint8_t **to, const struct dns_query *query, const struct in6_addr *address)
{
	size_t length = query->wants == DNS_WANTS_A ? 4 : 16;

	put_u16(to, 0xc000 | DNS_HEADER_BYTES); /* the question's name */
	put_u16(to, query->wants == DNS_WANTS_A ? TYPE_A : TYPE_AAAA);
	put_u16(to, CLASS_IN);
	put_u16(to, 0);
	put_u16(to, DNS_TTL_S);
	put_u16(to, (unsigned)length);
	memcpy(*to, address->s6_addr + 16 - length, length);
	*to += length;
}

static void
put_opt(uint8_t **to)
{
	*(*to)++ = 0;
	put_u16(to, TYPE_OPT);
	put_u16(to, DNS_PAYLOAD);
	put_u16(to, 0);
	put_u16(to, 0);
	put_u16(to, 0);
}

size_t
dns_answer(const uint8_t *message, const struct dns_query *query, enum dns_rcode rcode,
	   const struct in6_addr *address, uint8_t *out)
{
	uint8_t *to = out;
	bool answer = address && query->has_question && query->wants <= DNS_WANTS_AAAA;

	put_header(&to, message, query, rcode, answer);
	if (query->has_question) {
		memcpy(to, message + DNS_HEADER_BYTES, query->question_bytes);
		to += query->question_bytes;
	}
	if (answer)
		put_address(&to, query, address);
	if (query->edns)
		put_opt(&to);
	return (size_t)(to - out);
}
