#include "program.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/runtime.h"
#include "proof.h"

/* -I: nothing of the environment, the home or the working directory is imported; -u: output is
 * not held back. start.py adds what the agent does import. */
static const char *const python_arguments[] = {"-I", "-u", PYTHON_START, NULL};

static void
fill_arguments(enum runtime runtime, struct program *program)
{
	const char *const *own = runtime == RUNTIME_PYTHON ? python_arguments : NULL;
	size_t count = 0;

	for (; own && own[count]; count++)
		program->arguments[count] = own[count];
	if (program->entrypoint[0])
		program->arguments[count++] = program->entrypoint;
	program->arguments[count] = NULL;
}

static int
refuse_interpreter(const struct manifest *plan, const struct interpreter *interpreter,
		   struct error *error)
{
	const char *image = manifest_image_dir(plan);

	error_why(error, ERR_INVALID, "there is no %s in the image %s", interpreter->language,
		  image ? image : "host");
	return error_hint(error,
			  image
			      ? "put one into the image as %s, or name it with spec.command"
			      : "install the package that brings %s (Debian: %s), or name another "
				"with spec.command",
			  interpreter->places[1], interpreter->package);
}

/* The one that the manifest names, or that was found at install; else the first there is. */
static int
find_interpreter(const struct manifest *plan, const struct interpreter *interpreter,
		 const char *install_dir, struct program *program, struct error *error)
{
	struct error ignored = ERROR_INIT;

	if (plan->command)
		return proof_command(plan, install_dir, program->path, error);
	if (plan->interpreter) {
		if (proof_program(plan->interpreter, plan, install_dir, program->path, error) == 0)
			return 0;
		error_hint(error, "install the agent again to have it run by what is there now");
		return error_what(error, "the agent's interpreter");
	}
	for (size_t i = 0; interpreter->places[i]; i++)
		if (proof_program(interpreter->places[i], plan, install_dir, program->path,
				  &ignored) == 0)
			return 0;
	return refuse_interpreter(plan, interpreter, error);
}

int
program_find(const struct manifest *plan, const char *install_dir, struct program *program,
	     struct error *error)
{
	enum runtime runtime = runtime_of(plan);
	const struct interpreter *interpreter = runtime_interpreter(runtime);
	int rc;

	program->entrypoint[0] = '\0';
	if (interpreter && runtime_check(plan, error) < 0)
		return -1;
	rc = interpreter ? find_interpreter(plan, interpreter, install_dir, program, error)
			 : proof_command(plan, install_dir, program->path, error);
	if (rc == 0 && interpreter)
		rc = proof_entrypoint(plan->entrypoint, install_dir, program->entrypoint, error);
	fill_arguments(runtime, program);
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
	enum runtime runtime = runtime_of(plan);
	const struct interpreter *interpreter = runtime_interpreter(runtime);
	const char *name = plan->command ? plan->command : plan->name;

	program->entrypoint[0] = '\0';
	if (interpreter && !plan->command)
		name = plan->interpreter ? plan->interpreter : interpreter->places[1];
	tell_path(name, install_dir, program->path);
	if (interpreter && plan->entrypoint)
		tell_path(plan->entrypoint, install_dir, program->entrypoint);
	fill_arguments(runtime, program);
}
