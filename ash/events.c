/* ash events: what happens, as it happens. */
#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "ash.h"
#include "clock.h"
#include "common/cleanup.h"
#include "common/loop.h"
#include "common/notice.h"
#include "common/timefmt.h"
#include "news.h"
#include "output.h"
#include "runtime.h"
#include "session.h"
#include "stream.h"
#include "text.h"

struct listener {
	struct ash *ash;
	struct stream stream;
	const char *agent, *kind; /* NULL: all */
	bool connected;           /* once */
};

static bool
wanted(const struct listener *listener, const struct msg *msg)
{
	const char *kind = news_kind(msg);

	if (!kind)
		return false;
	if (msg->type == MSG_NOTICE && msg->notice.kind == NOTICE_MISSED)
		return true;
	if (listener->agent && strcmp(news_agent(msg), listener->agent) != 0)
		return false;
	return !listener->kind || fnmatch(listener->kind, kind, 0) == 0;
}

static enum color
color_of(const struct msg *msg)
{
	if (msg->type == MSG_SESSION_EVENT)
		return session_color(msg->session_event.state, msg->session_event.outcome);
	switch (msg->notice.kind) {
	case NOTICE_DAEMON_ENDED:
	case NOTICE_AGENT_PAUSED:
	case NOTICE_CALL_ASKED:
	case NOTICE_MISSED:
		return COLOR_WARN;
	default:
		return COLOR_NONE;
	}
}

static int
print(const struct listener *listener, const struct msg *msg, struct error *error)
{
	const struct ash *ash = listener->ash;
	char text[NEWS_TEXT_MAX + 1], at[32];
	struct json json = JSON_INIT;
	enum color color = color_of(msg);

	if (!wanted(listener, msg))
		return 0;
	if (ash->json) {
		news_json(msg, &json);
		return output_json(&json, error);
	}
	news_text(msg, text);
	text_clean_here(text);
	printf("%s  %s%-16s%s %s\n", local_format(news_at_ms(msg), at),
	       color_on(color, ash->style.color), news_kind(msg),
	       color_off(ash->style.color && color != COLOR_NONE), text);
	return 0;
}

/* What is no news of agentd: the connection itself. */
static int
print_connection(const struct listener *listener, const char *kind, const struct error *why,
		 struct error *error)
{
	struct json json = JSON_INIT;

	if (!listener->ash->json) {
		if (why)
			output_note(listener->ash, "%s; waiting for it", why->why);
		else
			output_note(listener->ash, "connected again; what happened meanwhile is "
						   "not shown");
		return 0;
	}
	json_object(&json);
	json_key(&json, "time");
	json_time(&json, realtime_ms());
	json_key(&json, "kind");
	json_string(&json, kind);
	json_key(&json, "reason");
	json_string(&json, why ? why->why : NULL);
	json_object_end(&json);
	return output_json(&json, error);
}

static int
take(struct listener *listener, int news, struct msg *msg, struct error *error)
{
	int r = 0;

	switch (news) {
	case STREAM_MESSAGE:
		r = print(listener, msg, error);
		msg_close_fds(msg);
		break;
	case STREAM_LOST:
		r = print_connection(listener, "stream.lost", error, error);
		break;
	case STREAM_UP:
		if (listener->connected)
			r = print_connection(listener, "stream.resumed", NULL, error);
		else if (listener->ash->live)
			output_note(listener->ash, "waiting for something to happen; Ctrl-C ends");
		listener->connected = true;
		break;
	default:
		break;
	}
	return r;
}

/* Whoever was never connected need not wait for a restart: a first refusal is told at once. */
static bool
patience_ends(const struct listener *listener, const struct error *error)
{
	uint64_t away = stream_away_ms(&listener->stream);

	if (away == 0 || error->code == ERR_NONE)
		return false;
	return away > (listener->connected ? RESTART_WAIT_MS + HELLO_WAIT_MS : 0);
}

static int
turn(struct listener *listener, struct error *error)
{
	struct pollfd fds[] = {
	    {.fd = stream_fd(&listener->stream), .events = POLLIN},
	    {.fd = STDOUT_FILENO}, /* POLLERR: nobody reads any more */
	};
	struct msg msg;
	int news;

	if (output_flush(error) < 0)
		return -1;
	if (poll(fds, ARRAY_LEN(fds), stream_patience(&listener->stream)) < 0 && errno != EINTR)
		return error_errno(error, errno, "waiting for agentd");
	if (fds[1].revents & POLLERR)
		output_closed();
	while ((news = stream_next(&listener->stream, &msg, error)) > 0)
		if (take(listener, news, &msg, error) < 0)
			return -1;
	return news < 0 || patience_ends(listener, error) ? -1 : 0;
}

int
events_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct listener listener = {
	    .ash = ash,
	    .agent = args_value(args, "--agent"),
	    .kind = args_value(args, "--kind"),
	};

	if (listener.agent && agent_name_check(listener.agent, error) < 0)
		return -1;
	stream_init(&listener.stream, ash, false);
	while (turn(&listener, error) == 0)
		;
	return -1;
}
