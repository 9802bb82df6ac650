/* The audit channel of one daemon to secretd, with what secretd has not said to be durable yet. */
#include <string.h>

#include "cleanup.h"
#include "daemon.h"
#include "log.h"

struct audit {
	struct loop *loop;
	enum role role;
	struct channel *channel;
	bool open;
	uint64_t generation, sequence; /* sequence: of the newest line */
	/* A ring of lines that are not durable, oldest first; the first sent ones went to this
	 * channel. */
	struct msg_audit *kept[AUDIT_KEPT_MAX];
	size_t first, count, sent;
	uint64_t dropped; /* since the log last told of some */
	uint64_t entries; /* of the log, as secretd told it last */
};

struct audit *
audit_new(struct loop *loop, enum role role)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (!audit)
		return NULL;
	audit->loop = loop;
	audit->role = role;
	/* No other process of this role has begun in this millisecond with this pid. */
	audit->generation = realtime_ms() << 22 | ((uint64_t)getpid() & 0x3fffff);
	return audit;
}

static struct msg_audit *
kept_at(const struct audit *audit, size_t index)
{
	return audit->kept[(audit->first + index) % AUDIT_KEPT_MAX];
}

static void
forget_oldest(struct audit *audit)
{
	free(audit->kept[audit->first]);
	audit->kept[audit->first] = NULL;
	audit->first = (audit->first + 1) % AUDIT_KEPT_MAX;
	audit->count--;
	if (audit->sent > 0)
		audit->sent--;
}

/* --- sending ---------------------------------------------------------------------------------- */

static void
pass_on(struct audit *audit)
{
	struct msg msg;

	while (audit->open && audit->sent < audit->count) {
		msg_init(&msg, MSG_AUDIT);
		msg.audit = *kept_at(audit, audit->sent);
		if (channel_send(audit->channel, &msg) < 0)
			return; /* its end is told by closed() */
		audit->sent++;
	}
}

static bool
keep(struct audit *audit, const struct msg_audit *line)
{
	struct msg_audit *copy = audit->count < AUDIT_KEPT_MAX ? malloc(sizeof(*copy)) : NULL;

	if (!copy)
		return false;
	*copy = *line;
	copy->generation = audit->generation;
	copy->sequence = ++audit->sequence;
	audit->kept[(audit->first + audit->count++) % AUDIT_KEPT_MAX] = copy;
	return true;
}

/* In place of what was dropped, where it would stand. */
static bool
keep_dropped(struct audit *audit)
{
	struct msg_audit line = {.action = "audit.dropped", .allowed = true};

	if (!audit->dropped)
		return true;
	snprintf(line.detail, sizeof(line.detail),
		 "%llu entries found no room while none could be written",
		 (unsigned long long)audit->dropped);
	if (!keep(audit, &line))
		return false;
	log_warn("audit: %s", line.detail);
	audit->dropped = 0;
	return true;
}

void
audit_send(struct audit *audit, const struct msg_audit *line)
{
	if (!keep_dropped(audit) || !keep(audit, line)) {
		if (!audit->dropped++)
			log_error("audit: no room for %s %s; %zu entries wait to be written",
				  line->action, line->agent, audit->count);
		return;
	}
	pass_on(audit);
}

size_t
audit_waiting(const struct audit *audit)
{
	return audit ? audit->count : 0;
}

bool
audit_connected(const struct audit *audit)
{
	return audit && audit->open;
}

bool
audit_ready(const struct audit *audit)
{
	return audit->count < AUDIT_READY_MAX;
}

uint64_t
audit_entries(struct audit *audit)
{
	struct msg msg;

	msg_init(&msg, MSG_AUDIT_COUNT_QUERY);
	if (audit->open)
		channel_send(audit->channel, &msg);
	return audit->entries;
}

/* --- the channel ------------------------------------------------------------------------------ */

static void
opened(struct channel *channel, void *arg)
{
	struct audit *audit = arg;

	(void)channel;
	audit->open = true;
	audit_entries(audit); /* known from now on */
	pass_on(audit);
}

/* What lies before it is durable too: secretd writes in order. */
static void
acknowledged(struct channel *channel, struct msg *msg, void *arg)
{
	struct audit *audit = arg;

	(void)channel;
	if (msg->type == MSG_AUDIT_COUNT)
		audit->entries = msg->audit_count.entries;
	if (msg->type != MSG_AUDIT_ACK || msg->audit_ack.generation != audit->generation)
		return;
	while (audit->count > 0 && kept_at(audit, 0)->sequence <= msg->audit_ack.sequence)
		forget_oldest(audit);
	if (keep_dropped(audit))
		pass_on(audit);
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

static const struct channel_ops audit_ops = {
    .opened = opened,
    .message = acknowledged,
    .closed = closed,
};

void
audit_introduced(struct audit *audit, int fd)
{
	channel_free(audit->channel);
	audit->open = false;
	audit->sent = 0;
	audit->channel = channel_new(audit->loop, fd, CH_AUDIT, SIDE_A, audit->role, ROLE_SECRETD,
				     &audit_ops, audit);
	if (!audit->channel)
		log_error("audit channel: %s", strerrordesc_np(errno));
}

void
audit_free(struct audit *audit)
{
	if (!audit)
		return;
	channel_free(audit->channel);
	while (audit->count > 0)
		forget_oldest(audit);
	free(audit);
}
