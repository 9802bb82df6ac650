/* Times and sizes as text. Any process. */
#ifndef SCARAB_TIMEFMT_H
#define SCARAB_TIMEFMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RFC3339_LEN = 24 /* 2026-01-02T03:04:05.678Z */ };

/* The last moment with a year of four digits, 9999-12-31T23:59:59.999Z: what is later is written as
 * this. */
#define RFC3339_LAST_MS UINT64_C(253402300799999)

/* UTC with milliseconds into at least RFC3339_LEN + 1 bytes; returns text. */
const char *rfc3339_format(uint64_t epoch_ms, char *text);
/* With any offset and 0-9 fraction digits (cut to ms). */
bool rfc3339_parse(const char *text, uint64_t *epoch_ms);
/* "500ms", "15m", "2h30m"? no: one number and one unit ms|s|m|h|d. */
bool duration_parse(const char *text, uint64_t *ms);
/* As duration_parse() reads it, in the largest unit that fits: "15m"; at least 32 bytes. */
const char *period_format(uint64_t ms, char *text);
/* "1Gi", "64Ki", "2Mi", "4096". */
bool size_parse(const char *text, uint64_t *bytes);
/* For people: "3.2 s", "120 ms", "2 h 5 min"; at least 32 bytes. */
const char *duration_format(uint64_t ms, char *text);
const char *size_format(uint64_t bytes, char *text);
/* Local time for people, "2026-01-02 03:04:05"; at least 32 bytes. */
const char *local_format(uint64_t epoch_ms, char *text);

#endif
