#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

struct tls {
	SSL_CTX *context;
};

struct tls_stream {
	SSL *ssl;
	bool wants_write, cut;
	char why[192];
};

static const uint8_t http1[] = "\x08http/1.1";

/* --- the trust store ----------------------------------------------------------------------------
 */

/* One certificate that cannot be read is left out, as OpenSSL's own loader does. */
static int
trust_all(SSL_CTX *context, const char *pem, size_t length)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	BIO *bio = BIO_new_mem_buf(pem, (int)length);
	int count = 0;
	X509 *one;

	while (bio && (one = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		count += X509_STORE_add_cert(store, one);
		X509_free(one);
	}
	BIO_free(bio);
	ERR_clear_error();
	return count;
}

static int
set_up(SSL_CTX *context)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	/* SSL_CTX_set_alpn_protos() returns 0 when it is done. */
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
		       SSL_CTX_set_alpn_protos(context, http1, sizeof(http1) - 1) == 0
		   ? 0
		   : -1;
}

struct tls *
tls_new(int trust, struct error *error)
{
	_cleanup_free_ char *pem = NULL;
	struct tls *tls = calloc(1, sizeof(*tls));
	size_t length = 0;
	int rc;

	/* There is neither a configuration to be read nor a thread. */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL);
	if (tls)
		tls->context = SSL_CTX_new(TLS_client_method());
	rc = tls && tls->context ? read_file(trust, TRUST_STORE_MAX, &pem, &length) : -ENOMEM;
	if (rc < 0) {
		error_errno(error, -rc, "reading the trust store");
	} else if (set_up(tls->context) < 0) {
		error_why(error, ERR_FAILED, "OpenSSL cannot be set up");
	} else if (trust_all(tls->context, pem, length) == 0) {
		error_why(error, ERR_FAILED, "the trust store holds no certificate");
		error_hint(error, "install the package ca-certificates");
	} else {
		return tls;
	}
	tls_free(tls);
	return NULL;
}

void
tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

/* --- streams ---------------------------------------------------------------------------------- */

struct tls_stream *
tls_begin(const struct tls *tls, int fd, const char *host)
{
	struct tls_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->ssl = SSL_new(tls->context);
	if (stream->ssl && SSL_set_fd(stream->ssl, fd) == 1 &&
	    SSL_set_tlsext_host_name(stream->ssl, host) == 1 &&
	    SSL_set1_host(stream->ssl, host) == 1) {
		SSL_set_hostflags(stream->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		SSL_set_connect_state(stream->ssl);
		return stream;
	}
	SSL_free(stream->ssl);
	free(stream);
	ERR_clear_error();
	return NULL;
}

void
tls_end(struct tls_stream *stream)
{
	if (!stream)
		return;
	if (SSL_is_init_finished(stream->ssl))
		SSL_shutdown(stream->ssl);
	SSL_free(stream->ssl);
	ERR_clear_error();
	free(stream);
}

static void
explain(struct tls_stream *stream)
{
	long verified = SSL_get_verify_result(stream->ssl);
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	if (verified != X509_V_OK)
		snprintf(stream->why, sizeof(stream->why), "its certificate is not trusted: %s",
			 X509_verify_cert_error_string(verified));
	else
		snprintf(stream->why, sizeof(stream->why), "TLS failed: %s",
			 reason ? reason : "the connection ended");
}

/* Of a call that did not succeed. 0: the other side's end. */
static int
failed(struct tls_stream *stream, int rc)
{
	int code = SSL_get_error(stream->ssl, rc);

	if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
		stream->wants_write = code == SSL_ERROR_WANT_WRITE;
		return -EAGAIN;
	}
	if (code == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (SSL_is_init_finished(stream->ssl) &&
	    ((code == SSL_ERROR_SSL &&
	      ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) ||
	     (code == SSL_ERROR_SYSCALL && ERR_peek_error() == 0 && errno == 0)))
		stream->cut = true;
	explain(stream);
	ERR_clear_error();
	return stream->cut ? 0 : -EPROTO;
}

int
tls_handshake(struct tls_stream *stream)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(stream->ssl);
	if (rc == 1)
		return 1;
	rc = failed(stream, rc);
	if (rc == 0)
		snprintf(stream->why, sizeof(stream->why), "TLS failed: it ended the connection");
	return rc == 0 ? -EPROTO : rc;
}

ssize_t
tls_read(struct tls_stream *stream, uint8_t *bytes, size_t size)
{
	size_t n = 0;

	ERR_clear_error();
	errno = 0;
	stream->wants_write = false;
	if (SSL_read_ex(stream->ssl, bytes, size, &n) == 1)
		return (ssize_t)n;
	return failed(stream, 0);
}

ssize_t
tls_write(struct tls_stream *stream, const uint8_t *bytes, size_t length)
{
	size_t n = 0;
	int rc;

	ERR_clear_error();
	errno = 0;
	stream->wants_write = false;
	if (SSL_write_ex(stream->ssl, bytes, length, &n) == 1)
		return (ssize_t)n;
	rc = failed(stream, 0);
	return rc == 0 ? -EPROTO : rc;
}

bool
tls_wants_write(const struct tls_stream *stream)
{
	return stream->wants_write;
}

bool
tls_holds(const struct tls_stream *stream)
{
	return SSL_has_pending(stream->ssl) == 1;
}

bool
tls_cut(const struct tls_stream *stream)
{
	return stream->cut;
}

const char *
tls_why(const struct tls_stream *stream)
{
	return stream->why;
}
