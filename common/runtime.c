#include "runtime.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "engine.h"

/* libagent needs Python 3.9; Node.js 18 is that of Debian 12, and the first with fetch() and a test
 * runner that agents count on. */
static const char *const pythons[] = {"/usr/local/bin/python3", "/usr/bin/python3", "/bin/python3",
				      NULL};
static const char *const nodes[] = {"/usr/local/bin/node", "/usr/bin/node", "/bin/node",
				    "/usr/bin/nodejs", NULL};

static const struct interpreter interpreters[] = {
    [RUNTIME_PYTHON] = {"Python", pythons, 3, 9, "python3"},
    [RUNTIME_NODE] = {"Node.js", nodes, 18, 0, "nodejs"},
};

static const struct {
	const char *suffix;
	enum runtime runtime;
} suffixes[] = {
    {".py", RUNTIME_PYTHON}, {".js", RUNTIME_NODE},   {".mjs", RUNTIME_NODE},
    {".cjs", RUNTIME_NODE},  {".wasm", RUNTIME_WASM},
};

static const struct {
	char bytes[5];
	enum runtime runtime;
} magics[] = {
    {"\0asm", RUNTIME_WASM},
    {"\177ELF", RUNTIME_RUST},
};

const struct interpreter *
runtime_interpreter(enum runtime runtime)
{
	if (runtime == RUNTIME_WASM)
		return &engine_at(0)->program;
	if (runtime >= ARRAY_LEN(interpreters) || !interpreters[runtime].places)
		return NULL;
	return &interpreters[runtime];
}

enum runtime
runtime_of_name(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		size_t end = strlen(suffixes[i].suffix);

		if (length > end && !strcmp(name + length - end, suffixes[i].suffix))
			return suffixes[i].runtime;
	}
	return RUNTIME_ABSENT;
}

enum runtime
runtime_of_bytes(const void *head, size_t length)
{
	for (size_t i = 0; i < ARRAY_LEN(magics); i++)
		if (length >= 4 && !memcmp(head, magics[i].bytes, 4))
			return magics[i].runtime;
	return RUNTIME_ABSENT;
}

enum runtime
runtime_of(const struct manifest *manifest)
{
	enum runtime told = RUNTIME_ABSENT;

	if (manifest->runtime)
		return manifest->runtime;
	if (manifest->entrypoint)
		told = runtime_of_name(manifest->entrypoint);
	return told ? told : RUNTIME_RUST;
}

char *
runtime_layout(const char *install_dir, const char *layout)
{
	bool itself = strcmp(layout, ".") == 0;
	char *image;

	if (asprintf(&image, "oci:%s%s%s", install_dir, itself ? "" : "/", itself ? "" : layout) <
	    0)
		return NULL;
	return image;
}

static int
check_container(const struct manifest *manifest, struct error *error)
{
	if (manifest->entrypoint) {
		error_why(
		    error, ERR_INVALID,
		    "spec.entrypoint goes with the runtimes that interpret, and the runtime is "
		    "container");
		return error_hint(error, "name a program of the image with spec.command");
	}
	if (manifest_image_proofs(manifest) == 2)
		return 0;
	error_why(error, ERR_INVALID,
		  "the runtime container needs spec.image oci:/PATH, and it is %s",
		  manifest->image ? manifest->image : "host");
	return error_hint(error, "name an image, or put an image layout into install_dir");
}

int
runtime_check(const struct manifest *manifest, struct error *error)
{
	enum runtime runtime = runtime_of(manifest), told = RUNTIME_ABSENT;

	if (manifest->entrypoint)
		told = runtime_of_name(manifest->entrypoint);
	if (told && told != runtime) {
		error_why(
		    error, ERR_INVALID,
		    "the runtime is %s, but spec.entrypoint %s is a program for the runtime %s",
		    runtime_name(runtime), manifest->entrypoint, runtime_name(told));
		return error_hint(error, "correct spec.runtime or --runtime, or leave them out: "
					 "the entrypoint tells");
	}
	if (runtime_interpreter(runtime) && !manifest->entrypoint) {
		error_why(error, ERR_INVALID, "the runtime %s needs spec.entrypoint",
			  runtime_name(runtime));
		return error_hint(error, "name the %s, relative to install_dir",
				  runtime == RUNTIME_WASM ? "module" : "script");
	}
	if (runtime == RUNTIME_CONTAINER && check_container(manifest, error) < 0)
		return -1;
	if (manifest->packages.count && runtime != RUNTIME_PYTHON)
		return error_why(
		    error, ERR_INVALID,
		    "spec.packages goes with the runtime python, and the runtime is %s",
		    runtime_name(runtime));
	return 0;
}
