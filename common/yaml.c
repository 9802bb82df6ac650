#include "yaml_tree.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "cleanup.h"
#include "json.h"
#include "plain.h"

struct builder {
	yaml_parser_t parser;
	const char *file, *text;
	size_t length;
	struct error *error;
	struct yaml_node *root;
	struct yaml_node *open[YAML_DEPTH_MAX]; /* the collections around the current event */
	size_t depth;
	struct yaml_node *pending; /* an entry of a mapping whose value is still to come */
	size_t nodes, documents;
	bool ended;
};

static int
refuse(struct builder *builder, yaml_mark_t at, const char *why)
{
	return error_why(builder->error, ERR_INVALID, "%.*s:%zu:%zu: %s", YAML_FILE_SHOWN,
			 builder->file, at.line + 1, at.column + 1, why);
}

/* Line and column of a byte, for what fails before libyaml keeps count. */
static yaml_mark_t
mark_of(const struct builder *builder, size_t offset)
{
	yaml_mark_t mark = {.index = offset};

	for (size_t i = 0; i < offset && i < builder->length; i++) {
		unsigned char byte = (unsigned char)builder->text[i];

		if (byte == '\n') {
			mark.line++;
			mark.column = 0;
		} else if ((byte & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

static int
check_text(struct builder *builder)
{
	const uint8_t *bytes = (const uint8_t *)builder->text;
	const char *nul = memchr(bytes, 0, builder->length);
	size_t before_nul = nul ? (size_t)(nul - builder->text) : builder->length;
	bool partial;
	size_t valid;

	if (builder->length > YAML_BYTES_MAX)
		return refuse(builder, mark_of(builder, YAML_BYTES_MAX),
			      "the file is bigger than 1 MiB");
	valid = utf8_prefix(bytes, before_nul, &partial);
	if (valid < before_nul)
		return refuse(builder, mark_of(builder, valid), "the text is not valid UTF-8");
	if (nul)
		return refuse(builder, mark_of(builder, valid), "NUL bytes are not allowed");
	return 0;
}

static int
refuse_parser(struct builder *builder)
{
	const yaml_parser_t *parser = &builder->parser;
	const char *problem = parser->problem ? parser->problem : "out of memory";

	if (parser->error == YAML_READER_ERROR)
		return refuse(builder, mark_of(builder, parser->problem_offset), problem);
	if (parser->error == YAML_MEMORY_ERROR)
		return error_why(builder->error, ERR_FAILED, "%.*s: out of memory", YAML_FILE_SHOWN,
				 builder->file);
	return refuse(builder, parser->problem_mark, problem);
}

static struct yaml_node *
node_new(yaml_mark_t at)
{
	struct yaml_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->line = (unsigned)at.line + 1;
	node->column = (unsigned)at.column + 1;
	return node;
}

static void
append(struct yaml_node *parent, struct yaml_node *child)
{
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->count++;
}

/* Where the value of this event goes: the pending entry, a new list entry, or the root. */
static struct yaml_node *
node_for(struct builder *builder, const yaml_event_t *event)
{
	struct yaml_node *parent = builder->depth ? builder->open[builder->depth - 1] : NULL;
	struct yaml_node *node = steal_ptr(&builder->pending);

	if (node) {
		node->line = (unsigned)event->start_mark.line + 1;
		node->column = (unsigned)event->start_mark.column + 1;
		return node;
	}
	node = node_new(event->start_mark);
	if (!node)
		error_why(builder->error, ERR_FAILED, "%.*s: out of memory", YAML_FILE_SHOWN,
			  builder->file);
	else if (parent)
		append(parent, node);
	else
		builder->root = node;
	return node;
}

static bool
key_is_next(const struct builder *builder)
{
	return builder->depth && builder->open[builder->depth - 1]->kind == NODE_MAP &&
	       !builder->pending;
}

static int
check_plainness(struct builder *builder, const yaml_event_t *event, const yaml_char_t *anchor,
		const yaml_char_t *tag)
{
	if (++builder->nodes > YAML_NODES_MAX)
		return refuse(builder, event->start_mark, "more than 20000 values and keys");
	if (anchor)
		return refuse(builder, event->start_mark, "anchors (&name) are not allowed");
	if (tag)
		return refuse(builder, event->start_mark, "tags (!name) are not allowed");
	return 0;
}

static int
check_scalar(struct builder *builder, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;

	if (check_plainness(builder, event, event->data.scalar.anchor, event->data.scalar.tag) < 0)
		return -1;
	if (length > YAML_SCALAR_MAX)
		return refuse(builder, event->start_mark, "a value longer than 64 KiB");
	if (memchr(value, 0, length))
		return refuse(builder, event->start_mark, "a value with a NUL character");
	return 0;
}

static int
on_key(struct builder *builder, const yaml_event_t *event, char *text)
{
	_cleanup_free_ char *key = text;
	struct yaml_node *node;

	if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(key, "<<") == 0)
		return refuse(builder, event->start_mark, "merge keys (<<) are not allowed");
	node = node_for(builder, event);
	if (!node)
		return -1;
	node->key = steal_ptr(&key);
	node->key_line = node->line;
	node->key_column = node->column;
	builder->pending = node;
	return 0;
}

static int
on_scalar(struct builder *builder, const yaml_event_t *event)
{
	_cleanup_free_ char *text = NULL;
	struct yaml_node *node;

	if (check_scalar(builder, event) < 0)
		return -1;
	text = strdup((const char *)event->data.scalar.value);
	if (!text)
		return error_why(builder->error, ERR_FAILED, "out of memory");
	if (key_is_next(builder))
		return on_key(builder, event, steal_ptr(&text));
	node = node_for(builder, event);
	if (!node)
		return -1;
	node->kind = NODE_SCALAR;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = steal_ptr(&text);
	return 0;
}

static int
open_collection(struct builder *builder, const yaml_event_t *event, enum node_kind kind)
{
	struct yaml_node *node;

	if (key_is_next(builder))
		return refuse(builder, event->start_mark, "a key must be text");
	if (builder->depth == YAML_DEPTH_MAX)
		return refuse(builder, event->start_mark, "nested deeper than 32 levels");
	node = node_for(builder, event);
	if (!node)
		return -1;
	node->kind = kind;
	builder->open[builder->depth++] = node;
	return 0;
}

static int
on_list(struct builder *builder, const yaml_event_t *event)
{
	if (check_plainness(builder, event, event->data.sequence_start.anchor,
			    event->data.sequence_start.tag) < 0)
		return -1;
	return open_collection(builder, event, NODE_LIST);
}

static int
on_map(struct builder *builder, const yaml_event_t *event)
{
	if (check_plainness(builder, event, event->data.mapping_start.anchor,
			    event->data.mapping_start.tag) < 0)
		return -1;
	return open_collection(builder, event, NODE_MAP);
}

static int
on_list_end(struct builder *builder, const yaml_event_t *event)
{
	(void)event;
	builder->depth--;
	return 0;
}

static int
compare_keys(const void *left, const void *right)
{
	const struct yaml_node *a = *(const struct yaml_node *const *)left;
	const struct yaml_node *b = *(const struct yaml_node *const *)right;
	int order = strcmp(a->key, b->key);

	if (order == 0)
		order = a->key_line < b->key_line ? -1 : a->key_line > b->key_line;
	if (order == 0)
		order = a->key_column < b->key_column ? -1 : a->key_column > b->key_column;
	return order;
}

static int
refuse_duplicate(struct builder *builder, const struct yaml_node *first,
		 const struct yaml_node *second)
{
	char key[128];

	snprintf(key, sizeof(key), "%.100s", second->key);
	plain_text(key);
	error_why(builder->error, ERR_INVALID, "%.*s:%u:%u: duplicate key \"%s\"", YAML_FILE_SHOWN,
		  builder->file, second->key_line, second->key_column, key);
	return error_hint(builder->error, "it is already at line %u", first->key_line);
}

static int
on_map_end(struct builder *builder, const yaml_event_t *event)
{
	const struct yaml_node *map = builder->open[--builder->depth];
	_cleanup_free_ const struct yaml_node **keys = calloc(map->count + 1, sizeof(*keys));
	size_t count = 0;

	(void)event;
	if (!keys)
		return error_why(builder->error, ERR_FAILED, "out of memory");
	for (const struct yaml_node *child = map->first; child; child = child->next)
		keys[count++] = child;
	qsort(keys, count, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < count; i++)
		if (strcmp(keys[i - 1]->key, keys[i]->key) == 0)
			return refuse_duplicate(builder, keys[i - 1], keys[i]);
	return 0;
}

static int
on_alias(struct builder *builder, const yaml_event_t *event)
{
	return refuse(builder, event->start_mark, "aliases (*name) are not allowed");
}

static int
on_document(struct builder *builder, const yaml_event_t *event)
{
	if (event->data.document_start.tag_directives.start !=
	    event->data.document_start.tag_directives.end)
		return refuse(builder, event->start_mark, "%TAG directives are not allowed");
	if (++builder->documents > 1)
		return refuse(builder, event->start_mark, "a second document is not allowed");
	return 0;
}

static int
on_stream_end(struct builder *builder, const yaml_event_t *event)
{
	(void)event;
	builder->ended = true;
	return 0;
}

static int
on_nothing(struct builder *builder, const yaml_event_t *event)
{
	(void)builder;
	(void)event;
	return 0;
}

typedef int event_fn(struct builder *builder, const yaml_event_t *event);

static event_fn *const events[] = {
    [YAML_NO_EVENT] = on_nothing,
    [YAML_STREAM_START_EVENT] = on_nothing,
    [YAML_STREAM_END_EVENT] = on_stream_end,
    [YAML_DOCUMENT_START_EVENT] = on_document,
    [YAML_DOCUMENT_END_EVENT] = on_nothing,
    [YAML_ALIAS_EVENT] = on_alias,
    [YAML_SCALAR_EVENT] = on_scalar,
    [YAML_SEQUENCE_START_EVENT] = on_list,
    [YAML_SEQUENCE_END_EVENT] = on_list_end,
    [YAML_MAPPING_START_EVENT] = on_map,
    [YAML_MAPPING_END_EVENT] = on_map_end,
};

static int
read_events(struct builder *builder)
{
	while (!builder->ended) {
		yaml_event_t event;
		int result;

		if (!yaml_parser_parse(&builder->parser, &event))
			return refuse_parser(builder);
		result = events[event.type](builder, &event);
		yaml_event_delete(&event);
		if (result < 0)
			return -1;
	}
	return 0;
}

/* A file of nothing but comments says nothing, which is an empty mapping. */
static int
finish_root(struct builder *builder)
{
	static const yaml_mark_t start;

	if (builder->root && !yaml_is_null(builder->root))
		return 0;
	yaml_tree_free(builder->root);
	builder->root = node_new(start);
	if (!builder->root)
		return error_why(builder->error, ERR_FAILED, "out of memory");
	builder->root->kind = NODE_MAP;
	return 0;
}

struct yaml_node *
yaml_parse(const char *text, size_t length, const char *file, struct error *error)
{
	struct builder builder = {.file = file, .text = text, .length = length, .error = error};
	int result;

	if (check_text(&builder) < 0)
		return NULL;
	if (!yaml_parser_initialize(&builder.parser)) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	/* Otherwise a byte order mark would choose UTF-16. */
	yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, length);
	result = read_events(&builder);
	yaml_parser_delete(&builder.parser);
	if (result == 0)
		result = finish_root(&builder);
	if (result < 0) {
		yaml_tree_free(builder.root);
		return NULL;
	}
	return builder.root;
}
