/*
 * What a plugin offers, page by page: nextCursor is followed to the end (an empty string is one),
 * bounded, and a cursor that comes again ends it. Changes are coalesced, fetched anew, and compared
 * before anybody is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "state.h"

enum { PAGES_MAX = 256, CURSOR_MAX = 4096, LIST_TIMEOUT_MS = 30000 };

struct listing {
	struct item **items;
	size_t count, size, bytes;
	char **cursors;
	size_t pages;
};

static void
listing_free(struct listing *listing)
{
	if (!listing)
		return;
	for (size_t i = 0; i < listing->count; i++)
		item_free(listing->items[i]);
	for (size_t i = 0; i < listing->pages; i++)
		free(listing->cursors[i]);
	free(listing->items);
	free(listing->cursors);
	free(listing);
}

void
server_forget_lists(struct server *server)
{
	for (size_t kind = 0; kind < ITEM_KINDS; kind++) {
		listing_free(server->listings[kind]);
		server->listings[kind] = NULL;
		server->stale[kind] = false;
	}
}

/* --- one page -------------------------------------------------------------------------------- */

static int
add_item(struct listing *listing, struct item *item)
{
	if (listing->count == listing->size) {
		size_t size = listing->size ? 2 * listing->size : 32;
		void *grown = reallocarray(listing->items, size, sizeof(struct item *));

		if (!grown)
			return -ENOMEM;
		listing->items = grown;
		listing->size = size;
	}
	listing->items[listing->count++] = item;
	listing->bytes += item->length;
	return 0;
}

/* May this much more be listed? A list that is fetched again counts instead of the one before. */
static bool
fits(struct server *server, enum item_kind kind, const struct listing *listing, size_t more)
{
	const struct broker *broker = server->broker;
	size_t bytes = more, count = 1;

	server->bytes[kind] = listing->bytes;
	server->counts[kind] = listing->count;
	for (size_t i = 0; i < broker->server_count; i++)
		for (size_t k = 0; k < ITEM_KINDS; k++) {
			bytes += broker->servers[i].bytes[k];
			count += broker->servers[i].counts[k];
		}
	return bytes <= DEFINITIONS_BYTES && count <= ITEMS_MAX;
}

/* NULL, or what is wrong with the page. */
static const char *
take_items(struct server *server, struct listing *listing, enum item_kind kind, struct span array)
{
	const char *prefix = server->plan.passthrough ? NULL : server->plan.name;
	struct cursor cursor;
	struct span key, value;

	if (!cursor_open(&cursor, array, VALUE_ARRAY))
		return "the list is missing";
	while (cursor_next(&cursor, &key, &value)) {
		struct item *item;

		if (!fits(server, kind, listing, value.length))
			return "there is too much of it";
		/* It would stand in records of more than this session. */
		if (clean_shows(&server->broker->cleaner, value)) {
			server_log(server, "an entry of %s shows a secret and is left out",
				   item_method(kind));
			continue;
		}
		item = item_new(kind, server, prefix, value);
		if (!item && errno == ENOMEM)
			return "memory ran out";
		if (!item)
			server_log(server, "an entry of %s has no usable name and is left out",
				   item_method(kind));
		else if (add_item(listing, item) < 0) {
			item_free(item);
			return "memory ran out";
		}
	}
	return NULL;
}

/* 1: there is another page; 0: this was the last; -1 and *why. */
static int
take_cursor(struct listing *listing, struct span next, const char **why)
{
	void *grown;
	char *copy;

	if (value_kind(next) != VALUE_STRING)
		return 0;
	*why = "it has too many pages";
	if (listing->pages >= PAGES_MAX || next.length > CURSOR_MAX)
		return -1;
	*why = "it begins again and again with the same nextCursor";
	for (size_t i = 0; i < listing->pages; i++)
		if (span_equal(next,
			       (struct span){listing->cursors[i], strlen(listing->cursors[i])}))
			return -1;
	*why = "memory ran out";
	grown = reallocarray(listing->cursors, listing->pages + 1, sizeof(char *));
	if (!grown)
		return -1;
	listing->cursors = grown;
	copy = strndup(next.at, next.length);
	if (!copy)
		return -1;
	listing->cursors[listing->pages++] = copy;
	return 1;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool
listing_under_way(const struct server *server)
{
	for (size_t kind = 0; kind < ITEM_KINDS; kind++)
		if (server->listings[kind])
			return true;
	return false;
}

/* A plugin whose tools cannot be listed does not start; of anything else it then has none. What was
 * listed before stays. */
static void
list_failed(struct server *server, enum item_kind kind, const char *why)
{
	listing_free(server->listings[kind]);
	server->listings[kind] = NULL;
	if (kind == ITEM_TOOL && server->state == SERVER_STARTING) {
		server_break(server, "%s: %s", item_method(kind), why);
		return;
	}
	server_log(server, "%s: %s", item_method(kind), why);
	if (!listing_under_way(server))
		server_listed(server);
}

static void
relist_soon(struct server *server)
{
	uint64_t now = boottime_ns();
	uint64_t soon = now + RELIST_WAIT_MS * UINT64_C(1000000);
	uint64_t earliest = server->listed_ns + RELIST_PAUSE_MS * UINT64_C(1000000);

	loop_arm(server->relist, soon > earliest ? soon : earliest);
}

static void
list_complete(struct server *server, enum item_kind kind)
{
	struct listing *listing = server->listings[kind];
	char why[160];
	int rc = registry_replace(server->broker, server, kind, listing->items, listing->count, why,
				  sizeof(why));

	if (rc == 0)
		listing->count = 0; /* they are the registry's now */
	listing_free(listing);
	server->listings[kind] = NULL;
	if (rc < 0 && server->was_ready) {
		server_log(server, "%s: %s; what was there stays", item_method(kind), why);
	} else if (rc < 0) {
		server_fail(server, "%s: %s", item_method(kind), why);
		return;
	}
	if (listing_under_way(server))
		return;
	server_listed(server);
	for (size_t i = 0; i < ITEM_KINDS; i++)
		if (server->stale[i])
			relist_soon(server);
}

static void ask_page(struct server *server, enum item_kind kind, const char *cursor);

static void
page_came(struct call *call, const struct rpc *answer, enum call_outcome outcome, const char *why)
{
	struct server *server = call->server;
	enum item_kind kind = (enum item_kind)call->kind;
	struct listing *listing = server->listings[kind];
	int more;

	if (!listing) /* the plugin is gone */
		return;
	if (outcome == CALL_OK) {
		why = take_items(server, listing, kind, member(answer->result, item_list(kind)));
		outcome = why ? CALL_ERROR : CALL_OK;
	}
	more = outcome == CALL_OK ? take_cursor(listing, member(answer->result, "nextCursor"), &why)
				  : -1;
	if (more < 0)
		list_failed(server, kind, why);
	else if (more > 0)
		ask_page(server, kind, listing->cursors[listing->pages - 1]);
	else
		list_complete(server, kind);
}

static void
ask_page(struct server *server, enum item_kind kind, const char *cursor)
{
	struct call *call = call_new(server->broker, server, page_came, LIST_TIMEOUT_MS);
	_cleanup_free_ char *text = NULL;
	int length;

	if (!call) {
		list_failed(server, kind, "too many calls are in flight");
		return;
	}
	call->kind = (int)kind;
	call->sent = true;
	/* The cursor goes back in the bytes it came in. */
	length = asprintf(&text, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\"%s%s%s}\n",
			  (unsigned long long)call->id, item_method(kind),
			  cursor ? ",\"params\":{\"cursor\":" : "", cursor ? cursor : "",
			  cursor ? "}" : "");
	if (length < 0)
		text = NULL;
	if (!text || server_send(server, &(struct iovec){text, (size_t)length}, 1, 0) < 0)
		call_end(call, NULL, CALL_DIED, "it does not take requests");
}

static void
list_kind(struct server *server, enum item_kind kind)
{
	server->stale[kind] = false;
	if (!server->offers[kind])
		return;
	server->listings[kind] = calloc(1, sizeof(struct listing));
	if (server->listings[kind])
		ask_page(server, kind, NULL);
}

/* The first time: every kind at once. */
void
server_list(struct server *server)
{
	server->listed_ns = boottime_ns();
	for (size_t kind = 0; kind < ITEM_KINDS; kind++)
		if (server->state == SERVER_STARTING)
			list_kind(server, (enum item_kind)kind);
	if (server->state == SERVER_STARTING && !listing_under_way(server))
		server_listed(server);
}

void
server_relist(struct loop_source *source, void *arg)
{
	struct server *server = arg;

	(void)source;
	if (server->state != SERVER_READY || listing_under_way(server))
		return;
	server->listed_ns = boottime_ns();
	for (size_t kind = 0; kind < ITEM_KINDS; kind++)
		if (server->stale[kind] && server->state == SERVER_READY)
			list_kind(server, (enum item_kind)kind);
}

void
server_list_changed(struct server *server, enum item_kind kind)
{
	if (server->stale[kind] || server->state == SERVER_FAILED)
		return;
	server->stale[kind] = true;
	if (server->state == SERVER_READY && !listing_under_way(server))
		relist_soon(server);
}
