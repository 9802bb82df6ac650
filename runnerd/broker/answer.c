/* Answers to the agent: in the wire format of the era its request came in. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "revision.h"
#include "state.h"

enum { PIECES_MAX = 10 };

#define PIECE(text) ((struct iovec){(void *)(uintptr_t)(text), sizeof(text) - 1})

static struct iovec
piece(const char *text, size_t length)
{
	return (struct iovec){(void *)(uintptr_t)text, length};
}

/* --- batches: answered when nothing of them waits any more ----------------------------------- */

struct batch {
	struct agent *agent;
	size_t open; /* requests without an answer, and the reading itself */
	struct json text;
};

struct batch *
batch_new(struct agent *agent)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return NULL;
	batch->agent = agent;
	batch->open = 1;
	json_array(&batch->text);
	return batch;
}

void
batch_hold(struct batch *batch)
{
	batch->open++;
}

static void
send_pieces(struct agent *agent, const struct iovec *pieces, int count)
{
	int rc;

	if (agent->doomed)
		return;
	rc = outq_send(&agent->queue, pieces, count, 0);
	if (rc == -EPIPE)
		agent_doom(agent, NULL);
	else if (rc < 0)
		agent_doom(agent, "it leaves too many answers unread");
}

void
batch_close(struct batch *batch)
{
	size_t length;
	char *text;

	if (--batch->open > 0)
		return;
	json_array_end(&batch->text);
	text = json_take(&batch->text, &length);
	if (!batch->agent || batch->agent->doomed || length == 2) {
		; /* nobody, or nothing to say */
	} else if (text) {
		send_pieces(batch->agent, (struct iovec[]){piece(text, length), PIECE("\n")}, 2);
	} else {
		agent_doom(batch->agent, "memory ran out");
	}
	free(text);
	free(batch);
}

static void
batch_add(struct batch *batch, const struct iovec *pieces, int count)
{
	if (batch->text.length > AGENT_QUEUE_BYTES) {
		batch->text.failed = true;
		return;
	}
	for (int i = 0; i < count; i++) {
		if (i > 0)
			batch->text.comma = false; /* still the same message */
		json_raw(&batch->text, pieces[i].iov_base, pieces[i].iov_len);
	}
}

/* --- origins --------------------------------------------------------------------------------- */

int
origin_set(struct origin *origin, struct agent *agent, enum era era, struct span id,
	   struct batch *batch)
{
	*origin = (struct origin){.agent = agent, .era = era, .batch = batch};
	origin->id = malloc(id.length + 1);
	if (!origin->id)
		return -ENOMEM;
	memcpy(origin->id, id.at, id.length);
	origin->id[id.length] = '\0';
	origin->id_length = id.length;
	if (batch)
		batch_hold(batch);
	return 0;
}

void
answer_none(struct origin *origin)
{
	struct batch *batch = origin->batch;

	free(origin->id);
	free(origin->token);
	*origin = (struct origin){0};
	if (batch)
		batch_close(batch);
}

/* Ends the origin. The pieces hold the message without its newline. */
static void
deliver(struct origin *origin, struct iovec *pieces, int count)
{
	if (origin->agent && origin->batch) {
		batch_add(origin->batch, pieces, count);
	} else if (origin->agent) {
		pieces[count] = PIECE("\n");
		send_pieces(origin->agent, pieces, count + 1);
	}
	answer_none(origin);
}

/* --- results and errors of our own ----------------------------------------------------------- */

void
answer_error(struct origin *origin, int code, const char *message, const char *extra)
{
	struct json json = JSON_INIT;
	struct iovec pieces[PIECES_MAX];
	size_t length;
	char *text;

	json_object(&json);
	json_key(&json, "jsonrpc");
	json_string(&json, "2.0");
	if (origin->id) {
		json_key(&json, "id");
		json_raw(&json, origin->id, origin->id_length);
	}
	json_key(&json, "error");
	json_object(&json);
	json_key(&json, "code");
	json_int(&json, code);
	json_key(&json, "message");
	json_string(&json, message);
	if (extra) {
		json_key(&json, "data");
		json_raw(&json, extra, strlen(extra));
	}
	json_object_end(&json);
	json_object_end(&json);
	text = json_take(&json, &length);
	if (text) {
		pieces[0] = piece(text, length);
		deliver(origin, pieces, 1);
	} else {
		answer_none(origin);
	}
	free(text);
}

void
answer_result(struct origin *origin, const char *result, size_t length)
{
	struct iovec pieces[PIECES_MAX] = {
	    PIECE("{\"jsonrpc\":\"2.0\",\"id\":"),
	    piece(origin->id, origin->id_length),
	    PIECE(",\"result\":"),
	    piece(result, length),
	    PIECE("}"),
	};

	deliver(origin, pieces, 5);
}

void
result_open(struct json *json, enum era era, bool cacheable)
{
	json_object(json);
	if (era != ERA_MODERN)
		return;
	json_key(json, "resultType");
	json_string(json, "complete");
	if (cacheable) {
		json_key(json, "ttlMs");
		json_int(json, LIST_TTL_MS);
		json_key(json, "cacheScope");
		json_string(json, "private");
	}
	json_key(json, "_meta");
	json_object(json);
	json_key(json, "io.modelcontextprotocol/serverInfo");
	json_object(json);
	json_key(json, "name");
	json_string(json, "agentd");
	json_key(json, "version");
	json_string(json, scarab_version);
	json_object_end(json);
	json_object_end(json);
}

/* Revisions before 2025-06-18 do not know structuredContent. */
static bool
structured_known(const struct origin *origin)
{
	return origin->era == ERA_MODERN ||
	       (origin->agent && strcmp(origin->agent->revision, REVISION_STRUCTURED) >= 0);
}

void
answer_tool(struct origin *origin, bool is_error, const char *text, struct span structured)
{
	struct json json = JSON_INIT;
	size_t length;
	char *result;

	result_open(&json, origin->era, false);
	json_key(&json, "content");
	json_array(&json);
	json_object(&json);
	json_key(&json, "type");
	json_string(&json, "text");
	json_key(&json, "text");
	if (text)
		json_string(&json, text);
	else
		json_string_n(&json, structured.at, structured.length);
	json_object_end(&json);
	json_array_end(&json);
	if (structured.at && structured_known(origin)) {
		json_key(&json, "structuredContent");
		json_raw(&json, structured.at, structured.length);
	}
	if (is_error) {
		json_key(&json, "isError");
		json_bool(&json, true);
	}
	json_object_end(&json);
	result = json_take(&json, &length);
	if (result)
		answer_result(origin, result, length);
	else
		answer_none(origin);
	free(result);
}

/* --- a plugin's answer ----------------------------------------------------------------------- */

/* What a result of 2026-07-28 must have and one of a handshake revision has not. */
static struct iovec
modern_part(const struct rpc *answer, bool cacheable, bool *empty)
{
	struct span body = answer->result;

	*empty = body.length == 2 || strspn(body.at + 1, " \t\r") == body.length - 2;
	if (member(body, "resultType").at)
		return piece("", 0);
	if (!cacheable || member(body, "ttlMs").at || member(body, "cacheScope").at)
		return PIECE("\"resultType\":\"complete\"");
	return PIECE("\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"");
}

/* The line as it came, but for the id; and for a result of the other era. Both are spans of it. */
void
answer_forward(struct origin *origin, const struct rpc *answer, bool cacheable)
{
	const char *at = answer->whole.at, *end = at + answer->whole.length;
	const char *open = answer->result.at ? answer->result.at + 1 : NULL;
	struct iovec pieces[PIECES_MAX], id = piece(origin->id, origin->id_length), part;
	bool modern = origin->era == ERA_MODERN && open, empty = false;
	int count = 0;

	part = modern ? modern_part(answer, cacheable, &empty) : piece("", 0);
	for (int turn = 0; turn < 2; turn++) {
		bool id_now = (turn == 0) == (!modern || answer->id.at < open);

		if (id_now) {
			pieces[count++] = piece(at, (size_t)(answer->id.at - at));
			pieces[count++] = id;
			at = answer->id.at + answer->id.length;
		} else if (modern && part.iov_len > 0) {
			pieces[count++] = piece(at, (size_t)(open - at));
			pieces[count++] = part;
			pieces[count++] = empty ? piece("", 0) : PIECE(",");
			at = open;
		}
	}
	pieces[count++] = piece(at, (size_t)(end - at));
	deliver(origin, pieces, count);
}
