#include "denials.h"

#include <string.h>

#include "common/cleanup.h"
#include "connect.h"
#include "logline.h"
#include "logs.h"

/* What runnerd/egress/link.c writes behind the time. */
static const char mark[] = "egress: info: denied ";

/* Behind the time and the mark; false: another line. */
static bool
denial_of(const struct logline *line, char text[DENIAL_TEXT_MAX + 1])
{
	const char *at = memchr(line->content, ' ', line->length);
	size_t left = at ? line->length - (size_t)(++at - line->content) : 0;

	if (strcmp(line->stream, "runtime") != 0 || left < sizeof(mark) ||
	    memcmp(at, mark, sizeof(mark) - 1) != 0)
		return false;
	at += sizeof(mark) - 1;
	left -= sizeof(mark) - 1;
	if (left > DENIAL_TEXT_MAX)
		left = DENIAL_TEXT_MAX;
	memcpy(text, at, left);
	text[left] = '\0';
	return true;
}

static void
heard(const struct logline *line, void *arg)
{
	struct denials *denials = arg;
	char text[DENIAL_TEXT_MAX + 1];

	if (!denial_of(line, text))
		return;
	for (unsigned i = 0; i < denials->count; i++)
		if (strcmp(denials->texts[i], text) == 0)
			return;
	if (denials->count == DENIALS_SHOWN)
		denials->more = true;
	else
		strcpy(denials->texts[denials->count++], text);
}

int
denials_read(struct ash *ash, const char *ref, struct denials *denials, struct error *error)
{
	_cleanup_(logs_free) struct logs logs = LOGS_INIT;
	struct msg request, reply;

	*denials = (struct denials){.count = 0};
	msg_init(&request, MSG_OP_LOG);
	strcpy(request.op_log.ref, ref);
	if (connection_query(&ash->connection, &request, MSG_LOG, &reply, error) < 0) {
		if (error->code != ERR_NOT_FOUND)
			return -1;
		*error = (struct error)ERROR_INIT;
		return 0;
	}
	logs.heard = heard;
	logs.heard_arg = denials;
	logs_take(&logs, &reply);
	msg_close_fds(&reply);
	return logs_pump(&logs, error);
}
