#include <regex.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "tests/unit/suite.h"

/* Standard error goes into a pipe while something is said. */
struct capture {
	int kept, ends[2];
	char text[65536];
};

static void
capture_begin(struct capture *capture)
{
	capture->kept = dup(STDERR_FILENO);
	ck_assert_int_eq(pipe2(capture->ends, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(dup2(capture->ends[1], STDERR_FILENO), STDERR_FILENO);
}

static const char *
capture_end(struct capture *capture)
{
	ssize_t n = read(capture->ends[0], capture->text, sizeof(capture->text) - 1);

	capture->text[n > 0 ? n : 0] = '\0';
	dup2(capture->kept, STDERR_FILENO);
	close(capture->kept);
	close(capture->ends[0]);
	close(capture->ends[1]);
	return capture->text;
}

static void
assert_matches(const char *text, const char *pattern)
{
	regex_t regex;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "%s", text);
	regfree(&regex);
}

#define TIME "^2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z "

START_TEST(standard_error)
{
	struct capture capture;
	struct uuid session;

	ck_assert(uuid_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", &session));
	log_open("runnerd", LOG_LEVEL_INFO, LOG_TO_STDERR);
	capture_begin(&capture);
	log_info("hello %d", 5);
	assert_matches(capture_end(&capture), TIME "runnerd: info: hello 5\n$");
	capture_begin(&capture);
	log_session(LOG_LEVEL_WARNING, &session, "stopped");
	assert_matches(capture_end(&capture),
		       TIME "runnerd: warning: session=017f22e2-79b0-7cc3-98c4-dc0c0c07398f "
			    "stopped\n$");
}
END_TEST

START_TEST(levels)
{
	struct capture capture;

	ck_assert_int_eq(log_level_parse("error"), LOG_LEVEL_ERROR);
	ck_assert_int_eq(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	ck_assert_int_eq(log_level_parse("loud"), -1);
	log_open("x", LOG_LEVEL_WARNING, LOG_TO_STDERR);
	capture_begin(&capture);
	log_info("no");
	log_debug("no");
	ck_assert_str_eq(capture_end(&capture), "");
	log_set_level(LOG_LEVEL_DEBUG);
	capture_begin(&capture);
	log_debug("yes");
	assert_matches(capture_end(&capture), "debug: yes\n$");
}
END_TEST

START_TEST(forged_lines)
{
	struct capture capture;

	log_open("x", LOG_LEVEL_INFO, LOG_TO_JOURNAL);
	ck_assert_int_lt(log_journal_at("/nonexistent"), 0);
	capture_begin(&capture);
	log_error("%s", "a\n<3>forged\r\x1b[2J\x7f\xc2\x9b"
			"1m\xff caf\xc3\xa9\t.");
	ck_assert_str_eq(capture_end(&capture), "<3>x: a\\n<3>forged\\x0d\\x1b[2J\\x7f\\xc2\\x9b1m"
						"\\xff caf\xc3\xa9\\x09.\n");
}
END_TEST

/* A journal that is a socket of the test's. */
static int
journal_open(char path[64])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(path, 64, "/tmp/scarab-log-%d", getpid());
	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static const char *
journal_read(int fd, char *text, size_t size)
{
	ssize_t n = recv(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Each line is a datagram of fields; what others wrote makes no field of its own. */
START_TEST(journal_fields)
{
	struct capture capture;
	struct uuid session;
	char path[64], text[8192];
	_cleanup_close_ int journal = journal_open(path);

	ck_assert(uuid_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", &session));
	log_open("schedd", LOG_LEVEL_INFO, LOG_TO_JOURNAL);
	ck_assert_int_eq(log_journal_at(path), 0);
	capture_begin(&capture);
	log_event(LOG_EVENT_SESSION_FAILED, LOG_LEVEL_INFO, "review", &session, "%s",
		  "ended\nPRIORITY=0");
	log_warn("plain");
	ck_assert_str_eq(capture_end(&capture), "");
	assert_matches(journal_read(journal, text, sizeof(text)),
		       "^PRIORITY=6\nSYSLOG_IDENTIFIER=schedd\nSCARAB_ROLE=schedd\n"
		       "SCARAB_SESSION=017f22e2-79b0-7cc3-98c4-dc0c0c07398f\nSCARAB_AGENT=review\n"
		       "MESSAGE_ID=[0-9a-f]{32}\nMESSAGE=ended..PRIORITY=0\n$");
	ck_assert_str_eq(journal_read(journal, text, sizeof(text)),
			 "PRIORITY=4\nSYSLOG_IDENTIFIER=schedd\nSCARAB_ROLE=schedd\n"
			 "MESSAGE=plain\n");
	close_fd(&journal);
	unlink(path);
	capture_begin(&capture);
	log_warn("the journal is away");
	ck_assert_str_eq(capture_end(&capture), "<4>schedd: the journal is away\n");
}
END_TEST

START_TEST(long_line_is_one_line)
{
	struct capture capture;
	char wide[20000];

	memset(wide, '\x01', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	log_open("x", LOG_LEVEL_INFO, LOG_TO_STDERR);
	capture_begin(&capture);
	log_info("%s", wide);
	const char *text = capture_end(&capture);
	ck_assert_uint_gt(strlen(text), 4000);
	ck_assert_uint_le(strlen(text), 8192);
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(problems)
{
	struct capture capture;
	struct error error = ERROR_INIT;

	log_open("x", LOG_LEVEL_INFO, LOG_TO_JOURNAL);
	ck_assert_int_lt(log_journal_at("/nonexistent"), 0);
	error_why(&error, ERR_FAILED, "no room");
	error_what(&error, "writing %s", "/x");
	capture_begin(&capture);
	log_problem(LOG_LEVEL_ERROR, &error);
	ck_assert_str_eq(capture_end(&capture), "<3>x: writing /x: no room\n");
	error_hint(&error, "make some");
	capture_begin(&capture);
	log_problem(LOG_LEVEL_WARNING, &error);
	ck_assert_str_eq(capture_end(&capture), "<4>x: writing /x: no room (make some)\n");
}
END_TEST

START_TEST(targets)
{
	struct stat st;
	char stream[64];

	ck_assert_int_eq(log_target_parse("syslog"), LOG_TO_SYSLOG);
	ck_assert_int_eq(log_target_parse("journal"), LOG_TO_JOURNAL);
	ck_assert_int_eq(log_target_parse("stderr"), LOG_TO_STDERR);
	unsetenv("JOURNAL_STREAM");
	ck_assert_int_eq(log_target_parse("auto"), LOG_TO_STDERR);
	ck_assert_int_eq(log_target_parse(NULL), LOG_TO_STDERR);
	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	ck_assert_int_eq(log_target_auto(), LOG_TO_JOURNAL);
	setenv("JOURNAL_STREAM", "1:1", 1);
	ck_assert_int_eq(log_target_auto(), LOG_TO_STDERR);
	setenv("JOURNAL_STREAM", "rubbish", 1);
	ck_assert_int_eq(log_target_auto(), LOG_TO_STDERR);
}
END_TEST

/* With or without a /dev/log the line appears somewhere and nothing fails. */
START_TEST(system_log)
{
	struct capture capture;

	capture_begin(&capture);
	log_open("scarab-test", LOG_LEVEL_INFO, LOG_TO_SYSLOG);
	log_debug("test");
	const char *text = capture_end(&capture);
	if (access("/dev/log", F_OK) < 0)
		assert_matches(text, "syslog cannot be reached at /dev/log");
	log_open("x", LOG_LEVEL_INFO, LOG_TO_STDERR);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {standard_error,        levels,   forged_lines, journal_fields,
				long_line_is_one_line, problems, targets,      system_log};

	return suite_run("log", tests, ARRAY_LEN(tests));
}
