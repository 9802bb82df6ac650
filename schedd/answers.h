/* schedd's answers to what control asks about sessions. */
#ifndef SCARAB_SCHEDD_ANSWERS_H
#define SCARAB_SCHEDD_ANSWERS_H

#include "schedd.h"

/* A full id, a unique prefix, or AGENT@latest. Errors: ERR_NOT_FOUND, ERR_CONFLICT (ambiguous,
 * with the count). */
int answer_resolve(struct schedd *schedd, const char *ref, struct ledger_session *row,
		   struct error *error);

/* Each fills the answer (descriptors are the answer's) or returns -1 with error. */
int answer_sessions(struct schedd *schedd, const struct msg *query, struct msg *answer,
		    struct error *error);
int answer_agents_last(struct schedd *schedd, struct msg *answer, struct error *error);
void answer_ledger(struct schedd *schedd, struct msg *answer);

#endif
