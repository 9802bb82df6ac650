// with: runnerd/broker/clean.c secretd/spellings.c
/* What a broker may tell of what agents and plugins say. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "runnerd/broker/clean.h"
#include "secretd/spellings.h"
#include "tests/unit/suite.h"

static const uint8_t store_key[32] = {7};

/* A set as secretd makes it for one session. */
static int
set_of(uint8_t session, const char *name, const char *value)
{
	struct spellings *spellings = spellings_new();
	const struct uuid id = {.bytes = {session}};
	int fd;

	spellings_begin(spellings, store_key, &id);
	ck_assert_int_eq(spellings_add(spellings, name, (const uint8_t *)value, strlen(value)), 0);
	fd = spellings_seal(spellings);
	ck_assert_int_ge(fd, 0);
	spellings_free(spellings);
	return fd;
}

static struct cleaner
knowing(const char *value)
{
	struct cleaner cleaner = {0};

	clean_learn(&cleaner, set_of(1, "key", value));
	ck_assert(!cleaner.blind && cleaner.secrets);
	return cleaner;
}

static void
cleaned(const struct cleaner *cleaner, const char *value, const char *want)
{
	struct span span = {value, strlen(value)}, whole;
	size_t length = 0;
	_cleanup_free_ char *text = clean_json(cleaner, span, &length);

	ck_assert_ptr_nonnull(text);
	ck_assert_msg(length == strlen(want) && memcmp(text, want, length) == 0, "%s became %.*s",
		      value, (int)length, text);
	ck_assert_ptr_null(scan((struct span){text, length}, &whole));
	ck_assert_int_eq(clean_shows(cleaner, span), strcmp(value, want) != 0);
}

START_TEST(values_stay_json)
{
	struct cleaner none = {0}, cleaner = knowing("{\"user\":\"u\",\"pass\":\"word\"}");

	cleaned(&none, "{\"a\":[1, 2.50,\"x\"]}", "{\"a\":[1, 2.50,\"x\"]}");
	cleaned(&cleaner, "{\"a\":[1, 2.50,\"x\"]}", "{\"a\":[1, 2.50,\"x\"]}");
	/* In a string, with its quotes escaped. */
	cleaned(&cleaner, "[\"<{\\\"user\\\":\\\"u\\\",\\\"pass\\\":\\\"word\\\"}>\"]",
		"[\"<[redacted:key]>\"]");
	/* As a part of the structure. */
	cleaned(&cleaner, "{\"a\":{\"user\":\"u\",\"pass\":\"word\"}}",
		"\"{\\\"a\\\":[redacted:key]}\"");
	clean_forget(&cleaner);
	cleaner = knowing("1234567890");
	cleaned(&cleaner, "[1234567890,9007199254740993]", "\"[[redacted:key],9007199254740993]\"");
	clean_forget(&cleaner);
}
END_TEST

START_TEST(every_text_of_a_message_is_cleaned)
{
	struct cleaner cleaner = knowing("a-secret-value");
	struct msg msg;

	msg_init(&msg, MSG_BROKER_SERVER_STATE);
	strcpy(msg.broker_server_state.why, "it said: a-secret-value");
	strcpy(msg.broker_server_state.software, "a-secret-value 1.0");
	clean_message(&cleaner, &msg);
	ck_assert_str_eq(msg.broker_server_state.why, "it said: [redacted:key]");
	ck_assert_str_eq(msg.broker_server_state.software, "[redacted:key] 1.0");
	msg_init(&msg, MSG_BROKER_NOTE);
	strcpy(msg.broker_note.name, "event.a-secret-value");
	strcpy(msg.broker_note.subject, "YS1zZWNyZXQtdmFsdWU=");
	strcpy(msg.broker_note.why, "612d7365637265742d76616c7565");
	clean_message(&cleaner, &msg);
	ck_assert_str_eq(msg.broker_note.name, "event.[redacted:key]");
	ck_assert_str_eq(msg.broker_note.subject, "[redacted:key]="); /* padding */
	ck_assert_str_eq(msg.broker_note.why, "[redacted:key]");
	msg_init(&msg, MSG_BROKER_CALL);
	strcpy(msg.broker_call.name, "one__a-secret-value");
	clean_message(&cleaner, &msg);
	ck_assert_ptr_null(strstr(msg.broker_call.name, "a-secret-value"));
	clean_forget(&cleaner);
}
END_TEST

START_TEST(a_new_value_is_known_beside_the_last)
{
	struct cleaner cleaner = knowing("the first value");
	char text[64] = "the first value, the second value";

	clean_learn(&cleaner, set_of(1, "key", "the second value"));
	clean_text(&cleaner, text, sizeof(text));
	ck_assert_str_eq(text, "[redacted:key], [redacted:key]");
	clean_forget(&cleaner);
}
END_TEST

/* A set that is none, and one of another session. */
START_TEST(what_cannot_be_told_is_not_said)
{
	for (int i = 0; i < 2; i++) {
		struct cleaner cleaner = knowing("the first value");
		char text[64] = "anything";
		size_t length;

		clean_learn(&cleaner, i ? set_of(2, "key", "the second value")
					: memfd_create("none", MFD_CLOEXEC));
		ck_assert(cleaner.blind);
		clean_text(&cleaner, text, sizeof(text));
		ck_assert_str_eq(text, "");
		_cleanup_free_ char *json = clean_json(&cleaner, SPAN("[1]"), &length);
		ck_assert_str_eq(json, "\"[redacted]\"");
		ck_assert(clean_shows(&cleaner, SPAN("[1]")));
		clean_forget(&cleaner);
	}
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    values_stay_json,
	    every_text_of_a_message_is_cleaned,
	    a_new_value_is_known_beside_the_last,
	    what_cannot_be_told_is_not_said,
	};

	if (sodium_init() < 0)
		return 1;
	return suite_run("broker_clean", tests, ARRAY_LEN(tests));
}
