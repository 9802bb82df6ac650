/* The user of an image, by its own /etc/passwd and /etc/group. */
#ifndef SCARAB_UNPACK_USER_H
#define SCARAB_UNPACK_USER_H

#include <stdint.h>

#include "common/error.h"

/* user: NAME, UID, each with :GROUP or :GID. Files may be empty (-1: none). -1 with error. */
int user_find(const char *user, int passwd, int group, uint32_t *uid, uint32_t *gid,
	      struct error *error);

#endif
