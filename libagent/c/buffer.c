#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 512 };

bool
buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t size = buffer->size ? buffer->size : FIRST_BYTES;
	char *bytes;

	if (buffer->failed)
		return false;
	if (buffer->size - buffer->length >= more)
		return true;
	while (size - buffer->length < more)
		size *= 2;
	bytes = realloc(buffer->bytes, size);
	if (!bytes) {
		buffer->failed = true;
		return false;
	}
	buffer->bytes = bytes;
	buffer->size = size;
	return true;
}

void
buffer_add(struct buffer *buffer, const char *bytes, size_t length)
{
	if (!length || !buffer_reserve(buffer, length))
		return;
	memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
}

void
buffer_text(struct buffer *buffer, const char *text)
{
	buffer_add(buffer, text, strlen(text));
}

static void
add_escaped(struct buffer *buffer, unsigned char c)
{
	static const char names[] = {
	    ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	char escape[8] = {'\\', (char)c, '\0'};

	if (c < sizeof(names) && names[c])
		escape[1] = names[c];
	else if (c < 0x20)
		snprintf(escape, sizeof(escape), "\\u%04x", c);
	buffer_text(buffer, escape);
}

void
buffer_quoted(struct buffer *buffer, const char *text, size_t length)
{
	size_t i, from = 0;

	buffer_add(buffer, "\"", 1);
	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buffer_add(buffer, text + from, i - from);
		add_escaped(buffer, c);
		from = i + 1;
	}
	buffer_add(buffer, text + from, length - from);
	buffer_add(buffer, "\"", 1);
}

void
buffer_one_line(struct buffer *buffer, const char *json, size_t length)
{
	size_t i, from = buffer->length;

	buffer_add(buffer, json, length);
	for (i = from; i < buffer->length; i++)
		if ((unsigned char)buffer->bytes[i] < ' ')
			buffer->bytes[i] = ' ';
}

void
buffer_consume(struct buffer *buffer, size_t length)
{
	buffer->length -= length;
	if (length && buffer->length)
		memmove(buffer->bytes, buffer->bytes + length, buffer->length);
}

char *
buffer_take(struct buffer *buffer, size_t *length)
{
	char *bytes = NULL;

	if (buffer_reserve(buffer, 1)) {
		bytes = buffer->bytes;
		bytes[buffer->length] = '\0';
		*length = buffer->length;
		buffer->bytes = NULL;
	}
	buffer_free(buffer);
	return bytes;
}

void
buffer_free(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct buffer){.bytes = NULL};
}
