#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

enum { STRINGS_MAX = 65536 /* arguments, or variables */ };

/* NULL-terminated, filled from the next count records. */
static int
read_strings(struct rows_reader *reader, uint32_t count, struct msg *record, char ***strings)
{
	char **list;
	int rc;

	if (count > STRINGS_MAX)
		return -E2BIG;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	*strings = list;
	for (uint32_t i = 0; i < count; i++) {
		rc = rows_next(reader, record);
		if (rc != 1 || record->type != MSG_EXEC_STRING)
			return rc < 0 ? rc : -EBADMSG;
		list[i] = strdup(record->exec_string.text);
		if (!list[i])
			return -ENOMEM;
	}
	return 0;
}

static int
read_parts(struct rows_reader *reader, uint32_t count, struct exec_part **at)
{
	static struct msg record;
	int rc;

	for (; count > 0; count--, at = &(*at)->next) {
		rc = rows_next(reader, &record);
		if (rc != 1 || record.type != MSG_EXEC_PART || record.exec_part.kind >= PART_KINDS)
			return rc < 0 ? rc : -EBADMSG;
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return -ENOMEM;
		(*at)->kind = (enum part_kind)record.exec_part.kind;
		(*at)->text = strdup(record.exec_part.text);
		if (!(*at)->text)
			return -ENOMEM;
	}
	return 0;
}

static int
add_variable(struct exec_spec *spec, const char *name, struct exec_variable **added)
{
	size_t count = spec->variable_count + 1;
	void *grown = reallocarray(spec->variables, count, sizeof(*spec->variables));
	char **envp;

	if (!grown)
		return -ENOMEM;
	spec->variables = grown;
	*added = &spec->variables[count - 1];
	**added = (struct exec_variable){.name = strdup(name)};
	envp = reallocarray(spec->envp, spec->head.variables + count + 1, sizeof(*envp));
	if (!envp || !(*added)->name)
		return -ENOMEM;
	spec->envp = envp;
	spec->variable_count = (uint32_t)count;
	return 0;
}

/* What remains. */
static int
read_variables(struct rows_reader *reader, struct msg *record, struct exec_spec *spec)
{
	struct exec_variable *variable;
	uint32_t parts;
	int rc;

	while ((rc = rows_next(reader, record)) == 1) {
		if (record->type != MSG_EXEC_VARIABLE || spec->variable_count == STRINGS_MAX)
			return -EBADMSG;
		parts = record->exec_variable.parts;
		rc = add_variable(spec, record->exec_variable.variable, &variable);
		if (rc == 0)
			rc = read_parts(reader, parts, &variable->parts);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int
read_records(struct rows_reader *reader, struct exec_spec *spec)
{
	static struct msg record;
	int rc = rows_next(reader, &record);

	if (rc != 1 || record.type != MSG_EXEC_SPEC)
		return rc < 0 ? rc : -EBADMSG;
	spec->head = record.exec_spec;
	rc = read_strings(reader, spec->head.arguments, &record, &spec->argv);
	if (rc == 0)
		rc = read_strings(reader, spec->head.variables, &record, &spec->envp);
	return rc == 0 ? read_variables(reader, &record, spec) : rc;
}

/* What init runs as, no program may. */
static bool
is_own(const struct msg_exec_spec *head)
{
	return head->uid == getuid() || head->gid == getgid();
}

int
init_read_spec(int fd, struct exec_spec *spec)
{
	struct rows_reader *reader = rows_open(fd);
	int rc;

	if (!reader)
		return -errno;
	rc = read_records(reader, spec);
	rows_close(reader);
	if (rc == 0 && (spec->head.arguments == 0 || is_own(&spec->head)))
		rc = -EINVAL;
	return rc;
}
