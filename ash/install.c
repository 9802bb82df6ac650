/* ash agent install. */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"
#include "ash.h"
#include "common/cleanup.h"
#include "document.h"
#include "image_source.h"
#include "output.h"
#include "packages.h"
#include "rows.h"
#include "runtime.h"
#include "secret.h"
#include "skills.h"

/* Warnings go to standard error, or with --json into the object. */
struct warnings {
	const struct ash *ash;
	struct json json;
};

static void
warn(const char *text, void *arg)
{
	struct warnings *warnings = arg;

	output_warning(warnings->ash, text);
	json_string(&warnings->json, text);
}

/* install_dir as agentd is told it: absolute, without links. */
static int
resolve_dir(const char *manifest, const char *dir, char *resolved, struct error *error)
{
	_cleanup_free_ char *copy = dir ? strdup(dir) : strdup(manifest);
	const char *folder;

	if (!copy)
		return out_of_memory(error);
	folder = dir ? copy : dirname(copy);
	if (realpath(folder, resolved))
		return 0;
	error_errno(error, errno, "opening the install directory");
	error_what(error, "%s", folder);
	return -1;
}

static int
open_dir(const char *path, struct msg *request, struct error *error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		error_errno(error, errno, "opening the install directory");
		return error_what(error, "%s", path);
	}
	msg_add_fd(request, fd);
	return 0;
}

/* The operator proves that he may read a context source, or what is watched, by opening it: a
 * directory itself, a file and then its parent directory, which is what agentd compares. */
static int
prove_source(const char *path, struct msg *request, struct error *error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *copy = strdup(path);
	struct stat status;
	int parent;

	if (!copy)
		return out_of_memory(error);
	if (fd < 0 || fstat(fd, &status) < 0) {
		error_errno(error, errno, "opening it");
		return -1;
	}
	if (S_ISDIR(status.st_mode)) {
		msg_add_fd(request, steal_fd(&fd));
		return 0;
	}
	if (!S_ISREG(status.st_mode)) {
		error_why(error, ERR_INVALID, "this is neither a directory nor a file");
		return -1;
	}
	parent = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0) {
		error_errno(error, errno, "opening its directory");
		return -1;
	}
	msg_add_fd(request, parent);
	return 0;
}

static int
prove_contexts(const struct manifest *manifest, struct msg *request, struct error *error)
{
	for (size_t i = 0; i < manifest->context.count; i++) {
		const char *path = manifest->context.items[i].source;

		if (prove_source(path, request, error) < 0)
			return error_what(error, "spec.context[%zu].source: %s", i, path);
	}
	return 0;
}

static int
prove_watches(const struct manifest *manifest, struct msg *request, struct error *error)
{
	for (size_t i = 0; i < manifest->triggers.count; i++) {
		const char *path = manifest->triggers.items[i].path;

		if (path && prove_source(path, request, error) < 0)
			return error_what(error, "spec.triggers[%zu].path: %s", i, path);
	}
	return 0;
}

/* What proves an image, opened once for all that is asked of it. */
struct proof {
	struct image_source source;
	struct msg opened; /* its descriptors; the type says nothing */
	int view;          /* of IMAGE_VIEWED; -1: none */
};

static void
proof_end(struct proof *proof)
{
	close_fd(&proof->view);
	msg_close_fds(&proof->opened);
	image_source_end(&proof->source);
}

static int
add_copies(const struct msg *from, struct msg *to, struct error *error)
{
	for (unsigned i = 0; i < from->nfds; i++) {
		int copy = fcntl(from->fds[i], F_DUPFD_CLOEXEC, 3);

		if (copy < 0)
			return error_errno(error, errno, "opening the image");
		msg_add_fd(to, copy);
	}
	return 0;
}

/* Interpreters, and what unpacks packages, are run in the image: it is brought before the agent is
 * installed, and once more, which finds it there, by the installation. */
static int
view_image(struct ash *ash, const struct manifest *manifest, struct proof *proof,
	   struct error *error)
{
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_IMAGE_VIEW);
	reply.nfds = 0;
	if (!image_reference(manifest->image, request.op_image_view.reference,
			     request.op_image_view.tag))
		return error_why(error, ERR_INVALID, "spec.image: %s is no image", manifest->image);
	r = add_copies(&proof->opened, &request, error);
	if (r == 0)
		r = connection_call(&ash->connection, &request, MSG_IMAGE_VIEWED, &reply,
				    IMAGE_WAIT_MS, error);
	msg_close_fds(&request);
	if (r < 0)
		return error_what(error, "spec.image: %s", manifest->image);
	if (reply.nfds)
		proof->view = msg_take_fd(&reply, 0);
	msg_close_fds(&reply);
	return 0;
}

static int
bring_image(struct ash *ash, const struct manifest *manifest, struct proof *proof,
	    struct error *error)
{
	if (manifest_image_proofs(manifest) != 2)
		return 0;
	if (image_source_begin(ash, manifest->image, &proof->source, &proof->opened, error) < 0)
		return error_what(error, "spec.image: %s", manifest->image);
	return manifest->runtime == RUNTIME_CONTAINER ? 0 : view_image(ash, manifest, proof, error);
}

static int
prove_image(const struct manifest *manifest, const struct proof *proof, struct msg *request,
	    struct error *error)
{
	const char *path = manifest_image_dir(manifest);
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!path)
		return add_copies(&proof->opened, request, error);
	if (fd < 0) {
		error_errno(error, errno, "opening the image");
		return error_what(error, "spec.image: %s", path);
	}
	msg_add_fd(request, fd);
	return 0;
}

/* What is to be executed is looked at by ash, with the rights of who calls it. */
static int
settle_runtime(const struct args *args, struct manifest *manifest, struct msg_op_install *install,
	       struct error *error)
{
	const char *layout = NULL;

	if (runtime_settle(manifest, install->install_dir, args_value(args, "--runtime"), &layout,
			   error) < 0 ||
	    plan_enforceable(manifest, error) < 0)
		return -1;
	snprintf(install->runtime, sizeof(install->runtime), "%s", runtime_name(manifest->runtime));
	snprintf(install->layout, sizeof(install->layout), "%s", layout ? layout : "");
	return 0;
}

static int
check_start(const struct manifest *manifest, struct msg_op_install *install,
	    const struct proof *proof, struct error *error)
{
	struct found_interpreter found;

	if (runtime_will_start(manifest, install->install_dir, proof->view, &found, error) < 0)
		return -1;
	strcpy(install->interpreter, found.path);
	strcpy(install->interpreter_version, found.version);
	return 0;
}

static int
add_packages(const struct manifest *manifest, const struct msg_op_install *install,
	     const struct proof *proof, struct msg *request, struct error *error)
{
	_cleanup_(view_close) struct view view = VIEW_INIT;

	if (!manifest->packages.count)
		return 0;
	if (view_init(&view, manifest, install->install_dir, proof->view) < 0)
		return error_errno(error, errno, "opening the image");
	return packages_unpack(&view, install->interpreter, request, error);
}

static int
fill_request(struct ash *ash, const struct args *args, const struct document *document,
	     struct proof *proof, struct msg *request, struct warnings *warnings,
	     struct error *error)
{
	struct msg_op_install *install = &request->op_install;
	struct manifest *manifest = document->manifest;
	int fd;

	install->replace = args_flag(args, "--replace");
	if (!realpath(document->path, install->manifest_path))
		snprintf(install->manifest_path, sizeof(install->manifest_path), "%s",
			 document->path);
	fd = memfd_sealed("manifest", document->text, document->length);
	if (fd < 0)
		return error_errno(error, -fd, "keeping the manifest in memory");
	msg_add_fd(request, fd);
	if (resolve_dir(document->path, args_value(args, "--dir"), install->install_dir, error) <
		0 ||
	    open_dir(install->install_dir, request, error) < 0 ||
	    settle_runtime(args, manifest, install, error) < 0 ||
	    bring_image(ash, manifest, proof, error) < 0 ||
	    check_start(manifest, install, proof, error) < 0)
		return -1;
	if (prove_contexts(manifest, request, error) < 0 ||
	    prove_image(manifest, proof, request, error) < 0 ||
	    prove_watches(manifest, request, error) < 0)
		return -1;
	if (add_packages(manifest, install, proof, request, error) < 0)
		return -1;
	return skills_prove(manifest, install->install_dir, request, warn, warnings, error);
}

static int
print_installed(struct ash *ash, const struct msg_agent_row *row, struct warnings *warnings,
		struct error *error)
{
	_cleanup_free_ char *list = NULL;
	struct json json = JSON_INIT;
	size_t length;

	if (!ash->json) {
		output_done(ash, "%s %s installed from %s", row->name, row->version,
			    row->install_dir);
		return 0;
	}
	json_array_end(&warnings->json);
	list = json_take(&warnings->json, &length);
	json_object(&json);
	agent_json_keys(row, NULL, &json);
	json_key(&json, "warnings");
	if (list)
		json_raw(&json, list, length);
	else
		json_null(&json);
	json_object_end(&json);
	return output_json(&json, error);
}

/* A manifest asks for secrets; an operator grants them. */
static void
tell_next(const struct ash *ash, const struct document *document, const char *name)
{
	const struct manifest *manifest = document->manifest;

	for (size_t i = 0; i < manifest->credentials.count; i++) {
		const struct manifest_credential *asked = &manifest->credentials.items[i];
		const char *server = asked->for_server;
		bool own = !server || strcmp(server, "agent") == 0;

		output_next(ash, "ash secret grant %s --agent %s%s%s", asked->name, name,
			    own ? "" : " --for ", own ? "" : server);
	}
	if (manifest->credentials.count == 0)
		output_next(ash, "ash agent run %s", name);
}

static int
install(struct ash *ash, const struct args *args, const struct document *document,
	struct warnings *warnings, struct error *error)
{
	struct proof proof = {.source = {.painter = 0}, .view = -1};
	struct msg request, reply, row;
	int r;

	document_each_warning(document, warn, warnings);
	if (manifest_enforceable(document->text, document->length, document->path, error) < 0)
		return -1;
	msg_init(&request, MSG_OP_INSTALL);
	msg_init(&proof.opened, MSG_OP_IMAGE_VIEW);
	r = fill_request(ash, args, document, &proof, &request, warnings, error);
	if (r == 0) {
		document_check_paths(document, request.op_install.install_dir, warn, warnings);
		r = connection_call(&ash->connection, &request, MSG_ROWS, &reply,
				    proof.opened.nfds ? (int)IMAGE_WAIT_MS : (int)REPLY_WAIT_MS,
				    error);
	}
	msg_close_fds(&request);
	proof_end(&proof);
	if (r < 0)
		return -1;
	if (rows_first(reply.fds[0], MSG_DIGEST_ROW, &row, error) == 1)
		secrets_warn_lapsed(ash, &row.digest_row, warn, warnings);
	r = rows_first(reply.fds[0], MSG_AGENT_ROW, &row, error);
	msg_close_fds(&reply);
	if (r == 0)
		r = error_why(error, ERR_FAILED, "agentd's answer does not name the agent");
	if (r < 0 || print_installed(ash, &row.agent_row, warnings, error) < 0)
		return -1;
	tell_next(ash, document, row.agent_row.name);
	return 0;
}

int
agent_install_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct warnings warnings = {.ash = ash, .json = JSON_INIT};
	struct document document;
	int r;

	if (document_read(args->operands[0], &document, error) < 0)
		return -1;
	json_array(&warnings.json);
	r = install(ash, args, &document, &warnings, error);
	json_free(&warnings.json);
	document_free(&document);
	return r;
}
