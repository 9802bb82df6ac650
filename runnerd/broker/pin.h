/* Accepted definitions of tools, by plugin and name, in order. */
#ifndef SCARAB_BROKER_PIN_H
#define SCARAB_BROKER_PIN_H

#include <stdint.h>

#include "common/limits.h"

/* A plugin that invents new names without end finds the table full, and its tools quarantined. */
enum { PINS_MAX = 16384, PINS_STEP = 64 };

struct pin {
	uint8_t server;
	char *tool;
	uint8_t digest[DIGEST_BYTES];
};

#endif
