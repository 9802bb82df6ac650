/* ash image add, list, show, remove, gc. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "ash.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/manifest.h"
#include "common/timefmt.h"
#include "image_source.h"
#include "output.h"
#include "rows.h"
#include "session.h"
#include "text.h"

enum { HEX_LEN = 2 * DIGEST_BYTES, BRIEF_MIN = 12 };

static const struct column list_columns[] = {
    {"DIGEST", CUT_NEVER, 0, false},    {"SIZE", CUT_NEVER, 0, true},
    {"LAYERS", CUT_NEVER, 0, true},     {"USED-BY", CUT_RIGHT, 20, false},
    {"REFERENCE", CUT_LEFT, 40, false}, {"CREATED", CUT_NEVER, 0, false},
};

/* --- what runnerd tells --------------------------------------------------------------------------
 */

struct texts {
	char **items; /* heap */
	size_t count;
};

struct layer {
	char diff[HEX_LEN + 1];
	uint64_t bytes, entries;
};

struct listed {
	struct msg_image_row row;
	char hex[HEX_LEN + 1];
	struct texts references, users;
};

struct listing {
	struct listed *all; /* heap */
	size_t count;
	/* Of one that is shown. */
	bool has_head;
	struct msg_image_head head;
	struct layer *layers;
	size_t layer_count;
	struct texts env, entrypoint, cmd;
};

static void
free_texts(struct texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	free(texts->items);
}

static void
free_listing(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++) {
		free_texts(&listing->all[i].references);
		free_texts(&listing->all[i].users);
	}
	free_texts(&listing->env);
	free_texts(&listing->entrypoint);
	free_texts(&listing->cmd);
	free(listing->all);
	free(listing->layers);
}

static void
format_hex(const uint8_t digest[DIGEST_BYTES], char hex[HEX_LEN + 1])
{
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static int
keep_row(struct listing *listing, const struct msg_image_row *row)
{
	struct listed *all = reallocarray(listing->all, listing->count + 1, sizeof(*all));

	if (!all)
		return -1;
	listing->all = all;
	all[listing->count] = (struct listed){.row = *row};
	format_hex(row->digest, all[listing->count].hex);
	listing->count++;
	return 0;
}

static int
keep_layer(struct listing *listing, const struct msg_image_layer *layer)
{
	struct layer *all = reallocarray(listing->layers, listing->layer_count + 1, sizeof(*all));

	if (!all)
		return -1;
	listing->layers = all;
	all[listing->layer_count] =
	    (struct layer){.bytes = layer->bytes, .entries = layer->entries};
	format_hex(layer->diff, all[listing->layer_count].diff);
	listing->layer_count++;
	return 0;
}

static struct texts *
texts_of(struct listing *listing, unsigned kind)
{
	struct listed *last = listing->count ? &listing->all[listing->count - 1] : NULL;

	switch (kind) {
	case IMAGE_TEXT_ENV:
		return &listing->env;
	case IMAGE_TEXT_ENTRYPOINT:
		return &listing->entrypoint;
	case IMAGE_TEXT_CMD:
		return &listing->cmd;
	case IMAGE_TEXT_REFERENCE:
		return last ? &last->references : NULL;
	case IMAGE_TEXT_USER:
		return last ? &last->users : NULL;
	default:
		return NULL;
	}
}

static int
keep_text(struct listing *listing, const struct msg_image_text *text)
{
	struct texts *texts = texts_of(listing, text->kind);
	char **items;

	if (!texts)
		return 0;
	items = reallocarray(texts->items, texts->count + 1, sizeof(*items));
	if (!items)
		return -1;
	texts->items = items;
	items[texts->count] = strdup(text->text);
	return items[texts->count] ? (int)(texts->count++, 0) : -1;
}

static int
keep_record(const struct msg *record, void *arg, struct error *error)
{
	struct listing *listing = arg;
	int rc = 0;

	switch (record->type) {
	case MSG_IMAGE_ROW:
		rc = keep_row(listing, &record->image_row);
		break;
	case MSG_IMAGE_TEXT:
		rc = keep_text(listing, &record->image_text);
		break;
	case MSG_IMAGE_LAYER:
		rc = keep_layer(listing, &record->image_layer);
		break;
	case MSG_IMAGE_HEAD:
		listing->head = record->image_head;
		listing->has_head = true;
		break;
	default:
		break;
	}
	return rc < 0 ? out_of_memory(error) : 0;
}

static int
read_reply(struct msg *reply, struct listing *listing, struct error *error)
{
	int r = rows_each(reply->fds[0], MSG_NONE, keep_record, listing, error);

	msg_close_fds(reply);
	return r;
}

static int
ask(struct ash *ash, const char *ref, struct listing *listing, struct error *error)
{
	struct msg request, reply;

	msg_init(&request, MSG_OP_IMAGES);
	if (strlen(ref) > PATH_LEN_MAX)
		return error_why(error, ERR_NOT_FOUND, "no such image");
	strcpy(request.op_images.ref, ref);
	if (connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	return read_reply(&reply, listing, error);
}

/* --- JSON ----------------------------------------------------------------------------------------
 */

static void
json_texts(struct json *json, const char *key, const struct texts *texts)
{
	json_key(json, key);
	json_array(json);
	for (size_t i = 0; i < texts->count; i++)
		json_string(json, texts->items[i]);
	json_array_end(json);
}

static void
json_number(struct json *json, const char *key, uint64_t number)
{
	json_key(json, key);
	json_uint(json, number);
}

static void
json_text(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, text[0] ? text : NULL);
}

static void
json_digest(struct json *json, const char *key, const char *hex)
{
	char text[IMAGE_DIGEST_LEN + 1];

	snprintf(text, sizeof(text), "sha256:%s", hex);
	json_text(json, key, text);
}

static void
row_json(struct json *json, const struct listed *listed)
{
	const struct msg_image_row *row = &listed->row;

	json_digest(json, "digest", listed->hex);
	json_number(json, "size_bytes", row->bytes);
	json_number(json, "own_bytes", row->own_bytes);
	json_number(json, "entries", row->entries);
	json_number(json, "layers", row->layers);
	json_text(json, "architecture", row->architecture);
	json_text(json, "os", row->os);
	json_key(json, "created_at");
	json_time(json, row->created_at_ms);
	json_key(json, "added_at");
	json_time(json, row->added_at_ms);
	json_number(json, "sessions", row->sessions);
	json_texts(json, "used_by", &listed->users);
	json_texts(json, "references", &listed->references);
}

static void
details_json(struct json *json, const struct listing *listing)
{
	const struct msg_image_head *head = &listing->head;
	char hex[HEX_LEN + 1];

	format_hex(head->config, hex);
	json_digest(json, "config_digest", hex);
	json_text(json, "user", head->user);
	json_number(json, "uid", head->uid);
	json_number(json, "gid", head->gid);
	json_text(json, "working_dir", head->working_dir);
	json_text(json, "stop_signal", head->stop_signal);
	json_texts(json, "env", &listing->env);
	json_texts(json, "entrypoint", &listing->entrypoint);
	json_texts(json, "cmd", &listing->cmd);
	json_key(json, "layer_list");
	json_array(json);
	for (size_t i = 0; i < listing->layer_count; i++) {
		json_object(json);
		json_digest(json, "diff_id", listing->layers[i].diff);
		json_number(json, "size_bytes", listing->layers[i].bytes);
		json_number(json, "entries", listing->layers[i].entries);
		json_object_end(json);
	}
	json_array_end(json);
}

static int
one_json(const struct listing *listing, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	row_json(&json, &listing->all[0]);
	if (listing->has_head)
		details_json(&json, listing);
	json_object_end(&json);
	return output_json(&json, error);
}

static int
all_json(const struct listing *listing, struct error *error)
{
	struct json json = JSON_INIT;

	json_array(&json);
	for (size_t i = 0; i < listing->count; i++) {
		json_object(&json);
		row_json(&json, &listing->all[i]);
		json_object_end(&json);
	}
	json_array_end(&json);
	return output_json(&json, error);
}

/* --- list ----------------------------------------------------------------------------------------
 */

/* How many digits tell them apart. */
static size_t
brief_length(const struct listing *listing)
{
	size_t length = BRIEF_MIN;

	for (size_t i = 0; i < listing->count; i++)
		for (size_t j = 0; j < i; j++)
			while (length < HEX_LEN &&
			       !strncmp(listing->all[i].hex, listing->all[j].hex, length))
				length++;
	return length;
}

static void
number_cell(struct table *table, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	table_cell(table, text, NULL, COLOR_NONE);
}

/* The first, and how many more. */
static void
texts_cell(struct table *table, const struct texts *texts, bool last)
{
	_cleanup_free_ char *text = NULL, *clean = NULL;
	const char *one = texts->count ? texts->items[last ? texts->count - 1 : 0] : "";

	if (texts->count > 1 && asprintf(&text, "%s +%zu", one, texts->count - 1) < 0)
		text = NULL;
	clean = text_clean(text ? text : one);
	table_cell(table, clean ? clean : "?", NULL, COLOR_NONE);
}

static void
list_row(struct table *table, const struct listed *listed, size_t length)
{
	char brief[HEX_LEN + 1], size[32], time[32];

	snprintf(brief, sizeof(brief), "%.*s", (int)length, listed->hex);
	table_cell(table, brief, NULL, COLOR_NONE);
	table_cell(table, size_format(listed->row.bytes, size), NULL, COLOR_NONE);
	number_cell(table, listed->row.layers);
	texts_cell(table, &listed->users, false);
	texts_cell(table, &listed->references, true);
	table_cell(table,
		   listed->row.created_at_ms ? minute_format(listed->row.created_at_ms, time) : "",
		   NULL, COLOR_NONE);
}

int
image_list_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(free_listing) struct listing listing = {0};
	struct table *table;

	(void)args;
	if (ask(ash, "", &listing, error) < 0)
		return -1;
	if (ash->json)
		return all_json(&listing, error);
	if (!listing.count && ash->out_tty) {
		output_empty(ash, "No images are in the store.");
		return 0;
	}
	table = table_new(list_columns, ARRAY_LEN(list_columns));
	if (!table)
		return out_of_memory(error);
	for (size_t i = 0; i < listing.count; i++)
		list_row(table, &listing.all[i], brief_length(&listing));
	return output_table(ash, table, error);
}

/* --- show ----------------------------------------------------------------------------------------
 */

static void
show_texts(const struct ash *ash, const char *title, const struct texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		output_line(ash, title, COLOR_NONE, "%s", texts->items[i]);
}

static void
show_details(const struct ash *ash, const struct listing *listing)
{
	const struct msg_image_head *head = &listing->head;
	char size[32];

	if (head->user[0])
		output_line(ash, "User", COLOR_NONE, "%s (%u:%u)", head->user, head->uid,
			    head->gid);
	if (head->working_dir[0])
		output_line(ash, "Directory", COLOR_NONE, "%s", head->working_dir);
	if (head->stop_signal[0])
		output_line(ash, "Stop signal", COLOR_NONE, "%s", head->stop_signal);
	show_texts(ash, "Entrypoint", &listing->entrypoint);
	show_texts(ash, "Command", &listing->cmd);
	show_texts(ash, "Environment", &listing->env);
	for (size_t i = 0; i < listing->layer_count; i++)
		output_line(ash, "Layer", COLOR_NONE, "%.12s  %s, %llu entries",
			    listing->layers[i].diff, size_format(listing->layers[i].bytes, size),
			    (unsigned long long)listing->layers[i].entries);
}

static void
show(const struct ash *ash, const struct listing *listing)
{
	const struct listed *listed = &listing->all[0];
	char size[32], own[32], time[32];

	output_line(ash, "Digest", COLOR_BOLD, "sha256:%s", listed->hex);
	output_line(ash, "Platform", COLOR_NONE, "%s/%s",
		    listed->row.os[0] ? listed->row.os : "linux",
		    listed->row.architecture[0] ? listed->row.architecture : "any");
	output_line(ash, "Size", COLOR_NONE, "%s, %s of it no other image's",
		    size_format(listed->row.bytes, size), size_format(listed->row.own_bytes, own));
	if (listed->row.created_at_ms)
		output_line(ash, "Created", COLOR_NONE, "%s",
			    minute_format(listed->row.created_at_ms, time));
	output_line(ash, "Added", COLOR_NONE, "%s", minute_format(listed->row.added_at_ms, time));
	show_texts(ash, "Reference", &listed->references);
	show_texts(ash, "Used by", &listed->users);
	if (listed->row.sessions)
		output_line(ash, "Live", COLOR_NONE, "%u session%s", listed->row.sessions,
			    listed->row.sessions == 1 ? "" : "s");
	if (listing->has_head)
		show_details(ash, listing);
}

int
image_show_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(free_listing) struct listing listing = {0};

	if (!args->operands[0][0])
		return error_why(error, ERR_NOT_FOUND, "no such image");
	if (ask(ash, args->operands[0], &listing, error) < 0)
		return -1;
	if (!listing.count)
		return error_why(error, ERR_FAILED, "agentd's answer names no image");
	if (ash->json)
		return one_json(&listing, error);
	show(ash, &listing);
	return 0;
}

/* --- add -----------------------------------------------------------------------------------------
 */

/* What an operator types: a path as it is, perhaps with a tag behind it, becomes oci: and the path
 * as the host sees it. */
static int
name_image(const char *typed, char *image, size_t size, struct error *error)
{
	char path[PATH_MAX], found[PATH_MAX];
	const char *tag = "";
	char *mark;
	int length;

	if (!strncmp(typed, "docker://", 9)) {
		length = snprintf(image, size, "%s", typed);
		return length < (int)size ? 0 : error_errno(error, ENAMETOOLONG, "%s", typed);
	}
	typed += strncmp(typed, "oci:", 4) == 0 ? 4 : 0;
	if (strlen(typed) >= sizeof(path))
		return error_errno(error, ENAMETOOLONG, "%.100s", typed);
	strcpy(path, typed);
	mark = strrchr(path, ':');
	if (!realpath(path, found)) {
		if (!mark || strchr(mark, '/'))
			return error_errno(error, errno, "opening the image %s", path);
		*mark = '\0';
		tag = mark + 1;
		if (!realpath(path, found))
			return error_errno(error, errno, "opening the image %s", path);
	}
	length = snprintf(image, size, "oci:%s%s%s", found, tag[0] ? ":" : "", tag);
	return length < (int)size ? 0 : error_errno(error, ENAMETOOLONG, "%s", path);
}

static int
add(struct ash *ash, const char *image, struct listing *listing, struct error *error)
{
	struct image_source source = IMAGE_SOURCE_INIT;
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_IMAGE_ADD);
	r = image_source_begin(ash, image, &source, &request, error);
	if (r == 0) {
		image_reference(image, request.op_image_add.reference, request.op_image_add.tag);
		r = connection_send(&ash->connection, &request, error);
	}
	msg_close_fds(&request);
	while (r == 0) {
		r = connection_receive(&ash->connection, &reply, IMAGE_WAIT_MS, error);
		if (r == 1 && reply.type != MSG_ERROR && reply.type != MSG_ROWS) {
			msg_close_fds(&reply);
			r = 0;
		} else if (r == 0) {
			r = error_why(error, ERR_UNREACHABLE, "agentd went away");
		}
	}
	image_source_end(&source);
	if (r < 0)
		return -1;
	if (reply.type == MSG_ERROR)
		return msg_to_error(&reply, error);
	return read_reply(&reply, listing, error);
}

int
image_add_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(free_listing) struct listing listing = {0};
	char image[PATH_LEN_MAX + IMAGE_TAG_MAX + 16], size[32];

	if (name_image(args->operands[0], image, sizeof(image), error) < 0 ||
	    add(ash, image, &listing, error) < 0)
		return -1;
	if (!listing.count)
		return error_why(error, ERR_FAILED, "agentd's answer names no image");
	if (ash->json)
		return one_json(&listing, error);
	output_done(ash, "sha256:%s from %s: %s in %u layer%s", listing.all[0].hex, image,
		    size_format(listing.all[0].row.bytes, size), listing.all[0].row.layers,
		    listing.all[0].row.layers == 1 ? "" : "s");
	return 0;
}

/* --- remove and gc -------------------------------------------------------------------------------
 */

static uint64_t
freed(const struct listing *listing)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < listing->count; i++)
		sum += listing->all[i].row.own_bytes;
	return sum;
}

static int
call(struct ash *ash, struct msg *request, struct listing *listing, struct error *error)
{
	struct msg reply;

	if (connection_call(&ash->connection, request, MSG_ROWS, &reply, REPLY_WAIT_MS, error) < 0)
		return -1;
	return read_reply(&reply, listing, error);
}

int
image_remove_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(free_listing) struct listing listing = {0};
	const char *ref = args->operands[0];
	struct msg request;
	char size[32];

	if (!ref[0] || strlen(ref) > PATH_LEN_MAX)
		return error_why(error, ERR_NOT_FOUND, "no such image");
	msg_init(&request, MSG_OP_IMAGE_REMOVE);
	strcpy(request.op_image_remove.ref, ref);
	if (call(ash, &request, &listing, error) < 0)
		return -1;
	if (ash->json)
		return listing.count ? one_json(&listing, error) : 0;
	output_done(ash, "%.12s removed, %s freed", listing.count ? listing.all[0].hex : ref,
		    size_format(freed(&listing), size));
	return 0;
}

int
image_gc_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(free_listing) struct listing listing = {0};
	struct msg request;
	char size[32];

	(void)args;
	msg_init(&request, MSG_OP_IMAGES_GC);
	if (call(ash, &request, &listing, error) < 0)
		return -1;
	if (ash->json)
		return all_json(&listing, error);
	output_done(ash, "%zu image%s removed, %s freed", listing.count,
		    listing.count == 1 ? "" : "s", size_format(freed(&listing), size));
	return 0;
}
