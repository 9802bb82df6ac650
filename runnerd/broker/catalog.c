#include "catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "naming.h"

static const struct {
	const char *key, *list, *method;
} kinds[ITEM_KINDS] = {
    [ITEM_TOOL] = {"name", "tools", "tools/list"},
    [ITEM_PROMPT] = {"name", "prompts", "prompts/list"},
    [ITEM_RESOURCE] = {"uri", "resources", "resources/list"},
    [ITEM_TEMPLATE] = {"uriTemplate", "resourceTemplates", "resources/templates/list"},
};

const char *
item_key(enum item_kind kind)
{
	return kinds[kind].key;
}

const char *
item_list(enum item_kind kind)
{
	return kinds[kind].list;
}

const char *
item_method(enum item_kind kind)
{
	return kinds[kind].method;
}

/* --- one item -------------------------------------------------------------------------------- */

static bool
by_name(enum item_kind kind)
{
	return kind == ITEM_TOOL || kind == ITEM_PROMPT;
}

static char *
expose(enum item_kind kind, const char *prefix, const char *name)
{
	char exposed[EXPOSED_NAME_MAX + 1], scheme[SERVER_NAME_MAX + 6];
	char *text;

	if (by_name(kind)) {
		name_expose(prefix, name, exposed);
		return strdup(exposed);
	}
	uri_prefix(prefix, scheme);
	return asprintf(&text, "%s%s", scheme, name) < 0 ? NULL : text;
}

struct item *
item_new(enum item_kind kind, struct server *server, const char *prefix, struct span definition)
{
	struct span key = member(definition, item_key(kind));
	char name[URI_MAX + 1];
	size_t most = by_name(kind) ? TOOL_NAME_MAX + 1 : sizeof(name);
	struct item *item;

	if (string_text(key, name, most) < 1) {
		errno = EINVAL;
		return NULL;
	}
	item = calloc(1, sizeof(*item));
	if (!item)
		return NULL;
	*item = (struct item){.kind = kind,
			      .server = server,
			      .name = strdup(name),
			      .exposed = expose(kind, prefix, name),
			      .definition = malloc(definition.length),
			      .length = definition.length,
			      .key_at = (size_t)(key.at - definition.at),
			      .key_length = key.length};
	if (!item->name || !item->exposed || !item->definition) {
		item_free(item);
		errno = ENOMEM;
		return NULL;
	}
	memcpy(item->definition, definition.at, definition.length);
	return item;
}

void
item_free(struct item *item)
{
	if (!item)
		return;
	free(item->name);
	free(item->exposed);
	free(item->definition);
	free(item);
}

struct span
item_key_text(const struct item *item)
{
	return (struct span){item->definition + item->key_at, item->key_length};
}

/* --- all of a kind --------------------------------------------------------------------------- */

static int
by_exposed(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	return strcmp((*x)->exposed, (*y)->exposed);
}

struct item *
catalog_find(const struct catalog *catalog, const char *exposed)
{
	size_t low = 0, high = catalog->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(exposed, catalog->items[middle]->exposed);

		if (order == 0)
			return catalog->items[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Others' items and these, in order; NULL when memory ran out. */
static struct item **
merged(const struct catalog *catalog, const struct server *server, struct item **items,
       size_t count, size_t *total)
{
	struct item **all = calloc(catalog->count + count + 1, sizeof(struct item *));
	size_t n = 0;

	if (!all)
		return NULL;
	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->items[i]->server != server)
			all[n++] = catalog->items[i];
	for (size_t i = 0; i < count; i++)
		all[n++] = items[i];
	qsort(all, n, sizeof(struct item *), by_exposed);
	*total = n;
	return all;
}

static const char *
doubled(struct item *const *items, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (strcmp(items[i - 1]->exposed, items[i]->exposed) == 0)
			return items[i]->exposed;
	return NULL;
}

static bool
same(const struct item *a, const struct item *b)
{
	return a->server == b->server && a->state == b->state && a->length == b->length &&
	       strcmp(a->exposed, b->exposed) == 0 &&
	       memcmp(a->definition, b->definition, a->length) == 0;
}

static bool
differs(const struct catalog *catalog, struct item *const *items, size_t count)
{
	if (catalog->count != count)
		return true;
	for (size_t i = 0; i < count; i++)
		if (!same(catalog->items[i], items[i]))
			return true;
	return false;
}

static void
free_items(struct item **items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		item_free(items[i]);
}

int
catalog_replace(struct catalog *catalog, const struct server *server, struct item **items,
		size_t count, const char **taken)
{
	size_t total = 0;
	struct item **all = merged(catalog, server, items, count, &total);
	int changed;

	*taken = all ? doubled(all, total) : NULL;
	if (!all || *taken) {
		free(all);
		return all ? -EEXIST : -ENOMEM;
	}
	changed = differs(catalog, all, total);
	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->items[i]->server == server)
			item_free(catalog->items[i]);
	free(catalog->items);
	catalog->items = all;
	catalog->count = total;
	return changed;
}

void
catalog_free(struct catalog *catalog)
{
	free_items(catalog->items, catalog->count);
	free(catalog->items);
	*catalog = (struct catalog){0};
}
