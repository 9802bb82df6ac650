#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "uuid.h"

/* Without randomness there are no ids; nothing sensible can go on. */
static void
random_bytes(uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = getrandom(bytes, length, 0);
		if (n < 0 && errno != EINTR)
			abort();
		if (n < 0)
			continue;
		bytes += n;
		length -= (size_t)n;
	}
}

/*
 * RFC 9562 6.2, method 1: rand_a is a counter that starts at a random number below 2048 in each
 * millisecond; when it runs over, or the clock steps back, the time runs ahead of the clock.
 */
static void
next_tick(uint64_t now, uint32_t seed, uint64_t *ms, uint32_t *counter)
{
	static uint64_t last_ms;
	static uint32_t last_counter;

	if (now > last_ms) {
		last_ms = now;
		last_counter = seed & 0x7ff;
	} else if (++last_counter > 0xfff) {
		last_ms++;
		last_counter = seed & 0x7ff;
	}
	*ms = last_ms;
	*counter = last_counter;
}

struct uuid
uuid_new(void)
{
	struct uuid uuid = {{0}};
	struct timespec now;
	uint64_t ms;
	uint32_t counter;

	random_bytes(uuid.bytes, sizeof(uuid.bytes));
	clock_gettime(CLOCK_REALTIME, &now);
	next_tick((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
		  (uint32_t)uuid.bytes[0] << 8 | uuid.bytes[1], &ms, &counter);
	for (int i = 0; i < 6; i++)
		uuid.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	uuid.bytes[6] = (uint8_t)(0x70 | counter >> 8);
	uuid.bytes[7] = (uint8_t)counter;
	uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3f));
	return uuid;
}

static bool
hyphen_at(int i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

const char *
uuid_format(const struct uuid *uuid, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *byte = uuid->bytes;

	for (int i = 0; i < UUID_TEXT_LEN;) {
		if (hyphen_at(i))
			text[i++] = '-';
		text[i++] = digits[*byte >> 4];
		text[i++] = digits[*byte++ & 15];
	}
	text[UUID_TEXT_LEN] = '\0';
	return text;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
uuid_parse(const char *text, struct uuid *uuid)
{
	struct uuid parsed;
	uint8_t *byte = parsed.bytes;

	if (strnlen(text, UUID_TEXT_LEN + 1) != UUID_TEXT_LEN)
		return false;
	for (int i = 0; i < UUID_TEXT_LEN; i += 2) {
		if (hyphen_at(i) && text[i++] != '-')
			return false;
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
		if (high < 0 || low < 0)
			return false;
		*byte++ = (uint8_t)(high << 4 | low);
	}
	*uuid = parsed;
	return true;
}

bool
uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool
uuid_is_nil(const struct uuid *uuid)
{
	static const struct uuid nil;

	return uuid_equal(uuid, &nil);
}
