/* Where agentd.yaml says what: links libyaml, runs in agentd-config and tests. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "config_schema.h"
#include "yaml_tree.h"

static int
add(struct rows *rows, const char *key, const struct yaml_node *node)
{
	struct msg row;

	msg_init(&row, MSG_CONFIG_ORIGIN);
	snprintf(row.config_origin.key, sizeof(row.config_origin.key), "%s", key);
	row.config_origin.line = node->key_line;
	row.config_origin.column = node->key_column;
	return rows_add(rows, &row);
}

/* Below a key, prefix has it and a dot. Of a list the key itself is told. */
static int
walk(const struct record *record, const struct yaml_node *tree, const char *prefix,
     struct rows *rows)
{
	char key[64];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < record->count; i++) {
		const struct field *field = &record->fields[i];
		const struct yaml_node *node =
		    field->hidden ? NULL : yaml_get(tree, field->key, strlen(field->key));

		if (!node)
			continue;
		snprintf(key, sizeof(key), "%s%s%s", prefix, field->key,
			 field->type == FIELD_GROUP ? "." : "");
		rc = field->type == FIELD_GROUP ? walk(field->record, node, key, rows)
						: add(rows, key, node);
	}
	return rc;
}

int
config_origins(const char *text, size_t length, struct rows *rows)
{
	struct error error = ERROR_INIT;
	struct yaml_node *tree = yaml_parse(text ? text : "", text ? length : 0, "", &error);
	int rc = tree ? walk(&config_record, tree, "", rows) : -EINVAL;

	yaml_tree_free(tree);
	return rc;
}
