/* Configurations as agentd hands them to its daemons. Links no libyaml. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "config_schema.h"
#include "limits.h"
#include "proto.h"

enum { CONFIG_MAGIC = 0x46435253 /* "SRCF" */ };

void
config_free(struct config *config)
{
	if (!config)
		return;
	record_clear(&config_record, config);
	free(config);
}

char *
config_secrets_socket(const struct config *config)
{
	const char *slash = strrchr(config->socket, '/');
	char *path;

	if (asprintf(&path, "%.*s/secretd.sock", (int)(slash - config->socket), config->socket) < 0)
		return NULL;
	return path;
}

int
config_encode(const struct config *config, uint8_t **bytes, size_t *length)
{
	return record_encode(&config_record, config, CONFIG_MAGIC, CONFIG_BYTES_MAX, bytes, length);
}

struct config *
config_decode(const uint8_t *bytes, size_t length, struct error *error)
{
	struct place place = {.file = "configuration", .error = error};
	struct config *config;

	if (length > CONFIG_BYTES_MAX) {
		complain(&place, "is bigger than 1 MiB");
		return NULL;
	}
	config = calloc(1, sizeof(*config));
	if (!config) {
		error_errno(error, ENOMEM, "configuration");
		return NULL;
	}
	record_init(&config_record, config);
	if (record_decode(&config_record, config, CONFIG_MAGIC, bytes, length, &place) < 0 ||
	    record_check(&config_record, config, &place) < 0) {
		config_free(config);
		return NULL;
	}
	return config;
}

struct config *
config_from_memfd(int fd, struct error *error)
{
	const uint8_t *bytes;
	struct config *config;
	size_t length;
	int result = memfd_map(fd, CONFIG_BYTES_MAX, &bytes, &length);

	if (result < 0) {
		error_errno(error, -result, "cannot map the configuration handed over");
		return NULL;
	}
	config = config_decode(bytes, length, error);
	if (bytes)
		munmap((void *)(uintptr_t)bytes, length);
	return config;
}
