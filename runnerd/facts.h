/*
 * Facts of a sandbox, as rows of FACT for `ash explain`: an object whose members are values, lists
 * of texts, and sections, which are objects or lists of objects. ash prints what comes and knows
 * none of it, so that a fact is told in one place. The first failure sticks.
 */
#ifndef SCARAB_RUNNERD_FACTS_H
#define SCARAB_RUNNERD_FACTS_H

#include "common/proto.h"

struct facts {
	struct rows *rows; /* borrowed */
	const char *section;
	uint32_t entry;
	int failure; /* 0 or -errno */
};

/* What follows belongs to this section, an object; "": to the whole. */
void facts_section(struct facts *facts, const char *section);
/* What follows belongs to the next entry of this section, a list. */
void facts_entry(struct facts *facts, const char *section);
/* A section without any entry. */
void facts_no_entries(struct facts *facts, const char *section);

void fact_text(struct facts *facts, const char *key, const char *text);  /* NULL: not known */
void fact_number(struct facts *facts, const char *key, uint64_t number); /* ABSENT: not known */
void fact_bytes(struct facts *facts, const char *key, uint64_t bytes);
void fact_bool(struct facts *facts, const char *key, bool value);
/* One more of a list; texts of one list follow one another. NULL: it has none. */
void fact_item(struct facts *facts, const char *key, const char *text);

#endif
