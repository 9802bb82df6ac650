#include "id_map.h"

#include <stdio.h>

#include "common/limits.h"

struct text {
	char *bytes;
	size_t length;
};

static void
add_line(struct text *text, uint32_t inside, uint32_t outside, uint32_t count)
{
	if (count)
		text->length +=
		    (size_t)snprintf(text->bytes + text->length, ID_MAP_TEXT - text->length,
				     "%u %u %u\n", inside, outside, count);
}

size_t
id_map_text(uint32_t base, uint32_t count, uint32_t agent, char bytes[ID_MAP_TEXT])
{
	struct text text = {.bytes = bytes};
	uint32_t low = agent < AGENT_UID ? agent : AGENT_UID;
	uint32_t high = agent < AGENT_UID ? AGENT_UID : agent;

	if (low == high || high >= count) {
		add_line(&text, 0, base, count);
		return text.length;
	}
	add_line(&text, 0, base, low);
	add_line(&text, low, base + high, 1);
	add_line(&text, low + 1, base + low + 1, high - low - 1);
	add_line(&text, high, base + low, 1);
	add_line(&text, high + 1, base + high + 1, count - high - 1);
	return text.length;
}
