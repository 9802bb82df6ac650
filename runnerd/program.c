#include "program.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/runtime.h"
#include "fs.h"
#include "proof.h"

/* -I: nothing of the environment, the home or the working directory is imported; -u: output is
 * not held back. start.py adds what the agent does import. */
static const char *const python_arguments[] = {"-I", "-u", PYTHON_START, NULL};

static size_t
add_arguments(struct program *program, size_t count, const char *const *arguments)
{
	while (*arguments)
		program->arguments[count++] = *arguments++;
	return count;
}

/* Directories that the launcher of an engine does not know by itself: context elsewhere than where
 * it is by default, and where the module lies. */
static size_t
add_directories(struct program *program, size_t count, const struct manifest *plan,
		const char *install_dir)
{
	program->arguments[count++] = program->engine->dir;
	program->arguments[count++] = install_dir;
	for (size_t i = 0; i < plan->context.count && i < CONTEXT_MAX; i++) {
		if (path_within(plan->context.items[i].target, "/context"))
			continue;
		program->arguments[count++] = program->engine->dir;
		program->arguments[count++] = plan->context.items[i].target;
	}
	return count;
}

static void
fill_arguments(const struct manifest *plan, const char *install_dir, struct program *program)
{
	size_t count = 0;

	if (runtime_of(plan) == RUNTIME_PYTHON)
		count = add_arguments(program, count, python_arguments);
	if (program->engine) {
		count = add_arguments(program, count, program->engine->arguments);
		count = add_directories(program, count, plan, install_dir);
	}
	if (program->entrypoint[0])
		program->arguments[count++] = program->entrypoint;
	program->arguments[count] = NULL;
}

static int
refuse_interpreter(const struct manifest *plan, const struct interpreter *interpreter,
		   struct error *error)
{
	const char *image = manifest_image_is_tree(plan) ? plan->image : NULL;

	error_why(error, ERR_INVALID, "there is no %s in the image %s", interpreter->language,
		  image ? image : "host");
	return error_hint(error,
			  image
			      ? "put one into the image as %s, or name it with spec.command"
			      : "install the package that brings %s (Debian: %s), or name another "
				"with spec.command",
			  interpreter->places[1], interpreter->package);
}

static int
refuse_engine(const struct manifest *plan, struct error *error)
{
	const char *image = manifest_image_dir(plan);
	const struct engine *first = engine_at(0);

	error_why(error, ERR_INVALID, "there is nothing that runs WebAssembly in the image %s",
		  image ? image : "host");
	return error_hint(error, "%s %s %u.%u or later (%s%s), or name it with spec.command",
			  image ? "put into it" : "install", first->program.language,
			  first->program.major, first->program.minor, image ? "as " : "Debian: ",
			  image ? first->program.places[1] : first->program.package);
}

static bool
find_place(const struct manifest *plan, const struct interpreter *interpreter,
	   const char *install_dir, struct program *program)
{
	struct error ignored = ERROR_INIT;

	for (size_t i = 0; interpreter->places[i]; i++)
		if (proof_program(interpreter->places[i], plan, install_dir, program->path,
				  &ignored) == 0)
			return true;
	return false;
}

/* Of the runtime wasm the first engine that the image has. */
static int
find_first(const struct manifest *plan, const char *install_dir, struct program *program,
	   struct error *error)
{
	const struct interpreter *interpreter = runtime_interpreter(runtime_of(plan));
	const struct engine *engine = NULL;

	if (runtime_of(plan) != RUNTIME_WASM)
		return find_place(plan, interpreter, install_dir, program)
			   ? 0
			   : refuse_interpreter(plan, interpreter, error);
	for (size_t i = 0; (engine = engine_at(i)); i++)
		if (find_place(plan, &engine->program, install_dir, program))
			return 0;
	return refuse_engine(plan, error);
}

/* The one that the manifest names, or that was found at install; else the first there is. */
static int
find_interpreter(const struct manifest *plan, const char *install_dir, struct program *program,
		 struct error *error)
{
	if (plan->command)
		return proof_command(plan, install_dir, program->path, error);
	if (!plan->interpreter)
		return find_first(plan, install_dir, program, error);
	if (proof_program(plan->interpreter, plan, install_dir, program->path, error) == 0)
		return 0;
	error_hint(error, "install the agent again to have it run by what is there now");
	return error_what(error, "the agent's interpreter");
}

/* That of the plan; at install the one whose program this is. */
static const struct engine *
engine_of(const struct manifest *plan, const char *path)
{
	if (runtime_of(plan) != RUNTIME_WASM)
		return NULL;
	return plan->engine ? engine_named(plan->engine) : engine_of_program(path);
}

int
program_find(const struct manifest *plan, const char *install_dir, struct program *program,
	     struct error *error)
{
	bool interpreted = runtime_interpreter(runtime_of(plan)) != NULL;
	int rc;

	program->entrypoint[0] = '\0';
	if (interpreted && runtime_check(plan, error) < 0)
		return -1;
	rc = interpreted ? find_interpreter(plan, install_dir, program, error)
			 : proof_command(plan, install_dir, program->path, error);
	if (rc == 0 && interpreted)
		rc = proof_entrypoint(plan->entrypoint, install_dir, program->entrypoint, error);
	program->engine = rc == 0 ? engine_of(plan, program->path) : NULL;
	if (rc == 0 && plan->engine && !program->engine) {
		error_why(error, ERR_INVALID, "this build has no engine %s", plan->engine);
		return error_hint(error, "install the agent again to have it run by another");
	}
	if (rc == 0)
		fill_arguments(plan, install_dir, program);
	return rc;
}

static void
tell_path(const char *name, const char *install_dir, char *path)
{
	snprintf(path, PATH_LEN_MAX + 1, "%.2000s%s%.2000s", name[0] == '/' ? "" : install_dir,
		 name[0] == '/' ? "" : "/", name);
}

void
program_told(const struct manifest *plan, const char *install_dir, struct program *program)
{
	const struct interpreter *interpreter = runtime_interpreter(runtime_of(plan));
	const char *name = plan->command ? plan->command : plan->name;

	program->entrypoint[0] = '\0';
	if (interpreter && !plan->command)
		name = plan->interpreter ? plan->interpreter : interpreter->places[1];
	tell_path(name, install_dir, program->path);
	if (interpreter && plan->entrypoint)
		tell_path(plan->entrypoint, install_dir, program->entrypoint);
	program->engine = engine_of(plan, program->path);
	fill_arguments(plan, install_dir, program);
}
