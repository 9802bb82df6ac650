#include "control.h"

#include <string.h>

#include "clients.h"
#include "common/cleanup.h"
#include "common/listener.h"
#include "requests.h"
#include "scrape.h"
#include "watchers.h"

int
control_init(struct control *control, struct loop *loop, struct config *config, int listener,
	     struct error *error)
{
	memset(control, 0, sizeof(*control));
	control->loop = loop;
	control->config = config;
	control->started_at_ms = realtime_ms();
	TAILQ_INIT(&control->clients);
	TAILQ_INIT(&control->requests);
	control->watchers = watchers_new(control);
	if (!control->watchers)
		return error_errno(error, errno, "preparing for operators who watch");
	if (listener >= 0 && clients_listen(control, listener) < 0)
		return error_errno(error, errno, "watching the operator socket");
	return 0;
}

void
control_release(struct control *control)
{
	struct client *client;

	scrapes_free(control->scrapes);
	requests_release(control);
	while ((client = TAILQ_FIRST(&control->clients)))
		client_free(client);
	watchers_free(control->watchers);
	listener_free(control->listener);
	channel_free(control->up[UP_SCHEDD]);
	channel_free(control->up[UP_RUNNERD]);
	audit_free(control->audit);
	config_free(control->config);
}
