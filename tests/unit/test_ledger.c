// with: schedd/ledger.c schedd/ledger_log.c schedd/ledger_query.c
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "schedd/ledger.h"
#include "tests/unit/suite.h"

static char path[] = "/tmp/scarab-ledger-XXXXXX/ledger.db";
static char *const slash = path + sizeof("/tmp/scarab-ledger-XXXXXX") - 1;

static void
make_dir(void)
{
	*slash = '\0';
	strcpy(slash - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	*slash = '/';
}

static void
remove_dir(void)
{
	char wal[PATH_MAX];

	snprintf(wal, sizeof(wal), "%s-wal", path);
	unlink(wal);
	unlink(path);
	*slash = '\0';
	rmdir(path);
	*slash = '/';
}

static struct ledger *
open_ledger(void)
{
	struct error error = ERROR_INIT;
	struct ledger *ledger = ledger_open(path, path, &error);

	ck_assert_msg(ledger != NULL, "%s: %s", error.what, error.why);
	return ledger;
}

static struct ledger_session
a_session(const char *agent)
{
	struct ledger_session session = {0};

	session.row.session = uuid_new();
	session.row.state = STATE_QUEUED;
	session.row.attempt = 1;
	session.row.exit_code = session.row.signal = -1;
	session.row.queued_at_ms = 1000;
	strcpy(session.row.agent, agent);
	strcpy(session.row.trigger_kind, "manual");
	strcpy(session.row.trigger_id, "manual");
	strcpy(session.row.task, "a task");
	strcpy(session.row.operator, "root");
	return session;
}

static void
insert(struct ledger *ledger, struct ledger_session *session)
{
	ck_assert_int_eq(ledger_insert(ledger, session, NULL), 1);
}

START_TEST(keeps_a_row)
{
	struct ledger_session session = a_session("keeper"), found;
	struct ledger *ledger = open_ledger();

	session.row.timeout_ms = UINT64_C(5000000000);
	session.has_input = true;
	session.login_uid = UINT32_MAX;
	insert(ledger, &session);
	session.row.state = STATE_RUNNING;
	session.row.wall_ms = -1;
	strcpy(session.row.reason, "it's \"quoted\"");
	ck_assert_int_eq(ledger_update(ledger, &session, RELAXED, NULL), 0);
	ledger_close(ledger);

	ledger = open_ledger();
	ck_assert_int_eq(ledger_get(ledger, &session.row.session, &found, NULL), 1);
	ck_assert_mem_eq(&found.row.session, &session.row.session, sizeof(struct uuid));
	ck_assert_str_eq(found.row.agent, "keeper");
	ck_assert_str_eq(found.row.task, "a task");
	ck_assert_str_eq(found.row.reason, "it's \"quoted\"");
	ck_assert_uint_eq(found.row.state, STATE_RUNNING);
	ck_assert_uint_eq(found.row.timeout_ms, UINT64_C(5000000000));
	ck_assert_uint_eq(found.login_uid, UINT32_MAX);
	ck_assert_int_eq(found.row.exit_code, -1);
	ck_assert_int_eq(found.row.wall_ms, -1);
	ck_assert(found.has_input);
	ledger_close(ledger);
}
END_TEST

START_TEST(one_row_for_an_id)
{
	struct ledger_session session = a_session("once");
	struct ledger *ledger = open_ledger();

	insert(ledger, &session);
	ck_assert_int_eq(ledger_insert(ledger, &session, NULL), 0);
	ledger_close(ledger);
}
END_TEST

START_TEST(a_trigger_fires_once_for_a_time)
{
	struct ledger_session first = a_session("cronned"), second = a_session("cronned");
	struct ledger *ledger = open_ledger();

	strcpy(first.row.trigger_kind, "cron");
	strcpy(first.row.trigger_id, "cron-0");
	first.row.scheduled_at_ms = 60000;
	second.row = first.row;
	second.row.session = uuid_new();
	insert(ledger, &first);
	ck_assert_int_eq(ledger_insert(ledger, &second, NULL), 0);
	second.row.scheduled_at_ms = 120000;
	insert(ledger, &second);
	ledger_close(ledger);
}
END_TEST

START_TEST(knows_the_last_fire_of_a_trigger)
{
	static const struct {
		const char *agent, *trigger_id;
		uint64_t scheduled_at_ms, fired_at_ms;
	} fires[] = {
	    {"told", "event-1/7", 2000, 2001},   {"told", "event-1/6", 1000, 1001},
	    {"told", "event-1/7~2", 2000, 9000}, {"told", "event-10/8", 3000, 3001},
	    {"other", "event-1/9", 4000, 4001},
	};
	struct ledger *ledger = open_ledger();
	uint64_t at_ms;

	for (size_t i = 0; i < ARRAY_LEN(fires); i++) {
		struct ledger_session session = a_session(fires[i].agent);

		strcpy(session.row.trigger_kind, "event");
		strcpy(session.row.trigger_id, fires[i].trigger_id);
		session.row.scheduled_at_ms = fires[i].scheduled_at_ms;
		session.row.fired_at_ms = fires[i].fired_at_ms;
		insert(ledger, &session);
	}
	ck_assert_int_eq(ledger_last_fire(ledger, "told", "event-1", &at_ms, NULL), 0);
	ck_assert_uint_eq(at_ms, 2001);
	ck_assert_int_eq(ledger_last_fire(ledger, "told", "event-2", &at_ms, NULL), 0);
	ck_assert_uint_eq(at_ms, 0);
	ledger_close(ledger);
}
END_TEST

START_TEST(operators_may_run_at_the_same_time)
{
	struct ledger_session first = a_session("manual"), second = a_session("manual");
	struct ledger *ledger = open_ledger();

	insert(ledger, &first);
	insert(ledger, &second);
	ck_assert_int_gt((int)second.seq, (int)first.seq);
	ledger_close(ledger);
}
END_TEST

START_TEST(a_rollback_leaves_nothing)
{
	struct ledger_session session = a_session("undone"), found;
	struct ledger *ledger = open_ledger();

	ck_assert_int_eq(ledger_begin(ledger, NULL), 0);
	insert(ledger, &session);
	ledger_rollback(ledger);
	ck_assert_int_eq(ledger_get(ledger, &session.row.session, &found, NULL), 0);
	ledger_close(ledger);
}
END_TEST

static int
count(const struct ledger_session *session, void *arg)
{
	(void)session;
	(*(int *)arg)++;
	return 0;
}

START_TEST(lists_what_is_asked_for)
{
	struct ledger_filter filter = {.agent = ""};
	struct ledger *ledger = open_ledger();
	int all = 0, some = 0, ended = 0, recent = 0, two = 0, open = 0;

	for (int i = 0; i < 6; i++) {
		struct ledger_session session = a_session(i % 2 ? "odd" : "even");

		session.row.state = i < 2 ? STATE_ENDED : STATE_QUEUED;
		session.row.queued_at_ms = (uint64_t)(1000 * i);
		insert(ledger, &session);
	}
	ck_assert_int_eq(ledger_each(ledger, &filter, count, &all, NULL), 0);
	filter.agent = "odd";
	ledger_each(ledger, &filter, count, &some, NULL);
	filter.state = STATE_ENDED;
	ledger_each(ledger, &filter, count, &ended, NULL);
	filter = (struct ledger_filter){.agent = "", .since_ms = 4000};
	ledger_each(ledger, &filter, count, &recent, NULL);
	filter = (struct ledger_filter){.agent = "", .limit = 2};
	ledger_each(ledger, &filter, count, &two, NULL);
	ledger_each_open(ledger, count, &open, NULL);
	ck_assert_int_eq(all, 6);
	ck_assert_int_eq(some, 3);
	ck_assert_int_eq(ended, 1);
	ck_assert_int_eq(recent, 2);
	ck_assert_int_eq(two, 2);
	ck_assert_int_eq(open, 4);
	ledger_close(ledger);
}
END_TEST

struct surplus {
	struct uuid ids[16];
	uint32_t count;
};

static void
note_surplus(const struct uuid *session, const char *agent, void *arg)
{
	struct surplus *surplus = arg;

	ck_assert_str_eq(agent, "pruned");
	ck_assert_uint_lt(surplus->count, 16);
	surplus->ids[surplus->count++] = *session;
}

/* How many of the agent's are too many, and that the oldest is the first of them. */
static struct surplus
surplus(struct ledger *ledger, struct ledger_bounds bounds, uint32_t max, uint32_t count,
	const struct uuid *oldest)
{
	struct surplus found = {.count = 0};

	ck_assert_int_eq(
	    ledger_each_surplus(ledger, "pruned", &bounds, max, note_surplus, &found, NULL), 0);
	ck_assert_uint_eq(found.count, count);
	if (count)
		ck_assert(uuid_equal(&found.ids[0], oldest));
	return found;
}

/* Ten of an agent, the sixth still runs: by number, age and bytes, never of others, never what
 * lives, never the newest for its bytes. */
START_TEST(finds_what_is_too_much_of_an_agent)
{
	struct ledger *ledger = open_ledger();
	struct ledger_session oldest = {0}, other = a_session("other"), found;
	struct step_time steps[STEP_COUNT];
	char agent[AGENT_NAME_MAX + 1] = "";
	struct surplus gone;
	uint64_t ended = 0;

	other.row.state = STATE_ENDED;
	other.row.ended_at_ms = 1;
	insert(ledger, &other);
	for (int i = 0; i < 10; i++) {
		struct ledger_session session = a_session("pruned");

		session.row.state = i == 5 ? STATE_RUNNING : STATE_ENDED;
		session.row.ended_at_ms = (uint64_t)(1000 * (i + 1));
		session.row.log_bytes = 100;
		insert(ledger, &session);
		if (i == 0)
			oldest = session;
	}
	for (int i = 0; i < STEP_COUNT; i++)
		steps[i] = (struct step_time){.started_at_ms = 1, .took_us = 2};
	ck_assert_int_eq(ledger_put_steps(ledger, oldest.seq, steps, NULL), 0);
	surplus(ledger, (struct ledger_bounds){9, 900, 0}, 16, 0, NULL);
	surplus(ledger, (struct ledger_bounds){9, 899, 0}, 16, 1, &oldest.row.session);
	surplus(ledger, (struct ledger_bounds){9, 1, 0}, 16, 8, &oldest.row.session);
	surplus(ledger, (struct ledger_bounds){9, 900, 4000}, 16, 3, &oldest.row.session);
	surplus(ledger, (struct ledger_bounds){4, 900, 0}, 2, 2, &oldest.row.session);
	gone = surplus(ledger, (struct ledger_bounds){4, 900, 0}, 16, 5, &oldest.row.session);
	for (uint32_t i = 0; i < gone.count; i++)
		ck_assert_int_eq(ledger_delete(ledger, &gone.ids[i], NULL), 1);
	ck_assert_int_eq(ledger_delete(ledger, &oldest.row.session, NULL), 0);
	ck_assert_int_eq(ledger_count_ended(ledger, &ended, NULL), 0);
	ck_assert_uint_eq(ended, 5);
	ck_assert_int_eq(ledger_get(ledger, &oldest.row.session, &found, NULL), 0);
	ck_assert_int_eq(ledger_get_steps(ledger, oldest.seq, steps, NULL), 0);
	ck_assert_uint_eq(steps[STEP_IMAGE].took_us, UINT64_MAX);
	ck_assert_int_eq(ledger_next_agent(ledger, agent, NULL), 1);
	ck_assert_str_eq(agent, "other");
	ck_assert_int_eq(ledger_next_agent(ledger, agent, NULL), 1);
	ck_assert_str_eq(agent, "pruned");
	ck_assert_int_eq(ledger_next_agent(ledger, agent, NULL), 0);
	ledger_close(ledger);
}
END_TEST

START_TEST(keeps_what_lives)
{
	struct ledger *ledger = open_ledger();
	struct ledger_session session = a_session("pruned");

	session.row.state = STATE_RUNNING;
	insert(ledger, &session);
	ck_assert_int_eq(ledger_delete(ledger, &session.row.session, NULL), 0);
	ck_assert_int_eq(ledger_get(ledger, &session.row.session, &session, NULL), 1);
	ledger_close(ledger);
}
END_TEST

START_TEST(knows_the_one_before)
{
	struct ledger_session ran = a_session("serial"), skipped = a_session("serial"),
			      now = a_session("serial"), found;
	struct ledger *ledger = open_ledger();

	ran.row.state = skipped.row.state = STATE_ENDED;
	ran.row.running_at_ms = 5;
	insert(ledger, &ran);
	insert(ledger, &skipped);
	insert(ledger, &now);
	ck_assert_int_eq(ledger_previous(ledger, "serial", now.seq, &found, NULL), 1);
	ck_assert(uuid_equal(&found.row.session, &ran.row.session));
	ck_assert_int_eq(ledger_latest(ledger, "serial", &found, NULL), 1);
	ck_assert(uuid_equal(&found.row.session, &now.row.session));
	ck_assert_int_eq(ledger_latest(ledger, "nobody", &found, NULL), 0);
	ledger_close(ledger);
}
END_TEST

START_TEST(refuses_a_newer_version)
{
	struct error error = ERROR_INIT;
	sqlite3 *db = NULL;

	ledger_close(open_ledger());
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	ck_assert_ptr_null(ledger_open(path, path, &error));
	ck_assert_ptr_nonnull(strstr(error.why, "version 2"));
	ck_assert_ptr_nonnull(strstr(error.what, path));
}
END_TEST

START_TEST(refuses_another_programs_file)
{
	struct error error = ERROR_INIT;
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_exec(db, "PRAGMA user_version=7; CREATE TABLE t(x)", NULL, NULL, NULL);
	sqlite3_close(db);
	ck_assert_ptr_null(ledger_open(path, path, &error));
	ck_assert_ptr_nonnull(strstr(error.why, "another program"));
}
END_TEST

static void
overwrite(off_t at, size_t length)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char noise[4096];

	memset(noise, 0xa5, sizeof(noise));
	ck_assert_int_ge(fd, 0);
	for (; length > 0; length -= sizeof(noise), at += (off_t)sizeof(noise))
		ck_assert_int_eq(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
	close(fd);
}

START_TEST(refuses_a_damaged_file)
{
	struct error error = ERROR_INIT;
	struct ledger *ledger = open_ledger();
	struct stat st;

	for (int i = 0; i < 500; i++) {
		struct ledger_session session = a_session("damaged");
		insert(ledger, &session);
	}
	ledger_close(ledger);
	ck_assert_int_eq(stat(path, &st), 0);
	overwrite(8192, (size_t)(st.st_size - 8192) & ~(size_t)4095);
	ck_assert_ptr_null(ledger_open(path, path, &error));
	ck_assert_ptr_nonnull(strstr(error.what, path));
	ck_assert_int_ne(error.hint[0], '\0');
	overwrite(0, 4096);
	ck_assert_ptr_null(ledger_open(path, path, &error));
}
END_TEST

START_TEST(a_second_process_is_refused)
{
	struct error error = ERROR_INIT;
	struct ledger *ledger = open_ledger();
	struct ledger_session session = a_session("held");

	insert(ledger, &session);
	ck_assert_ptr_null(ledger_open(path, path, &error));
	ledger_close(ledger);
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_no_more)
{
	struct ledger *ledger = open_ledger();
	struct error error = ERROR_INIT;
	struct rlimit old, small = {0};
	struct ledger_session session = a_session("full"), found;
	int rc;

	insert(ledger, &session);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	small.rlim_cur = 8192;
	small.rlim_max = old.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	session = a_session("full");
	memset(session.row.task, 't', sizeof(session.row.task) - 1);
	rc = ledger_begin(ledger, &error);
	if (rc == 0)
		rc = ledger_insert(ledger, &session, &error) == 1 ? 0 : -1;
	if (rc == 0)
		rc = ledger_commit(ledger, &error);
	else
		ledger_rollback(ledger);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_assert_int_eq(rc, -1);
	ck_assert_int_ne(error.why[0], '\0');
	ck_assert_int_eq(ledger_get(ledger, &session.row.session, &found, NULL), 0);
	session = a_session("full");
	insert(ledger, &session);
	ledger_close(ledger);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    keeps_a_row,
	    one_row_for_an_id,
	    a_trigger_fires_once_for_a_time,
	    knows_the_last_fire_of_a_trigger,
	    operators_may_run_at_the_same_time,
	    a_rollback_leaves_nothing,
	    lists_what_is_asked_for,
	    finds_what_is_too_much_of_an_agent,
	    keeps_what_lives,
	    knows_the_one_before,
	    refuses_a_newer_version,
	    refuses_another_programs_file,
	    refuses_a_damaged_file,
	    a_second_process_is_refused,
	    a_full_disk_is_an_error_and_no_more,
	};
	Suite *suite = suite_create("ledger");
	TCase *all = tcase_create("ledger");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(all, make_dir, remove_dir);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		_tcase_add_test(all, tests[i], 0, 0, 0, 1);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
