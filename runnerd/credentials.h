/*
 * The tmpfs at /run/credentials of one sandbox: root's directory, which the agent may enter and
 * read but not write, with one file of mode 0400 for each secret, the agent's. Nothing of it exists
 * outside the sandbox's mount namespace.
 */
#ifndef SCARAB_RUNNERD_CREDENTIALS_H
#define SCARAB_RUNNERD_CREDENTIALS_H

#include <sys/mount.h>

#include "session.h"

#define CREDENTIALS_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* A detached mount with room for so many secrets; not swapped where the kernel can (6.4). The
 * descriptor, or -1 with error. */
int credentials_mount(uint32_t base_uid, size_t count, struct error *error);
/* An empty file below it (a mount or a directory, borrowed), to be written by who gets the
 * descriptor; one that is there is an error. The descriptor, or -errno. */
int credentials_file(int dir, const char *name, uint32_t base_uid);
/* The directory in a sandbox that lives, found through its first process. The descriptor, or
 * -errno: -ESRCH when that has ended. */
int credentials_dir(const struct session *s);
/* The file's name while a new value is written: ".NAME.new". */
const char *credentials_new_name(const char *name, char *text, size_t size);

static inline const char *
credential_name(const struct manifest_credential *credential)
{
	return credential->as ? credential->as : credential->name;
}

#endif
