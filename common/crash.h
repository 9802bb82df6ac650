/*
 * Named points at which a test ends a process: the begin and the end of each step of set-up and
 * teardown, what is written durably, and what is renamed. A new step gets points of its own; the
 * sweep (tests/system/crash_sweep.sh) finds them in the source and in what sessions pass.
 *
 * In the programs that are installed a point is nothing: no instruction, no name. Those that the
 * sweep runs are linked with tests/crash/points.c, and only what names a point is compiled again.
 */
#ifndef SCARAB_CRASH_H
#define SCARAB_CRASH_H

#ifdef SCARAB_CRASH_POINTS
void crash_point(const char *name, const char *detail);
#define CRASH_POINT(name) crash_point(name, "")
/* detail: which of several things the same lines do; the same in every session. */
#define CRASH_POINT_OF(name, detail) crash_point(name, detail)
#else
#define CRASH_POINT(name) ((void)0)
#define CRASH_POINT_OF(name, detail) ((void)sizeof(detail))
#endif

#endif
