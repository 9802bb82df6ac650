#include "samples.h"

#include <string.h>

#include "net.h"
#include "session.h"
#include "tools.h"

static void
sample(const struct runnerd *r, const struct session *s, struct msg_session_sample *sample)
{
	struct cgroup_sample use = cgroup_sampled(r->cgroups, &s->cgroup);

	sample->session = s->id;
	sample->at_ms = realtime_ms();
	sample->cpu_us = use.cpu_us;
	sample->memory_bytes = use.memory_bytes;
	net_bytes(s, &sample->sent_bytes, &sample->received_bytes);
	if (!s->tools)
		return;
	sample->calls = s->tools->calls;
	sample->errors = s->tools->errors;
	memcpy(sample->activity, s->tools->activity, sizeof(sample->activity));
}

static const struct session *
next_live(const struct session *s)
{
	while (s && s->phase == PHASE_ENDED)
		s = s->next;
	return s;
}

/* One message for each, the last one marked: control asks again when it has come. */
void
samples_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct session *s = next_live(r->sessions->first);
	struct msg answer;

	(void)msg;
	do {
		msg_init(&answer, MSG_SESSION_SAMPLE);
		if (s) {
			sample(r, s, &answer.session_sample);
			s = next_live(s->next);
		}
		answer.session_sample.last = !s;
		channel_send(channel, &answer);
	} while (s);
}
