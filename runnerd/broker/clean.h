/*
 * What leaves the broker for anybody but the agent and its plugins (runnerd's records, the log,
 * what operators are shown) shows no secret: each text passes the fingerprints that BROKER_REDACT
 * brought. While it cannot be told what is a secret, nothing is said.
 */
#ifndef SCARAB_BROKER_CLEAN_H
#define SCARAB_BROKER_CLEAN_H

#include "common/proto.h"
#include "common/redact.h"
#include "common/scan.h"

struct cleaner {
	struct redact_set *secrets; /* NULL: the session has none */
	bool blind;                 /* a set could not be read: everything is hidden */
};

/* BROKER_REDACT's descriptor, taken over: what it brings is known beside what was. */
void clean_learn(struct cleaner *cleaner, int fd);
void clean_forget(struct cleaner *cleaner);

void clean_text(const struct cleaner *cleaner, char *text, size_t size);
/* Every text of it that an agent or a plugin may have written. */
void clean_message(const struct cleaner *cleaner, struct msg *msg);
/* A JSON value without secrets: where they were a part of its structure, a string that says what is
 * left of it. Heap text, or NULL without memory. */
char *clean_json(const struct cleaner *cleaner, struct span value, size_t *length);
/* Is there a secret in it? */
bool clean_shows(const struct cleaner *cleaner, struct span value);

#endif
