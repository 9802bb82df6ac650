#include "install.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/log.h"
#include "common/notice.h"
#include "home_jobs.h"
#include "homes.h"
#include "ids.h"
#include "images.h"
#include "install_check.h"
#include "packages.h"
#include "pins.h"
#include "policy.h"
#include "secrets.h"
#include "session.h"
#include "store.h"
#include "triggers.h"

/* --- telling others ------------------------------------------------------------------------- */

static void
announce(struct runnerd *r, const struct agent *agent)
{
	struct effective e;
	struct msg msg;

	if (!r->schedd)
		return;
	policy_effective(agent->plan, r->config, &e);
	msg_init(&msg, MSG_AGENT_DEF);
	snprintf(msg.agent_def.agent, sizeof(msg.agent_def.agent), "%s", agent->head.name);
	snprintf(msg.agent_def.version, sizeof(msg.agent_def.version), "%s", agent->plan->version);
	msg.agent_def.overlap = (uint8_t)e.overlap;
	msg.agent_def.max = e.max;
	msg.agent_def.queue_limit = e.queue_limit;
	msg.agent_def.priority = (int32_t)agent->plan->priority;
	msg.agent_def.timeout_ms = e.timeout_ms;
	msg.agent_def.retry_max = e.retry_max;
	msg.agent_def.backoff_ms = e.backoff_ms;
	msg.agent_def.factor_milli = e.factor_milli;
	msg.agent_def.max_backoff_ms = e.max_backoff_ms;
	msg.agent_def.restart = (uint8_t)e.restart;
	msg.agent_def.max_restarts = e.max_restarts;
	msg.agent_def.max_runs_per_day = e.max_runs_per_day;
	msg.agent_def.failures_before_pause = e.failures_before_pause;
	snprintf(msg.agent_def.task, sizeof(msg.agent_def.task), "%s",
		 agent->plan->task ? agent->plan->task : "");
	snprintf(msg.agent_def.model, sizeof(msg.agent_def.model), "%s",
		 agent->plan->model ? agent->plan->model : "");
	msg.agent_def.triggers = triggers_by_time(agent->plan);
	channel_send(r->schedd, &msg);
	triggers_announce(r, agent);
}

static void
announce_damaged(struct runnerd *r, const char *name)
{
	struct msg msg;

	if (!r->schedd)
		return;
	msg_init(&msg, MSG_AGENT_DAMAGED);
	snprintf(msg.agent_damaged.agent, sizeof(msg.agent_damaged.agent), "%s", name);
	channel_send(r->schedd, &msg);
}

uint32_t
agents_announce(struct runnerd *r)
{
	size_t i, count = store_count(r->store);
	const char *damaged;

	for (i = 0; i < count; i++)
		announce(r, store_at(r->store, i));
	for (i = 0; (damaged = store_damaged_at(r->store, i)); i++)
		announce_damaged(r, damaged);
	return (uint32_t)count;
}

static void
announce_gone(struct runnerd *r, const char *name)
{
	struct msg msg;

	if (!r->schedd)
		return;
	msg_init(&msg, MSG_AGENT_GONE);
	snprintf(msg.agent_gone.agent, sizeof(msg.agent_gone.agent), "%s", name);
	channel_send(r->schedd, &msg);
}

static void
agent_row(struct msg *record, const struct agent *agent)
{
	struct msg_agent_row *row = &record->agent_row;
	const struct manifest *plan = agent->plan;
	enum trust_level trust = plan->trust_level ? plan->trust_level : TRUST_SANDBOXED;

	msg_init(record, MSG_AGENT_ROW);
	snprintf(row->name, sizeof(row->name), "%s", agent->head.name);
	snprintf(row->version, sizeof(row->version), "%s", plan->version);
	snprintf(row->description, sizeof(row->description), "%s",
		 plan->description ? plan->description : "");
	snprintf(row->runtime, sizeof(row->runtime), "%s",
		 runtime_name(plan->runtime ? plan->runtime : RUNTIME_RUST));
	snprintf(row->trust_level, sizeof(row->trust_level), "%s", trust_level_name(trust));
	snprintf(row->install_dir, sizeof(row->install_dir), "%s", agent->head.install_dir);
	row->installed_at_ms = agent->head.installed_at_ms;
	row->base_uid = agent->head.base_uid;
	row->triggers = (uint32_t)plan->triggers.count;
	triggers_text(plan, row->trigger_text, sizeof(row->trigger_text));
}

/* --- AGENT_INSTALL -------------------------------------------------------------------------- */

/* The id range is durable before the plan that names it. */
static struct agent *
put_agent(struct runnerd *r, struct agent *checked, struct error *error)
{
	_cleanup_free_ uint8_t *plan = NULL;
	struct agent *agent;
	size_t length;
	int rc;

	if (ids_assign(r->ids, checked->head.name, &checked->head.base_uid, error) < 0)
		return NULL;
	CRASH_POINT("install.ids");
	rc = plan_encode(checked->plan, &plan, &length);
	if (rc < 0) {
		error_errno(error, -rc, "encoding the plan");
		return NULL;
	}
	agent = agent_new(&checked->head, plan, length, checked->manifest,
			  checked->head.manifest_bytes, error);
	if (agent && store_put(r->store, agent, error) < 0) {
		agent_unref(agent);
		return NULL;
	}
	return agent;
}

/* control writes its own line; this one stands whoever speaks for control. */
static void
audit_operator(struct runnerd *r, const char *action, const char *agent, uint32_t uid, uint32_t pid,
	       uint32_t login_uid, const struct error *error)
{
	struct msg_audit line = {
	    .by_operator = true, .uid = uid, .pid = pid, .login_uid = login_uid, .allowed = !error};
	char text[ERROR_TEXT_MAX + 1];

	snprintf(line.action, sizeof(line.action), "%s", action);
	snprintf(line.agent, sizeof(line.agent), "%s", agent);
	if (error)
		snprintf(line.detail, sizeof(line.detail), "%.*s", REASON_MAX,
			 error_text(error, text));
	audit_send(r->audit, &line);
}

static void
notice_agent(struct runnerd *r, enum notice_kind kind, const char *agent, const char *text)
{
	struct msg msg;

	notice_init(&msg, kind);
	snprintf(msg.notice.agent, sizeof(msg.notice.agent), "%s", agent);
	snprintf(msg.notice.text, sizeof(msg.notice.text), "%s", text);
	notice_send(r->control, &r->missed, &msg);
}

static void
reply_rows(struct channel *channel, uint32_t id, struct rows *rows, int second)
{
	struct error error = ERROR_INIT;
	struct msg msg;
	int fd;

	msg_init(&msg, MSG_ROWS);
	msg.id = id;
	msg.rows.count = rows ? rows_count(rows) : 0;
	fd = rows ? rows_seal(rows) : -ENOMEM;
	if (fd < 0) {
		if (second >= 0)
			close(second);
		error_errno(&error, -fd, "making the answer");
		channel_reply_error(channel, id, &error);
		return;
	}
	msg_add_fd(&msg, fd);
	if (second >= 0)
		msg_add_fd(&msg, second);
	channel_send(channel, &msg);
}

static int
add_digest(struct rows *rows, const struct agent *agent)
{
	struct msg record;

	msg_init(&record, MSG_DIGEST_ROW);
	memcpy(record.digest_row.agent, agent->head.name, sizeof(agent->head.name));
	record.digest_row.digest_len = PLAN_DIGEST_BYTES;
	plan_digest(agent, record.digest_row.digest);
	return rows_add(rows, &record);
}

static void
reply_agent(struct channel *channel, uint32_t id, const struct agent *agent, int second)
{
	struct rows *rows = rows_new("agent");
	struct msg record;

	agent_row(&record, agent);
	if (rows && (rows_add(rows, &record) < 0 || add_digest(rows, agent) < 0)) {
		rows_free(rows);
		rows = NULL;
	}
	reply_rows(channel, id, rows, second);
}

/* One that was asked for and is not answered: its image is brought, its packages are written. */
struct install {
	struct install *next;
	struct runnerd *r;
	uint32_t control, id; /* which control process asked, and in which request */
	struct msg_agent_install asked;
	struct agent *checked;
	int index, content; /* of its packages, while its image comes; -1: none */
};

bool
installs_under_way(const struct runnerd *r, const char *agent)
{
	for (const struct install *install = r->installs; install; install = install->next)
		if (!strcmp(install->checked->head.name, agent))
			return true;
	return false;
}

const char *
installs_use_image(const struct runnerd *r, const char *digest)
{
	for (const struct install *install = r->installs; install; install = install->next)
		if (install->checked && install->checked->plan->image_digest &&
		    !strcmp(install->checked->plan->image_digest, digest))
			return install->checked->head.name;
	return NULL;
}

static void
install_free(struct install *install)
{
	struct install **at = &install->r->installs;

	while (*at && *at != install)
		at = &(*at)->next;
	if (*at)
		*at = install->next;
	close_fd(&install->index);
	close_fd(&install->content);
	if (install->checked)
		agent_unref(install->checked);
	free(install);
}

static void
install_refuse(struct install *install, struct error *error)
{
	struct runnerd *r = install->r;
	const struct msg_agent_install *asked = &install->asked;

	if (install->checked)
		error_what(error, "cannot install %s", install->checked->plan->name);
	audit_operator(r, "store.put", "", asked->uid, asked->pid, asked->login_uid, error);
	if (r->control && r->controls == install->control)
		channel_reply_error(r->control, install->id, error);
	install_free(install);
}

static void
install_tell(struct install *install, struct agent *agent)
{
	struct runnerd *r = install->r;
	const struct msg_agent_install *asked = &install->asked;

	audit_operator(r, "store.put", agent->head.name, asked->uid, asked->pid, asked->login_uid,
		       NULL);
	log_info("agent %s %s installed from %s", agent->head.name, agent->plan->version,
		 agent->head.install_dir);
	notice_agent(r, NOTICE_AGENT_INSTALLED, agent->head.name, agent->plan->version);
	announce(r, agent);
	secrets_tell_plan(r->secrets, agent);
	if (r->control && r->controls == install->control)
		reply_agent(r->control, install->id, agent, -1);
}

/* Everything is there: from now on sessions are the new one's. */
static void
install_finish(struct install *install)
{
	struct runnerd *r = install->r;
	struct agent *checked = install->checked, *agent = NULL;
	struct error error = ERROR_INIT;
	char name[AGENT_NAME_MAX + 1];

	CRASH_POINT("install.begin");
	if (install_check_new(r, &install->asked, checked->plan->name, &error) == 0)
		agent = put_agent(r, checked, &error);
	CRASH_POINT("install.stored");
	memcpy(name, checked->head.name, sizeof(name));
	if (!agent) {
		install_refuse(install, &error);
	} else {
		install_tell(install, agent);
		install_free(install);
		agent_unref(agent);
	}
	CRASH_POINT("install.told");
	packages_sweep(r, name);
	CRASH_POINT("install.end");
}

static void
packages_written(void *arg, const struct error *error)
{
	struct install *install = arg;
	struct runnerd *r = install->r;
	char name[AGENT_NAME_MAX + 1];
	struct error why;

	if (!error) {
		install_finish(install);
		return;
	}
	why = *error;
	memcpy(name, install->checked->head.name, sizeof(name));
	install_refuse(install, &why);
	packages_sweep(r, name);
}

static int
install_packages(struct install *install, struct error *error)
{
	const struct msg_store_head *head = &install->checked->head;

	if (!install->checked->plan->packages.count) {
		install_finish(install);
		return 0;
	}
	return packages_write(install->r,
			      &(struct packages_request){.agent = head->name,
							 .when_ms = head->installed_at_ms,
							 .index = install->index,
							 .content = install->content},
			      packages_written, install, error);
}

static void
image_came(void *arg, const char *digest, const struct error *failure)
{
	struct install *install = arg;
	struct error error = ERROR_INIT;

	if (failure)
		error = *failure;
	else if (install_check_image(install->r, install->checked, digest, &error) == 0 &&
		 install_packages(install, &error) == 0)
		return;
	install_refuse(install, &error);
}

/* The image that the operator opened; what its tag says now holds until the agent is installed
 * again. */
static int
bring_image(struct install *install, const struct msg *msg, struct error *error)
{
	const struct manifest *plan = install->checked->plan;
	char reference[PATH_LEN_MAX + 1], tag[IMAGE_TAG_MAX + 1];
	const int *proofs = &msg->fds[INSTALL_FD_CONTEXT + plan->context.count];

	if (!image_reference(plan->image, reference, tag))
		return error_why(error, ERR_INVALID, "spec.image %s is no image", plan->image);
	return image_add(install->r,
			 &(struct image_request){.reference = reference,
						 .tag = tag,
						 .source = proofs[0],
						 .progress = proofs[1],
						 .judged = true,
						 .uid = install->asked.uid,
						 .gid = install->asked.gid},
			 image_came, install, error);
}

static int
install_begin(struct install *install, struct msg *msg, struct error *error)
{
	const struct manifest *plan;
	size_t at;

	install->checked = install_read(msg, error);
	if (!install->checked || install_check(install->r, msg, install->checked, error) < 0)
		return -1;
	plan = install->checked->plan;
	at = INSTALL_FD_CONTEXT + plan->context.count + manifest_image_proofs(plan) +
	     plan_watches(plan);
	if (plan->packages.count) {
		install->index = msg_take_fd(msg, (unsigned)at);
		install->content = msg_take_fd(msg, (unsigned)at + 1);
	}
	return manifest_image_proofs(plan) == 2 ? bring_image(install, msg, error)
						: install_packages(install, error);
}

void
agent_install(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct install *install = calloc(1, sizeof(*install));
	struct error error = ERROR_INIT;

	if (!install) {
		error_errno(&error, ENOMEM, "installing");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	*install = (struct install){.next = r->installs,
				    .r = r,
				    .control = r->controls,
				    .id = msg->id,
				    .asked = msg->agent_install,
				    .index = -1,
				    .content = -1};
	r->installs = install;
	if (install_begin(install, msg, &error) < 0)
		install_refuse(install, &error);
}

/* --- AGENT_REMOVE --------------------------------------------------------------------------- */

static int
purge(struct runnerd *r, const char *name, struct error *error)
{
	int rc = home_purge(r->at.homes, name);

	if (!rc)
		rc = pins_purge(r->at.tools, name);
	if (!rc)
		rc = ids_quarantine(r->ids, name);
	return rc < 0 ? error_errno(error, -rc, "cannot purge the home of %s", name) : 0;
}

static int
remove_agent(struct runnerd *r, const struct msg_agent_remove *request, struct error *error)
{
	bool damaged, known;
	int rc;

	if (!agent_name_valid(request->agent))
		return error_why(error, ERR_NOT_FOUND, "no such agent");
	known = store_find(r->store, request->agent, &damaged) || damaged;
	if (!known && !request->purge)
		return error_why(error, ERR_NOT_FOUND, "no such agent");
	if (home_job_runs(r, request->agent))
		return error_why(error, ERR_CONFLICT, "its home is being changed");
	if (installs_under_way(r, request->agent))
		return error_why(error, ERR_CONFLICT, "it is being installed");
	if (sessions_of_agent(r->sessions, request->agent)) {
		error_why(error, ERR_CONFLICT, "a session of it is live");
		return error_hint(error, "wait for it (ash session wait %s@latest) or cancel it",
				  request->agent);
	}
	rc = store_remove(r->store, request->agent);
	if (rc < 0)
		return error_errno(error, -rc, "cannot take its plan out of the store");
	packages_sweep(r, request->agent);
	announce_gone(r, request->agent);
	secrets_tell_gone(r->secrets, request->agent);
	return request->purge ? purge(r, request->agent, error) : 0;
}

void
agent_remove(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_agent_remove *request = &msg->agent_remove;
	struct error error = ERROR_INIT;
	int rc = remove_agent(r, request, &error);

	if (rc < 0)
		error_what(&error, "cannot remove %s", request->agent);
	audit_operator(r, request->purge ? "store.purge" : "store.remove", request->agent,
		       request->uid, request->pid, request->login_uid, rc < 0 ? &error : NULL);
	if (rc < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	log_info("agent %s removed%s", request->agent, request->purge ? " with its home" : "");
	notice_agent(r, NOTICE_AGENT_REMOVED, request->agent, request->purge ? "purged" : "");
	channel_reply_ok(channel, msg->id, 0);
}

/* --- AGENT_QUERY ---------------------------------------------------------------------------- */

static void
reply_all(struct runnerd *r, struct channel *channel, uint32_t id)
{
	struct rows *rows = rows_new("agents");
	struct msg record;
	size_t i;

	for (i = 0; rows && i < store_count(r->store); i++) {
		agent_row(&record, store_at(r->store, i));
		if (rows_add(rows, &record) < 0) {
			rows_free(rows);
			rows = NULL;
		}
	}
	reply_rows(channel, id, rows, -1);
}

void
agent_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const char *name = msg->agent_query.agent;
	struct error error = ERROR_INIT;
	struct agent *agent;
	bool damaged;
	int plan;

	if (!name[0]) {
		reply_all(r, channel, msg->id);
		return;
	}
	agent = store_find(r->store, name, &damaged);
	plan = agent ? memfd_sealed("plan", agent->plan_bytes, agent->head.plan_bytes) : -1;
	if (agent && plan >= 0) {
		reply_agent(channel, msg->id, agent, plan);
		return;
	}
	if (agent)
		error_errno(&error, -plan, "making the answer");
	else if (damaged)
		error_why(&error, ERR_FAILED, "the plan of %s in the store is damaged", name);
	else
		error_why(&error, ERR_NOT_FOUND, "no such agent: %s", name);
	channel_reply_error(channel, msg->id, &error);
}
