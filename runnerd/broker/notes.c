/* What the agent says of itself, on its way to runnerd; kept while that is away, up to a bound. */
#include <fcntl.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "state.h"

struct held_note {
	struct held_note *next;
	struct msg_broker_note note;
	int fd; /* -1: nothing goes with it */
};

static bool
hold(struct broker *broker, struct msg *msg)
{
	struct held_note *held = NULL;

	if (broker->note_count < NOTES_HELD)
		held = malloc(sizeof(*held));
	if (!held) {
		msg_close_fds(msg);
		return false;
	}
	held->next = NULL;
	held->note = msg->broker_note;
	held->fd = msg_take_fd(msg, 0);
	*broker->notes_last = held;
	broker->notes_last = &held->next;
	broker->note_count++;
	return true;
}

bool
notes_pass(struct broker *broker, struct msg *msg)
{
	int again;

	if (broker->notes || !broker->channel || channel_phase(broker->channel) != IN_OPEN)
		return hold(broker, msg);
	/* A runnerd that has died may not be known to be gone yet. */
	again = msg->nfds > 0 ? fcntl(msg->fds[0], F_DUPFD_CLOEXEC, 3) : -1;
	clean_message(&broker->cleaner, msg);
	if (channel_send(broker->channel, msg) == 0) {
		close_fd(&again);
		return true;
	}
	if (again >= 0)
		msg_add_fd(msg, again);
	return hold(broker, msg);
}

static void
take_first(struct broker *broker, struct msg *msg)
{
	struct held_note *first = broker->notes;

	msg_init(msg, MSG_BROKER_NOTE);
	msg->broker_note = first->note;
	if (first->fd >= 0)
		msg_add_fd(msg, first->fd);
	broker->notes = first->next;
	if (!broker->notes)
		broker->notes_last = &broker->notes;
	broker->note_count--;
	free(first);
}

void
notes_flush(struct broker *broker)
{
	struct msg msg;

	while (broker->notes) {
		take_first(broker, &msg);
		link_send(broker, &msg);
	}
}

void
notes_free(struct broker *broker)
{
	struct msg msg;

	if (broker->notes)
		log_warn("%u notes of the agent are lost: runnerd is away", broker->note_count);
	while (broker->notes) {
		take_first(broker, &msg);
		msg_close_fds(&msg);
	}
}
