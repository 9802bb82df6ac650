/*
 * What a sandbox comes to, asked of agentd, or of runnerd's program where agentd is not there.
 */
#ifndef ASH_EXPLAIN_H
#define ASH_EXPLAIN_H

#include "document.h"
#include "facts.h"

/* Of an installed agent. 0, or -1 with error; facts_free() in both cases. */
int explain_agent(struct ash *ash, const char *name, struct facts *facts, struct error *error);
/* Of a manifest, which would be installed from install_dir, without agentd: by the program that
 * builds sandboxes, as this user, under the defaults of agentd.yaml. Fills manifest's skill_index
 * before. */
int explain_offline(const struct manifest *manifest, const char *install_dir, struct facts *facts,
		    struct error *error);

#endif
