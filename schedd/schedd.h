/*
 * The scheduler as its own modules see it. schedd says which installed agent runs and why, never
 * how (DESIGN 3.2): all it sends to runnerd is a name, a reason and bounds.
 */
#ifndef SCARAB_SCHEDD_SCHEDD_H
#define SCARAB_SCHEDD_SCHEDD_H

#include "common/config.h"
#include "common/daemon.h"
#include "common/loop.h"
#include "ledger.h"
#include "queue.h"

struct counters;
struct event_plans;
struct events;
struct flush;
struct prune;
struct schedule;
struct standings;
struct successors;
struct watches;
struct parked;
struct webhooks;

struct schedd {
	struct loop *loop;
	struct config *config;
	struct ledger *ledger;
	struct flush *flush;
	struct events *events;
	struct event_plans *event_plans;
	struct schedule *schedule;
	struct prune *prune;
	struct standings *standings;
	struct successors *successors;
	struct counters *counters;
	struct webhooks *webhooks;
	struct watches *watches;
	struct queue *queue;
	struct channel *control, *runnerd; /* NULL while that daemon is away */
	struct audit *audit;               /* NULL in tests */
	uint64_t missed;                   /* notices that control was not told */
	bool known;                        /* the installed agents have been told once */
	bool synced;                       /* and runnerd's inventory is complete */
	/* Sessions that runnerd holds and no row is there for: nothing starts beside them. */
	uint32_t strangers;
	bool draining;
	uint32_t drain_id;         /* the DRAIN to answer, 0 when none */
	uint64_t ended;            /* rows in the ledger that have ended */
	struct loop_source *again; /* repeats what the ledger could not take */
	TAILQ_HEAD(parked_queue, parked)
	parked; /* ENQUEUEs that came before the agents were known */
	uint32_t parked_count;
	struct loop_source *parked_timer;
};

/* Everything but the channels; the ledger is taken over, the configuration too. zoneinfo: the
 * directory of time zones or -1, the caller's. Loads what has not ended. 0, or -1 with error. */
int schedd_init(struct schedd *schedd, struct loop *loop, struct config *config,
		struct ledger *ledger, int zoneinfo, struct error *error);
void schedd_release(struct schedd *schedd);
/* The clock that triggers follow, in ms since 1970: the machine's, or the tests'. */
uint64_t schedd_now_ms(const struct schedd *schedd);
/* Takes the configuration. */
int schedd_reload(struct schedd *schedd, struct config *config, struct error *error);

#endif
