/*
 * Facts of a sandbox as agentd tells them (FACT): printed as they come, so that what runnerd knows
 * is all that anybody says.
 */
#ifndef ASH_FACTS_H
#define ASH_FACTS_H

#include "ash.h"
#include "common/json.h"
#include "common/proto.h"

struct fact {
	enum fact_kind kind;
	char *section, *key, *text;
	uint32_t entry;
	uint64_t number;
};

struct facts {
	struct fact *items;
	size_t count, size;
};

/* From a sealed memfd (borrowed). 0, or -1 with error; facts_free() in both cases. */
int facts_read(int fd, struct facts *facts, struct error *error);
void facts_free(struct facts *facts);

/* The text of this key of the whole; NULL: it has none. */
const char *facts_find(const struct facts *facts, const char *key);
/* The number of this key of the whole; 0: it has none. */
uint64_t facts_find_number(const struct facts *facts, const char *key);
/* One object. */
void facts_json(const struct facts *facts, struct json *json);
/* What is true of the whole, a line each. told: keys that were told already, up to a NULL; may be
 * NULL. */
void facts_text_whole(const struct ash *ash, const struct facts *facts, const char *const *told);
/* Everything: lines, and a table for each section that is a list. */
int facts_text(const struct ash *ash, const struct facts *facts, struct error *error);

#endif
