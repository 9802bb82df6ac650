#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "exchange.h"

enum { SAID_MAX = 1024 };

int
bytes_make(struct bytes *bytes, size_t size)
{
	*bytes = (struct bytes){.at = malloc(size), .size = size};
	return bytes->at ? 0 : -ENOMEM;
}

void
bytes_free(struct bytes *bytes)
{
	if (bytes->at)
		explicit_bzero(bytes->at, bytes->size);
	free(steal_ptr(&bytes->at));
}

size_t
bytes_used(const struct bytes *bytes)
{
	return bytes->end - bytes->start;
}

size_t
bytes_room(const struct bytes *bytes)
{
	return bytes->size - bytes_used(bytes);
}

const uint8_t *
bytes_first(const struct bytes *bytes)
{
	return bytes->at + bytes->start;
}

void
bytes_drop(struct bytes *bytes, size_t count)
{
	bytes->start += count;
	if (bytes->start == bytes->end)
		bytes->start = bytes->end = 0;
}

uint8_t *
bytes_next(struct bytes *bytes)
{
	size_t used = bytes_used(bytes);

	if (bytes->start) {
		memmove(bytes->at, bytes->at + bytes->start, used);
		bytes->start = 0;
		bytes->end = used;
	}
	return bytes->at + bytes->end;
}

void
bytes_put(struct bytes *bytes, const void *what, size_t length)
{
	if (length > bytes_room(bytes)) {
		bytes->overflown = true;
		return;
	}
	if (length)
		memcpy(bytes_next(bytes), what, length);
	bytes->end += length;
}

void
bytes_say(struct bytes *bytes, const char *format, ...)
{
	char text[SAID_MAX];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(text))
		bytes->overflown = true;
	else
		bytes_put(bytes, text, (size_t)length);
}
