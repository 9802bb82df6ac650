/*
 * Sessions that follow another's end: retries and restarts. A row for each beside its session's in
 * the ledger's file: whom it follows, and when it may start. A session has one successor at most,
 * whatever is repeated after a crash: its id is unique here. schedd only.
 */
#ifndef SCARAB_SCHEDD_SUCCESSORS_H
#define SCARAB_SCHEDD_SUCCESSORS_H

#include "ledger.h"

struct successor {
	int64_t seq;            /* of its session */
	struct uuid session;    /* the same; read only */
	struct uuid former;     /* whom it follows */
	enum succession kind;   /* retry or restart */
	uint64_t not_before_ms; /* when it may start */
	uint64_t delay_ms;      /* what that was after the end */
};

struct successors;

/* The ledger stays the caller's and must outlive it. NULL with error. */
struct successors *successors_open(struct ledger *ledger, struct error *error);
void successors_close(struct successors *successors);
/* Inside the transaction that inserts its session. */
int successors_insert(struct successors *successors, const struct successor *successor,
		      struct error *error);
/* 1: found; 0: this session follows none, or none follows it; -1: error. */
int successors_get(struct successors *successors, int64_t seq, struct successor *successor,
		   struct error *error);
int successors_after(struct successors *successors, const struct uuid *former,
		     struct successor *successor, struct error *error);
/* Those whose sessions wait. */
typedef void successor_fn(const struct successor *successor, void *arg);
int successors_each_waiting(struct successors *successors, successor_fn *fn, void *arg,
			    struct error *error);

#endif
