/* One line as a JSON-RPC 2.0 message: which kind, and where its parts are. Pure. */
#ifndef SCARAB_BROKER_RPC_H
#define SCARAB_BROKER_RPC_H

#include "common/scan.h"

enum {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_NO_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL = -32603,
	RPC_UNSUPPORTED_VERSION = -32022, /* 2026-07-28 */

	RPC_ID_MAX = 256, /* bytes of an id, quotes included */
	RPC_METHOD_MAX = 64,
	RPC_BATCH_MAX = 64, /* messages of one batch */
};

enum rpc_kind {
	RPC_REQUEST,
	RPC_NOTIFICATION,
	RPC_RESULT,
	RPC_ERROR,
	RPC_BATCH, /* whole is an array of messages */
};

struct rpc {
	enum rpc_kind kind;
	struct span whole, id, params, result, error;
	char method[RPC_METHOD_MAX]; /* empty when it is longer than any that is known */
};

/* 0, or a code of JSON-RPC with why; rpc->id is there when it could be read. */
int rpc_parse(struct span line, struct rpc *rpc, const char **why);
/* The same for a value that was scanned already: one message of a batch. */
int rpc_take(struct span value, struct rpc *rpc, const char **why);

#endif
