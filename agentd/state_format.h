/*
 * STATE_DIR/format: the number of the form in which the state's records are written, one line. A
 * build refuses state of a higher number before it touches any of it: what an older one does not
 * know of it would take for damage, or undo. agentd only; the packages read the file too, and are
 * not installed over newer state.
 */
#ifndef SCARAB_STATE_FORMAT_H
#define SCARAB_STATE_FORMAT_H

#include "common/config.h"

/* Grows with each record that the build before could not read. */
enum { STATE_FORMAT = 1 };

/* Reads the number, and writes this build's where it is lower or missing. state_dir exists. -1
 * with error: ERR_CONFLICT when the state is newer. */
int state_format_check(const struct config *config, struct error *error);

#endif
