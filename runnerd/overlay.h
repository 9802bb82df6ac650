/*
 * The overlay of a home in mode journal: the home below, a session's upper layer above it, both of
 * one file system. What an agent does differently upon it is in agent-manifest(5).
 */
#ifndef SCARAB_RUNNERD_OVERLAY_H
#define SCARAB_RUNNERD_OVERLAY_H

/* A detached mount (no setuid, no devices) over these directories, borrowed. fd or -errno. */
int overlay_mount(int lower, int upper, int work);

#endif
