#include "chain.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/json.h"

enum { HEX_LEN = 2 * CHAIN_HASH_BYTES };

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
json_optional(struct json *json, const char *text, size_t max)
{
	if (*text)
		json_lossy(json, text, max);
	else
		json_null(json);
}

/* Hexadecimal digits: readers of JSON round large numbers. */
static void
write_source(struct json *json, const struct msg_audit *entry)
{
	char generation[17];

	snprintf(generation, sizeof(generation), "%016llx", (unsigned long long)entry->generation);
	json_key(json, "generation");
	json_string(json, entry->generation ? generation : NULL);
	json_key(json, "sequence");
	if (entry->generation)
		json_uint(json, entry->sequence);
	else
		json_null(json);
}

void
chain_mac(const uint8_t key[CHAIN_KEY_BYTES], const uint8_t prev[CHAIN_HASH_BYTES],
	  const char *text, size_t length, uint8_t mac[CHAIN_MAC_BYTES])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, key, CHAIN_KEY_BYTES, CHAIN_MAC_BYTES);
	crypto_generichash_update(&state, prev, CHAIN_HASH_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)text, length);
	crypto_generichash_final(&state, mac, CHAIN_MAC_BYTES);
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
	json_optional(json, entry->agent, sizeof(entry->agent) - 1);
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
	json_key(json, "secret");
	json_optional(json, entry->secret, sizeof(entry->secret) - 1);
	json_key(json, "version");
	if (entry->version)
		json_uint(json, entry->version);
	else
		json_null(json);
	json_key(json, "purpose");
	json_optional(json, entry->purpose, sizeof(entry->purpose) - 1);
	json_key(json, "detail");
	json_lossy(json, entry->detail, sizeof(entry->detail) - 1);
	write_source(json, entry);
}

/* Of the entry's text so far, as a member of its own, and what is after it. */
static char *
add_links(const char *text, size_t length, const struct chain *chain, const uint8_t *key)
{
	char mac_hex[HEX_LEN + 3] = "null", prev[HEX_LEN + 1], *body;
	uint8_t mac[CHAIN_MAC_BYTES];

	if (key) {
		chain_mac(key, chain->head, text, length, mac);
		mac_hex[0] = '"';
		sodium_bin2hex(mac_hex + 1, HEX_LEN + 1, mac, sizeof(mac));
		strcat(mac_hex, "\"");
	}
	sodium_bin2hex(prev, sizeof(prev), chain->head, CHAIN_HASH_BYTES);
	if (asprintf(&body, "%.*s" CHAIN_MAC_KEY "%s,\"prev\":\"%s\"", (int)length, text, mac_hex,
		     prev) < 0)
		return NULL;
	return body;
}

char *
chain_line(struct chain *chain, enum role role, uint64_t time_ms, const struct msg_audit *entry,
	   const uint8_t *key, size_t *length)
{
	_cleanup_free_ char *text = NULL, *body = NULL;
	struct json json = JSON_INIT;
	char hex[HEX_LEN + 1], *line;
	uint8_t hash[CHAIN_HASH_BYTES];
	int line_length;

	json_object(&json);
	write_members(&json, chain, role, time_ms, entry);
	json_object_end(&json);
	text = json_take(&json, length);
	body = text ? add_links(text, *length - 1, chain, key) : NULL;
	if (!body)
		return NULL;
	chain_hash(chain->head, body, strlen(body), hash);
	sodium_bin2hex(hex, sizeof(hex), hash, CHAIN_HASH_BYTES);
	line_length = asprintf(&line, "%s,\"hash\":\"%s\"}\n", body, hex);
	if (line_length < 0)
		return NULL;
	*length = (size_t)line_length;
	chain->seq++;
	memcpy(chain->head, hash, sizeof(hash));
	return line;
}

/* --- reading --------------------------------------------------------------------------------- */

/* The member stands before prev; its text has no other place to be in. */
enum chain_mac_found
chain_mac_check(const uint8_t key[CHAIN_KEY_BYTES], const char *line, size_t length)
{
	enum { KEY_LEN = sizeof(CHAIN_MAC_KEY) - 1, QUOTED = HEX_LEN + 2 };
	size_t end = chain_body(length), text = end - KEY_LEN - QUOTED;
	char hex[HEX_LEN + 1];
	uint8_t prev[CHAIN_HASH_BYTES], mac[CHAIN_MAC_BYTES];
	struct chain link;

	if (end > KEY_LEN + 4 &&
	    memcmp(line + end - KEY_LEN - 4, CHAIN_MAC_KEY "null", KEY_LEN + 4) == 0)
		return CHAIN_MAC_NONE;
	if (end <= KEY_LEN + QUOTED || memcmp(line + text, CHAIN_MAC_KEY "\"", KEY_LEN + 1) != 0 ||
	    !chain_check(line, length, &link, prev))
		return CHAIN_MAC_WRONG;
	chain_mac(key, prev, line, text, mac);
	sodium_bin2hex(hex, sizeof(hex), mac, sizeof(mac));
	return sodium_memcmp(hex, line + text + KEY_LEN + 1, HEX_LEN) == 0 ? CHAIN_MAC_RIGHT
									   : CHAIN_MAC_WRONG;
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
