#include "clean.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"

/* --- fingerprints ---------------------------------------------------------------------------- */

void
clean_learn(struct cleaner *cleaner, int fd)
{
	struct redact_set *fresh = NULL, *joined;
	int rc = redact_set_open(fd, &fresh);

	close(fd);
	if (rc == 0 && cleaner->secrets) {
		rc = redact_set_join(cleaner->secrets, fresh, &joined);
		redact_set_free(fresh);
		fresh = joined;
	}
	if (rc < 0) {
		log_error("nothing more is told of tools: secrets in it cannot be told: %s",
			  strerrordesc_np(-rc));
		cleaner->blind = true;
		return;
	}
	redact_set_free(cleaner->secrets);
	cleaner->secrets = fresh;
}

void
clean_forget(struct cleaner *cleaner)
{
	redact_set_free(cleaner->secrets);
	cleaner->secrets = NULL;
}

/* --- texts ----------------------------------------------------------------------------------- */

void
clean_text(const struct cleaner *cleaner, char *text, size_t size)
{
	if (cleaner->blind)
		*text = '\0';
	else if (cleaner->secrets && *text)
		redact_text(cleaner->secrets, text, size);
}

#define TEXT(name, member, field)                                                                  \
	{                                                                                          \
		MSG_##name, offsetof(struct msg, member.field),                                    \
		    sizeof(((struct msg *)NULL)->member.field)                                     \
	}
static const struct {
	enum msg_type type;
	size_t offset, size;
} texts[] = {
    TEXT(BROKER_SERVER_STATE, broker_server_state, revision),
    TEXT(BROKER_SERVER_STATE, broker_server_state, software),
    TEXT(BROKER_SERVER_STATE, broker_server_state, why),
    TEXT(BROKER_READY, broker_ready, why),
    TEXT(BROKER_WANT, broker_want, why),
    TEXT(BROKER_CALL, broker_call, tool),
    TEXT(BROKER_CALL, broker_call, name),
    TEXT(BROKER_CALL, broker_call, shape),
    TEXT(BROKER_ASK, broker_ask, shape),
    TEXT(BROKER_NOTE, broker_note, name),
    TEXT(BROKER_NOTE, broker_note, subject),
    TEXT(BROKER_NOTE, broker_note, why),
};

void
clean_message(const struct cleaner *cleaner, struct msg *msg)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].type == msg->type)
			clean_text(cleaner, (char *)msg + texts[i].offset, texts[i].size);
}

/* --- values ---------------------------------------------------------------------------------- */

struct shown {
	char *text;
	size_t length, size;
	bool failed;
};

static void
add_shown(const uint8_t *bytes, size_t length, void *arg)
{
	struct shown *shown = arg;
	size_t size = 2 * (shown->length + length);
	char *grown;

	if (shown->length + length > shown->size) {
		grown = realloc(shown->text, size);
		if (!grown) {
			shown->failed = true;
			return;
		}
		shown->text = grown;
		shown->size = size;
	}
	memcpy(shown->text + shown->length, bytes, length);
	shown->length += length;
}

/* The text is heap memory; NULL without. */
static struct shown
show(const struct cleaner *cleaner, struct span value)
{
	struct shown shown = {.text = malloc(value.length + 1), .size = value.length};
	struct redact *redact = NULL;

	if (!shown.text)
		return shown;
	if (!cleaner->secrets) {
		add_shown((const uint8_t *)value.at, value.length, &shown);
		return shown;
	}
	redact = redact_new(cleaner->secrets, add_shown, &shown);
	if (!redact || redact_feed(redact, (const uint8_t *)value.at, value.length) < 0 ||
	    redact_end(redact) < 0 || shown.failed)
		free(steal_ptr(&shown.text));
	redact_free(redact);
	return shown;
}

static char *
as_string(const char *text, size_t text_length, size_t *length)
{
	struct json json = JSON_INIT;

	json_string_n(&json, text, text_length);
	return json_take(&json, length);
}

char *
clean_json(const struct cleaner *cleaner, struct span value, size_t *length)
{
	_cleanup_free_ char *text = NULL;
	struct shown shown;
	struct span whole;

	if (cleaner->blind)
		return as_string("[redacted]", strlen("[redacted]"), length);
	shown = show(cleaner, value);
	text = shown.text;
	if (!text)
		return NULL;
	*length = shown.length;
	if (!cleaner->secrets || scan((struct span){text, shown.length}, &whole) == NULL)
		return steal_ptr(&text);
	return as_string(text, shown.length, length);
}

bool
clean_shows(const struct cleaner *cleaner, struct span value)
{
	_cleanup_free_ char *text = NULL;
	struct shown shown;

	if (cleaner->blind || !cleaner->secrets)
		return cleaner->blind;
	shown = show(cleaner, value);
	text = shown.text;
	return !text || shown.length != value.length || memcmp(text, value.at, value.length) != 0;
}
