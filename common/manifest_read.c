/* Manifests as text: the one place of them that links libyaml. Unprivileged processes only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "manifest.h"
#include "manifest_enforce.h"
#include "manifest_schema.h"
#include "manifest_warnings.h"
#include "values.h"
#include "yaml_tree.h"

static void
cleanup_tree(struct yaml_node **tree)
{
	yaml_tree_free(*tree);
}

static struct manifest *
manifest_new(struct error *error)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));

	if (manifest)
		record_init(&manifest_record, manifest);
	else
		error_errno(error, ENOMEM, "manifest");
	return manifest;
}

/* A text within its bound may still make a plan beyond its own. */
static int
check_size(const struct manifest *manifest, const struct place *place)
{
	_cleanup_free_ uint8_t *plan = NULL;
	size_t length;
	int result = plan_encode(manifest, &plan, &length);

	return result < 0 ? complain(place, "the manifest is too big: %s", strerror(-result)) : 0;
}

static struct manifest *
manifest_of_tree(const struct yaml_node *tree, const char *file, struct error *error)
{
	struct place place = {.node = tree, .file = file, .error = error};
	struct manifest *manifest = manifest_new(error);

	if (!manifest)
		return NULL;
	if (record_read(&manifest_record, manifest, &place) < 0 ||
	    record_check(&manifest_record, manifest, &place) < 0 ||
	    check_size(manifest, &place) < 0) {
		manifest_free(manifest);
		return NULL;
	}
	return manifest;
}

struct manifest *
manifest_read(const char *text, size_t length, const char *file, char **warnings,
	      struct error *error)
{
	_cleanup_(cleanup_tree) struct yaml_node *tree = yaml_parse(text, length, file, error);
	struct manifest *manifest;

	if (warnings)
		*warnings = NULL;
	if (!tree)
		return NULL;
	manifest = manifest_of_tree(tree, file, error);
	if (manifest && warnings)
		*warnings = manifest_warnings(manifest, tree, file);
	return manifest;
}

static void
cleanup_manifest(struct manifest **manifest)
{
	manifest_free(*manifest);
}

int
manifest_enforceable(const char *text, size_t length, const char *file, struct error *error)
{
	_cleanup_(cleanup_tree) struct yaml_node *tree = yaml_parse(text, length, file, error);
	_cleanup_(cleanup_manifest) struct manifest *manifest = NULL;
	struct error reason = ERROR_INIT;
	const struct yaml_node *node;
	const char *path;

	if (!tree)
		return -1;
	manifest = manifest_of_tree(tree, file, error);
	if (!manifest)
		return -1;
	path = manifest_unenforceable(manifest, &reason);
	if (!path)
		return 0;
	node = yaml_find(tree, path);
	error_why(error, ERR_INVALID, "%.*s:%u:%u: %s", YAML_FILE_SHOWN, file, node->line,
		  node->column, reason.why);
	return error_hint(error, "%s", reason.hint);
}
