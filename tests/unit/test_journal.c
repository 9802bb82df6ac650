// with: runnerd/journal.c runnerd/records.c runnerd/ids.c runnerd/logs.c runnerd/fs.c
/* What survives runnerd on disk: journals, the table of id ranges, and the names of log segments.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "runnerd/ids.h"
#include "runnerd/journal.h"
#include "runnerd/logs.h"
#include "tests/unit/suite.h"

static char top[] = "/tmp/scarab-journal-XXXXXX";
static int dir;

static void
make_dir(void)
{
	strcpy(top, "/tmp/scarab-journal-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir, 0);
}

static void
remove_dir(void)
{
	char command[64];

	close(dir);
	snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}

static const struct msg_journal_groups v1_groups = {.memory = "/m/y"};

static int
new_journal(const struct msg_journal_groups *groups)
{
	struct msg_journal_session first = {.session = uuid_new(), .base_uid = 70000};
	int fd;

	strcpy(first.agent, "worker");
	strcpy(first.cgroup, "/x/y");
	fd = journal_create(dir, &first, groups);
	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(a_journal_is_read_as_written)
{
	struct msg_journal_ended ended = {.outcome = OUTCOME_FAILED, .exit_code = 4};
	struct journal journal;
	int fd;

	make_dir();
	fd = new_journal(&v1_groups);
	ck_assert_int_eq(journal_step(fd, STEP_IMAGE, MARK_BEGIN), 0);
	ck_assert_int_eq(journal_step(fd, STEP_IMAGE, MARK_END), 0);
	ck_assert_int_eq(journal_step(fd, STEP_AGENT, MARK_BEGIN), 0);
	ck_assert_int_eq(journal_keeper(fd, 17, 99, "boot"), 0);
	ck_assert_int_eq(journal_read(dir, &journal), 0);
	ck_assert(journal.has_session && journal.has_keeper && !journal.gate);
	ck_assert(!journal.has_ended);
	ck_assert_str_eq(journal.session.agent, "worker");
	ck_assert_str_eq(journal.session.cgroup, "/x/y");
	ck_assert_str_eq(journal.groups.memory, "/m/y");
	ck_assert_str_eq(journal.groups.cpu, "");
	ck_assert_uint_eq(journal.keeper.start_ticks, 99);
	ck_assert_int_eq(journal.step, STEP_AGENT);
	ck_assert(journal.begun[STEP_IMAGE] && journal.begun[STEP_AGENT]);
	ck_assert_int_eq(journal_step(fd, STEP_AGENT, MARK_GATE), 0);
	ck_assert_int_eq(journal_segment(fd, 3, 4096), 0);
	ck_assert_int_eq(journal_step(fd, STEP_IMAGE, MARK_UNDONE), 0);
	ck_assert_int_eq(journal_ended(fd, &ended, true), 0);
	ck_assert_int_eq(journal_read(dir, &journal), 0);
	ck_assert(journal.gate && journal.has_ended && !journal.begun[STEP_IMAGE]);
	ck_assert_uint_eq(journal.segment, 3);
	ck_assert_uint_eq(journal.offset, 4096);
	ck_assert_int_eq(journal.ended.exit_code, 4);
	close(fd);
	remove_dir();
}
END_TEST

/* Cut after any byte, a journal reads as the records that are whole. */
START_TEST(a_torn_journal_is_what_is_whole)
{
	struct journal journal;
	struct stat st;
	off_t length, first, both;
	int fd, rc;

	make_dir();
	fd = new_journal(NULL);
	ck_assert_int_eq(fstat(fd, &st), 0);
	first = st.st_size;
	close(fd);
	fd = new_journal(&v1_groups);
	ck_assert_int_eq(fstat(fd, &st), 0);
	both = st.st_size;
	ck_assert_int_eq(journal_step(fd, STEP_AGENT, MARK_GATE), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	for (length = st.st_size; length >= 0; length--) {
		ck_assert_int_eq(ftruncate(fd, length), 0);
		rc = journal_read(dir, &journal);
		ck_assert_int_eq(rc, 0);
		ck_assert_int_eq(journal.has_session, length >= first);
		ck_assert_int_eq(journal.groups.memory[0] == '/', length >= both);
		ck_assert_int_eq(journal.gate, length == st.st_size);
	}
	close(fd);
	remove_dir();
}
END_TEST

/* A disk that is full in the middle of a record, and has room again for the next one. */
START_TEST(half_a_record_is_taken_back)
{
	struct rlimit before, limit;
	struct journal journal;
	struct stat st;
	int fd;

	make_dir();
	fd = new_journal(&v1_groups);
	ck_assert_int_eq(fstat(fd, &st), 0);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = (rlim_t)st.st_size + 7, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(journal_step(fd, STEP_AGENT, MARK_BEGIN), -EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(journal_step(fd, STEP_AGENT, MARK_GATE), 0);
	ck_assert_int_eq(journal_read(dir, &journal), 0);
	ck_assert(journal.has_session && journal.gate);
	close(fd);
	remove_dir();
}
END_TEST

START_TEST(no_range_is_given_twice)
{
	struct error error = ERROR_INIT;
	uint32_t one, two, again;
	struct ids *ids;

	make_dir();
	ids = ids_open(dir, 100000, 3, &error);
	ck_assert_ptr_nonnull(ids);
	ck_assert_int_eq(ids_assign(ids, "one", &one, &error), 0);
	ck_assert_int_eq(ids_assign(ids, "two", &two, &error), 0);
	ck_assert_uint_eq(one, 100000);
	ck_assert_uint_eq(two, 100000 + 65536);
	ids_close(ids);
	ids = ids_open(dir, 100000, 3, &error);
	ck_assert_int_eq(ids_assign(ids, "one", &again, &error), 0);
	ck_assert_uint_eq(again, one);
	ck_assert_int_eq(ids_quarantine(ids, "one"), 0);
	ck_assert_int_eq(ids_quarantine(ids, "one"), 0);
	ck_assert_int_eq(ids_assign(ids, "one", &again, &error), 0);
	ck_assert_uint_eq(again, 100000 + 2 * 65536);
	ck_assert_int_eq(ids_assign(ids, "four", &again, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "given out"));
	ids_close(ids);
	remove_dir();
}
END_TEST

START_TEST(a_torn_table_goes_on_behind_what_is_whole)
{
	struct error error = ERROR_INIT;
	uint32_t one, two, again;
	struct ids *ids;
	struct stat st;
	int fd;

	make_dir();
	ids = ids_open(dir, 100000, 8, &error);
	ck_assert_int_eq(ids_assign(ids, "one", &one, &error), 0);
	ck_assert_int_eq(ids_assign(ids, "two", &two, &error), 0);
	ids_close(ids);
	fd = openat(dir, "ids", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(ftruncate(fd, st.st_size - 3), 0);
	close(fd);
	ids = ids_open(dir, 100000, 8, &error);
	ck_assert_int_eq(ids_assign(ids, "three", &again, &error), 0);
	ids_close(ids);
	ids = ids_open(dir, 100000, 8, &error);
	ck_assert_ptr_nonnull(ids);
	ck_assert_int_eq(ids_assign(ids, "three", &two, &error), 0);
	ck_assert_uint_eq(two, again);
	ids_close(ids);
	remove_dir();
}
END_TEST

static void
say(int fd, const char *text)
{
	ck_assert_int_eq(write_all(fd, text, strlen(text)), 0);
}

/* Bytes that view shows, older first. */
static void
assert_log(const struct session_log *log, uint64_t from, const char *older, const char *newest)
{
	struct log_view view;
	char text[64];

	ck_assert_int_eq(log_view(log, &view), 0);
	memset(text, 0, sizeof(text));
	ck_assert_int_ge(read_all(view.newest, text, sizeof(text) - 1), 0);
	ck_assert_str_eq(text, newest);
	ck_assert_int_eq(view.older >= 0, older != NULL);
	if (older) {
		memset(text, 0, sizeof(text));
		ck_assert_int_ge(read_all(view.older, text, sizeof(text) - 1), 0);
		ck_assert_str_eq(text, older);
	}
	ck_assert_uint_eq(view.older_offset, from);
	ck_assert_uint_eq(view.offset, from + (older ? strlen(older) : 0));
	ck_assert_uint_eq(view.total, view.offset + strlen(newest));
	close(view.newest);
	close_fd(&view.older);
}

/* A runnerd that died in the middle of the renames: the next one goes on with them. */
START_TEST(segments_change_their_names_once)
{
	struct uuid id = uuid_new();
	struct session_log log, second;
	char newest[64], older[64], text[UUID_TEXT_LEN + 1];
	int one, two, three;

	make_dir();
	ck_assert_int_eq(log_attach(&log, dir, "worker", &id, getgid()), 0);
	ck_assert_int_eq(log_begin(&log, &one, &two), 0);
	say(one, "aaaa");
	assert_log(&log, 0, NULL, "aaaa");
	say(two, "bb");
	ck_assert_int_eq(log_switch(&log, 1), 0);
	assert_log(&log, 0, "aaaa", "bb");
	three = log_next(&log);
	ck_assert_int_ge(three, 0);
	say(three, "c");
	snprintf(newest, sizeof(newest), "%s.jsonl", uuid_format(&id, text));
	snprintf(older, sizeof(older), "%s.jsonl.1", text);
	ck_assert_int_eq(renameat(log.dir, newest, log.dir, older), 0);
	ck_assert_int_eq(log_attach(&second, dir, "worker", &id, getgid()), 0);
	second.segment = 1;
	second.offset = 4;
	ck_assert_int_eq(log_switch(&second, 2), 0);
	assert_log(&second, 4, "bb", "c");
	ck_assert_uint_eq(log_length(&second), 7);
	log_finish(&second, false);
	log_detach(&second);
	log_detach(&log);
	close(one);
	close(two);
	close(three);
	remove_dir();
}
END_TEST

START_TEST(a_session_that_never_started_leaves_no_log)
{
	struct uuid id = uuid_new();
	struct session_log log;
	struct log_view view;
	int one, two;

	make_dir();
	ck_assert_int_eq(log_attach(&log, dir, "worker", &id, getgid()), 0);
	ck_assert_int_eq(log_begin(&log, &one, &two), 0);
	log_finish(&log, true);
	ck_assert_int_eq(log_view(&log, &view), -ENOENT);
	close(one);
	close(two);
	log_detach(&log);
	ck_assert_int_eq(unlinkat(dir, "worker", AT_REMOVEDIR), 0);
	remove_dir();
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_journal_is_read_as_written,
	    a_torn_journal_is_what_is_whole,
	    half_a_record_is_taken_back,
	    no_range_is_given_twice,
	    a_torn_table_goes_on_behind_what_is_whole,
	    segments_change_their_names_once,
	    a_session_that_never_started_leaves_no_log,
	};

	return suite_run("journal", tests, ARRAY_LEN(tests));
}
