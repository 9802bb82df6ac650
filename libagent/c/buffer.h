/* Bytes that grow, for the library's own use; what fails sticks. */
#ifndef SCARAB_LIBAGENT_BUFFER_H
#define SCARAB_LIBAGENT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *bytes;
	size_t length, size;
	bool failed; /* memory ran out */
};

/* Room for so many more bytes; false without memory. */
bool buffer_reserve(struct buffer *buffer, size_t more);
void buffer_add(struct buffer *buffer, const char *bytes, size_t length);
void buffer_text(struct buffer *buffer, const char *text);
/* As a JSON string; text is UTF-8. */
void buffer_quoted(struct buffer *buffer, const char *text, size_t length);
/* JSON text with its line breaks and tabs as blanks: what stands outside of strings. */
void buffer_one_line(struct buffer *buffer, const char *json, size_t length);
/* Forgets the first bytes. */
void buffer_consume(struct buffer *buffer, size_t length);
/* The bytes and a NUL, owned by the caller; NULL when memory ran out. Empties the buffer. */
char *buffer_take(struct buffer *buffer, size_t *length);
void buffer_free(struct buffer *buffer);

#endif
