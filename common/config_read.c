/* agentd.yaml as text: links libyaml, runs in agentd-config and tests. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "config_schema.h"
#include "yaml_tree.h"

static void
cleanup_tree(struct yaml_node **tree)
{
	yaml_tree_free(*tree);
}

static const struct yaml_node *
node_of(const struct yaml_node *tree, const char *group, const char *key)
{
	return yaml_get(yaml_get(tree, group, strlen(group)), key, strlen(key));
}

/* Is the key missing, or null? */
static bool
unsaid(const struct yaml_node *tree, const char *group, const char *key)
{
	const struct yaml_node *node = node_of(tree, group, key);

	return !node || yaml_is_null(node);
}

static int
default_list(struct strings *list, const char *const *texts, size_t count)
{
	list->items = calloc(count + 1, sizeof(*list->items));
	if (!list->items)
		return -ENOMEM;
	for (; list->count < count; list->count++) {
		list->items[list->count] = strdup(texts[list->count]);
		if (!list->items[list->count])
			return -ENOMEM;
	}
	return 0;
}

/* Defaults that depend on other keys, and those of lists: an empty list means "none". */
static int
fill_defaults(struct config *config, const struct yaml_node *tree)
{
	static const char *const contexts[] = {"/srv", "/usr/share", "/var/log"};
	static const char *const images[] = {"/var/lib/scarab-runtime/images", "/srv"};

	if (!config->socket && asprintf(&config->socket, "%s/agentd.sock", config->run_dir) < 0) {
		config->socket = NULL;
		return -ENOMEM;
	}
	config->webhooks.off =
	    node_of(tree, "webhooks", "listen") && unsaid(tree, "webhooks", "listen");
	config->ceilings.any_install = unsaid(tree, "ceilings", "allowed_install");
	if (unsaid(tree, "ceilings", "allowed_context") &&
	    default_list(&config->ceilings.allowed_context, contexts, ARRAY_LEN(contexts)) < 0)
		return -ENOMEM;
	if (unsaid(tree, "ceilings", "allowed_images") &&
	    default_list(&config->ceilings.allowed_images, images, ARRAY_LEN(images)) < 0)
		return -ENOMEM;
	if (config->secrets.kek_file || config->secrets.kek_credential ||
	    config->secrets.passphrase)
		return 0;
	config->secrets.kek_file = strdup(SCARAB_SYSCONFDIR "/secrets.key");
	return config->secrets.kek_file ? 0 : -ENOMEM;
}

static int
fill(struct config *config, const struct yaml_node *tree, const struct place *place)
{
	record_init(&config_record, config);
	if (record_read(&config_record, config, place) < 0)
		return -1;
	if (fill_defaults(config, tree) < 0)
		return error_errno(place_error(place), ENOMEM, "configuration");
	return record_check(&config_record, config, place);
}

struct config *
config_read(const char *text, size_t length, const char *file, struct error *error)
{
	_cleanup_(cleanup_tree) struct yaml_node *tree = NULL;
	struct place place = {.file = file, .error = error};
	struct config *config;

	tree = yaml_parse(text ? text : "", text ? length : 0, file, error);
	if (!tree)
		return NULL;
	config = calloc(1, sizeof(*config));
	if (!config) {
		error_errno(error, ENOMEM, "configuration");
		return NULL;
	}
	place.node = tree;
	if (fill(config, tree, &place) < 0) {
		config_free(config);
		return NULL;
	}
	return config;
}
