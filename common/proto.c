#include <string.h>

#include "cleanup.h"
#include "proto.h"

/* --- sticky-error writer and reader ------------------------------------------------------ */

/* Once failed is not 0 nothing more is written or read; callers look at the end only. */
struct writer {
	uint8_t *at, *end;
	int failed; /* -errno */
};

struct reader {
	const uint8_t *at, *end;
	bool failed;
};

static void
put_bytes(struct writer *writer, const void *bytes, size_t length)
{
	if (!writer->failed && (size_t)(writer->end - writer->at) < length)
		writer->failed = -EMSGSIZE;
	if (writer->failed)
		return;
	memcpy(writer->at, bytes, length);
	writer->at += length;
}

static void
put_number(struct writer *writer, uint64_t number, size_t width)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
	put_bytes(writer, bytes, width);
}

static void
put_counted(struct writer *writer, const void *bytes, size_t length, size_t max)
{
	if (length > max && !writer->failed)
		writer->failed = -EINVAL;
	put_number(writer, length, 2);
	put_bytes(writer, bytes, length);
}

static void
put_string(struct writer *writer, const char *text, size_t max)
{
	put_counted(writer, text, strnlen(text, max + 1), max);
}

/* NULL when fewer than length bytes are left. */
static const uint8_t *
get_bytes(struct reader *reader, size_t length)
{
	const uint8_t *bytes = reader->at;

	if ((size_t)(reader->end - reader->at) < length)
		reader->failed = true;
	if (reader->failed)
		return NULL;
	reader->at += length;
	return bytes;
}

static uint64_t
get_number(struct reader *reader, size_t width)
{
	const uint8_t *bytes = get_bytes(reader, width);
	uint64_t number = 0;

	for (size_t i = 0; bytes && i < width; i++)
		number |= (uint64_t)bytes[i] << (8 * i);
	return number;
}

static bool
get_bool(struct reader *reader)
{
	uint64_t number = get_number(reader, 1);

	if (number > 1)
		reader->failed = true;
	return number == 1;
}

static size_t
get_counted(struct reader *reader, void *bytes, size_t max)
{
	size_t length = (size_t)get_number(reader, 2);

	if (length > max)
		reader->failed = true;
	const uint8_t *from = get_bytes(reader, length);
	if (!from)
		return 0;
	memcpy(bytes, from, length);
	return length;
}

static void
get_string(struct reader *reader, char *text, size_t max)
{
	size_t length = get_counted(reader, text, max);

	if (memchr(text, '\0', length))
		reader->failed = true;
	text[length] = '\0';
}

static void
get_id(struct reader *reader, struct uuid *uuid)
{
	const uint8_t *bytes = get_bytes(reader, sizeof(uuid->bytes));

	if (bytes)
		memcpy(uuid->bytes, bytes, sizeof(uuid->bytes));
}

/* --- encoders ------------------------------------------------------------------------------ */

#define BOOL(f) put_number(writer, m->f, 1);
#define U8(f) put_number(writer, m->f, 1);
#define U32(f) put_number(writer, m->f, 4);
#define U64(f) put_number(writer, m->f, 8);
#define I32(f) put_number(writer, (uint32_t)m->f, 4);
#define I64(f) put_number(writer, (uint64_t)m->f, 8);
#define ID(f) put_bytes(writer, m->f.bytes, sizeof(m->f.bytes));
#define STR(f, max) put_string(writer, m->f, max);
#define BYTES(f, max) put_counted(writer, m->f, m->f##_len, max);
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	static void encode_##name(struct writer *writer, const struct msg *msg)                    \
	{                                                                                          \
		const struct msg_##name *m = &msg->name;                                           \
		__VA_ARGS__                                                                        \
	}
#include "proto.def"
#undef MSG
#undef BOOL
#undef U8
#undef U32
#undef U64
#undef I32
#undef I64
#undef ID
#undef STR
#undef BYTES

/* --- decoders ------------------------------------------------------------------------------ */

#define BOOL(f) m->f = get_bool(reader);
#define U8(f) m->f = (uint8_t)get_number(reader, 1);
#define U32(f) m->f = (uint32_t)get_number(reader, 4);
#define U64(f) m->f = get_number(reader, 8);
#define I32(f) m->f = (int32_t)(uint32_t)get_number(reader, 4);
#define I64(f) m->f = (int64_t)get_number(reader, 8);
#define ID(f) get_id(reader, &m->f);
#define STR(f, max) get_string(reader, m->f, max);
#define BYTES(f, max) m->f##_len = (uint32_t)get_counted(reader, m->f, max);
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	static void decode_##name(struct reader *reader, struct msg *msg)                          \
	{                                                                                          \
		struct msg_##name *m = &msg->name;                                                 \
		__VA_ARGS__                                                                        \
	}
#include "proto.def"
#undef MSG
#undef BOOL
#undef U8
#undef U32
#undef U64
#undef I32
#undef I64
#undef ID
#undef STR
#undef BYTES

/* --- printers ------------------------------------------------------------------------------ */

enum { PRINT_BYTES = 64 /* of a string */, PRINT_HEX = 8 /* of bytes */ };

static void
print_string(FILE *stream, const char *text)
{
	fputc('"', stream);
	for (size_t i = 0; i < PRINT_BYTES && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			fprintf(stream, "\\x%02x", c);
		else
			fputc(c, stream);
	}
	fputs(strnlen(text, PRINT_BYTES + 1) > PRINT_BYTES ? "\"..." : "\"", stream);
}

static void
print_bytes(FILE *stream, const uint8_t *bytes, size_t length)
{
	fprintf(stream, "%zu:", length);
	for (size_t i = 0; i < length && i < PRINT_HEX; i++)
		fprintf(stream, "%02x", bytes[i]);
	if (length > PRINT_HEX)
		fputs("...", stream);
}

static void
print_id(FILE *stream, const struct uuid *uuid)
{
	char text[UUID_TEXT_LEN + 1];

	fputs(uuid_format(uuid, text), stream);
}

static void
print_key(FILE *stream, const char **comma, const char *key)
{
	fprintf(stream, "%s%s=", *comma, key);
	*comma = ", ";
}

#define KEY(f) print_key(stream, &comma, #f)
#define BOOL(f) KEY(f), fputs(m->f ? "true" : "false", stream);
#define U8(f) KEY(f), fprintf(stream, "%u", m->f);
#define U32(f) KEY(f), fprintf(stream, "%u", m->f);
#define U64(f) KEY(f), fprintf(stream, "%llu", (unsigned long long)m->f);
#define I32(f) KEY(f), fprintf(stream, "%d", m->f);
#define I64(f) KEY(f), fprintf(stream, "%lld", (long long)m->f);
#define ID(f) KEY(f), print_id(stream, &m->f);
#define STR(f, max) KEY(f), print_string(stream, m->f);
#define BYTES(f, max) KEY(f), print_bytes(stream, m->f, m->f##_len);
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	static void print_##name(const struct msg *msg, FILE *stream)                              \
	{                                                                                          \
		const struct msg_##name *m = &msg->name;                                           \
		const char *comma = "";                                                            \
		__VA_ARGS__                                                                        \
	}
#include "proto.def"
#undef MSG
#undef KEY
#undef BOOL
#undef U8
#undef U32
#undef U64
#undef I32
#undef I64
#undef ID
#undef STR
#undef BYTES

/* --- every message fits into a datagram ------------------------------------------------------ */

#define BOOL(f) +1
#define U8(f) +1
#define U32(f) +4
#define U64(f) +8
#define I32(f) +4
#define I64(f) +8
#define ID(f) +16
#define STR(f, max) +2 + (max)
#define BYTES(f, max) +2 + (max)
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	_Static_assert(PROTO_HEADER_BYTES __VA_ARGS__ <= PROTO_MESSAGE_MAX &&                      \
			   (fds_max) <= PROTO_FDS_MAX && (fds_min) <= (fds_max),                   \
		       #NAME " is too big");
#include "proto.def"
#undef MSG
#undef BOOL
#undef U8
#undef U32
#undef U64
#undef I32
#undef I64
#undef ID
#undef STR
#undef BYTES

/* --- the permission table ----------------------------------------------------------------------
 */

static const struct msg_rule rules[] = {
#define MSG(number, NAME, name_, routes_, phases_, fds_min_, fds_max_, ...)                        \
	{                                                                                          \
	    .type = MSG_##NAME,                                                                    \
	    .name = #NAME,                                                                         \
	    .routes = (routes_),                                                                   \
	    .phases = (phases_),                                                                   \
	    .fds_min = (fds_min_),                                                                 \
	    .fds_max = (fds_max_),                                                                 \
	},
#include "proto.def"
#undef MSG
};

/* The codec of each message, in the order of the rules. */
static const struct codec {
	void (*encode)(struct writer *writer, const struct msg *msg);
	void (*decode)(struct reader *reader, struct msg *msg);
	void (*print)(const struct msg *msg, FILE *stream);
} codecs[] = {
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	{.encode = encode_##name, .decode = decode_##name, .print = print_##name},
#include "proto.def"
#undef MSG
};

/* Position in both tables, -1 for an unknown type. A switch that the compiler checks for doubled
 * numbers. */
static int
rule_index(enum msg_type type)
{
	enum {
#define MSG(number, NAME, ...) INDEX_##NAME,
#include "proto.def"
#undef MSG
	};

	switch (type) {
#define MSG(number, NAME, ...)                                                                     \
	case MSG_##NAME:                                                                           \
		return INDEX_##NAME;
#include "proto.def"
#undef MSG
	case MSG_NONE:
		break;
	}
	return -1;
}

const struct msg_rule *
msg_rule(enum msg_type type)
{
	int index = rule_index(type);

	return index < 0 ? NULL : &rules[index];
}

const struct msg_rule *
msg_rules(size_t *count)
{
	*count = ARRAY_LEN(rules);
	return rules;
}

bool
msg_permitted(enum msg_type type, enum channel_kind kind, enum side sender, enum phase phase)
{
	const struct msg_rule *rule = msg_rule(type);

	if (!rule || kind <= CH_NONE || kind >= CH_COUNT)
		return false;
	uint64_t route = sender == SIDE_A ? A_TO_B(kind) : B_TO_A(kind);
	return (rule->routes & route) != 0 && (rule->phases & phase) != 0;
}

/* --- messages ------------------------------------------------------------------------------------
 */

void
msg_init(struct msg *msg, enum msg_type type)
{
	memset(msg, 0, sizeof(*msg));
	msg->type = type;
	for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
		msg->fds[i] = -1;
}

bool
msg_add_fd(struct msg *msg, int fd)
{
	_cleanup_close_ int owned = fd;

	if (owned < 0 || msg->nfds >= PROTO_FDS_MAX)
		return false;
	msg->fds[msg->nfds++] = steal_fd(&owned);
	return true;
}

int
msg_take_fd(struct msg *msg, unsigned index)
{
	return index < msg->nfds ? steal_fd(&msg->fds[index]) : -1;
}

void
msg_close_fds(struct msg *msg)
{
	for (unsigned i = 0; i < msg->nfds; i++)
		close_fd(&msg->fds[i]);
	msg->nfds = 0;
}

static bool
fds_allowed(const struct msg_rule *rule, unsigned nfds)
{
	return nfds >= rule->fds_min && nfds <= rule->fds_max;
}

/*
 * 0 u16 magic, 2 u8 version, 3 u8 flags, 4 u16 type, 6 u8 fd count, 7 u8 zero,
 * 8 u32 payload length, 12 u32 id
 */
static void
put_header(struct writer *writer, const struct msg *msg, size_t payload)
{
	put_number(writer, PROTO_MAGIC, 2);
	put_number(writer, PROTO_VERSION, 1);
	put_number(writer, 0, 1);
	put_number(writer, msg->type, 2);
	put_number(writer, msg->nfds, 1);
	put_number(writer, 0, 1);
	put_number(writer, payload, 4);
	put_number(writer, msg->id, 4);
}

ssize_t
msg_encode(const struct msg *msg, uint8_t *out, size_t size)
{
	int index = rule_index(msg->type);

	if (index < 0 || !fds_allowed(&rules[index], msg->nfds))
		return -EINVAL;
	if (size < PROTO_HEADER_BYTES)
		return -EMSGSIZE;
	if (size > PROTO_MESSAGE_MAX)
		size = PROTO_MESSAGE_MAX;
	struct writer payload = {.at = out + PROTO_HEADER_BYTES, .end = out + size};
	codecs[index].encode(&payload, msg);
	if (payload.failed)
		return payload.failed;
	struct writer header = {.at = out, .end = out + PROTO_HEADER_BYTES};
	put_header(&header, msg, (size_t)(payload.at - out) - PROTO_HEADER_BYTES);
	return payload.at - out;
}

/* Everything of the header but the type's own rules; false when it is not one. */
static bool
get_header(struct reader *reader, struct msg *msg, size_t length, unsigned nfds)
{
	bool good = get_number(reader, 2) == PROTO_MAGIC;

	good &= get_number(reader, 1) == PROTO_VERSION;
	good &= get_number(reader, 1) == 0;
	enum msg_type type = (enum msg_type)get_number(reader, 2);
	good &= get_number(reader, 1) == nfds;
	good &= get_number(reader, 1) == 0;
	good &= get_number(reader, 4) == length - PROTO_HEADER_BYTES;
	msg_init(msg, type);
	msg->id = (uint32_t)get_number(reader, 4);
	return good && !reader->failed;
}

int
msg_decode(struct msg *msg, const uint8_t *in, size_t length, unsigned nfds)
{
	struct reader reader = {.at = in, .end = in + length};

	if (length < PROTO_HEADER_BYTES || length > PROTO_MESSAGE_MAX)
		return -EBADMSG;
	if (!get_header(&reader, msg, length, nfds))
		return -EBADMSG;
	int index = rule_index(msg->type);
	if (index < 0 || !fds_allowed(&rules[index], nfds))
		return -EBADMSG;
	codecs[index].decode(&reader, msg);
	return reader.failed || reader.at != reader.end ? -EBADMSG : 0;
}

ssize_t
msg_size(const uint8_t *in, size_t length)
{
	struct reader reader = {.at = in, .end = in + length};

	if (length < PROTO_HEADER_BYTES || get_number(&reader, 2) != PROTO_MAGIC)
		return -EBADMSG;
	reader.at = in + 8;
	size_t payload = (size_t)get_number(&reader, 4);
	if (payload > PROTO_MESSAGE_MAX || PROTO_HEADER_BYTES + payload > length)
		return -EBADMSG;
	return (ssize_t)(PROTO_HEADER_BYTES + payload);
}

void
msg_print(const struct msg *msg, FILE *stream)
{
	int index = rule_index(msg->type);

	if (index < 0) {
		fprintf(stream, "message %#x", (unsigned)msg->type);
		return;
	}
	fprintf(stream, "%s{", rules[index].name);
	codecs[index].print(msg, stream);
	fputs("}", stream);
}

void
msg_from_error(struct msg *msg, uint32_t id, const struct error *error)
{
	struct msg_error *m = &msg->error;

	msg_init(msg, MSG_ERROR);
	msg->id = id;
	m->code = (uint8_t)(error->code == ERR_NONE ? ERR_FAILED : error->code);
	memcpy(m->what, error->what, sizeof(m->what));
	memcpy(m->why, error->why, sizeof(m->why));
	memcpy(m->hint, error->hint, sizeof(m->hint));
}

int
msg_to_error(const struct msg *msg, struct error *error)
{
	const struct msg_error *m = &msg->error;

	if (!error)
		return -1;
	if (msg->type != MSG_ERROR)
		return error_why(error, ERR_FAILED, "an unexpected answer was given");
	*error = (struct error){.code = m->code};
	if (m->code == ERR_NONE || m->code > ERR_INVALID)
		error->code = ERR_FAILED;
	memcpy(error->what, m->what, sizeof(error->what));
	memcpy(error->why, m->why, sizeof(error->why));
	memcpy(error->hint, m->hint, sizeof(error->hint));
	return -1;
}
