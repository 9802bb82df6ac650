/*
 * Names of a layer's entries: one form, without "." and slashes too many, below the root.
 */
#ifndef SCARAB_UNPACK_NAME_H
#define SCARAB_UNPACK_NAME_H

#include "common/error.h"
#include "common/limits.h"

enum { NAME_DEPTH_MAX = 128, COMPONENT_MAX = 255 };

/* "" is the root. -1 with error that shows the name as text. */
int name_normalise(const char *raw, char name[PATH_LEN_MAX + 1], struct error *error);
/* Where its last component begins; the rest, without its slash, goes to parent. */
const char *name_split(const char *name, char parent[PATH_LEN_MAX + 1]);
/* For a message: bytes that are no printable ASCII become '?', what is long is cut. */
const char *name_shown(const char *raw, char shown[128]);

enum whiteout { WHITEOUT_NONE, WHITEOUT_NAME, WHITEOUT_OPAQUE };

/* What a last component means; hidden: the name that it hides. -1 with error for one that hides
 * nothing. */
int name_whiteout(const char *base, const char **hidden, struct error *error);

#endif
