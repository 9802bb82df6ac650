#include "manifest_warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "plain.h"
#include "values.h"

struct warnings {
	const struct yaml_node *tree;
	const char *file;
	FILE *stream;
};

static void __attribute__((format(printf, 3, 4)))
warn_at(const struct warnings *warnings, const char *path, const char *fmt, ...)
{
	const struct yaml_node *node = yaml_find(warnings->tree, path);
	va_list arguments;

	if (!node)
		return;
	fprintf(warnings->stream, "%s:%u:%u: ", warnings->file, node->line, node->column);
	va_start(arguments, fmt);
	vfprintf(warnings->stream, fmt, arguments);
	va_end(arguments);
	fputc('\n', warnings->stream);
}

static void
warn_entry(const struct warnings *warnings, const char *list, size_t index, const char *key,
	   const char *why)
{
	char path[64];

	snprintf(path, sizeof(path), "spec.%s[%zu].%s", list, index, key);
	warn_at(warnings, path, "%s has no effect %s", path, why);
}

static void
warn_capabilities(const struct warnings *warnings, const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->capabilities.count; i++) {
		char path[64], capability[512];

		if (capability_known(manifest->capabilities.items[i]))
			continue;
		snprintf(capability, sizeof(capability), "%s", manifest->capabilities.items[i]);
		plain_text(capability);
		snprintf(path, sizeof(path), "spec.capabilities[%zu]", i);
		warn_at(warnings, path, "capability \"%s\" has no meaning here and grants nothing",
			capability);
	}
}

/* inject wins: what must never enter the sandbox does not. */
static void
warn_credentials(const struct warnings *warnings, const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->credentials.count; i++) {
		const struct manifest_credential *credential = &manifest->credentials.items[i];

		if (credential->has_inject && credential->as)
			warn_entry(warnings, "credentials", i, "as", "beside inject");
		if (credential->has_inject && credential->env)
			warn_entry(warnings, "credentials", i, "env", "beside inject");
	}
}

static void
warn_network(const struct warnings *warnings, const struct manifest *manifest)
{
	const struct manifest_network *network = &manifest->network;

	if (network->allowlist.count && network->policy != NETWORK_ALLOWLIST &&
	    network->policy != NETWORK_LOCAL && network->policy != NETWORK_FULL)
		warn_at(warnings, "spec.network.allowlist",
			"spec.network.allowlist has no effect without policy allowlist, local or "
			"full");
}

static void
warn_servers(const struct warnings *warnings, const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->mcp_servers.count; i++) {
		const struct manifest_server *server = &manifest->mcp_servers.items[i];

		if (server->transport != TRANSPORT_HTTP && server->url)
			warn_entry(warnings, "mcp_servers", i, "url", "with transport Stdio");
	}
}

static void
warn_runtime(const struct warnings *warnings, const struct manifest *manifest)
{
	if (manifest->entrypoint &&
	    (manifest->runtime == RUNTIME_RUST || manifest->runtime == RUNTIME_CONTAINER))
		warn_at(warnings, "spec.entrypoint",
			"spec.entrypoint has no effect without runtime python, node or wasm");
}

char *
manifest_warnings(const struct manifest *manifest, const struct yaml_node *tree, const char *file)
{
	static void (*const all[])(const struct warnings *, const struct manifest *) = {
	    warn_runtime, warn_capabilities, warn_network, warn_credentials, warn_servers,
	};
	struct warnings warnings = {.tree = tree, .file = file};
	char *text = NULL;
	size_t length = 0;

	warnings.stream = open_memstream(&text, &length);
	if (!warnings.stream)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		all[i](&warnings, manifest);
	fclose(warnings.stream);
	if (length > 0)
		return text;
	free(text);
	return NULL;
}
