#include "manifest_enforce.h"

/* One of spec.mcp_servers; what is wrong with it, or NULL. */
static const char *
server_unenforceable(const struct manifest_server *server)
{
	if (server->transport == TRANSPORT_HTTP)
		return "transport Http: plugins that are reached over a network come later";
	return NULL;
}

const char *
manifest_unenforceable(const struct manifest *manifest, struct error *reason)
{
	size_t i;

	for (i = 0; i < manifest->mcp_servers.count; i++) {
		const struct manifest_server *server = &manifest->mcp_servers.items[i];
		const char *what = server_unenforceable(server);

		if (!what)
			continue;
		error_why(reason, ERR_INVALID, "this build cannot enforce spec.mcp_servers: %s: %s",
			  server->name, what);
		error_hint(reason, "remove the key, or install a build that has what it asks for");
		return "spec.mcp_servers";
	}
	return NULL;
}

int
plan_enforceable(const struct manifest *manifest, struct error *error)
{
	return manifest_unenforceable(manifest, error) ? -1 : 0;
}
