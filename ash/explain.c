/* ash explain: an installed agent's sandbox, or that of a manifest before it is installed. */
#include "explain.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "output.h"
#include "skills.h"

static int
ask(struct ash *ash, struct msg *request, struct facts *facts, struct error *error)
{
	struct msg reply;
	int r;

	if (connection_query(&ash->connection, request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = facts_read(reply.fds[0], facts, error);
	msg_close_fds(&reply);
	return r;
}

int
explain_agent(struct ash *ash, const char *name, struct facts *facts, struct error *error)
{
	struct msg request;

	msg_init(&request, MSG_OP_EXPLAIN);
	snprintf(request.op_explain.agent, sizeof(request.op_explain.agent), "%s", name);
	return ask(ash, &request, facts, error);
}

static void
warn(const char *text, void *arg)
{
	const struct ash *ash = arg;

	output_warning(ash, text);
}

static int
fill_request(const struct document *document, struct msg *request, int heads, struct error *error)
{
	_cleanup_close_ int owned = heads;
	int text = memfd_sealed("manifest", document->text, document->length);

	if (text < 0)
		return error_errno(error, -text, "keeping the manifest in memory");
	msg_add_fd(request, text);
	if (owned >= 0)
		msg_add_fd(request, steal_fd(&owned));
	if (!realpath(document->path, request->op_explain.manifest_path))
		snprintf(request->op_explain.manifest_path,
			 sizeof(request->op_explain.manifest_path), "%s", document->path);
	return 0;
}

static int
ask_or_go_without(struct ash *ash, struct document *document, struct msg *request,
		  struct facts *facts, struct error *error)
{
	int r = ask(ash, request, facts, error);

	if (r == 0 || error->code != ERR_UNREACHABLE)
		return r;
	*error = (struct error)ERROR_INIT;
	output_note(ash, "agentd does not answer: explained under the defaults of agentd.yaml");
	return explain_offline(document->manifest, request->op_explain.install_dir, facts, error);
}

static int
explain_document(struct ash *ash, struct document *document, struct facts *facts,
		 struct error *error)
{
	_cleanup_free_ char *copy = strdup(document->path);
	struct msg request;
	int heads = -1, r;

	msg_init(&request, MSG_OP_EXPLAIN);
	if (!copy || !realpath(dirname(copy), request.op_explain.install_dir))
		return error_errno(error, errno, "opening the folder of %s", document->path);
	if (manifest_enforceable(document->text, document->length, document->path, error) < 0 ||
	    skills_load(document->manifest, request.op_explain.install_dir, &heads, warn, ash,
			error) < 0)
		return -1;
	r = fill_request(document, &request, heads, error);
	if (r == 0)
		r = ask_or_go_without(ash, document, &request, facts, error);
	msg_close_fds(&request);
	return r;
}

static int
explain_manifest(struct ash *ash, const char *path, struct facts *facts, struct error *error)
{
	struct document document;
	int r;

	if (document_read(path, &document, error) < 0)
		return -1;
	r = explain_document(ash, &document, facts, error);
	document_free(&document);
	return r;
}

/* A name that is no agent's may be a file's. */
static int
explain_operand(struct ash *ash, const char *operand, struct facts *facts, struct error *error)
{
	if (!agent_name_valid(operand))
		return explain_manifest(ash, operand, facts, error);
	if (explain_agent(ash, operand, facts, error) == 0)
		return 0;
	if ((error->code != ERR_NOT_FOUND && error->code != ERR_UNREACHABLE) ||
	    access(operand, F_OK) < 0)
		return -1;
	return explain_manifest(ash, operand, facts, error);
}

int
explain_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct facts facts = {0};
	struct json json = JSON_INIT;
	int r = explain_operand(ash, args->operands[0], &facts, error);

	if (r == 0 && ash->json) {
		facts_json(&facts, &json);
		r = output_json(&json, error);
	} else if (r == 0) {
		r = facts_text(ash, &facts, error);
	}
	facts_free(&facts);
	return r;
}
