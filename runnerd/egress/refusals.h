/*
 * What the kernel refuses inside by itself, because there is no route or nobody listens: it is
 * counted by the session's network namespace, and told from there. Egress only.
 */
#ifndef SCARAB_EGRESS_REFUSALS_H
#define SCARAB_EGRESS_REFUSALS_H

#include <stdint.h>

struct egress;

enum { REFUSAL_KINDS = 3 };

/* Counters as files of procfs, opened in the session's namespace; what was told of each. */
struct refusals {
	int snmp, snmp6;
	uint64_t told[REFUSAL_KINDS];
};

/* As root in the session's namespace. Without a procfs nothing is told. */
void refusals_open(struct refusals *refusals);
/* Notes what is new. */
void refusals_tell(struct egress *egress);

/* The value of "GROUP: NAME" in a text like /proc/net/snmp: a line of names, then one of values,
 * each behind its group. 0: there is none. */
uint64_t refusals_counter(const char *text, const char *group, const char *name);
/* The same in a text like /proc/net/snmp6: a line for each. */
uint64_t refusals_counter6(const char *text, const char *name);

#endif
