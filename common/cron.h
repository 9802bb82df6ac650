/*
 * Cron expressions (agent-manifest(5)) as bit masks: the parser, and which dates an expression
 * names. Pure arithmetic over the proleptic Gregorian calendar; time zones are schedd's.
 */
#ifndef SCARAB_CRON_H
#define SCARAB_CRON_H

#include <stdbool.h>
#include <stdint.h>

enum { CRON_TEXT_MAX = 255, CRON_WHY_SIZE = 256 };

struct cron {
	uint64_t seconds, minutes; /* bit n: value n; seconds of five fields: bit 0 */
	uint32_t hours, days;      /* days: bits 1 … 31 */
	uint32_t nearest;          /* nW: bit n */
	uint16_t months;           /* bits 1 … 12 */
	uint8_t weekdays;          /* bits 0 (Sunday) … 6 */
	uint8_t last;              /* nL in the day of week: its last in the month */
	uint8_t nth[6];            /* [n]: weekdays of d#n, n from 1 to 5 */
	bool has_seconds : 1;      /* six fields */
	bool has_nth : 1;
	bool last_day : 1;     /* L */
	bool last_workday : 1; /* LW */
	/* The field begins with * or is ? */
	bool minute_star : 1, hour_star : 1, day_star : 1, weekday_star : 1;
};
/* A scheduler holds a million of them (schedd/triggers.h). */
_Static_assert(sizeof(struct cron) == 40, "a prepared expression stays small");

/* False with why ("must …"), also for an expression that can never fire. */
bool cron_parse(const char *text, struct cron *cron, char why[CRON_WHY_SIZE]);
/* The days of the month (1 … 12) that the expression names: bits 1 … 31. */
uint32_t cron_days(const struct cron *cron, int year, unsigned month);

unsigned days_in_month(int year, unsigned month);
unsigned weekday_of(int year, unsigned month, unsigned day); /* 0: Sunday */

#endif
