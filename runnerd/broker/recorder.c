/*
 * A line for each call that ended, to runnerd: what was called, the shape of its arguments, how
 * long, how it ended; never a value. Lines wait here while runnerd is away, and while too many wait
 * no call is taken: none goes unrecorded.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "state.h"

enum {
	LINES_ON_THE_WAY = 64, /* in runnerd's socket and queue */
	KEY_SHOWN = 32,        /* bytes of an argument's name */
};

static void
due(struct loop_source *source, void *arg)
{
	(void)source;
	recorder_flush(arg);
}

int
recorder_open(struct broker *broker)
{
	broker->audit_last = &broker->audit_first;
	broker->audit_timer = loop_add_timer(broker->loop, due, broker);
	return broker->audit_timer ? 0 : -1;
}

bool
recorder_room(const struct broker *broker)
{
	return broker->audit_count + broker->calls.count < AUDIT_QUEUE;
}

bool
recorder_calm(const struct broker *broker)
{
	return broker->audit_count < AUDIT_QUEUE / 2;
}

static void
pop(struct broker *broker)
{
	struct audit_line *line = broker->audit_first;

	broker->audit_first = line->next;
	if (!broker->audit_first)
		broker->audit_last = &broker->audit_first;
	broker->audit_count--;
	free(line);
}

/* True when nothing is left. */
static bool
pass_lines(struct broker *broker)
{
	struct msg msg;

	while (broker->audit_first) {
		if (!broker->channel || channel_phase(broker->channel) != IN_OPEN ||
		    channel_queued(broker->channel) > LINES_ON_THE_WAY)
			return false;
		msg_init(&msg, MSG_BROKER_CALL);
		msg.broker_call = broker->audit_first->line;
		clean_message(&broker->cleaner, &msg);
		if (channel_send(broker->channel, &msg) < 0)
			return false;
		pop(broker);
	}
	return true;
}

void
recorder_flush(struct broker *broker)
{
	bool calm = recorder_calm(broker);

	loop_arm(broker->audit_timer, 0);
	if (!pass_lines(broker) && broker->channel)
		loop_arm_in(broker->audit_timer, AUDIT_MS);
	if (!calm && recorder_calm(broker))
		agents_watch(broker);
}

static void
enqueue(struct broker *broker, const struct msg_broker_call *line)
{
	struct audit_line *own = malloc(sizeof(*own));

	if (!own) {
		log_error("a call of %s goes unrecorded: memory ran out", line->name);
		return;
	}
	own->next = NULL;
	own->line = *line;
	*broker->audit_last = own;
	broker->audit_last = &own->next;
	if (broker->audit_count++ == 0)
		loop_arm_in(broker->audit_timer, AUDIT_MS);
	if (broker->audit_count == AUDIT_QUEUE / 2)
		agents_watch(broker);
}

void
recorder_call(struct broker *broker, struct call *call, enum call_outcome outcome,
	      uint64_t result_bytes)
{
	struct msg_broker_call line = {
	    .server = call->server ? call->server->number : NO_SERVER,
	    .outcome = (uint8_t)outcome,
	    .at_ms = realtime_ms(),
	    .took_us = (boottime_ns() - call->began_ns) / 1000,
	    .argument_bytes = call->argument_bytes,
	    .result_bytes = result_bytes,
	};

	memcpy(line.tool, call->tool, sizeof(line.tool));
	memcpy(line.name, call->exposed, sizeof(line.name));
	memcpy(line.shape, call->shape, sizeof(line.shape));
	memcpy(line.operator, call->operator, sizeof(line.operator));
	enqueue(broker, &line);
	if (call->tool[0])
		stats_count(broker, call->exposed, outcome != CALL_OK, line.took_us);
}

void
recorder_leave(struct broker *broker)
{
	for (; broker->audit_first; pop(broker)) {
		const struct msg_broker_call *line = &broker->audit_first->line;

		log_warn("the audit log is not told of a call of %s: outcome %u, %llu us, "
			 "arguments %s: runnerd is away",
			 line->name, line->outcome, (unsigned long long)line->took_us, line->shape);
	}
}

void
recorder_free(struct broker *broker)
{
	while (broker->audit_first)
		pop(broker);
}

/* --- shapes: names and types ----------------------------------------------------------------- */

static size_t
elements(struct span value)
{
	enum value_kind kind = value_kind(value);
	struct cursor cursor;
	struct span key, item;
	size_t count = 0;

	if (cursor_open(&cursor, value, kind))
		while (cursor_next(&cursor, &key, &item))
			count++;
	return count;
}

/* A text that is cut where its room ends. */
struct shape {
	char *text;
	size_t length;
};

static void __attribute__((format(printf, 2, 3))) put(struct shape *shape, const char *fmt, ...)
{
	size_t room = SHAPE_MAX + 1 - shape->length;
	va_list ap;
	int length;

	va_start(ap, fmt);
	length = vsnprintf(shape->text + shape->length, room, fmt, ap);
	va_end(ap);
	if (length > 0)
		shape->length += (size_t)length < room ? (size_t)length : room - 1;
}

static const char *
plain_name(struct span key, char name[KEY_SHOWN + 1])
{
	if (string_text(key, name, KEY_SHOWN + 1) < 1)
		return "?";
	for (const char *c = name; *c; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') &&
		    !(*c >= '0' && *c <= '9') && *c != '_' && *c != '-' && *c != '.')
			return "?";
	return name;
}

static void
put_value(struct shape *shape, struct span value)
{
	enum value_kind kind = value_kind(value);
	const char *name = value_kind_name(kind);

	if (kind == VALUE_OBJECT || kind == VALUE_ARRAY)
		put(shape, "%s(%zu)", name, elements(value));
	else if (kind == VALUE_STRING)
		put(shape, "%s(%zu)", name, value.length - 2);
	else
		put(shape, "%s", name);
}

/* {path:string(12),opts:object(3)}, cut at its end. */
void
shape_of(struct span arguments, char text[SHAPE_MAX + 1])
{
	struct shape shape = {.text = text};
	char name[KEY_SHOWN + 1];
	struct cursor cursor;
	struct span key, value;
	const char *before = "{";

	if (!cursor_open(&cursor, arguments, VALUE_OBJECT)) {
		put_value(&shape, arguments);
		return;
	}
	while (shape.length < SHAPE_MAX - 2 * KEY_SHOWN && cursor_next(&cursor, &key, &value)) {
		put(&shape, "%s%s:", before, plain_name(key, name));
		put_value(&shape, value);
		before = ",";
	}
	put(&shape, "%s", cursor.at < cursor.end ? ",...}" : *before == '{' ? "{}" : "}");
}
