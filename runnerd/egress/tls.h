/*
 * TLS to the servers that requests with a secret go to: 1.2 or later, certificates verified against
 * the host's trust store and the server's name, HTTP/1.1 alone. OpenSSL is in this file and in no
 * other process of the runtime. Egress only, and only with rules of inject: others never load a
 * trust store.
 */
#ifndef SCARAB_EGRESS_TLS_H
#define SCARAB_EGRESS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

enum { TRUST_STORE_MAX = 8 << 20 };

struct tls;
struct tls_stream;

/* trust: certificates as PEM, an open file (borrowed). NULL with error. */
struct tls *tls_new(int trust, struct error *error);
void tls_free(struct tls *tls); /* NULL is allowed */

/* fd: connected, borrowed for as long as the stream is there. NULL without memory. */
struct tls_stream *tls_begin(const struct tls *tls, int fd, const char *host);
void tls_end(struct tls_stream *stream); /* says so to the other side; NULL is allowed */
/* 1: done; -EAGAIN; -EPROTO with tls_why(). */
int tls_handshake(struct tls_stream *stream);
/* How many; 0: its end (tls_cut(): without saying so); -EAGAIN; -EPROTO. */
ssize_t tls_read(struct tls_stream *stream, uint8_t *bytes, size_t size);
/* After -EAGAIN the same bytes again, and there may be more. */
ssize_t tls_write(struct tls_stream *stream, const uint8_t *bytes, size_t length);
/* What the last -EAGAIN waits for: room to write, else something to read. */
bool tls_wants_write(const struct tls_stream *stream);
/* Has something come that was not read? */
bool tls_holds(const struct tls_stream *stream);
bool tls_cut(const struct tls_stream *stream);
const char *tls_why(const struct tls_stream *stream); /* of the last -EPROTO */

#endif
