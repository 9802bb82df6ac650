#include "engine.h"

#include <string.h>

#include "cleanup.h"

static const char *const nodes[] = {"/usr/local/bin/node", "/usr/bin/node", "/bin/node",
				    "/usr/bin/nodejs", NULL};
/* Without the word that node:wasi is experimental, which would be in every session's log. */
static const char *const node_arguments[] = {"--no-warnings", WASM_DIR "/start.cjs", NULL};

/* Before Node.js 18.17 node:wasi needs an option that later versions do without. */
static const struct engine engines[] = {
    {.name = "node:wasi",
     .program = {"Node.js", nodes, 18, 17, "nodejs"},
     .arguments = node_arguments,
     .dir = "--dir"},
};

const struct engine *
engine_at(size_t place)
{
	return place < ARRAY_LEN(engines) ? &engines[place] : NULL;
}

const struct engine *
engine_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(engines); i++)
		if (!strcmp(engines[i].name, name))
			return &engines[i];
	return NULL;
}

static const char *
last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const struct engine *
engine_of_program(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(engines); i++)
		for (const char *const *place = engines[i].program.places; *place; place++)
			if (!strcmp(last_component(*place), last_component(path)))
				return &engines[i];
	return &engines[0];
}
