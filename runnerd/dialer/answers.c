#include "answers.h"

#include <stdlib.h>
#include <string.h>

static void
remove_at(struct answers *answers, unsigned at)
{
	free(answers->items[at]);
	answers->items[at] = answers->items[--answers->count];
}

static unsigned
place_of(const struct answers *answers, const char *name)
{
	unsigned at = 0;

	while (at < answers->count && strcmp(answers->items[at]->name, name) != 0)
		at++;
	return at;
}

static unsigned
ends_first(const struct answers *answers)
{
	unsigned first = 0;

	for (unsigned at = 1; at < answers->count; at++)
		if (answers->items[at]->until_ns < answers->items[first]->until_ns)
			first = at;
	return first;
}

const struct answer *
answers_find(struct answers *answers, const char *name, uint64_t now_ns)
{
	unsigned at = place_of(answers, name);

	if (at == answers->count)
		return NULL;
	if (now_ns < answers->items[at]->until_ns)
		return answers->items[at];
	remove_at(answers, at);
	return NULL;
}

void
answers_put(struct answers *answers, const char *name, const struct in6_addr *addresses,
	    unsigned count, unsigned ttl_s, uint64_t now_ns)
{
	struct answer *answer;

	answers_drop(answers, name);
	if (ttl_s == 0 || count == 0 || count > ADDRESSES_MAX)
		return;
	if (answers->count == ANSWERS_MAX)
		remove_at(answers, ends_first(answers));
	answer = calloc(1, sizeof(*answer));
	if (!answer)
		return; /* it is asked for again */
	strncpy(answer->name, name, sizeof(answer->name) - 1);
	memcpy(answer->addresses, addresses, count * sizeof(*addresses));
	answer->count = count;
	if (ttl_s > ANSWER_S_MAX)
		ttl_s = ANSWER_S_MAX;
	answer->until_ns = now_ns + UINT64_C(1000000000) * ttl_s;
	answers->items[answers->count++] = answer;
}

void
answers_drop(struct answers *answers, const char *name)
{
	unsigned at = place_of(answers, name);

	if (at < answers->count)
		remove_at(answers, at);
}

void
answers_clear(struct answers *answers)
{
	while (answers->count)
		remove_at(answers, answers->count - 1);
}
