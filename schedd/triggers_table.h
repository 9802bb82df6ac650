/*
 * What the ledger's file holds of the triggers that time fires: what a fire carries, and up to
 * which scheduled time each has been dealt with. schedd only; the one place that knows this table.
 * A fire itself is a row of the ledger, unique by agent, trigger and scheduled time: it decides
 * whether it was; the cursor here, which follows it, decides where to look on.
 */
#ifndef SCARAB_SCHEDD_TRIGGERS_TABLE_H
#define SCARAB_SCHEDD_TRIGGERS_TABLE_H

#include "common/manifest.h"
#include "ledger.h"

struct trigger_row {
	char agent[AGENT_NAME_MAX + 1];
	uint8_t place; /* in the manifest */
	char id[TRIGGER_ID_MAX + 1];
	enum trigger_kind kind;
	char cron[255 + 1], timezone[64 + 1];
	uint64_t every_ms, at_ms; /* ABSENT */
	enum missed missed;
	uint64_t missed_within_ms; /* ABSENT */
	uint64_t jitter_ms;
	bool has_task;
	char task[TASK_MAX + 1];
	int64_t cursor_ms; /* the last scheduled time that was dealt with */
	int64_t fired_ms;  /* when it fired last; 0: never */
};

struct triggers_table;

struct triggers_table *triggers_table_open(struct ledger *ledger, struct error *error);
void triggers_table_close(struct triggers_table *table);

/* All of an agent's, in one transaction, which is spared where nothing changed; cursor and last
 * fire are kept where the id stays, and read back into rows. */
int triggers_table_put(struct triggers_table *table, const char *agent, struct trigger_row *rows,
		       size_t count, struct error *error);
/* 1: found, 0: there is none, -1: error. */
int triggers_table_get(struct triggers_table *table, const char *agent, unsigned place,
		       struct trigger_row *row, struct error *error);
/* fired_ms 0: it did not fire. Survives this process; after a loss of power the ledger's own rows
 * still say what was. */
int triggers_table_advance(struct triggers_table *table, const char *agent, unsigned place,
			   int64_t cursor_ms, int64_t fired_ms, struct error *error);
/* Forgets the agents for which fn returns false. */
typedef bool trigger_keep_fn(const char *agent, void *arg);
int triggers_table_sweep(struct triggers_table *table, trigger_keep_fn *fn, void *arg,
			 struct error *error);

#endif
