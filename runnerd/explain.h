/*
 * What a sandbox comes to, as facts for `ash explain` and `ash agent show`. Nothing here describes
 * a sandbox a second time: values come from policy_effective(), mounts from the recipe that the
 * session's steps write, calls from the rules that the filters are compiled from, namespaces and
 * attributes from what the builder is built with. Nothing is made, and nothing that a manifest
 * names is opened.
 */
#ifndef SCARAB_RUNNERD_EXPLAIN_H
#define SCARAB_RUNNERD_EXPLAIN_H

#include "runnerd.h"

struct agent;

/* EXPLAIN_QUERY: answers on the channel. */
void explain_query(struct runnerd *r, struct channel *channel, struct msg *msg);
/* The facts of this agent, installed or not (base_uid 0), under r->config alone. A sealed memfd of
 * FACT and how many, or -1 with error. */
int explain(struct runnerd *r, struct agent *agent, uint32_t *count, struct error *error);

/* `runnerd explain DIR`, which ash starts where no agentd answers: the plan is on descriptor 0, the
 * configuration on 3 (sealed memfds), the facts go to 1. With whatever rights its caller has. The
 * exit status. */
int explain_offline(const char *install_dir);

#endif
