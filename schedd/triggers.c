#include "triggers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/timefmt.h"
#include "next.h"

enum { BUCKETS = 1024, NO_OWNER = -1, GARBAGE_MIN = 64 };

/* An agent, and where its triggers stand. */
struct owner {
	char name[AGENT_NAME_MAX + 1];
	uint32_t first, count;
	int32_t next; /* of its bucket */
};

struct triggers {
	struct trigger *slots; /* dead ones have kind TRIGGER_NONE */
	uint32_t *heap;        /* of slots, by due_ms */
	size_t used, room, dead, heaped;
	struct owner *owners;
	size_t owner_count, owner_room;
	int32_t buckets[BUCKETS];
};

/* --- one trigger --------------------------------------------------------------------------- */

static int64_t
next_cron(const struct trigger *trigger, const struct zones *zones, int64_t after_ms)
{
	struct cron cron = trigger->cron; /* aligned */
	int64_t after = after_ms >= 0 ? after_ms / 1000 : -((-after_ms + 999) / 1000);
	int64_t next = cron_next(&cron, zones_at(zones, trigger->zone), after);

	return next == INT64_MAX ? NEVER : next * 1000;
}

/* Counted from 1970, so that it depends on nothing but the period. None is after what can be
 * written: as a cron expression has it. */
static int64_t
next_period(const struct trigger *trigger, int64_t after_ms)
{
	int64_t next = after_ms < 0 ? 0 : (after_ms / trigger->period_ms + 1) * trigger->period_ms;

	return next > (int64_t)RFC3339_LAST_MS ? NEVER : next;
}

int64_t
trigger_next(const struct trigger *trigger, const struct zones *zones, int64_t after_ms)
{
	switch (trigger->kind) {
	case TRIGGER_CRON:
		return next_cron(trigger, zones, after_ms);
	case TRIGGER_EVERY:
		return next_period(trigger, after_ms);
	case TRIGGER_AT:
		return trigger->at_ms > after_ms ? trigger->at_ms : NEVER;
	default:
		return NEVER;
	}
}

/* FNV-1a, the NUL included. */
static uint64_t
mix(uint64_t hash, const char *text)
{
	for (const char *end = text + strlen(text) + 1; text < end; text++)
		hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	return hash;
}

uint32_t
trigger_delay(const char *agent, const char *id, uint64_t jitter_ms)
{
	uint64_t hash = mix(mix(UINT64_C(0xcbf29ce484222325), agent), id);

	/* The finalizer of MurmurHash3: near names give far delays. */
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (uint32_t)((hash ^ hash >> 33) % (jitter_ms + 1));
}

/* --- the heap ------------------------------------------------------------------------------- */

static int64_t
due(const struct triggers *t, size_t place)
{
	return t->slots[t->heap[place]].due_ms;
}

static void
sift_down(struct triggers *t, size_t place)
{
	uint32_t slot = t->heap[place];
	int64_t due_ms = t->slots[slot].due_ms;

	for (size_t child; (child = 2 * place + 1) < t->heaped; place = child) {
		if (child + 1 < t->heaped && due(t, child + 1) < due(t, child))
			child++;
		if (due_ms <= due(t, child))
			break;
		t->heap[place] = t->heap[child];
	}
	t->heap[place] = slot;
}

static void
sift_up(struct triggers *t, size_t place)
{
	uint32_t slot = t->heap[place];

	for (; place > 0 && t->slots[slot].due_ms < due(t, (place - 1) / 2);
	     place = (place - 1) / 2)
		t->heap[place] = t->heap[(place - 1) / 2];
	t->heap[place] = slot;
}

static void
heap_anew(struct triggers *t)
{
	t->heaped = 0;
	for (size_t i = 0; i < t->used; i++)
		if (t->slots[i].kind != TRIGGER_NONE && t->slots[i].due_ms != NEVER)
			t->heap[t->heaped++] = (uint32_t)i;
	for (size_t i = t->heaped / 2; i-- > 0;)
		sift_down(t, i);
}

static void
drop_first(struct triggers *t)
{
	t->heap[0] = t->heap[--t->heaped];
	if (t->heaped)
		sift_down(t, 0);
}

struct trigger *
triggers_first(const struct triggers *t)
{
	return t->heaped ? &t->slots[t->heap[0]] : NULL;
}

void
triggers_move_first(struct triggers *t, int64_t due_ms)
{
	t->slots[t->heap[0]].due_ms = due_ms;
	if (due_ms == NEVER)
		drop_first(t);
	else
		sift_down(t, 0);
}

void
triggers_due_again(struct triggers *t, trigger_due_fn *fn, void *arg)
{
	for (size_t i = 0; i < t->used; i++)
		if (t->slots[i].kind != TRIGGER_NONE)
			t->slots[i].due_ms = fn(&t->slots[i], arg);
	heap_anew(t);
}

/* --- owners ---------------------------------------------------------------------------------- */

static int32_t *
bucket(struct triggers *t, const char *name)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (const char *c = name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return &t->buckets[hash % BUCKETS];
}

static int32_t
find_owner(const struct triggers *t, const char *name)
{
	int32_t i = *bucket((struct triggers *)t, name);

	while (i != NO_OWNER && strcmp(t->owners[i].name, name) != 0)
		i = t->owners[i].next;
	return i;
}

static int32_t
make_owner(struct triggers *t, const char *name)
{
	int32_t i = find_owner(t, name), *head = bucket(t, name);

	if (i != NO_OWNER || t->owner_count == TRIGGER_OWNERS_MAX)
		return i;
	if (t->owner_count == t->owner_room) {
		size_t room = t->owner_room ? 2 * t->owner_room : 16;
		struct owner *owners = reallocarray(t->owners, room, sizeof(*owners));

		if (!owners)
			return NO_OWNER;
		t->owners = owners;
		t->owner_room = room;
	}
	i = (int32_t)t->owner_count++;
	t->owners[i] = (struct owner){.next = *head};
	snprintf(t->owners[i].name, sizeof(t->owners[i].name), "%s", name);
	*head = i;
	return i;
}

/* --- putting --------------------------------------------------------------------------------- */

static int
make_room(struct triggers *t, size_t more)
{
	size_t room = t->room ? t->room : 16;
	uint32_t *heap;
	struct trigger *slots;

	while (room < t->used + more)
		room += room / 2;
	if (room == t->room)
		return 0;
	slots = reallocarray(t->slots, room, sizeof(*slots));
	if (!slots)
		return -1;
	t->slots = slots;
	heap = reallocarray(t->heap, room, sizeof(*heap));
	if (!heap)
		return -1;
	t->heap = heap;
	t->room = room;
	return 0;
}

/* The living move together; an agent's stay side by side. */
static void
take_out_dead(struct triggers *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->used; i++) {
		struct owner *owner = &t->owners[t->slots[i].owner];

		if (t->slots[i].kind == TRIGGER_NONE)
			continue;
		if (owner->first == i)
			owner->first = (uint32_t)kept;
		t->slots[kept++] = t->slots[i];
	}
	t->used = kept;
	t->dead = 0;
}

static void
kill_all(struct triggers *t, struct owner *owner)
{
	for (uint32_t i = 0; i < owner->count; i++)
		t->slots[owner->first + i].kind = TRIGGER_NONE;
	t->dead += owner->count;
	owner->count = 0;
}

int
triggers_put(struct triggers *t, const char *agent, const struct trigger *all, size_t count)
{
	int32_t number = make_owner(t, agent);
	struct owner *owner;
	bool replaced;

	if (number == NO_OWNER || make_room(t, count) < 0)
		return -1;
	owner = &t->owners[number];
	replaced = owner->count > 0;
	kill_all(t, owner);
	if (replaced && t->dead > GARBAGE_MIN && t->dead > t->used / 2)
		take_out_dead(t);
	owner->first = (uint32_t)t->used;
	owner->count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		t->slots[t->used] = all[i];
		t->slots[t->used].owner = (uint32_t)number & (TRIGGER_OWNERS_MAX - 1);
		t->used++;
		if (replaced || all[i].due_ms == NEVER)
			continue;
		t->heap[t->heaped++] = (uint32_t)t->used - 1;
		sift_up(t, t->heaped - 1);
	}
	if (replaced)
		heap_anew(t);
	return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

void
triggers_each(const struct triggers *t, const char *agent, trigger_fn *fn, void *arg)
{
	int32_t number = agent ? find_owner(t, agent) : NO_OWNER;
	size_t first = 0, last = t->used;

	if (agent) {
		first = number == NO_OWNER ? 0 : t->owners[number].first;
		last = number == NO_OWNER ? 0 : first + t->owners[number].count;
	}
	for (size_t i = first; i < last; i++)
		if (t->slots[i].kind != TRIGGER_NONE)
			fn(&t->slots[i], t->owners[t->slots[i].owner].name, arg);
}

const char *
triggers_owner(const struct triggers *t, const struct trigger *trigger)
{
	return t->owners[trigger->owner].name;
}

size_t
triggers_count(const struct triggers *t)
{
	return t->used - t->dead;
}

struct triggers *
triggers_new(void)
{
	struct triggers *t = calloc(1, sizeof(*t));

	for (size_t i = 0; t && i < BUCKETS; i++)
		t->buckets[i] = NO_OWNER;
	return t;
}

void
triggers_free(struct triggers *t)
{
	if (!t)
		return;
	free(t->slots);
	free(t->heap);
	free(t->owners);
	free(t);
}
