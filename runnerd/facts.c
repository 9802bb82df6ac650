#include "facts.h"

#include <string.h>

#include "common/manifest.h"

void
facts_section(struct facts *facts, const char *section)
{
	facts->section = section;
	facts->entry = 0;
}

void
facts_entry(struct facts *facts, const char *section)
{
	if (strcmp(facts->section, section) != 0)
		facts->entry = 0;
	facts->section = section;
	facts->entry++;
}

static void
add(struct facts *facts, const char *key, enum fact_kind kind, const char *text, uint64_t number)
{
	struct msg record;

	if (facts->failure)
		return;
	msg_init(&record, MSG_FACT);
	snprintf(record.fact.section, sizeof(record.fact.section), "%s", facts->section);
	snprintf(record.fact.key, sizeof(record.fact.key), "%s", key);
	snprintf(record.fact.text, sizeof(record.fact.text), "%s", text);
	record.fact.entry = facts->entry;
	record.fact.kind = (uint8_t)kind;
	record.fact.number = number;
	facts->failure = rows_add(facts->rows, &record);
}

void
facts_no_entries(struct facts *facts, const char *section)
{
	facts_section(facts, section);
	add(facts, "", FACT_EMPTY, "", 0);
}

void
fact_text(struct facts *facts, const char *key, const char *text)
{
	add(facts, key, text ? FACT_TEXT : FACT_NONE, text ? text : "", 0);
}

void
fact_number(struct facts *facts, const char *key, uint64_t number)
{
	add(facts, key, number == ABSENT ? FACT_NONE : FACT_NUMBER, "", number);
}

void
fact_bytes(struct facts *facts, const char *key, uint64_t bytes)
{
	add(facts, key, bytes == ABSENT ? FACT_NONE : FACT_BYTES, "", bytes);
}

void
fact_bool(struct facts *facts, const char *key, bool value)
{
	add(facts, key, FACT_BOOL, "", value);
}

void
fact_item(struct facts *facts, const char *key, const char *text)
{
	add(facts, key, text ? FACT_ITEM : FACT_EMPTY, text ? text : "", 0);
}
