#include "yaml_tree.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

void
yaml_tree_free(struct yaml_node *node)
{
	if (!node)
		return;
	for (struct yaml_node *child = node->first, *next; child; child = next) {
		next = child->next;
		yaml_tree_free(child);
	}
	free(node->key);
	free(node->text);
	free(node);
}

bool
yaml_is_null(const struct yaml_node *node)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	if (node->kind != NODE_SCALAR || !node->plain)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(node->text, words[i]) == 0)
			return true;
	return false;
}

const struct yaml_node *
yaml_get(const struct yaml_node *node, const char *key, size_t length)
{
	if (!node || node->kind != NODE_MAP)
		return NULL;
	for (const struct yaml_node *child = node->first; child; child = child->next)
		if (strncmp(child->key, key, length) == 0 && child->key[length] == '\0')
			return child;
	return NULL;
}

static const struct yaml_node *
list_entry(const struct yaml_node *node, const char *digits)
{
	unsigned long index = strtoul(digits, NULL, 10);

	if (node->kind != NODE_LIST)
		return NULL;
	node = node->first;
	while (node && index-- > 0)
		node = node->next;
	return node;
}

const struct yaml_node *
yaml_find(const struct yaml_node *node, const char *path)
{
	while (node && *path) {
		const struct yaml_node *next;
		size_t length;

		path += *path == '.';
		length = strcspn(path + 1, ".[") + 1;
		next = *path == '[' ? list_entry(node, path + 1) : yaml_get(node, path, length);
		if (!next)
			break;
		node = next;
		path += length;
	}
	return node;
}
