/*
 * The directories of secrets of one sandbox, each a tmpfs of its own: /run/credentials, root's,
 * which the program may enter and read but not write, with one file of mode 0400 for each secret,
 * the program's; and in a plugin's sandbox with an env_template /run/environment, where the files
 * are root's too and the program enters nothing. Nothing of them exists outside the sandbox's mount
 * namespace.
 */
#ifndef SCARAB_RUNNERD_CREDENTIALS_H
#define SCARAB_RUNNERD_CREDENTIALS_H

#include <sys/mount.h>

#include "secret_uses.h"
#include "session.h"

#define CREDENTIALS_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* Puts into the recipe of a sandbox (server empty: the agent's) what the plan asks for it, uid
 * inside for the files, and asks secretd for the values. A refusal of the policy is -1 with error.
 */
int credentials_place(struct session *s, struct recipe *recipe, const char *server, uint32_t uid,
		      struct error *error);

/* An empty file below dir (a mount or a directory, borrowed), to be written by who gets the
 * descriptor; one that is there is an error. uid: inside. The descriptor, or -errno. */
int credentials_file(const struct session *s, int dir, const char *name, enum secret_place place,
		     uint32_t uid);
/* The directory in a sandbox that lives, found through its first process. The descriptor, or
 * -errno: -ESRCH when that has ended. */
int credentials_dir(const struct session *s, const struct procid *init, enum secret_place place);
/* The file's name while a new value is written: ".NAME.new". */
const char *credentials_new_name(const char *name, char *text, size_t size);

#endif
