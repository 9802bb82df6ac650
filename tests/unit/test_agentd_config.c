/* The program agentd-config, from agentd's side of its channel. Skips without $BUILD. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/proto.h"
#include "tests/unit/suite.h"

enum { ANSWER_MS = 10000 };

static int
text_file(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
	ck_assert_int_eq((int)lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static pid_t
start(int ends[2])
{
	char path[4096];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/agentd-config", getenv("BUILD"));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 3);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	return pid;
}

/* Asks for the texts (NULL: no file) and returns the answer; its process must have exited 0. */
static void
ask(const char *file, const char *login_defs, struct msg *answer)
{
	struct msg msg;
	int ends[2], status;
	pid_t pid = start(ends);

	ck_assert_int_eq(msg_greet(ends[0], CH_CONFIG, SIDE_A, ROLE_AGENTD, ROLE_CONFIG, ANSWER_MS),
			 0);
	msg_init(&msg, MSG_CONFIG_PARSE);
	msg.config_parse.has_file = file != NULL;
	msg.config_parse.has_login_defs = login_defs != NULL;
	strcpy(msg.config_parse.path, "/etc/agentd.yaml");
	if (file)
		msg_add_fd(&msg, text_file(file));
	if (login_defs)
		msg_add_fd(&msg, text_file(login_defs));
	ck_assert_int_eq(msg_send(ends[0], CH_CONFIG, SIDE_A, IN_OPEN, &msg), 0);
	msg_close_fds(&msg);
	ck_assert_int_eq(msg_recv(ends[0], CH_CONFIG, SIDE_A, IN_OPEN, answer, ANSWER_MS), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(ends[0]);
}

static struct config *
answered(struct msg *answer)
{
	struct error error = ERROR_INIT;
	struct config *config;
	int fd;

	if (answer->type == MSG_ERROR)
		msg_to_error(answer, &error);
	ck_assert_msg(answer->type == MSG_CONFIG_PARSED, "%s: %s", error.what, error.why);
	fd = msg_take_fd(answer, 0);
	config = config_from_memfd(fd, &error);
	close(fd);
	ck_assert_msg(config, "%s", error.why);
	return config;
}

START_TEST(no_file_is_every_default)
{
	struct msg answer;
	struct config *config;

	ask(NULL, NULL, &answer);
	config = answered(&answer);
	ck_assert_str_eq(config->run_dir, "/run/scarab-runtime");
	config_free(config);
}
END_TEST

START_TEST(a_file_is_read)
{
	struct msg answer;
	struct config *config;

	ask("run_dir: /tmp/i\n", "UID_MIN 1000\nUID_MAX 60000\n", &answer);
	config = answered(&answer);
	ck_assert_str_eq(config->socket, "/tmp/i/agentd.sock");
	config_free(config);
}
END_TEST

START_TEST(a_bad_file_is_an_error_with_its_place)
{
	struct msg answer;
	struct error error = ERROR_INIT;

	ask("run_dri: /tmp/i\n", NULL, &answer);
	ck_assert_int_eq(answer.type, MSG_ERROR);
	msg_to_error(&answer, &error);
	ck_assert_int_eq(error.code, ERR_INVALID);
	ck_assert_str_eq(error.why,
			 "/etc/agentd.yaml:1:1: unknown key \"run_dri\" at the top level");
	ck_assert_str_eq(error.hint, "did you mean \"run_dir\"?");
}
END_TEST

START_TEST(ids_of_others_are_refused)
{
	struct msg answer;
	struct error error = ERROR_INIT;

	ask("", "SUB_UID_MIN 1900000000\nSUB_UID_MAX 1900065535\n", &answer);
	ck_assert_int_eq(answer.type, MSG_ERROR);
	msg_to_error(&answer, &error);
	ck_assert_ptr_nonnull(strstr(error.why, "session_ids 1879048192-2147483647 overlap"));
	ck_assert_str_eq(error.what, "/etc/agentd.yaml");
}
END_TEST

START_TEST(a_file_beyond_the_bound_is_refused)
{
	_cleanup_free_ char *text = malloc((1 << 20) + 2);
	struct msg answer;

	memset(text, '#', (1 << 20) + 1);
	text[(1 << 20) + 1] = '\0';
	ask(text, NULL, &answer);
	ck_assert_int_eq(answer.type, MSG_ERROR);
	ck_assert_int_eq(answer.error.code, ERR_INVALID);
}
END_TEST

START_TEST(agentd_gone_ends_it)
{
	int ends[2], status;
	pid_t pid = start(ends);

	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    no_file_is_every_default,
	    a_file_is_read,
	    a_bad_file_is_an_error_with_its_place,
	    ids_of_others_are_refused,
	    a_file_beyond_the_bound_is_refused,
	    agentd_gone_ends_it,
	};

	if (!getenv("BUILD") || geteuid() != 0) {
		puts("it needs root, and BUILD with agentd-config in it");
		return 77;
	}
	return suite_run("agentd-config", tests, ARRAY_LEN(tests));
}
