/*
 * agentd-config: reads agentd.yaml for agentd, which is root and parses nothing. One request, one
 * answer, exit. It gives everything up before it looks at the first byte of the file.
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/proto.h"

enum {
	CHANNEL_FD = 3,
	NOBODY = 65534, /* agentd.yaml is what names the users: none is known yet */
	ASK_TIMEOUT_MS = 10000,
	OPEN_FILES = 16,
	HEAP_BYTES = 256 << 20, /* a file of 1 MiB needs a few */
};

struct request {
	int file, login_defs; /* -1: not there */
	char path[PATH_LEN_MAX + 1];
};

static void
cleanup_config(struct config **config)
{
	config_free(*config);
}

static int
receive(struct request *request, struct error *error)
{
	struct msg msg;
	int r = msg_greet(CHANNEL_FD, CH_CONFIG, SIDE_B, ROLE_CONFIG, ROLE_AGENTD, ASK_TIMEOUT_MS);
	unsigned next = 0;

	if (r < 0) {
		error_errno(error, -r, "no greeting on descriptor %d", CHANNEL_FD);
		return error_hint(error, "agentd starts agentd-config; it is not started by hand");
	}
	r = msg_recv(CHANNEL_FD, CH_CONFIG, SIDE_B, IN_OPEN, &msg, ASK_TIMEOUT_MS);
	if (r <= 0 || msg.type != MSG_CONFIG_PARSE)
		return error_why(error, ERR_FAILED, "agentd asked for nothing");
	if (msg.config_parse.has_file)
		request->file = msg_take_fd(&msg, next++);
	if (msg.config_parse.has_login_defs)
		request->login_defs = msg_take_fd(&msg, next);
	memcpy(request->path, msg.config_parse.path, sizeof(request->path));
	msg_close_fds(&msg);
	return 0;
}

/* Without a bound, a parser that goes wrong takes the host's memory with it. */
static int
limit_heap(struct error *error)
{
#ifndef __SANITIZE_ADDRESS__
	const struct rlimit heap = {.rlim_cur = HEAP_BYTES, .rlim_max = HEAP_BYTES};

	if (setrlimit(RLIMIT_DATA, &heap) < 0)
		return error_errno(error, errno, "setrlimit RLIMIT_DATA");
#else
	(void)error;
#endif
	return 0;
}

static int
give_up_everything(struct error *error)
{
	struct confinement confinement = CONFINEMENT_INIT;

	confinement.uid = NOBODY;
	confinement.gid = NOBODY;
	confinement.syscalls = confine_base_syscalls;
	confinement.syscall_count = confine_base_count;
	confinement.open_files = OPEN_FILES;
	confinement.no_processes = true;
	confinement.landlock = true;
	if (limit_heap(error) < 0)
		return -1;
	return confine(&confinement, error);
}

static int
read_whole(int fd, const char *path, char **text, size_t *length, struct error *error)
{
	int r = fd < 0 ? 0 : read_file(fd, CONFIG_BYTES_MAX, text, length);

	if (r == -EFBIG)
		return error_why(error, ERR_INVALID, "%.1000s: the file is bigger than 1 MiB",
				 path);
	if (r < 0) {
		error_errno(error, -r, "%.1000s: cannot be read", path);
		return error_as(error, ERR_INVALID);
	}
	return 0;
}

/* Sealed; -1 with error. */
static int
find_origins(const char *text, size_t length, struct error *error)
{
	struct rows *rows = rows_new("origins");
	int rc = rows ? config_origins(text, length, rows) : -errno;

	if (rc == 0)
		rc = rows_seal(rows);
	else
		rows_free(rows);
	return rc < 0 ? error_errno(error, -rc, "the configuration cannot be handed over") : rc;
}

static struct config *
parse(const struct request *request, int *origins, struct error *error)
{
	_cleanup_free_ char *text = NULL, *login_defs = NULL;
	_cleanup_(cleanup_config) struct config *config = NULL;
	size_t length = 0, login_defs_length = 0;

	if (read_whole(request->file, request->path, &text, &length, error) < 0 ||
	    read_whole(request->login_defs, "/etc/login.defs", &login_defs, &login_defs_length,
		       error) < 0)
		return NULL;
	config = config_read(text, length, request->path, error);
	if (!config)
		return NULL;
	if (config_check_ids(config, login_defs, login_defs_length, error) < 0) {
		error_what(error, "%.500s", request->path);
		return NULL;
	}
	*origins = find_origins(text, length, error);
	return *origins < 0 ? NULL : steal_ptr(&config);
}

/* The encoded configuration as a sealed memfd; -1 with error. */
static int
seal(const struct config *config, struct error *error)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;
	int r = config_encode(config, &bytes, &length);

	if (r == 0)
		r = memfd_sealed("agentd.yaml", bytes, length);
	if (r < 0)
		return error_errno(error, -r, "the configuration cannot be handed over");
	return r;
}

static int
answer(struct msg *msg, struct error *error)
{
	int r = msg_send(CHANNEL_FD, CH_CONFIG, SIDE_B, IN_OPEN, msg);

	msg_close_fds(msg);
	return r < 0 ? error_errno(error, -r, "agentd does not take the answer") : 0;
}

/* A refusal is an answer like any other. */
static int
answer_error(struct error *error)
{
	struct msg msg;

	msg_from_error(&msg, 0, error);
	return answer(&msg, error);
}

static int
answer_config(const struct request *request, struct error *error)
{
	_cleanup_close_ int origins = -1;
	_cleanup_(cleanup_config) struct config *config = parse(request, &origins, error);
	int sealed = config ? seal(config, error) : -1;
	struct msg msg;

	if (sealed < 0)
		return answer_error(error);
	msg_init(&msg, MSG_CONFIG_PARSED);
	msg_add_fd(&msg, sealed);
	msg_add_fd(&msg, steal_fd(&origins));
	return answer(&msg, error);
}

static int
serve(struct error *error)
{
	struct request request = {.file = -1, .login_defs = -1};

	if (receive(&request, error) < 0)
		return -1;
	if (give_up_everything(error) < 0) {
		error_what(error, "confining agentd-config");
		return answer_error(error);
	}
	return answer_config(&request, error);
}

int
main(void)
{
	struct error error = ERROR_INIT;

	log_open("agentd-config", LOG_LEVEL_INFO, log_target_auto());
	if (serve(&error) == 0)
		return 0;
	error_what(&error, "reading the configuration");
	log_problem(LOG_LEVEL_ERROR, &error);
	return 1;
}
