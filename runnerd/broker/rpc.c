#include "rpc.h"

#include <string.h>

enum part { PART_JSONRPC, PART_ID, PART_METHOD, PART_PARAMS, PART_RESULT, PART_ERROR, PARTS };

static const char *const part_names[PARTS] = {
    [PART_JSONRPC] = "jsonrpc", [PART_ID] = "id",         [PART_METHOD] = "method",
    [PART_PARAMS] = "params",   [PART_RESULT] = "result", [PART_ERROR] = "error",
};

static int
invalid(const char **why, const char *text)
{
	*why = text;
	return RPC_INVALID_REQUEST;
}

/* A string, or a number without fraction and exponent. */
static bool
id_valid(struct span id)
{
	enum value_kind kind = value_kind(id);

	if (id.length > RPC_ID_MAX)
		return false;
	if (kind == VALUE_STRING)
		return true;
	if (kind != VALUE_NUMBER)
		return false;
	for (size_t i = 0; i < id.length; i++)
		if (strchr(".eE", id.at[i]))
			return false;
	return true;
}

static int
take_call(const struct span *parts, struct rpc *rpc, const char **why)
{
	struct span params = parts[PART_PARAMS];

	if (value_kind(parts[PART_METHOD]) != VALUE_STRING)
		return invalid(why, "method is no string");
	if (string_text(parts[PART_METHOD], rpc->method, sizeof(rpc->method)) < 0)
		rpc->method[0] = '\0';
	if (parts[PART_RESULT].at || parts[PART_ERROR].at)
		return invalid(why, "a message with a method has neither result nor error");
	if (params.at && value_kind(params) != VALUE_OBJECT)
		return invalid(why, "params is no object");
	rpc->params = params;
	rpc->kind = parts[PART_ID].at ? RPC_REQUEST : RPC_NOTIFICATION;
	return 0;
}

static int
take_answer(const struct span *parts, struct rpc *rpc, const char **why)
{
	rpc->result = parts[PART_RESULT];
	rpc->error = parts[PART_ERROR];
	if (!rpc->result.at == !rpc->error.at)
		return invalid(why, "a message is a request, or has a result or an error");
	if (rpc->result.at && value_kind(rpc->result) != VALUE_OBJECT)
		return invalid(why, "result is no object");
	if (rpc->error.at && value_kind(rpc->error) != VALUE_OBJECT)
		return invalid(why, "error is no object");
	if (rpc->result.at && !rpc->id.at)
		return invalid(why, "a result has an id");
	rpc->kind = rpc->result.at ? RPC_RESULT : RPC_ERROR;
	return 0;
}

int
rpc_take(struct span value, struct rpc *rpc, const char **why)
{
	struct span parts[PARTS];

	memset(rpc, 0, sizeof(*rpc));
	rpc->whole = value;
	if (value_kind(value) != VALUE_OBJECT)
		return invalid(why, "a message is one object");
	if (members(value, part_names, PARTS, parts) < 0)
		return invalid(why, "a member of the message occurs twice");
	/* An error about a request whose id could not be read has none, or null. */
	if (parts[PART_ERROR].at && value_kind(parts[PART_ID]) == VALUE_NULL)
		parts[PART_ID] = NO_SPAN;
	if (parts[PART_ID].at && !id_valid(parts[PART_ID]))
		return invalid(why, "an id is a string or an integer");
	rpc->id = parts[PART_ID];
	if (!string_equal(parts[PART_JSONRPC], "2.0"))
		return invalid(why, "jsonrpc is not \"2.0\"");
	return parts[PART_METHOD].at ? take_call(parts, rpc, why) : take_answer(parts, rpc, why);
}

int
rpc_parse(struct span line, struct rpc *rpc, const char **why)
{
	struct span value;

	memset(rpc, 0, sizeof(*rpc));
	*why = scan(line, &value);
	if (*why)
		return RPC_PARSE_ERROR;
	if (value_kind(value) != VALUE_ARRAY)
		return rpc_take(value, rpc, why);
	rpc->whole = value;
	rpc->kind = RPC_BATCH;
	return 0;
}
