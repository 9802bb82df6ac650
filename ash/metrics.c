/* ash metrics: what the daemons count, for Prometheus. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ash.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/metrics.h"
#include "output.h"

/* What node_exporter reads must be whole whenever it looks: another name first, then this one. */
static int
put_file(const char *path, const char *text, size_t length, struct error *error)
{
	_cleanup_free_ char *fresh = NULL;
	_cleanup_close_ int fd = -1;
	int rc;

	if (asprintf(&fresh, "%s.%d", path, getpid()) < 0) {
		fresh = NULL;
		return error_errno(error, ENOMEM, "writing %s", path);
	}
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_errno(error, errno, "making %s", fresh);
	rc = write_all(fd, text, length);
	if (rc == 0 && (fchmod(fd, 0644) < 0 || rename(fresh, path) < 0))
		rc = -errno;
	if (rc == 0)
		return 0;
	unlink(fresh);
	return error_errno(error, -rc, "writing %s", path);
}

/* One object, as of every command. */
static int
print_json(const char *text, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "openmetrics");
	json_string(&json, text);
	json_object_end(&json);
	return output_json(&json, error);
}

int
metrics_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *path = args_value(args, "--textfile");
	enum metrics_format format = args_flag(args, "--openmetrics") || (ash->json && !path)
					 ? METRICS_OPENMETRICS
					 : METRICS_PROMETHEUS;
	_cleanup_free_ char *text = NULL;
	struct msg request, reply;
	size_t length = 0;

	msg_init(&request, MSG_OP_METRICS);
	if (connection_call(&ash->connection, &request, MSG_ROWS, &reply, REPLY_WAIT_MS, error) < 0)
		return -1;
	text = metrics_text(reply.fds[0], format, &length, error);
	msg_close_fds(&reply);
	if (!text)
		return -1;
	if (path)
		return put_file(path, text, length, error);
	if (ash->json)
		return print_json(text, error);
	fwrite(text, 1, length, stdout);
	return 0;
}
