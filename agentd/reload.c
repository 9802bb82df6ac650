/* agentd.yaml read again while agentd runs: a bad file changes nothing. */
#include <string.h>

#include "agentd.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "notify.h"

/* With -d everybody tells everything to standard error, whatever the file says. */
static int
override_log(struct config *config)
{
	free(config->log.level);
	free(config->log.target);
	config->log.level = strdup("debug");
	config->log.target = strdup("stderr");
	return config->log.level && config->log.target ? 0 : -ENOMEM;
}

/* The configuration as daemons get it. */
int
agentd_encode(struct agentd *agentd, struct error *error)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;
	int fd, rc = agentd->debug ? override_log(agentd->config) : 0;

	if (rc == 0)
		rc = config_encode(agentd->config, &bytes, &length);
	fd = rc < 0 ? rc : memfd_sealed("agentd.yaml", bytes, length);
	if (fd < 0)
		return error_errno(error, -fd, "encoding the configuration");
	close_fd(&agentd->config_fd);
	agentd->config_fd = fd;
	agentd->config_generation++;
	return 0;
}

static void
tell_request(struct agentd *agentd, const struct error *error)
{
	struct channel *control = agentd->daemons[D_CONTROL].channel;
	uint32_t id = agentd->reload_id;

	agentd->reload_id = 0;
	if (!id || !control || agentd->daemons[D_CONTROL].state != DAEMON_READY)
		return;
	if (error)
		channel_reply_error(control, id, error);
	else
		channel_reply_ok(control, id, agentd->config_generation);
}

static void
done(struct agentd *agentd, const struct error *problem)
{
	tell_request(agentd, problem);
	notify_send(agentd->notify, "READY=1");
}

/* A daemon that died starts again with the new one. */
void
agentd_reload_answered(struct agentd *agentd, const struct daemon *daemon, const char *why)
{
	struct error *error = &agentd->reload_error;
	const char *name = role_name(daemon->spec->role);

	if (why) {
		log_error("%s refused the new configuration and keeps the old one: %s", name, why);
		error_why(error, ERR_FAILED, "%s keeps the old configuration: %s", name, why);
		error_what(error, "reading %s again", agentd->source.path);
	}
	if (!agentd->reload_waits || daemons_reloading(agentd))
		return;
	agentd->reload_waits = false;
	done(agentd, error->code != ERR_NONE ? error : NULL);
}

/* Takes config over. */
static int
adopt(struct agentd *agentd, struct config *config, struct error *error)
{
	struct config *old = agentd->config;
	char changed[sizeof(agentd->pending)];

	settings_keep(config, old, changed, sizeof(changed));
	agentd->config = config;
	if (agentd_encode(agentd, error) < 0) {
		agentd->config = old;
		config_free(config);
		return -1;
	}
	config_free(old);
	memcpy(agentd->pending, changed, sizeof(changed));
	close_fd(&agentd->origins_fd);
	agentd->origins_fd = settings_take_origins(agentd->settings);
	if (*changed)
		log_warn("%s: %s changed: agentd must be restarted for it", agentd->source.path,
			 changed);
	log_set_level((enum log_level)log_level_parse(config->log.level));
	agentd->reload_error = (struct error)ERROR_INIT;
	daemons_reload(agentd);
	webhooks_reload(agentd);
	return 0;
}

static void
settings_done(struct config *config, const struct error *problem, void *arg)
{
	struct agentd *agentd = arg;
	struct error error = ERROR_INIT;

	if (config && adopt(agentd, config, &error) < 0)
		problem = &error;
	if (problem) {
		log_problem(LOG_LEVEL_ERROR, problem);
		log_event(LOG_EVENT_CONFIG_REFUSED, LOG_LEVEL_ERROR, NULL, NULL,
			  "%s was not taken; the configuration stays as it was",
			  agentd->source.path);
	} else {
		log_info("%s was read again", agentd->source.path);
	}
	agentd_audit(agentd, !problem, "agentd.reload", "%s: %s", agentd->source.path,
		     problem ? "refused, the configuration stays as it was" : "taken");
	agentd->reload_waits = !problem && daemons_reloading(agentd);
	if (!agentd->reload_waits)
		done(agentd, problem);
	loop_arm_in(agentd->settled, 0);
}

/* Outside the callbacks of the reading, which may now be freed. */
static void
settled(struct loop_source *source, void *arg)
{
	struct agentd *agentd = arg;

	(void)source;
	settings_free(agentd->settings);
	agentd->settings = NULL;
	if (!agentd->reload_again)
		return;
	agentd->reload_again = false;
	agentd_reload(agentd, 0);
}

void
agentd_reload(struct agentd *agentd, uint32_t id)
{
	struct error error = ERROR_INIT;

	if (agentd->stopping)
		return;
	if (agentd->settings) {
		agentd->reload_again = true;
		return;
	}
	if (id) /* else one of before may still wait for the daemons */
		agentd->reload_id = id;
	notify_reloading(agentd->notify);
	if (!agentd->settled)
		agentd->settled = loop_add_timer(agentd->loop, settled, agentd);
	if (agentd->settled)
		agentd->settings =
		    settings_read(agentd->loop, &agentd->source, settings_done, agentd, &error);
	else
		error_errno(&error, errno, "reading the configuration");
	if (agentd->settings)
		return;
	log_problem(LOG_LEVEL_ERROR, &error);
	done(agentd, &error);
}
