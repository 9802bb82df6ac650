#include "digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct digest {
	EVP_MD_CTX *context;
};

int
digest_prepare(void)
{
	uint8_t out[DIGEST_BYTES];

	return EVP_Digest("", 0, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1;
}

struct digest *
digest_new(void)
{
	struct digest *digest = calloc(1, sizeof(*digest));

	if (!digest)
		return NULL;
	digest->context = EVP_MD_CTX_new();
	if (digest->context && EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1)
		return digest;
	digest_free(digest);
	return NULL;
}

void
digest_add(struct digest *digest, const void *bytes, size_t length)
{
	EVP_DigestUpdate(digest->context, bytes, length);
}

void
digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES])
{
	memset(out, 0, DIGEST_BYTES);
	EVP_DigestFinal_ex(digest->context, out, NULL);
}

void
digest_free(struct digest *digest)
{
	if (!digest)
		return;
	EVP_MD_CTX_free(digest->context);
	free(digest);
}

void
digest_of(const void *bytes, size_t length, uint8_t out[DIGEST_BYTES])
{
	memset(out, 0, DIGEST_BYTES);
	EVP_Digest(bytes, length, out, NULL, EVP_sha256(), NULL);
}

void
digest_hex(const uint8_t digest[DIGEST_BYTES], char hex[HEX_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[HEX_LEN] = '\0';
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
digest_parse(const char *hex, uint8_t digest[DIGEST_BYTES])
{
	if (strlen(hex) != HEX_LEN)
		return false;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		digest[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool
digest_parse_named(const char *text, uint8_t digest[DIGEST_BYTES])
{
	static const char scheme[] = "sha256:";

	return !strncmp(text, scheme, strlen(scheme)) &&
	       digest_parse(text + strlen(scheme), digest);
}
