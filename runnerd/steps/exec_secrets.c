/* Variables whose values are secrets: init's child puts them together of files in the sandbox, and
 * nobody out here has them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/template.h"
#include "runnerd/sandbox/init.h"
#include "runnerd/secret_uses.h"
#include "steps.h"

/* The first failure sticks. */
struct exporting {
	const struct manifest *plan;
	const char *server;
	struct rows *rows;
	int failure;
};

bool
exec_secret(const char *value)
{
	struct template_part part;

	while (template_next(&value, &part) == 1)
		if (!part.text)
			return true;
	return false;
}

static void
add_row(struct exporting *to, const struct msg *record)
{
	if (!to->failure)
		to->failure = rows_add(to->rows, record);
}

static void
add_variable(struct exporting *to, const char *name, uint32_t parts)
{
	struct msg record;

	msg_init(&record, MSG_EXEC_VARIABLE);
	snprintf(record.exec_variable.variable, sizeof(record.exec_variable.variable), "%s", name);
	record.exec_variable.parts = parts;
	add_row(to, &record);
}

/* How many records a text takes. */
static uint32_t
pieces(size_t length)
{
	const size_t most = sizeof(((struct msg_exec_part *)NULL)->text) - 1;

	return (uint32_t)((length + most - 1) / most);
}

static void
add_part(struct exporting *to, enum part_kind kind, const char *text, size_t length)
{
	struct msg record;
	size_t piece;

	for (; length > 0; text += piece, length -= piece) {
		msg_init(&record, MSG_EXEC_PART);
		record.exec_part.kind = (uint8_t)kind;
		piece = length < sizeof(record.exec_part.text) ? length
							       : sizeof(record.exec_part.text) - 1;
		memcpy(record.exec_part.text, text, piece);
		add_row(to, &record);
	}
}

static void
add_file(struct exporting *to, enum secret_place place, const char *file)
{
	bool hidden = place == PLACE_ENVIRONMENT;
	char path[PATH_LEN_MAX + 1];
	int length = snprintf(path, sizeof(path), "%s/%s",
			      hidden ? ENVIRONMENT_PATH : CREDENTIALS_PATH, file);

	add_part(to, hidden ? PART_ENVIRONMENT : PART_CREDENTIAL, path, (size_t)length);
}

/* --- env_template --------------------------------------------------------------------------------
 */

static void
add_template(struct exporting *to, const struct pair *pair)
{
	const char *at = pair->value, *file;
	struct template_part part;
	enum secret_place place;
	uint32_t parts = 0;

	while (template_next(&at, &part) == 1)
		parts += part.text ? pieces(part.length) : 1;
	add_variable(to, pair->key, parts);
	for (at = pair->value; template_next(&at, &part) == 1;) {
		if (part.text) {
			add_part(to, PART_TEXT, part.text, part.length);
			continue;
		}
		place = template_file(to->plan, to->server, part.secret, &file);
		add_file(to, place, file);
	}
}

/* --- env of a credential -------------------------------------------------------------------------
 */

static int
add_credential(const struct secret_use *use, void *arg)
{
	struct exporting *to = arg;

	if (!use->credential->env)
		return 0;
	add_variable(to, use->credential->env, 1);
	add_file(to, use->place, use->file);
	return 0;
}

int
exec_secrets(const struct session *s, const char *server, const struct pairs *templates,
	     struct rows *rows)
{
	struct exporting to = {.plan = s->agent->plan, .server = server, .rows = rows};
	size_t i;

	for (i = 0; templates && i < templates->count; i++)
		if (exec_secret(templates->items[i].value))
			add_template(&to, &templates->items[i]);
	secret_uses(to.plan, server, add_credential, &to);
	return to.failure;
}
