#include "common/runtime.h"
#include "images.h"
#include "session.h"

int
session_take_image(struct session *s, struct error *error)
{
	const char *digest = s->agent->plan->image_digest;

	if (!digest)
		return 0;
	s->image = image_open(s->r, digest, error);
	if (!s->image) {
		s->step = STEP_IMAGE;
		error_hint(error, "install the agent again: that brings its image");
		return error_what(error, "its image %s", s->agent->plan->image);
	}
	return 0;
}

bool
session_is_container(const struct session *s)
{
	return s->image && runtime_of(s->agent->plan) == RUNTIME_CONTAINER;
}

uint32_t
session_agent_uid(const struct session *s)
{
	return session_is_container(s) ? s->image->head.uid : AGENT_UID;
}

uint32_t
session_agent_gid(const struct session *s)
{
	return session_is_container(s) ? s->image->head.gid : AGENT_UID;
}
