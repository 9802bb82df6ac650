/*
 * What the sweep and the programs that it ends share: the head of the file that is their standard
 * error, mapped by each at its start, because most are confined and may not open or say anything
 * when they come to a point. What is logged follows it.
 */
#ifndef SCARAB_TESTS_CRASH_TABLE_H
#define SCARAB_TESTS_CRASH_TABLE_H

#include <stdatomic.h>
#include <stdint.h>

#define CRASH_MAGIC "scarab crash table"

enum { CRASH_POINT_MAX = 200, CRASH_LOG_MAX = 1 << 18 };

struct crash_table {
	char magic[32];
	_Atomic uint32_t held;       /* somebody stands at the armed point */
	_Atomic uint32_t let_go;     /* and may go on */
	_Atomic uint32_t hits;       /* of the armed point */
	uint32_t nth;                /* the hit that is meant; 0: none */
	char armed[CRASH_POINT_MAX]; /* "NAME" or "NAME DETAIL" */
	_Atomic uint32_t used;
	char log[CRASH_LOG_MAX]; /* a line for each point that was passed */
};

#endif
