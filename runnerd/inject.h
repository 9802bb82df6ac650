/*
 * Secrets that are put into a session's requests outside of its sandbox
 * (spec.credentials[].inject). runnerd types the rules, makes an empty memfd for each value, has
 * secretd write and seal it, and passes it to the session's egress process; it never reads one.
 */
#ifndef SCARAB_RUNNERD_INJECT_H
#define SCARAB_RUNNERD_INJECT_H

#include "common/netrule.h"
#include "session.h"

struct net;

/* The rule that one implies, for the dialer alone. 0 or -EINVAL. */
int inject_rule(const struct manifest_inject *inject, struct net_rule *rule);
bool inject_wanted(const struct manifest *plan);
/* All that a plan implies, after its own. 0 or -errno. */
int inject_add_rules(const struct manifest *plan, struct rows *rows);
/* INJECT_RULEs for egress, and the host's trust store: descriptors, or -errno. */
int inject_rules(const struct manifest *plan);
int inject_trust(void);
/* In the step network: asks for the values. 0, or -1 with error. */
int inject_ask(struct session *s, struct error *error);
/* secretd wrote the value for this rule. */
void inject_written(struct session *s, unsigned rule);
/* Egress has its EGRESS_BOOT: what is written goes there. */
void inject_booted(struct net *net);
void inject_free(struct net *net);

/* The variables that hold a base URL: calls fn for each, in the plan's order. */
typedef void inject_url_fn(const struct manifest_credential *credential, const char *url,
			   void *arg);
void inject_urls(const struct manifest *plan, inject_url_fn *fn, void *arg);

#endif
