/*
 * What one secretd is made of; main.c holds the only instance and passes it down.
 */
#ifndef SCARAB_SECRETD_SECRETD_H
#define SCARAB_SECRETD_SECRETD_H

#include "common/config.h"
#include "common/daemon.h"
#include "store.h"
#include "writer.h"

struct client;
struct call;
struct plan;

/* Whom the operator socket refuses whatever its mode says, and how the store is keyed. */
struct custody_rules {
	uint64_t daemons[5]; /* uids; UINT64_MAX: none */
	uint64_t agents_first, agents_end;
	bool passphrase;
};

struct secretd {
	struct loop *loop;
	struct writer *writer;
	struct channel *peers[ROLE_COUNT]; /* audit channels */
	struct source told[ROLE_COUNT];    /* to be durable, on that channel */
	uint64_t logged_seq;               /* of the head that was logged last */
	struct channel *agentd, *runnerd, *schedd;
	struct custody_rules rules;
	struct store *store;
	struct spellings *spellings;
	uint8_t *kek; /* KEY_BYTES of locked memory, wiped after each use */

	struct listener *listener;
	struct client *clients;
	struct call *calls; /* questions that were not answered yet */
	uint32_t last_call;

	struct macs *macs; /* of the audit log, being verified; NULL: none */

	struct plan *plans; /* digests of what is installed */
	bool plans_known;

	struct loop_source *finish;
	unsigned quiet_rounds; /* after STOP, without a message */
};

void rules_from(struct custody_rules *rules, const struct config *config);

#endif
