/*
 * YAML as a bounded tree that remembers where everything stood. Only what a manifest needs:
 * mappings with text keys, lists, scalars; aliases, anchors, tags, merge keys and further
 * documents are refused. yaml_parse() links libyaml and runs in unprivileged processes only; the
 * functions that walk a tree (yaml_node.c) link nothing.
 */
#ifndef SCARAB_YAML_TREE_H
#define SCARAB_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

enum {
	YAML_BYTES_MAX = 1 << 20,
	YAML_DEPTH_MAX = 32,
	YAML_NODES_MAX = 20000, /* keys count too */
	YAML_SCALAR_MAX = 64 << 10,
	YAML_FILE_SHOWN = 1000, /* bytes of a file's name that an error repeats */
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct yaml_node {
	enum node_kind kind;
	bool plain;            /* a scalar without quotes */
	unsigned line, column; /* of the value, 1-based; columns count characters */
	char *key;             /* an entry of a mapping; NULL elsewhere */
	unsigned key_line, key_column;
	char *text; /* a scalar: UTF-8 without NUL */
	size_t count;
	struct yaml_node *first, *last, *next;
};

/* The one document of the text; an empty text is an empty mapping. A failure (ERR_INVALID) begins
 * with FILE:LINE:COLUMN. The caller frees the tree. NULL with error. */
struct yaml_node *yaml_parse(const char *text, size_t length, const char *file,
			     struct error *error);

void yaml_tree_free(struct yaml_node *node);
/* Plain ~, null or nothing. */
bool yaml_is_null(const struct yaml_node *node);
/* The entry of a mapping; NULL when there is none or node is no mapping (or NULL). */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key, size_t length);
/* Follows a path like "spec.triggers[2].cron" as far as it goes: the deepest node found. */
const struct yaml_node *yaml_find(const struct yaml_node *node, const char *path);

#endif
