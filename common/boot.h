/*
 * What the processes that stand beside a session (keeper, broker, egress) do the same way while
 * they are still root: the start of a process, the first message and its descriptors, and the
 * listening socket by which a restarted runnerd reaches them.
 */
#ifndef SCARAB_BOOT_H
#define SCARAB_BOOT_H

#include <sys/types.h>

#include "error.h"
#include "proto.h"

struct boot {
	const char *name; /* the process's, for people: at most 15 bytes, prctl(2) */
	int fd;           /* its end of the channel, side B; its peer is runnerd */
	enum channel_kind kind;
	enum role role;
};

/* First thing in main(): no dump, no signal of a terminal or of a pipe, a log on standard error,
 * and no descriptor from boot->fd to last that an exec would inherit. */
void boot_begin(const struct boot *boot, int last);

/* The greeting; then one message of this type, no other. 0, or -1 with error: ERR_UNREACHABLE when
 * runnerd is gone. */
int boot_greet(const struct boot *boot, struct error *error);
int boot_receive(const struct boot *boot, enum msg_type type, struct msg *msg, struct error *error);

struct boot_fd {
	const char *name; /* for messages */
	int *fd;          /* where it goes: -1 when an optional one did not come */
	mode_t type;      /* S_IFREG, S_IFSOCK, S_IFDIR (also one opened with O_PATH); 0: any */
	bool optional;
};

/* Takes the descriptors of msg in this order, and looks at what each is. 0, or -1 with error. */
int boot_take_fds(struct msg *msg, const struct boot_fd *wanted, size_t count, struct error *error);

/* Becomes uid without a capability, rooted in the empty directory root, under the prebuilt seccomp
 * program and Landlock, with so many descriptors at most and no new process; takes both
 * descriptors. 0, or -1 with error. */
int boot_drop(uid_t uid, int root, int program, unsigned open_files, struct error *error);

/* After the drop, and only then: SO_PEERCRED tells who called listen(). Non-blocking. whose: for
 * messages. 0, or -1 with error. */
int boot_listen(int fd, int backlog, const char *whose, struct error *error);

/* Says why it cannot go on, in the log and to runnerd when that can still hear it; the exit status.
 */
int boot_fail(const struct boot *boot, const struct error *error);

#endif
