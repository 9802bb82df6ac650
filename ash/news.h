/*
 * What happened, in one line for people and one JSON object for programs: a SESSION_EVENT or a
 * NOTICE. `ash events` prints them, `ash top` shows the last ones.
 */
#ifndef ASH_NEWS_H
#define ASH_NEWS_H

#include "common/json.h"
#include "common/proto.h"

enum { NEWS_TEXT_MAX = 3071 };

/* "session.running", "agent.paused"; NULL for what is no news. */
const char *news_kind(const struct msg *msg);
/* The agent that it is about; "" for none. */
const char *news_agent(const struct msg *msg);
uint64_t news_at_ms(const struct msg *msg);
/* What comes after time and kind, not cleaned: NEWS_TEXT_MAX + 1 bytes; returns text. */
const char *news_text(const struct msg *msg, char *text);
/* One object; every key is always there. */
void news_json(const struct msg *msg, struct json *json);

#endif
