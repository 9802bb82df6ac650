/*
 * OP_INSTALL and OP_EXPLAIN: the one place of a running system where a manifest's text, and the
 * front matter of its skills, is read. What goes on is a typed plan, the text for the record, and
 * the descriptors that prove what the operator could open; runnerd checks all of it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/runtime.h"
#include "common/skill.h"
#include "requests.h"

enum { FD_MANIFEST, FD_INSTALL_DIR, FD_CONTEXT };
enum { PACKAGE_FDS = 2 /* behind context, image and watched paths: their index and their bytes */ };

static int
check_directory(int fd, const char *what, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "looking at %s", what);
	if (!S_ISDIR(st.st_mode))
		return error_why(error, ERR_USAGE, "the descriptor of %s is no directory", what);
	return 0;
}

static const char *
watched_path(const struct manifest *manifest, size_t index)
{
	for (size_t i = 0; i < manifest->triggers.count; i++)
		if (manifest->triggers.items[i].path && index-- == 0)
			return manifest->triggers.items[i].path;
	return NULL;
}

/* Context sources first, then the image, then watched paths, then skills. */
static const char *
proof_name(const struct manifest *manifest, size_t index)
{
	size_t contexts = manifest->context.count;
	size_t images = manifest_image_proofs(manifest);

	if (index < contexts)
		return manifest->context.items[index].source;
	index -= contexts;
	if (index < images)
		return manifest->image;
	index -= images;
	if (index < plan_watches(manifest))
		return watched_path(manifest, index);
	return manifest->skills.items[index - plan_watches(manifest)];
}

static int
check_proofs(const struct msg *msg, const struct manifest *manifest, struct error *error)
{
	size_t proofs = manifest->context.count + manifest->skills.count +
			manifest_image_proofs(manifest) + plan_watches(manifest);
	size_t before = proofs - manifest->skills.count;
	unsigned packages = manifest->packages.count ? PACKAGE_FDS : 0;

	if (msg->op_install.install_dir[0] != '/')
		return error_why(error, ERR_USAGE, "install_dir %s is not an absolute path",
				 msg->op_install.install_dir);
	if (check_directory(msg->fds[FD_INSTALL_DIR], "install_dir", error) < 0)
		return -1;
	if (msg->nfds - FD_CONTEXT != proofs + packages + (manifest->skills.count > 0))
		return error_why(error, ERR_USAGE,
				 "%u descriptors came for the manifest's %zu sources of context, "
				 "image, watched paths and skills, and %u of packages",
				 msg->nfds - FD_CONTEXT, proofs, packages);
	for (size_t i = 0; i < proofs; i++) {
		size_t at = FD_CONTEXT + i + (i < before ? 0 : packages);

		/* An archive is a file, and a socket is for its progress: runnerd looks at both. */
		if (proof_name(manifest, i) == manifest->image && !manifest_image_dir(manifest))
			continue;
		if (check_directory(msg->fds[at], proof_name(manifest, i), error) < 0)
			return -1;
	}
	return 0;
}

static int
keep_text(char **field, const char *text, struct error *error)
{
	*field = text[0] ? strdup(text) : NULL;
	return text[0] && !*field ? error_errno(error, ENOMEM, "keeping what its operator found")
				  : 0;
}

static int
settle_runtime(struct manifest *manifest, const struct msg_op_install *asked, struct error *error)
{
	const char *name = asked->runtime;
	enum runtime runtime = name[0] ? runtime_parse(name) : runtime_of(manifest);

	if (runtime == RUNTIME_ABSENT)
		return error_why(error, ERR_USAGE,
				 "--runtime %s is none of rust, native, python, "
				 "node, wasm, container",
				 name);
	if (manifest->runtime && manifest->runtime != runtime)
		return error_why(error, ERR_INVALID,
				 "the runtime is to be %s, but the manifest says %s",
				 runtime_name(runtime), runtime_name(manifest->runtime));
	manifest->runtime = runtime;
	if (!manifest->image && runtime == RUNTIME_CONTAINER && asked->layout[0] &&
	    !(manifest->image = runtime_layout(asked->install_dir, asked->layout)))
		return error_errno(error, ENOMEM, "keeping what its operator found");
	return runtime_check(manifest, error) < 0 ? -1 : plan_enforceable(manifest, error);
}

static struct manifest *
read_manifest(int fd, const char *path, struct error *error)
{
	const uint8_t *text = NULL;
	struct manifest *manifest = NULL;
	size_t length = 0;
	int rc = memfd_map(fd, MANIFEST_BYTES_MAX, &text, &length);

	if (rc < 0) {
		error_errno(error, -rc, "its text is no sealed memfd of at most %d bytes",
			    MANIFEST_BYTES_MAX);
		error_as(error, ERR_INVALID);
		error_what(error, "manifest %s", path);
		return NULL;
	}
	manifest = manifest_read(text ? (const char *)text : "", length, path, NULL, error);
	if (manifest && manifest_enforceable((const char *)text, length, path, error) < 0) {
		manifest_free(manifest);
		manifest = NULL;
	}
	if (text)
		munmap((void *)(uintptr_t)text, length);
	return manifest;
}

/* --- skills ----------------------------------------------------------------------------------- */

/* What is wrong with one is for the operator, who read the same file. */
static int
load_skill(struct rows_reader *heads, const char *skill, struct manifest_skill *entry)
{
	_cleanup_free_ char *warning = NULL;
	struct msg record;

	if (rows_next(heads, &record) != 1 || record.type != MSG_SKILL_HEAD)
		return -EBADMSG;
	return skill_load((const char *)record.skill_head.text, record.skill_head.text_len, skill,
			  skill_name(skill), entry, &warning);
}

static int
load_skills(int fd, struct manifest *manifest, struct error *error)
{
	struct rows_reader *heads = rows_open(fd);
	int rc = heads ? 0 : -errno;

	manifest->skill_index.items = calloc(manifest->skills.count, sizeof(struct manifest_skill));
	if (!manifest->skill_index.items)
		rc = -ENOMEM;
	while (!rc && manifest->skill_index.count < manifest->skills.count) {
		size_t i = manifest->skill_index.count++;

		rc = load_skill(heads, manifest->skills.items[i], &manifest->skill_index.items[i]);
	}
	if (heads)
		rows_close(heads);
	return rc < 0 ? error_errno(error, -rc, "reading the skills' front matter") : 0;
}

/* The last descriptor, which goes no further. */
static int
index_skills(struct msg *msg, struct manifest *manifest, struct error *error)
{
	_cleanup_close_ int heads = -1;

	if (!manifest->skills.count)
		return 0;
	heads = msg_take_fd(msg, msg->nfds - 1);
	msg->nfds--;
	return load_skills(heads, manifest, error);
}

static int
encode_plan(const struct manifest *manifest, struct error *error)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length = 0;
	int fd, rc = plan_encode(manifest, &bytes, &length);

	if (rc < 0)
		return error_errno(error, -rc, "encoding the plan");
	fd = memfd_sealed("plan", bytes, length);
	return fd < 0 ? error_errno(error, -fd, "sealing the plan") : fd;
}

static void
pass_on(struct request *request, struct msg *answer)
{
	struct msg copy = *answer;

	answer->nfds = 0;
	request_reply(request, &copy);
}

/* Everything is checked: the plan and, in its order, what the operator opened. */
static void
send_plan(struct request *request, int plan, bool brings_image)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_ONCE,
	    .expected = MSG_ROWS,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = pass_on,
	};
	const struct msg_op_install *asked = &request->msg.op_install;
	struct call waits = call;
	struct msg msg;

	msg_init(&msg, MSG_AGENT_INSTALL);
	msg.agent_install.replace = asked->replace;
	memcpy(msg.agent_install.install_dir, asked->install_dir, sizeof(asked->install_dir));
	msg.agent_install.uid = request->peer.uid;
	msg.agent_install.gid = request->peer.gid;
	msg.agent_install.pid = request->peer.pid;
	msg.agent_install.login_uid = request->peer.login_uid;
	msg_add_fd(&msg, plan);
	for (unsigned i = 0; i < request->msg.nfds; i++)
		msg_add_fd(&msg, msg_take_fd(&request->msg, i));
	if (brings_image)
		waits.wait_ms = 0; /* as long as there is something to unpack */
	request_call(request, &waits, &msg);
}

/* As the operator's ash found it; runnerd looks whether it is one. */
static int
note_interpreter(const struct msg_op_install *asked, struct manifest *manifest, struct error *error)
{
	if (!runtime_interpreter(manifest->runtime) || !asked->interpreter[0])
		return 0;
	if (keep_text(&manifest->interpreter, asked->interpreter, error) < 0)
		return -1;
	return keep_text(&manifest->interpreter_version, asked->interpreter_version, error);
}

static int
make_plan(struct request *request, struct manifest *manifest, struct error *error)
{
	if (settle_runtime(manifest, &request->msg.op_install, error) < 0 ||
	    check_proofs(&request->msg, manifest, error) < 0 ||
	    index_skills(&request->msg, manifest, error) < 0 ||
	    note_interpreter(&request->msg.op_install, manifest, error) < 0)
		return -1;
	return encode_plan(manifest, error);
}

void
request_install(struct request *request)
{
	struct error error = ERROR_INIT;
	const struct msg *msg = &request->msg;
	struct manifest *manifest =
	    read_manifest(msg->fds[FD_MANIFEST], msg->op_install.manifest_path, &error);
	bool brings_image = false;
	int plan = -1;

	if (manifest) {
		snprintf(request->agent, sizeof(request->agent), "%s", manifest->name);
		plan = make_plan(request, manifest, &error);
		brings_image = manifest_image_proofs(manifest) == 2;
		manifest_free(manifest);
	}
	if (plan < 0)
		request_fail(request, &error);
	else
		send_plan(request, plan, brings_image);
}

/* --- explaining ---------------------------------------------------------------------------------
 */

/* plan -1: of the installed agent. */
static void
ask_facts(struct request *request, int plan)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_REPEATED,
	    .expected = MSG_ROWS,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = pass_on,
	};
	const struct msg_op_explain *asked = &request->msg.op_explain;
	struct msg msg;

	msg_init(&msg, MSG_EXPLAIN_QUERY);
	memcpy(msg.explain_query.agent, asked->agent, sizeof(asked->agent));
	memcpy(msg.explain_query.install_dir, asked->install_dir, sizeof(asked->install_dir));
	if (plan >= 0)
		msg_add_fd(&msg, plan);
	request_call(request, &call, &msg);
}

/* A manifest that nobody installed: no descriptor proves anything, so nothing of it is opened. */
static int
plan_to_explain(struct msg *msg, struct error *error)
{
	struct manifest *manifest;
	int plan = -1;

	if (!msg->nfds)
		return error_why(error, ERR_USAGE, "neither an agent nor a manifest was named");
	manifest = read_manifest(msg->fds[FD_MANIFEST], msg->op_explain.manifest_path, error);
	if (!manifest)
		return -1;
	if (msg->nfds != 1 + (manifest->skills.count > 0))
		error_why(error, ERR_USAGE, "the heads of the skills are missing");
	else if (index_skills(msg, manifest, error) == 0)
		plan = encode_plan(manifest, error);
	manifest_free(manifest);
	return plan;
}

void
request_explain(struct request *request)
{
	struct error error = ERROR_INIT;
	int plan;

	if (request->msg.op_explain.agent[0]) {
		ask_facts(request, -1);
		return;
	}
	plan = plan_to_explain(&request->msg, &error);
	if (plan < 0)
		request_fail(request, &error);
	else
		ask_facts(request, plan);
}
