/* Prints every key of a manifest and of agentd.yaml, as KIND PATH lines, and every word that a key
 * takes: what manuals.py holds the man pages against. */
#include <stdio.h>
#include <string.h>

#include "common/config_schema.h"
#include "common/manifest_schema.h"
#include "common/proto.h"
#include "common/record.h"

static void
walk(const char *kind, const struct record *record, const char *prefix)
{
	char path[256];

	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];

		if (field->hidden)
			continue;
		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", field->key);
		printf("%s %s\n", kind, path);
		for (const struct choice *c = field->choices; c && c->name; c++)
			printf("word %s\n", c->name);
		if (field->record)
			walk(kind, field->record, path);
	}
}

int
main(void)
{
	walk("manifest", &manifest_record, "");
	walk("config", &config_record, "");
	for (int i = 1; i < OUTCOME_COUNT; i++)
		printf("outcome %s\n", session_outcome_name((enum session_outcome)i));
	for (int i = 1; i < STATE_COUNT; i++)
		printf("state %s\n", session_state_name((enum session_state)i));
	for (int i = 1; i < STEP_COUNT; i++)
		printf("step %s\n", session_step_name((enum session_step)i));
	return 0;
}
