#include "notice.h"

#include "cleanup.h"

static const struct {
	const char *name;
	enum role teller;
} kinds[NOTICE_COUNT] = {
    [NOTICE_EVENT_EMITTED] = {"event.emitted", ROLE_SCHEDD},
    [NOTICE_EVENT_DELIVERED] = {"event.delivered", ROLE_SCHEDD},
    [NOTICE_TRIGGER_FIRED] = {"trigger.fired", ROLE_SCHEDD},
    [NOTICE_AGENT_PAUSED] = {"agent.paused", ROLE_SCHEDD},
    [NOTICE_AGENT_RESUMED] = {"agent.resumed", ROLE_SCHEDD},
    [NOTICE_AGENT_INSTALLED] = {"agent.installed", ROLE_RUNNERD},
    [NOTICE_AGENT_REMOVED] = {"agent.removed", ROLE_RUNNERD},
    [NOTICE_CALL_ASKED] = {"call.asked", ROLE_RUNNERD},
    [NOTICE_CALL_DECIDED] = {"call.decided", ROLE_RUNNERD},
    [NOTICE_DAEMON_STARTED] = {"daemon.started", ROLE_AGENTD},
    [NOTICE_DAEMON_ENDED] = {"daemon.ended", ROLE_AGENTD},
    [NOTICE_MISSED] = {"missed", ROLE_NONE},
};

const char *
notice_kind_name(uint8_t kind)
{
	return kind < NOTICE_COUNT ? kinds[kind].name : NULL;
}

enum role
notice_teller(uint8_t kind)
{
	return kind < NOTICE_COUNT ? kinds[kind].teller : ROLE_NONE;
}

void
notice_init(struct msg *msg, enum notice_kind kind)
{
	msg_init(msg, MSG_NOTICE);
	msg->notice.kind = (uint8_t)kind;
	msg->notice.at_ms = realtime_ms();
}

bool
notice_settle(struct channel *channel, uint64_t *missed)
{
	struct msg msg;

	if (!*missed || !channel)
		return false;
	if (channel_queued(channel) >= NOTICES_WAITING_MAX / 2)
		return true;
	notice_init(&msg, NOTICE_MISSED);
	msg.notice.count = *missed;
	*missed = 0;
	channel_send(channel, &msg);
	return false;
}

void
notice_send(struct channel *channel, uint64_t *missed, struct msg *msg)
{
	if (!channel)
		return;
	if (notice_settle(channel, missed) || channel_queued(channel) >= NOTICES_WAITING_MAX)
		++*missed;
	else
		channel_send(channel, msg);
}
