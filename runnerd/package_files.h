/*
 * The files of packages, made of an index and a memfd of bytes that came from an operator: names
 * are checked, bytes are copied and not looked at. A child of runnerd's, as root, in a directory
 * that nobody else writes.
 */
#ifndef SCARAB_RUNNERD_PACKAGE_FILES_H
#define SCARAB_RUNNERD_PACKAGE_FILES_H

#include "common/error.h"

/* dir: empty; index: a sealed memfd of PACKAGE_FILE, content: what it counts in; all borrowed. All
 * is on the disk when it returns 0; -1 with error. */
int package_files_make(int dir, int index, int content, struct error *error);

#endif
