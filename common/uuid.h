/* Session ids: UUIDv7, RFC 9562 section 5.7. Any process. */
#ifndef SCARAB_UUID_H
#define SCARAB_UUID_H

#include <stdbool.h>
#include <stdint.h>

enum { UUID_TEXT_LEN = 36 };

struct uuid {
	uint8_t bytes[16];
};

/* A new one; ids made by one process sort in the order of their making. */
struct uuid uuid_new(void);
/* Lower-case text into at least UUID_TEXT_LEN + 1 bytes; returns text. */
const char *uuid_format(const struct uuid *uuid, char *text);
/* Accepts exactly the 36-character form in either case. */
bool uuid_parse(const char *text, struct uuid *uuid);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *uuid);

#endif
