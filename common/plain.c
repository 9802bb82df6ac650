#include "plain.h"

#include <stdint.h>
#include <string.h>

#include "json.h"

/* C1 controls are two bytes in UTF-8; some terminals obey them. */
static int
control_bytes(const uint8_t *at)
{
	if (*at < ' ' || *at == 0x7f)
		return 1;
	return at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f ? 2 : 0;
}

static void
replace_controls(uint8_t *at, const uint8_t *end)
{
	while (at < end) {
		int count = control_bytes(at);

		at += count == 0;
		while (count-- > 0)
			*at++ = '?';
	}
}

void
plain_text(char *text)
{
	uint8_t *at = (uint8_t *)text, *end = at + strlen(text);

	while (at < end) {
		bool partial;
		uint8_t *valid = at + utf8_prefix(at, (size_t)(end - at), &partial);

		replace_controls(at, valid);
		if (valid < end)
			*valid++ = '?';
		at = valid;
	}
}
