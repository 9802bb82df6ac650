/* The audit channel of one daemon to secretd, with a queue for the time that secretd is away. */
#include <string.h>

#include "cleanup.h"
#include "daemon.h"
#include "log.h"

enum { AUDIT_QUEUE_MAX = 256 };

struct audit {
	struct loop *loop;
	enum role role;
	struct channel *channel;
	bool open;
	/* A ring of lines that wait for an open channel. */
	struct msg_audit *waiting[AUDIT_QUEUE_MAX];
	size_t first, count;
	uint64_t dropped; /* since the last line got through */
};

struct audit *
audit_new(struct loop *loop, enum role role)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (!audit)
		return NULL;
	audit->loop = loop;
	audit->role = role;
	return audit;
}

static struct msg_audit *
dequeue(struct audit *audit)
{
	struct msg_audit *line = audit->waiting[audit->first];

	audit->waiting[audit->first] = NULL;
	audit->first = (audit->first + 1) % AUDIT_QUEUE_MAX;
	audit->count--;
	return line;
}

static void
drop_oldest(struct audit *audit)
{
	_cleanup_free_ struct msg_audit *line = dequeue(audit);

	audit->dropped++;
	log_warn("audit line dropped, secretd is away and %d wait: %s %s", AUDIT_QUEUE_MAX,
		 line->action, line->agent);
}

static void
enqueue(struct audit *audit, const struct msg_audit *line)
{
	struct msg_audit *copy = malloc(sizeof(*copy));

	if (!copy) {
		log_error("audit line dropped, out of memory: %s %s", line->action, line->agent);
		return;
	}
	*copy = *line;
	if (audit->count == AUDIT_QUEUE_MAX)
		drop_oldest(audit);
	audit->waiting[(audit->first + audit->count++) % AUDIT_QUEUE_MAX] = copy;
}

static bool
pass_on(struct audit *audit, const struct msg_audit *line)
{
	struct msg msg;

	if (!audit->open)
		return false;
	msg_init(&msg, MSG_AUDIT);
	msg.audit = *line;
	return channel_send(audit->channel, &msg) == 0;
}

static void
pass_waiting(struct audit *audit)
{
	while (audit->count > 0 && pass_on(audit, audit->waiting[audit->first]))
		free(dequeue(audit));
	if (audit->count > 0 || audit->dropped == 0)
		return;
	log_warn("%llu audit lines were dropped while secretd was away",
		 (unsigned long long)audit->dropped);
	audit->dropped = 0;
}

static void
opened(struct channel *channel, void *arg)
{
	struct audit *audit = arg;

	(void)channel;
	audit->open = true;
	pass_waiting(audit);
}

static void
closed(struct channel *channel, const struct error *error, void *arg)
{
	struct audit *audit = arg;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	audit->channel = NULL;
	audit->open = false;
}

/* secretd says nothing on this channel; the permission table refuses what it might. */
static void
unexpected(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	(void)msg;
	(void)arg;
}

static const struct channel_ops audit_ops = {
    .opened = opened,
    .message = unexpected,
    .closed = closed,
};

void
audit_introduced(struct audit *audit, int fd)
{
	channel_free(audit->channel);
	audit->open = false;
	audit->channel = channel_new(audit->loop, fd, CH_AUDIT, SIDE_A, audit->role, ROLE_SECRETD,
				     &audit_ops, audit);
	if (!audit->channel)
		log_error("audit channel: %s", strerrordesc_np(errno));
}

void
audit_send(struct audit *audit, const struct msg_audit *line)
{
	/* In order: behind those that wait. */
	if (audit->count > 0 || !pass_on(audit, line))
		enqueue(audit, line);
}

void
audit_free(struct audit *audit)
{
	if (!audit)
		return;
	channel_free(audit->channel);
	while (audit->count > 0)
		free(dequeue(audit));
	free(audit);
}
