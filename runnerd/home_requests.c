#include "home_requests.h"

#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "home/history.h"
#include "home/layout.h"
#include "home/tree.h"
#include "home_jobs.h"
#include "session.h"
#include "store.h"

/* The home of this name; it may outlive its agent. fd, or -1 with error. */
static int
open_home(struct runnerd *r, const char *agent, struct error *error)
{
	int fd = agent_name_valid(agent) ? tree_open((struct spot){r->at.homes, agent}) : -ENOENT;

	if (fd == -ENOENT && store_find(r->store, agent, NULL))
		return error_why(error, ERR_NOT_FOUND, "%s has no home yet", agent);
	if (fd == -ENOENT)
		return error_why(error, ERR_NOT_FOUND, "no such agent: %s", agent);
	return fd < 0 ? error_errno(error, -fd, "opening the home of %s", agent) : fd;
}

/* --- history ---------------------------------------------------------------------------------- */

static int
seal_history(const struct history *history)
{
	struct rows *rows = rows_new("history");
	struct msg record;
	size_t i;
	int rc = rows ? 0 : -ENOMEM;

	for (i = 0; !rc && i < history->count; i++) {
		msg_init(&record, MSG_HOME_ENTRY);
		record.home_entry = history->entries[i];
		rc = rows_add(rows, &record);
	}
	if (!rc)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

static int
answer_history(struct runnerd *r, const char *agent, struct msg *answer, struct error *error)
{
	_cleanup_(history_free) struct history history = {0};
	_cleanup_close_ int home = open_home(r, agent, error);
	int rc;

	/* An agent that has not run yet has an empty history. */
	if (home < 0 && !store_find(r->store, agent, NULL))
		return -1;
	rc = home < 0 ? 0 : history_read(home, &history);
	if (!rc)
		rc = seal_history(&history);
	if (rc < 0)
		return error_errno(error, -rc, "reading the history of the home");
	msg_init(answer, MSG_ROWS);
	answer->rows.count = (uint32_t)history.count;
	msg_add_fd(answer, rc);
	return 0;
}

void
home_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	if (answer_history(r, msg->home_query.agent, &answer, &error) < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	answer.id = msg->id;
	channel_send(channel, &answer);
}

/* --- what a session changed --------------------------------------------------------------------
 */

static int
open_changes(int home, const struct uuid *session)
{
	_cleanup_close_ int history = tree_open((struct spot){home, HOME_HISTORY}), entry = -1;
	char name[UUID_TEXT_LEN + 1];
	int fd;

	entry =
	    history < 0 ? history : tree_open((struct spot){history, uuid_format(session, name)});
	if (entry < 0)
		return entry;
	fd = openat(entry, HOME_CHANGES_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int
answer_changes(struct runnerd *r, const struct msg_home_diff_query *query, struct msg *answer,
	       struct error *error)
{
	_cleanup_close_ int home = open_home(r, query->agent, error);
	_cleanup_(history_free) struct history history = {0};
	const struct msg_home_entry *entry;
	int rc;

	if (home < 0)
		return -1;
	rc = history_read(home, &history);
	entry = rc < 0 ? NULL : history_find(&history, &query->session);
	if (!rc && !entry)
		return error_why(error, ERR_NOT_FOUND,
				 "the history of the home has no such session");
	if (!rc)
		rc = open_changes(home, &query->session);
	if (rc < 0)
		return error_errno(error, -rc, "reading what the session changed");
	msg_init(answer, MSG_HOME_CHANGES);
	answer->home_changes = (struct msg_home_changes){.session = entry->session,
							 .committed_at_ms = entry->committed_at_ms,
							 .added = entry->added,
							 .modified = entry->modified,
							 .removed = entry->removed};
	msg_add_fd(answer, rc);
	return 0;
}

void
home_diff_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	if (answer_changes(r, &msg->home_diff_query, &answer, &error) < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	answer.id = msg->id;
	channel_send(channel, &answer);
}

/* --- rollback ----------------------------------------------------------------------------------
 */

struct rollback {
	struct runnerd *r;
	uint32_t control, request; /* whose connection, and what it asked */
	struct msg_home_rollback asked;
};

static void
audit(const struct rollback *rollback, const struct error *error)
{
	const struct msg_home_rollback *asked = &rollback->asked;
	struct msg_audit line = {.by_operator = true,
				 .session = asked->session,
				 .uid = asked->uid,
				 .pid = asked->pid,
				 .login_uid = asked->login_uid,
				 .allowed = !error};
	char text[ERROR_TEXT_MAX + 1];

	snprintf(line.action, sizeof(line.action), "home.rollback");
	memcpy(line.agent, asked->agent, sizeof(line.agent));
	if (error)
		snprintf(line.detail, sizeof(line.detail), "%.*s", REASON_MAX,
			 error_text(error, text));
	audit_send(rollback->r->audit, &line);
}

/* Takes rollback over. */
static void
answer_rollback(struct rollback *rollback, uint32_t undone, const struct error *error)
{
	struct runnerd *r = rollback->r;
	bool there = r->control && r->controls == rollback->control;

	audit(rollback, error);
	if (there && error)
		channel_reply_error(r->control, rollback->request, error);
	else if (there)
		channel_reply_ok(r->control, rollback->request, undone);
	free(rollback);
}

static void
rolled_back(const struct msg_home_done *done, const struct error *error, void *arg)
{
	struct rollback *rollback = arg;

	if (done)
		log_info("the home of %s was rolled back: %u sessions undone",
			 rollback->asked.agent, done->undone);
	answer_rollback(rollback, done ? done->undone : 0, error);
}

static int
start_rollback(struct rollback *rollback, struct error *error)
{
	const struct msg_home_rollback *asked = &rollback->asked;
	const struct home_request request = {.order = HOME_ORDER_ROLLBACK,
					     .layers = -1,
					     .agent = asked->agent,
					     .session = asked->session,
					     .keep = UINT32_MAX};
	struct runnerd *r = rollback->r;
	int home = open_home(r, asked->agent, error);

	if (home < 0)
		return -1;
	close(home);
	if (sessions_hold_home(r->sessions, asked->agent) || home_job_runs(r, asked->agent)) {
		error_why(error, ERR_CONFLICT, "a session holds the home of %s", asked->agent);
		return error_hint(error, "wait for it (ash session wait %s@latest) or cancel it",
				  asked->agent);
	}
	return home_job_start(r, &request, rolled_back, rollback, error) ? 0 : -1;
}

void
home_rollback_request(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct rollback *rollback = calloc(1, sizeof(*rollback));
	struct error error = ERROR_INIT;

	if (!rollback) {
		error_errno(&error, ENOMEM, "rolling back");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	*rollback = (struct rollback){
	    .r = r, .control = r->controls, .request = msg->id, .asked = msg->home_rollback};
	if (start_rollback(rollback, &error) < 0)
		answer_rollback(rollback, 0, &error);
}
