/*
 * How an agent stands, besides its sessions: paused or not, failures in a row, the day's runs. Kept
 * in a table of the ledger's file, which is made where it is missing. schedd only.
 */
#ifndef SCARAB_SCHEDD_STANDING_H
#define SCARAB_SCHEDD_STANDING_H

#include "ledger.h"

enum { PAUSE_REASON_MAX = 511 };

struct standing {
	uint64_t paused_at_ms;            /* 0: it is not */
	char paused_by[OPERATOR_MAX + 1]; /* empty: schedd itself, after too many failures */
	char pause_reason[PAUSE_REASON_MAX + 1];
	uint64_t failures; /* chains of attempts that failed, in a row */
	uint64_t restarts; /* in a row; one that ran for long begins anew */
	int64_t run_day;   /* the UTC day that runs counts, days since 1970 */
	uint64_t runs;
};

/* One more session began its life at now_ms. */
void standing_count_run(struct standing *standing, int64_t now_ms);
/* Those of the UTC day of now_ms. */
uint64_t standing_runs(const struct standing *standing, int64_t now_ms);

struct standings;

/* The ledger stays the caller's and must outlive it. NULL with error. */
struct standings *standings_open(struct ledger *ledger, struct error *error);
void standings_close(struct standings *standings);
/* Zeroed when nothing is kept. 0, or -1 with error. */
int standings_get(struct standings *standings, const char *agent, struct standing *standing,
		  struct error *error);
/* Durable, or part of the transaction that it stands in. */
int standings_put(struct standings *standings, const char *agent, const struct standing *standing,
		  struct error *error);
int standings_drop(struct standings *standings, const char *agent, struct error *error);
/* Drops those for which keep says no. */
typedef bool standing_keep_fn(const char *agent, void *arg);
int standings_sweep(struct standings *standings, standing_keep_fn *keep, void *arg,
		    struct error *error);

#endif
