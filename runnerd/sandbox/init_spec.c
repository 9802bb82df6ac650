#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
add_credential(struct exec_spec *spec, const struct msg_exec_credential *credential)
{
	size_t count = spec->credential_count + 1;
	void *grown = reallocarray(spec->credentials, count, sizeof(*spec->credentials));
	char **envp;

	if (!grown)
		return -ENOMEM;
	spec->credentials = grown;
	spec->credentials[count - 1].variable = strdup(credential->variable);
	spec->credentials[count - 1].path = strdup(credential->path);
	spec->credential_count = (uint32_t)count;
	envp = reallocarray(spec->envp, spec->head.variables + count + 1, sizeof(*envp));
	if (!envp || !spec->credentials[count - 1].variable || !spec->credentials[count - 1].path)
		return -ENOMEM;
	spec->envp = envp;
	return 0;
}

/* What remains. */
static int
read_credentials(struct rows_reader *reader, struct msg *record, struct exec_spec *spec)
{
	int rc;

	while ((rc = rows_next(reader, record)) == 1) {
		if (record->type != MSG_EXEC_CREDENTIAL)
			return -EBADMSG;
		rc = add_credential(spec, &record->exec_credential);
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
	return rc == 0 ? read_credentials(reader, &record, spec) : rc;
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
	if (rc == 0 && (spec->head.arguments == 0 || spec->head.uid == 0 || spec->head.gid == 0))
		rc = -EINVAL;
	return rc;
}
