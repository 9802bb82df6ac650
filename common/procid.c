#include "procid.h"

#include <fcntl.h>
#include <string.h>
#include <sys/pidfd.h>

#include "cleanup.h"

enum {
	STAT_BYTES_MAX = 1024,
	FIELD_STATE = 3, /* the first after the command's closing parenthesis */
	FIELD_START = 22,
};

/* The command may hold blanks and parentheses: the fields begin after the last ')'. */
static int
parse_stat(char *text, char *state, uint64_t *start)
{
	char *next = strrchr(text, ')'), *field, *end;
	int number = FIELD_STATE;

	if (!next)
		return -EBADMSG;
	next++;
	while ((field = strsep(&next, " ")) != NULL) {
		if (!*field)
			continue;
		if (number == FIELD_STATE)
			*state = *field;
		if (number++ < FIELD_START)
			continue;
		errno = 0;
		*start = strtoull(field, &end, 10);
		return errno || *end ? -EBADMSG : 0;
	}
	return -EBADMSG;
}

int
procid_read(pid_t pid, struct procid *id)
{
	char path[32], text[STAT_BYTES_MAX], state = 0;
	_cleanup_close_ int fd = -1;
	ssize_t length;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	length = read(fd, text, sizeof(text) - 1);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	rc = parse_stat(text, &state, &id->start_ticks);
	if (rc < 0)
		return rc;
	id->pid = pid;
	return state == 'Z' || state == 'X' ? -ESRCH : 0;
}

/* The pidfd comes first: if the start time read after it is the right one, so is the pidfd, or
 * its process has ended and signals to it do nothing. */
int
procid_open(const struct procid *id)
{
	_cleanup_close_ int fd = pidfd_open(id->pid, 0);
	struct procid now;
	int rc;

	if (fd < 0)
		return errno == EINVAL ? -ESRCH : -errno;
	rc = procid_read(id->pid, &now);
	if (rc < 0)
		return rc;
	if (now.start_ticks != id->start_ticks)
		return -ESRCH;
	return steal_fd(&fd);
}

int
procid_kill(const struct procid *id, int signal)
{
	_cleanup_close_ int fd = procid_open(id);

	if (fd < 0)
		return fd;
	return pidfd_send_signal(fd, signal, NULL, 0) < 0 ? -errno : 0;
}
