#include "chain.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/json.h"

_Static_assert(CHAIN_HASH_BYTES == crypto_hash_sha256_BYTES, "the chain is SHA-256");

enum { HEX_LEN = 2 * CHAIN_HASH_BYTES };

/* A line ends in  ,"prev":"HEX","hash":"HEX"}  and so has its links at fixed places. */
#define PREV_KEY ",\"prev\":\""
#define HASH_KEY "\",\"hash\":\""
#define LINE_END "\"}"
enum {
	PREV_KEY_LEN = sizeof(PREV_KEY) - 1,
	HASH_KEY_LEN = sizeof(HASH_KEY) - 1,
	LINE_END_LEN = sizeof(LINE_END) - 1,
	LINKS_LEN = PREV_KEY_LEN + HEX_LEN + HASH_KEY_LEN + HEX_LEN + LINE_END_LEN,
	CANONICAL_CUT = HASH_KEY_LEN - 1 + HEX_LEN + LINE_END_LEN, /* from ,"hash": to the end */
};

/* hash = SHA-256(previous hash as 32 bytes, the line without its member "hash"). */
static void
link_hash(const uint8_t *prev, const char *body, size_t length, uint8_t *hash)
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, prev, CHAIN_HASH_BYTES);
	crypto_hash_sha256_update(&state, (const uint8_t *)body, length);
	crypto_hash_sha256_update(&state, (const uint8_t *)"}", 1);
	crypto_hash_sha256_final(&state, hash);
}

static bool
from_hex(const char *text, uint8_t *hash)
{
	size_t length = 0;

	return sodium_hex2bin(hash, CHAIN_HASH_BYTES, text, HEX_LEN, NULL, &length, NULL) == 0 &&
	       length == CHAIN_HASH_BYTES;
}

/* --- writing --------------------------------------------------------------------------------- */

/* Names and paths are bytes to the kernel; a line of the log is UTF-8. */
static void
json_lossy(struct json *json, const char *text, size_t max)
{
	size_t length = strlen(text), at = 0;
	char clean[REASON_MAX + 1];
	bool partial;

	if (length > max)
		length = max;
	memcpy(clean, text, length);
	while ((at += utf8_prefix((const uint8_t *)clean + at, length - at, &partial)) < length)
		clean[at++] = '?';
	json_string_n(json, clean, length);
}

static void
json_optional_id(struct json *json, bool known, uint32_t id)
{
	if (known && id != UINT32_MAX)
		json_uint(json, id);
	else
		json_null(json);
}

static void
write_members(struct json *json, const struct chain *chain, enum role role, uint64_t time_ms,
	      const struct msg_audit *entry)
{
	char session[UUID_TEXT_LEN + 1];

	json_key(json, "seq");
	json_uint(json, chain->seq + 1);
	json_key(json, "time");
	json_time(json, time_ms);
	json_key(json, "role");
	json_string(json, role_name(role));
	json_key(json, "action");
	json_lossy(json, entry->action, sizeof(entry->action) - 1);
	json_key(json, "agent");
	if (*entry->agent)
		json_lossy(json, entry->agent, sizeof(entry->agent) - 1);
	else
		json_null(json);
	json_key(json, "session");
	json_string(json,
		    uuid_is_nil(&entry->session) ? NULL : uuid_format(&entry->session, session));
	json_key(json, "uid");
	json_optional_id(json, entry->by_operator, entry->uid);
	json_key(json, "pid");
	json_optional_id(json, entry->by_operator && entry->pid, entry->pid);
	json_key(json, "login_uid");
	json_optional_id(json, entry->by_operator, entry->login_uid);
	json_key(json, "allowed");
	json_bool(json, entry->allowed);
	json_key(json, "detail");
	json_lossy(json, entry->detail, sizeof(entry->detail) - 1);
}

char *
chain_line(struct chain *chain, enum role role, uint64_t time_ms, const struct msg_audit *entry,
	   size_t *length)
{
	struct json json = JSON_INIT;
	char hex[HEX_LEN + 1], *body, *line;
	uint8_t hash[CHAIN_HASH_BYTES];
	size_t body_length;

	json_object(&json);
	write_members(&json, chain, role, time_ms, entry);
	json_key(&json, "prev");
	json_string(&json, sodium_bin2hex(hex, sizeof(hex), chain->head, CHAIN_HASH_BYTES));
	json_object_end(&json);
	body = json_take(&json, &body_length);
	if (!body)
		return NULL;
	link_hash(chain->head, body, body_length - 1, hash);
	sodium_bin2hex(hex, sizeof(hex), hash, CHAIN_HASH_BYTES);
	body[body_length - 1] = '\0'; /* reopened for its last member */
	if (asprintf(&line, "%s,\"hash\":\"%s\"}\n", body, hex) < 0)
		line = NULL;
	free(body);
	if (!line)
		return NULL;
	*length = strlen(line);
	chain->seq++;
	memcpy(chain->head, hash, sizeof(hash));
	return line;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool
read_seq(const char *line, uint64_t *seq)
{
	static const char start[] = "{\"seq\":";
	char *end;

	if (strncmp(line, start, sizeof(start) - 1) != 0)
		return false;
	errno = 0;
	*seq = strtoull(line + sizeof(start) - 1, &end, 10);
	return !errno && *end == ',' && *seq > 0;
}

bool
chain_check(const char *line, size_t length, struct chain *link, uint8_t prev[CHAIN_HASH_BYTES])
{
	const char *links = line + length - LINKS_LEN;
	const char *hash_key = links + PREV_KEY_LEN + HEX_LEN;
	uint8_t hash[CHAIN_HASH_BYTES];

	if (length <= LINKS_LEN || length > CHAIN_LINE_MAX || !read_seq(line, &link->seq))
		return false;
	if (memcmp(links, PREV_KEY, PREV_KEY_LEN) != 0 ||
	    memcmp(hash_key, HASH_KEY, HASH_KEY_LEN) != 0 ||
	    memcmp(line + length - LINE_END_LEN, LINE_END, LINE_END_LEN) != 0)
		return false;
	if (!from_hex(links + PREV_KEY_LEN, prev) || !from_hex(hash_key + HASH_KEY_LEN, link->head))
		return false;
	link_hash(prev, line, length - CANONICAL_CUT, hash);
	return sodium_memcmp(hash, link->head, sizeof(hash)) == 0;
}

/* Takes the last line off text; *line points at it. False when text is empty. */
static bool
last_line(const char *text, size_t *length, const char **line, size_t *line_length)
{
	const char *newline;
	size_t end = *length;

	if (!end)
		return false;
	if (text[end - 1] == '\n')
		end--;
	newline = memrchr(text, '\n', end);
	*line = newline ? newline + 1 : text;
	*line_length = end - (size_t)(*line - text);
	*length = (size_t)(*line - text);
	return true;
}

static enum chain_found
resume_from(struct chain *chain, const char *text, size_t length, char *note)
{
	bool torn = text[length - 1] != '\n';
	uint8_t prev[CHAIN_HASH_BYTES];
	struct chain link;
	const char *line;
	size_t line_length;

	last_line(text, &length, &line, &line_length);
	if (chain_check(line, line_length, &link, prev)) {
		*chain = link;
		if (torn)
			snprintf(note, CHAIN_NOTE_MAX + 1, "the line before lacked its newline");
		return torn ? CHAIN_TORN : CHAIN_WHOLE;
	}
	if (torn) {
		snprintf(note, CHAIN_NOTE_MAX + 1,
			 "%zu bytes of an entry that was never whole stand before this line",
			 line_length);
		if (!last_line(text, &length, &line, &line_length))
			return CHAIN_TORN;
		if (chain_check(line, line_length, &link, prev)) {
			*chain = link;
			return CHAIN_TORN;
		}
	}
	snprintf(note, CHAIN_NOTE_MAX + 1,
		 "the line before is not an entry of this log or was changed; a new chain begins");
	return CHAIN_BROKEN;
}

int
chain_resume(struct chain *chain, int fd, enum chain_found *found, char *note)
{
	_cleanup_free_ char *text = malloc(CHAIN_TAIL_MAX + 1);
	struct stat st;
	ssize_t length;
	off_t from;

	*note = '\0';
	*found = CHAIN_EMPTY;
	memset(chain, 0, sizeof(*chain));
	if (!text)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	from = st.st_size > CHAIN_TAIL_MAX ? st.st_size - CHAIN_TAIL_MAX : 0;
	length = pread(fd, text, CHAIN_TAIL_MAX, from);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	if (length > 0)
		*found = resume_from(chain, text, (size_t)length, note);
	return 0;
}
