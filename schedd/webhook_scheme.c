#include "webhook_scheme.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

enum { WORD_MAX = 127 };

/* --- texts to bytes --------------------------------------------------------------------------- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
read_hex(const char *text, size_t length, uint8_t mac[SIGNATURE_BYTES])
{
	if (length != (size_t)2 * SIGNATURE_BYTES)
		return false;
	for (size_t i = 0; i < SIGNATURE_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int
base64_digit(char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* 32 bytes are 43 digits, the last two bits of which are 0, and a '='. */
static bool
read_base64(const char *text, size_t length, uint8_t mac[SIGNATURE_BYTES])
{
	enum { DIGITS = 43 };
	uint32_t bits = 0;
	size_t have = 0, bytes = 0;

	if (length != DIGITS + 1 || text[DIGITS] != '=')
		return false;
	for (size_t i = 0; i < DIGITS; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have >= 8 && bytes < SIGNATURE_BYTES) {
			have -= 8;
			mac[bytes++] = (uint8_t)(bits >> have);
		}
	}
	return (bits & 3) == 0;
}

typedef bool read_mac(const char *text, size_t length, uint8_t mac[SIGNATURE_BYTES]);

static bool
add_signature(struct msg_signature_query *query, read_mac *read, const char *text, size_t length)
{
	if (query->signatures_len + SIGNATURE_BYTES > SIGNATURES_BYTES ||
	    !read(text, length, query->signatures + query->signatures_len))
		return false;
	query->signatures_len += SIGNATURE_BYTES;
	return true;
}

/* --- what is signed with the body ---------------------------------------------------------------
 */

static int
check_time(const char *text, size_t length, uint64_t now_s, struct error *error)
{
	uint64_t at = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9' || i == 12)
			return error_why(error, ERR_PERMISSION, "its time is no number of seconds");
		at = 10 * at + (uint64_t)(text[i] - '0');
	}
	if (!length)
		return error_why(error, ERR_PERMISSION, "it has no time");
	if ((at > now_s ? at - now_s : now_s - at) > WEBHOOK_TOLERANCE_S)
		return error_why(error, ERR_PERMISSION,
				 "it was signed more than %d minutes from now: a replay, or a "
				 "clock that is wrong",
				 WEBHOOK_TOLERANCE_S / 60);
	return 0;
}

bool
webhook_body_has_time(struct span body)
{
	enum { SECONDS = 10 /* from 2001 to 2286 */ };
	size_t digits = 0,
	       length = body.length < SIGNED_PREFIX_MAX ? body.length : SIGNED_PREFIX_MAX;
	bool number = true;

	for (size_t i = 0; i < length; i++) {
		char c = body.at[i];

		if (c <= ' ' || strchr("{[\"=", c))
			return false;
		if (c == '.' && number && digits == SECONDS)
			return true;
		number = c == '.' || (number && c >= '0' && c <= '9');
		digits = c == '.' ? 0 : digits + 1;
	}
	return false;
}

static int
not_signed(struct error *error, const char *how)
{
	return error_why(error, ERR_PERMISSION, "it is not signed by %s", how);
}

struct said {
	const struct msg_webhook_delivery *delivery;
	uint64_t now_s;
	struct msg_signature_query *query;
};

/* sha256=HEX, or HEX alone. */
static int
sign_hex(const struct said *said, const char *text, const char *header, struct error *error)
{
	static const char scheme[] = "sha256=";
	const size_t head = sizeof(scheme) - 1;

	if (strncmp(text, scheme, head) == 0)
		text += head;
	if (!add_signature(said->query, read_hex, text, strlen(text)))
		return not_signed(error, header);
	return 0;
}

/* webhook-id.webhook-timestamp.BODY; the signatures "v1,BASE64 v1,BASE64". */
static int
sign_standard(const struct said *said, struct error *error)
{
	const struct msg_webhook_delivery *d = said->delivery;
	const char *at = d->webhook_signature;

	if (!d->webhook_id[0])
		return error_why(error, ERR_PERMISSION, "it has no Webhook-Id");
	if (check_time(d->webhook_timestamp, strlen(d->webhook_timestamp), said->now_s, error) < 0)
		return -1;
	if (snprintf(said->query->prefix, sizeof(said->query->prefix), "%s.%s.", d->webhook_id,
		     d->webhook_timestamp) >= (int)sizeof(said->query->prefix))
		return error_why(error, ERR_PERMISSION, "its Webhook-Id is too long");
	said->query->encoded = true;
	while (*at) {
		size_t length = strcspn(at, " ");

		if (strncmp(at, "v1,", 3) == 0)
			add_signature(said->query, read_base64, at + 3, length - 3);
		at += length + (at[length] == ' ');
	}
	return said->query->signatures_len ? 0 : not_signed(error, "Webhook-Signature");
}

/* t=SECONDS,v1=HEX,v1=HEX; what is signed is SECONDS.BODY. */
static int
sign_stripe(const struct said *said, struct error *error)
{
	const char *at = said->delivery->stripe_signature, *time = NULL;
	size_t time_length = 0;

	while (*at) {
		size_t length = strcspn(at, ",");

		if (strncmp(at, "t=", 2) == 0 && !time) {
			time = at + 2;
			time_length = length - 2;
		} else if (strncmp(at, "v1=", 3) == 0) {
			add_signature(said->query, read_hex, at + 3, length - 3);
		}
		at += length + (at[length] == ',');
	}
	if (!said->query->signatures_len)
		return not_signed(error, "Stripe-Signature");
	if (check_time(time, time_length, said->now_s, error) < 0)
		return -1;
	snprintf(said->query->prefix, sizeof(said->query->prefix), "%.*s.", (int)time_length, time);
	return 0;
}

static int
sign_github(const struct said *said, struct error *error)
{
	return sign_hex(said, said->delivery->hub_signature, "X-Hub-Signature-256", error);
}

static int
token(const struct said *said, const char *text, const char *header, struct error *error)
{
	if (!*text)
		return error_why(error, ERR_PERMISSION, "it has no %s", header);
	snprintf(said->query->token, sizeof(said->query->token), "%s", text);
	return 0;
}

/* Since 2025 GitLab can sign; the token is what there was before. */
static int
sign_gitlab(const struct said *said, struct error *error)
{
	if (said->delivery->webhook_signature[0])
		return sign_standard(said, error);
	return token(said, said->delivery->gitlab_token, "X-Gitlab-Token", error);
}

/* Standard Webhooks; else HMAC-SHA256 in hexadecimal digits over the body, or over TIME.BODY where
 * X-Timestamp says the time. */
static int
sign_generic(const struct said *said, struct error *error)
{
	const struct msg_webhook_delivery *d = said->delivery;

	if (d->webhook_signature[0])
		return sign_standard(said, error);
	if (d->timestamp[0]) {
		if (check_time(d->timestamp, strlen(d->timestamp), said->now_s, error) < 0)
			return -1;
		snprintf(said->query->prefix, sizeof(said->query->prefix), "%.12s.", d->timestamp);
	}
	return sign_hex(said, d->signature[0] ? d->signature : d->hub_signature, "X-Signature-256",
			error);
}

static int
sign_bearer(const struct said *said, struct error *error)
{
	static const char scheme[] = "Bearer ";
	const char *text = said->delivery->authorization;

	if (strncasecmp(text, scheme, sizeof(scheme) - 1) != 0)
		text = "";
	else
		text += sizeof(scheme) - 1 + strspn(text + sizeof(scheme) - 1, " ");
	return token(said, text, "Authorization: Bearer", error);
}

/* --- what it is called --------------------------------------------------------------------------
 */

/* The text of this member of the body; empty where there is none. */
static const char *
text_in(struct span data, const char *name, char text[WORD_MAX + 1])
{
	ssize_t length = string_text(member(data, name), text, WORD_MAX + 1);

	if (length < 0)
		text[0] = '\0';
	return text;
}

static const char *
first_of(const char *a, const char *b)
{
	return *a ? a : b;
}

static const char *
gitlab_type(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	return first_of(text_in(data, "object_kind", text), d->gitlab_event);
}

static const char *
github_type(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	(void)data;
	(void)text;
	return d->github_event;
}

static const char *
body_type(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	return first_of(d->event_type, text_in(data, "type", text));
}

static const char *
stripe_type(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	(void)d;
	return text_in(data, "type", text);
}

/* A delivery's name is taken from what is signed where something of it is. */
static const char *
github_id(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	(void)data;
	(void)text;
	return d->github_delivery;
}

static const char *
gitlab_id(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	(void)data;
	(void)text;
	if (d->webhook_signature[0])
		return d->webhook_id;
	return first_of(d->idempotency_key, d->gitlab_event_uuid);
}

static const char *
stripe_id(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	(void)d;
	return text_in(data, "id", text);
}

static const char *
generic_id(const struct msg_webhook_delivery *d, struct span data, char text[WORD_MAX + 1])
{
	(void)data;
	(void)text;
	return first_of(d->webhook_id, d->idempotency_key);
}

typedef const char *word_fn(const struct msg_webhook_delivery *d, struct span data,
			    char text[WORD_MAX + 1]);

static const struct {
	int (*sign)(const struct said *said, struct error *error);
	word_fn *type, *id;
} kinds[WEBHOOK_KINDS] = {
    [WEBHOOK_GITHUB] = {sign_github, github_type, github_id},
    [WEBHOOK_GITLAB] = {sign_gitlab, gitlab_type, gitlab_id},
    [WEBHOOK_STRIPE] = {sign_stripe, stripe_type, stripe_id},
    [WEBHOOK_GENERIC] = {sign_generic, body_type, generic_id},
    [WEBHOOK_BEARER] = {sign_bearer, body_type, generic_id},
};

int
webhook_question(enum webhook_kind kind, const struct msg_webhook_delivery *delivery,
		 uint64_t now_s, struct msg_signature_query *query, struct error *error)
{
	const struct said said = {.delivery = delivery, .now_s = now_s, .query = query};

	return kinds[kind].sign(&said, error);
}

/* "Push Hook" becomes push_hook. */
static void
write_type(enum webhook_kind kind, const char *word, char *type)
{
	size_t length = (size_t)(stpcpy(stpcpy(type, webhook_kind_name(kind)), ".") - type);

	for (word = first_of(word, "delivery"); *word && length < WORD_MAX; word++) {
		char c = *word;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("._-/", c)))
			c = '_';
		type[length++] = c;
	}
	type[length] = '\0';
}

bool
webhook_name(enum webhook_kind kind, const struct msg_webhook_delivery *delivery, struct span data,
	     char *type, char *id)
{
	char text[WORD_MAX + 1] = "";
	const char *name;

	write_type(kind, kinds[kind].type(delivery, data, text), type);
	text[0] = '\0';
	name = kinds[kind].id(delivery, data, text);
	return snprintf(id, EVENT_NAME_MAX + 1, "%s", name) <= EVENT_NAME_MAX;
}
