// with: ash/session.c ash/connect.c ash/rows.c ash/output.c ash/table.c ash/text.c
// with: ash/session_tools.c libagent/c/json.c libagent/c/buffer.c
/* References, exit statuses of CONTRACT 5, the JSON object, prefixes of ids. */
#include <cjson/cJSON.h>
#include <string.h>

#include "ash/session.h"
#include "common/cleanup.h"
#include "suite.h"

START_TEST(references)
{
	static const char *const good[] = {
	    "0", "01939c5a", "01939c5a-7b3e-7abc-8def-0123456789ab", "changes@latest", "ABCDEF-12",
	};
	static const char *const bad[] = {
	    "",        "x y",      "../../etc/passwd", "changes@newest",
	    "@latest", "-@latest", "Upper@latest",     "01939c5a-7b3e-7abc-8def-0123456789ab0",
	    "zz",
	};
	struct error error = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(session_ref_check(good[i], &error) == 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(session_ref_check(bad[i], &error) == -1, "%s", bad[i]);
		ck_assert_int_eq(error.code, ERR_NOT_FOUND);
	}
}
END_TEST

START_TEST(statuses)
{
	static const struct {
		enum session_outcome outcome;
		int exit_code, signal, status;
	} rows[] = {
	    {OUTCOME_SUCCESS, 0, -1, 0},          {OUTCOME_FAILED, 3, -1, 3},
	    {OUTCOME_FAILED, 255, -1, 255},       {OUTCOME_SIGNALED, -1, 11, 139},
	    {OUTCOME_TIMED_OUT, -1, 15, 124},     {OUTCOME_TIMED_OUT, 0, -1, 124},
	    {OUTCOME_IDLE_TIMED_OUT, -1, 9, 124}, {OUTCOME_OOM_KILLED, -1, 9, 137},
	    {OUTCOME_OOM_KILLED, -1, -1, 125},    {OUTCOME_CANCELLED, -1, 15, 125},
	    {OUTCOME_SETUP_FAILED, -1, -1, 125},  {OUTCOME_SKIPPED, -1, -1, 125},
	    {OUTCOME_REFUSED, -1, -1, 125},       {OUTCOME_LOST, -1, 9, 125},
	    {OUTCOME_NONE, -1, -1, 125},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ending ending = {.outcome = rows[i].outcome,
					.exit_code = rows[i].exit_code,
					.signal = rows[i].signal};

		ck_assert_msg(ending_status(&ending) == rows[i].status, "row %zu: %d", i,
			      ending_status(&ending));
	}
}
END_TEST

START_TEST(every_outcome_has_words)
{
	char text[ENDING_TEXT_MAX + 1];

	for (int outcome = OUTCOME_SUCCESS; outcome < OUTCOME_COUNT; outcome++) {
		struct ending ending = {.outcome = (enum session_outcome)outcome, .signal = -1};

		ck_assert_str_ne(ending_text(&ending, text), "ended");
		ck_assert(outcome == OUTCOME_SUCCESS || ending_advice(&ending));
	}
	struct ending failed = {.outcome = OUTCOME_SETUP_FAILED,
				.step = STEP_CONTEXT,
				.reason = "/srv/docs: No such file"};
	ck_assert_str_eq(ending_text(&failed, text),
			 "could not be set up (step context): /srv/docs: No such file");
	struct ending cancelled = {.outcome = OUTCOME_CANCELLED, .reason = "cancelled by root"};
	ck_assert_str_eq(ending_text(&cancelled, text), "was cancelled by root");
	struct ending three = {
	    .outcome = OUTCOME_FAILED, .exit_code = 3, .reason = "exit status 3"};
	ck_assert_str_eq(ending_text(&three, text), "failed with exit status 3");
	struct ending broker = {.outcome = OUTCOME_FAILED, .exit_code = -1, .reason = "broker"};
	ck_assert_str_eq(ending_text(&broker, text), "failed: broker");
	struct ending lost = {.outcome = OUTCOME_LOST, .exit_code = -1, .reason = "keeper"};
	ck_assert_str_eq(ending_text(&lost, text), "was lost: its keeper died");
	struct ending killed = {.outcome = OUTCOME_SIGNALED, .exit_code = -1, .signal = 11};
	ck_assert_str_eq(ending_text(&killed, text), "was ended by a signal (SIGSEGV)");
}
END_TEST

static void
fill_queued(struct session *session)
{
	*session = (struct session){.count = 0};
	session->row.session = uuid_new();
	strcpy(session->row.agent, "changes");
	session->row.state = STATE_QUEUED;
	session->row.exit_code = session->row.signal = -1;
	session->row.wall_ms = session->row.cpu_ms = session->row.peak_memory_bytes = -1;
	strcpy(session->row.trigger_kind, "manual");
	session->row.queued_at_ms = 1795255325000;
}

/* Every key of CONTRACT 9 is there, null where it is not known. */
START_TEST(json_has_every_key)
{
	static const char *const nulls[] = {
	    "step",
	    "outcome",
	    "reason",
	    "exit_code",
	    "signal",
	    "started_at",
	    "running_at",
	    "ended_at",
	    "wall_ms",
	    "cpu_ms",
	    "peak_memory_bytes",
	    "result",
	};
	static const char *const others[] = {"id",      "agent",     "state", "attempt",
					     "trigger", "queued_at", "steps", "tools"};
	struct json json = JSON_INIT;
	struct session session;
	_cleanup_free_ char *text = NULL;

	fill_queued(&session);
	session_json(&session, &json);
	text = json_take(&json, NULL);
	cJSON *object = cJSON_Parse(text);
	ck_assert_ptr_nonnull(object);
	for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
		ck_assert_msg(cJSON_IsNull(cJSON_GetObjectItem(object, nulls[i])), "%s", nulls[i]);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ck_assert_msg(cJSON_HasObjectItem(object, others[i]), "%s", others[i]);
	ck_assert_str_eq(cJSON_GetObjectItem(object, "queued_at")->valuestring,
			 "2026-11-21T10:02:05.000Z");
	cJSON *trigger = cJSON_GetObjectItem(object, "trigger");
	ck_assert_str_eq(cJSON_GetObjectItem(trigger, "kind")->valuestring, "manual");
	ck_assert(cJSON_IsNull(cJSON_GetObjectItem(trigger, "id")));
	cJSON_Delete(object);
}
END_TEST

START_TEST(prefixes_tell_ids_apart)
{
	struct uuid ids[40];
	char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];
	size_t length;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ids[i] = uuid_new();
	length = session_prefix(ids, ARRAY_LEN(ids));
	ck_assert_uint_ge(length, 13);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		for (size_t j = i + 1; j < ARRAY_LEN(ids); j++)
			ck_assert(
			    strncmp(uuid_format(&ids[i], a), uuid_format(&ids[j], b), length));
	ck_assert_uint_eq(session_prefix(ids, 1), 13);
	ck_assert_uint_eq(session_prefix(ids, 0), 13);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    references,
	    statuses,
	    every_outcome_has_words,
	    json_has_every_key,
	    prefixes_tell_ids_apart,
	};

	return suite_run("ash session", tests, ARRAY_LEN(tests));
}
