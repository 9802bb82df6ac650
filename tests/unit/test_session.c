// with: runnerd/agent_files.c runnerd/cgroup*.c runnerd/explain.c runnerd/facts.c
// with: runnerd/child.c runnerd/fs.c runnerd/home_jobs.c runnerd/home_requests.c runnerd/homes.c
// with: runnerd/image*.c runnerd/id_map.c runnerd/session_image.c runnerd/container.c
// with: runnerd/ids.c runnerd/install.c runnerd/journal.c runnerd/logs.c
// with: runnerd/watch.c runnerd/triggers.c
// with: runnerd/mechanism.c runnerd/mission.c runnerd/mounts.c runnerd/overlay.c
// with: runnerd/peers.c runnerd/policy.c runnerd/proof.c runnerd/recipe.c runnerd/records.c
// with: runnerd/recover.c runnerd/seccomp.c runnerd/seccomp_rules.c
// with: runnerd/seccomp_verdict.c runnerd/session.c runnerd/session_end.c
// with: runnerd/session_frame.c runnerd/session_home.c runnerd/session_keeper.c
// with: runnerd/session_setup.c runnerd/program.c runnerd/samples.c
// with: runnerd/packages.c runnerd/package_files.c runnerd/install_check.c
// with: runnerd/spawner.c runnerd/spool.c runnerd/store.c runnerd/trash.c
// with: runnerd/home/history.c runnerd/home/tree.c runnerd/idmap.c runnerd/layers.c
// with: runnerd/steps/*.c runnerd/credentials.c runnerd/secrets.c runnerd/policy_secret.c
// with: runnerd/policy_net.c runnerd/net.c runnerd/nf_tables.c
// with: runnerd/inject.c runnerd/inject_plan.c
// with: runnerd/secret_uses.c runnerd/emitted.c runnerd/tools.c runnerd/tools_broker.c
// with: runnerd/tools_notes.c runnerd/disk.c runnerd/quota.c runnerd/pins.c
// with: runnerd/asks.c runnerd/usage.c runnerd/tools_record.c runnerd/tools_requests.c
/*
 * Whole sessions of a runnerd in this process, with the real spawner, keeper and init of the build
 * folder and a schedd that the test plays. Every call to the kernel that set-up makes can be made
 * to fail: whichever it is, the session ends with a reason and nothing of it is left.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/confine.h"
#include "common/keeper_calls.h"
#include "common/log.h"
#include "runnerd/agent_files.h"
#include "runnerd/asks.h"
#include "runnerd/emitted.h"
#include "runnerd/home_jobs.h"
#include "runnerd/homes.h"
#include "runnerd/ids.h"
#include "runnerd/install.h"
#include "runnerd/journal.h"
#include "runnerd/mechanism.h"
#include "runnerd/peers.h"
#include "runnerd/recover.h"
#include "runnerd/session.h"
#include "runnerd/spawner.h"
#include "runnerd/spool.h"
#include "tests/unit/failing_kernel.h"
#include "tests/unit/peer.h"
#include "tests/unit/suite.h"

/* --- the stage -----------------------------------------------------------------------------------
 */

static char top[] = "/tmp/scarab-session-XXXXXX";

struct stage {
	struct runnerd r;
	struct peer schedd, control;
};

static const char manifest_text[] = "apiVersion: scarab/v1\n"
				    "kind: AgentManifest\n"
				    "metadata: {name: worker, version: 1.0.0}\n"
				    "spec: {runtime: rust, command: worker,\n"
				    "  lifecycle: {stop_grace: 100ms}}\n";

static int
place(const char *name, mode_t mode)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	ck_assert(mkdir(path, mode) == 0 || errno == EEXIST);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static struct config *
stage_config(void)
{
	struct error error = ERROR_INIT;
	char text[PATH_MAX * 4], self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct config *config;

	ck_assert_int_gt(length, 0);
	self[length] = '\0';
	snprintf(text, sizeof(text),
		 "run_dir: %s/run\nstate_dir: %s/state\nlog_dir: %s/log\nlibexec_dir: %s\n"
		 "session_ids: {first: 3900000000, ranges: 8}\n",
		 top, top, top, dirname(dirname(self)));
	config = config_read(text, strlen(text), "test", &error);
	ck_assert_msg(config != NULL, "%s: %s", error.what, error.why);
	return config;
}

static void
write_program(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/agent/%s", top, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert_int_eq(chmod(path, 0755), 0);
}

static int
open_broker(const char *libexec_dir)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/broker", libexec_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void
stage_agent(struct runnerd *r)
{
	struct error error = ERROR_INIT;
	struct manifest *plan =
	    manifest_read(manifest_text, strlen(manifest_text), "test", NULL, &error);
	struct msg_store_head head = {.installed_at_ms = 1};
	uint8_t *bytes = NULL;
	struct agent *agent;
	size_t length;

	ck_assert_msg(plan != NULL, "%s: %s", error.what, error.why);
	ck_assert_int_eq(plan_encode(plan, &bytes, &length), 0);
	strcpy(head.name, "worker");
	snprintf(head.install_dir, sizeof(head.install_dir), "%s/agent", top);
	ck_assert_int_eq(ids_assign(r->ids, "worker", &head.base_uid, &error), 0);
	agent = agent_new(&head, bytes, length, (const uint8_t *)manifest_text,
			  strlen(manifest_text), &error);
	ck_assert_msg(agent != NULL, "%s: %s", error.what, error.why);
	ck_assert_int_eq(store_put(r->store, agent, &error), 0);
	agent_unref(agent);
	manifest_free(plan);
	free(bytes);
}

static void
stage_places(struct runnerd *r)
{
	close(place("run", 0755));
	close(place("agent", 0755));
	r->at = (struct places){.live = place("run/sessions", 0700),
				.empty = place("run/empty", 0555),
				.state = place("state", 0755),
				.records = place("state/sessions", 0700),
				.store = place("state/store", 0700),
				.homes = place("state/homes", 0711),
				.tools = place("state/tools", 0700),
				.logs = place("log", 0750)};
	strcpy(r->boot_id, "11111111-2222-3333-4444-555555555555");
}

static void
meet(struct stage *stage)
{
	peer_introduced(&stage->r, CH_SCHEDD_RUNNERD,
			peer_open(&stage->schedd, stage->r.loop, CH_SCHEDD_RUNNERD, SIDE_A,
				  ROLE_SCHEDD, ROLE_RUNNERD));
	peer_introduced(&stage->r, CH_CONTROL_RUNNERD,
			peer_open(&stage->control, stage->r.loop, CH_CONTROL_RUNNERD, SIDE_A,
				  ROLE_CONTROL, ROLE_RUNNERD));
}

static struct stage *
begin(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct error error = ERROR_INIT;
	struct runnerd *r = &stage->r;

	log_set_level(LOG_LEVEL_ERROR - 1);
	r->config = stage_config();
	r->loop = loop_new();
	stage_places(r);
	r->ids = ids_open(r->at.state, r->config->session_ids.first, 8, &error);
	r->store = store_open(r->at.store, &error);
	r->cgroups = cgroups_open(r->config, &error);
	ck_assert_msg(r->cgroups != NULL, "%s: %s", error.what, error.why);
	r->mechanisms = mechanisms_probe(r->cgroups, &error);
	r->audit = audit_new(r->loop, ROLE_RUNNERD);
	r->spools = spools_new(r);
	r->emitted = emitted_new(r);
	r->asks_over = asks_over_new();
	r->sessions = sessions_new();
	r->keeper_program = confine_program(keeper_syscalls, keeper_syscall_count, &error);
	r->builder_program = confine_program(builder_syscalls, builder_syscall_count, &error);
	r->init_program = confine_program(init_syscalls, init_syscall_count, &error);
	r->broker_program = confine_program(broker_syscalls, broker_syscall_count, &error);
	r->broker_binary = open_broker(r->config->libexec_dir);
	for (unsigned p = 0; p < PROFILE_COUNT; p++)
		r->agent_programs[p] = profile_program((enum seccomp_profile)p, &error);
	r->home_jobs = home_jobs_new(r, &error);
	ck_assert_msg(r->home_jobs != NULL, "%s: %s", error.what, error.why);
	r->bridge = agent_bridge_open(r->config->libexec_dir, &error);
	r->python = agent_tree_open(r->config->libexec_dir, "python", &error);
	r->wasm = agent_tree_open(r->config->libexec_dir, "wasm", &error);
	r->spawner = spawner_new(r->loop, r->config->libexec_dir, &error);
	ck_assert_msg(r->spawner != NULL, "%s: %s", error.what, error.why);
	stage_agent(r);
	write_program("worker", "#!/bin/sh\necho out\nexit 3\n");
	ck_assert_int_eq(recover_sessions(r, &error), 0);
	meet(stage);
	return stage;
}

static void
close_stage(struct stage *stage)
{
	struct runnerd *r = &stage->r;
	int *const fds[] = {&r->at.live,           &r->at.empty,     &r->at.state,
			    &r->at.records,        &r->at.store,     &r->at.homes,
			    &r->at.tools,          &r->at.logs,      &r->keeper_program,
			    &r->builder_program,   &r->init_program, &r->agent_programs[0],
			    &r->agent_programs[1], &r->bridge,       &r->broker_program,
			    &r->broker_binary,     &r->python,       &r->wasm};
	size_t i;

	peer_free(&stage->schedd);
	peer_free(&stage->control);
	peers_free(r);
	sessions_free(r->sessions);
	home_jobs_free(r->home_jobs);
	emitted_free(r->emitted);
	asks_over_free(r->asks_over);
	spools_free(r->spools);
	spawner_free(r->spawner);
	mechanisms_free(r->mechanisms);
	cgroups_close(r->cgroups);
	store_close(r->store);
	ids_close(r->ids);
	audit_free(r->audit);
	loop_free(r->loop);
	config_free(r->config);
	for (i = 0; i < ARRAY_LEN(fds); i++)
		close_fd(fds[i]);
	free(stage);
}

/* --- what is left
 * ----------------------------------------------------------------------------------- */

static unsigned
entries(int dir_fd)
{
	DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static unsigned
cgroups_left(struct stage *stage, const struct uuid *id)
{
	const struct cgroups *cgroups = stage->r.cgroups;
	char name[UUID_TEXT_LEN + 16];
	unsigned left = 0;

	for (unsigned i = 0; i < 3 * cgroups->count; i++) {
		uuid_format(id, name);
		strcat(name, i % 3 == 0 ? "" : i % 3 == 1 ? "-agent" : "-runtime");
		left += faccessat(cgroups->all[i / 3].base, name, F_OK, 0) == 0;
	}
	return left;
}

static void
assert_nothing_left(struct stage *stage, const struct uuid *id)
{
	ck_assert_uint_eq(entries(stage->r.at.live), 0);
	ck_assert_uint_eq(entries(stage->r.at.records), 0);
	ck_assert_uint_eq(cgroups_left(stage, id), 0);
	ck_assert_uint_eq(sessions_count(stage->r.sessions), 0);
}

/* --- schedd's part
 * -------------------------------------------------------------------------------------- */

static struct uuid
ask(struct stage *stage, const char *agent)
{
	struct msg msg;

	msg_init(&msg, MSG_PREPARE);
	msg.prepare.session = uuid_new();
	strcpy(msg.prepare.agent, agent);
	strcpy(msg.prepare.trigger_kind, "manual");
	msg.prepare.attempt = 1;
	msg.prepare.timeout_ms = 20000;
	struct uuid id = msg.prepare.session;
	peer_send(&stage->schedd, &msg);
	return id;
}

static void
say(struct stage *stage, enum msg_type type, const struct uuid *id)
{
	struct msg msg;

	msg_init(&msg, type);
	msg.go.session = *id; /* GO, CANCEL and END_ACK begin with it */
	if (type == MSG_CANCEL)
		msg.cancel.outcome = OUTCOME_CANCELLED;
	peer_send(&stage->schedd, &msg);
}

/* Skips STEP and definitions. */
static void
hear(struct stage *stage, struct msg *msg)
{
	do
		ck_assert_msg(peer_next(&stage->schedd, msg), "runnerd says nothing");
	while (msg->type == MSG_STEP || msg->type == MSG_AGENT_DEF ||
	       msg->type == MSG_AGENT_EVENTS || msg->type == MSG_INVENTORY_END ||
	       msg->type == MSG_RUNNING);
}

static void
hear_end(struct stage *stage, const struct uuid *id, struct msg *msg)
{
	hear(stage, msg);
	ck_assert_msg(msg->type == MSG_ENDED, "%s came", msg_rule(msg->type)->name);
	ck_assert(uuid_equal(&msg->ended.session, id));
}

static void
acknowledge(struct stage *stage, const struct uuid *id)
{
	say(stage, MSG_END_ACK, id);
	settle(stage->r.loop);
	assert_nothing_left(stage, id);
}

/* --- tests
 * ------------------------------------------------------------------------------------------------
 */

START_TEST(a_session_runs_and_ends)
{
	struct stage *stage = begin();
	struct uuid id = ask(stage, "worker");
	struct msg msg;

	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	say(stage, MSG_GO, &id);
	hear_end(stage, &id, &msg);
	ck_assert_int_eq(msg.ended.outcome, OUTCOME_FAILED);
	ck_assert_int_eq(msg.ended.exit_code, 3);
	ck_assert_uint_gt(msg.ended.running_at_ms, 0);
	ck_assert_uint_gt(msg.ended.log_bytes, 0);
	acknowledge(stage, &id);
	close_stage(stage);
}
END_TEST

START_TEST(an_unknown_agent_is_refused)
{
	struct stage *stage = begin();
	struct uuid id = ask(stage, "nobody");
	struct msg msg;

	hear_end(stage, &id, &msg);
	ck_assert_int_eq(msg.ended.outcome, OUTCOME_REFUSED);
	ck_assert_ptr_nonnull(strstr(msg.ended.reason, "nobody"));
	acknowledge(stage, &id);
	close_stage(stage);
}
END_TEST

/* Whatever schedd asks for without end: runnerd keeps nothing of it. */
START_TEST(refusals_are_not_kept)
{
	struct stage *stage = begin();
	struct uuid id;
	struct msg msg;
	int i;

	for (i = 0; i < 100; i++) {
		id = ask(stage, "nobody");
		hear_end(stage, &id, &msg);
		id = uuid_new();
		say(stage, MSG_CANCEL, &id);
		hear_end(stage, &id, &msg);
		ck_assert_int_eq(msg.ended.outcome, OUTCOME_CANCELLED);
	}
	ck_assert_uint_eq(sessions_count(stage->r.sessions), 0);
	close_stage(stage);
}
END_TEST

START_TEST(prepare_is_idempotent)
{
	struct stage *stage = begin();
	struct uuid id = ask(stage, "worker");
	struct msg msg, again;

	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	msg_init(&again, MSG_PREPARE);
	again.prepare.session = id;
	strcpy(again.prepare.agent, "worker");
	peer_send(&stage->schedd, &again);
	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	ck_assert_uint_eq(sessions_count(stage->r.sessions), 1);
	say(stage, MSG_CANCEL, &id);
	hear_end(stage, &id, &msg);
	ck_assert_int_eq(msg.ended.outcome, OUTCOME_CANCELLED);
	/* Until it is acknowledged, every introduction hears of it again. */
	peer_free(&stage->schedd);
	peer_free(&stage->control);
	settle(stage->r.loop);
	meet(stage);
	hear_end(stage, &id, &msg);
	acknowledge(stage, &id);
	say(stage, MSG_END_ACK, &id);
	settle(stage->r.loop);
	close_stage(stage);
}
END_TEST

/* schedd asked anew before it heard that the first set-up was undone, and may give it up then: what
 * is built without its knowledge would be in the way of others. */
START_TEST(a_prepare_that_crosses_the_end_builds_nothing)
{
	struct stage *stage = begin();
	struct uuid id = ask(stage, "worker");
	struct msg msg, again;

	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	msg_init(&msg, MSG_CANCEL);
	msg.cancel.session = id;
	peer_send(&stage->schedd, &msg);
	hear_end(stage, &id, &msg);
	ck_assert_int_eq(msg.ended.outcome, OUTCOME_NONE);
	msg_init(&again, MSG_PREPARE);
	again.prepare.session = id;
	strcpy(again.prepare.agent, "worker");
	peer_send(&stage->schedd, &again);
	settle(stage->r.loop);
	ck_assert_uint_eq(sessions_of_agent(stage->r.sessions, "worker"), 0);
	msg_init(&msg, MSG_END_ACK);
	msg.end_ack.session = id;
	msg.end_ack.keep_input = true;
	peer_send(&stage->schedd, &msg);
	peer_send(&stage->schedd, &again);
	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	say(stage, MSG_CANCEL, &id);
	hear_end(stage, &id, &msg);
	acknowledge(stage, &id);
	close_stage(stage);
}
END_TEST

START_TEST(one_session_at_a_time_holds_the_home)
{
	struct stage *stage = begin();
	struct uuid first = ask(stage, "worker"), second;
	struct msg msg;

	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	second = ask(stage, "worker");
	hear_end(stage, &second, &msg);
	ck_assert_int_eq(msg.ended.outcome, OUTCOME_REFUSED);
	ck_assert_ptr_nonnull(strstr(msg.ended.reason, "live already"));
	say(stage, MSG_END_ACK, &second);
	say(stage, MSG_CANCEL, &first);
	hear_end(stage, &first, &msg);
	acknowledge(stage, &first);
	close_stage(stage);
}
END_TEST

/* This process's one child. */
static pid_t
spawner_pid(void)
{
	char path[64], text[64] = "";
	FILE *children;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", gettid());
	children = fopen(path, "r");
	ck_assert_ptr_nonnull(children);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), children));
	fclose(children);
	ck_assert_int_gt(strtol(text, NULL, 10), 0);
	return (pid_t)strtol(text, NULL, 10);
}

/* A homekeeper of a runnerd that was killed may be dying still. */
START_TEST(a_home_that_is_locked_for_a_moment_is_waited_for)
{
	struct stage *stage = begin();
	struct uuid id = ask(stage, "worker");
	struct msg msg;
	int lock;

	hear(stage, &msg);
	say(stage, MSG_CANCEL, &id);
	hear_end(stage, &id, &msg);
	acknowledge(stage, &id);
	lock = openat(stage->r.at.homes, "worker/lock", O_RDWR | O_CLOEXEC);
	while (flock(lock, LOCK_EX | LOCK_NB) < 0)
		settle(stage->r.loop);
	id = ask(stage, "worker");
	settle(stage->r.loop);
	ck_assert_uint_eq(sessions_of_agent(stage->r.sessions, "worker"), 1);
	ck_assert(!sessions_hold_home(stage->r.sessions, "worker"));
	close(lock);
	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	say(stage, MSG_CANCEL, &id);
	hear_end(stage, &id, &msg);
	acknowledge(stage, &id);
	close_stage(stage);
}
END_TEST

START_TEST(a_dead_spawner_is_replaced)
{
	struct stage *stage = begin();
	struct uuid id;
	struct msg msg;

	settle(stage->r.loop);
	ck_assert_int_eq(kill(spawner_pid(), SIGKILL), 0);
	settle(stage->r.loop);
	id = ask(stage, "worker");
	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	say(stage, MSG_CANCEL, &id);
	hear_end(stage, &id, &msg);
	acknowledge(stage, &id);
	close_stage(stage);
}
END_TEST

/* It takes the keeper's and the builder's ends along; schedd may prepare the session again. */
START_TEST(a_spawner_that_dies_at_work_costs_no_session)
{
	struct stage *stage = begin();
	struct uuid id;
	struct msg msg;
	pid_t spawner;

	settle(stage->r.loop);
	spawner = spawner_pid();
	ck_assert_int_eq(kill(spawner, SIGSTOP), 0);
	id = ask(stage, "worker");
	settle(stage->r.loop);
	ck_assert_int_eq(kill(spawner, SIGKILL), 0);
	hear_end(stage, &id, &msg);
	ck_assert_int_eq(msg.ended.outcome, OUTCOME_NONE);
	acknowledge(stage, &id);
	close_stage(stage);
}
END_TEST

/* Runs until the agent does. */
static struct uuid
run_sleeper(struct stage *stage)
{
	struct uuid id;
	struct msg msg;

	write_program("worker", "#!/bin/sh\nexec sleep 100\n");
	id = ask(stage, "worker");
	hear(stage, &msg);
	ck_assert_int_eq(msg.type, MSG_PREPARED);
	say(stage, MSG_GO, &id);
	do
		ck_assert(peer_next(&stage->schedd, &msg));
	while (msg.type != MSG_RUNNING);
	return id;
}

/* As a runnerd that is started again does. */
static void
restart(struct stage *stage)
{
	struct runnerd *r = &stage->r;
	struct error error = ERROR_INIT;

	peer_free(&stage->schedd);
	peer_free(&stage->control);
	peers_free(r);
	sessions_free(r->sessions);
	r->sessions = sessions_new();
	ck_assert_ptr_nonnull(r->sessions);
	ck_assert_int_eq(recover_sessions(r, &error), 0);
	meet(stage);
}

/* The first or the second record is damaged; what lives of the session ends, and it is never
 * taken for one that did not start. */
static void
damage(bool second)
{
	struct stage *stage = begin();
	struct uuid id = run_sleeper(stage);
	char path[128], name[UUID_TEXT_LEN + 1];
	struct msg msg;
	uint32_t first;
	FILE *journal;

	snprintf(path, sizeof(path), "%s/state/sessions/%s/journal", top, uuid_format(&id, name));
	journal = fopen(path, "r+");
	ck_assert_msg(journal != NULL, "%s", path);
	ck_assert_uint_eq(fread(&first, sizeof(first), 1, journal), 1);
	ck_assert_int_eq(fseek(journal, second ? (long)(first + sizeof(first)) : 0, SEEK_SET), 0);
	ck_assert_uint_eq(fwrite("\xff\xff\xff\xff\xff\xff", 6, 1, journal), 1);
	fclose(journal);
	restart(stage);
	do
		hear(stage, &msg);
	while (msg.type == MSG_INVENTORY);
	ck_assert_int_eq(msg.type, MSG_ENDED);
	ck_assert_int_eq(msg.ended.outcome, OUTCOME_LOST);
	acknowledge(stage, &id);
	close_stage(stage);
}

START_TEST(a_damaged_journal_is_a_lost_session)
{
	damage(false);
	damage(true);
}
END_TEST

/* Who gave the pipe may read from it too and make its own end block: runnerd has another one. */
START_TEST(an_input_is_read_through_a_description_of_its_own)
{
	struct stage *stage = begin();
	struct uuid id = uuid_new();
	struct msg msg;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	msg_init(&msg, MSG_INPUT_SPOOL);
	msg.input_spool.session = id;
	msg_add_fd(&msg, fcntl(ends[0], F_DUPFD_CLOEXEC, 3));
	peer_send(&stage->control, &msg);
	settle(stage->r.loop);
	ck_assert_int_eq(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	close(ends[1]);
	expect(&stage->control, MSG_OK, &msg);
	ck_assert_uint_eq(msg.ok.value, 1);
	close(ends[0]);
	ck_assert_int_eq(spool_drop(&stage->r, &id), 0);
	close_stage(stage);
}
END_TEST

/* One session with the n-th call failing. False when set-up made fewer calls than that. */
static bool
fail_one(struct stage *stage, unsigned n)
{
	struct uuid id;
	struct msg msg;
	bool reached;

	kernel.count = 0;
	kernel.fail_at = n;
	id = ask(stage, "worker");
	kernel.armed = true;
	hear(stage, &msg);
	kernel.armed = false;
	reached = kernel.count >= n;
	if (msg.type == MSG_PREPARED) {
		/* What failed was not needed. */
		say(stage, MSG_CANCEL, &id);
		hear_end(stage, &id, &msg);
	} else {
		ck_assert_msg(msg.type == MSG_ENDED, "call %u: %s", n, msg_rule(msg.type)->name);
		ck_assert_msg(msg.ended.outcome == OUTCOME_SETUP_FAILED, "call %u: %s: %s", n,
			      session_outcome_name(msg.ended.outcome), msg.ended.reason);
		ck_assert_msg(msg.ended.reason[0], "call %u: no reason", n);
	}
	acknowledge(stage, &id);
	return reached;
}

/* A homekeeper that has answered still deletes what is in the trash, and holds a channel. */
static void
await_fds(struct stage *stage, unsigned count)
{
	uint64_t deadline = boottime_ns() + UINT64_C(10000000000);

	while ((unsigned)open_fds() != count && boottime_ns() < deadline)
		settle(stage->r.loop);
}

START_TEST(every_call_may_fail)
{
	struct stage *stage = begin();
	unsigned n, before;

	settle(stage->r.loop);
	fail_one(stage, 100000);
	before = (unsigned)open_fds();
	for (n = 1; fail_one(stage, n); n++) {
		await_fds(stage, before);
		ck_assert_msg((unsigned)open_fds() == before, "call %u leaks a descriptor", n);
	}
	ck_assert_uint_gt(n, 60);
	close_stage(stage);
}
END_TEST

/* --- what holds around them
 * ----------------------------------------------------------------------------------- */

static int
cannot_run(void)
{
	char self[PATH_MAX], path[PATH_MAX + 16];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (geteuid() != 0) {
		printf("skip: sessions need root\n");
		return 1;
	}
	self[length < 0 ? 0 : length] = '\0';
	snprintf(path, sizeof(path), "%s/init", dirname(dirname(self)));
	if (access(path, X_OK) == 0)
		return 0;
	printf("skip: %s is not built\n", path);
	return 1;
}

static void
sweep(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command) != 0)
		printf("%s stays\n", top);
}

int
main(void)
{
	const TTest *const tests[] = {
	    a_session_runs_and_ends,
	    an_unknown_agent_is_refused,
	    refusals_are_not_kept,
	    prepare_is_idempotent,
	    a_prepare_that_crosses_the_end_builds_nothing,
	    one_session_at_a_time_holds_the_home,
	    a_home_that_is_locked_for_a_moment_is_waited_for,
	    a_dead_spawner_is_replaced,
	    a_spawner_that_dies_at_work_costs_no_session,
	    a_damaged_journal_is_a_lost_session,
	    an_input_is_read_through_a_description_of_its_own,
	    every_call_may_fail,
	};
	int rc;

	/* The generation lock's number, which every spawner inherits. */
	while (open("/dev/null", O_RDWR | O_CLOEXEC) < DAEMON_FD_GENERATION)
		;
	if (cannot_run())
		return 77;
	if (!mkdtemp(top) || chmod(top, 0755) < 0)
		return 1;
	rc = suite_run("session", tests, ARRAY_LEN(tests));
	sweep();
	return rc;
}
