/* sd_notify(3) and sd_listen_fds(3) by hand: no libsystemd in any process. agentd only. */
#ifndef SCARAB_NOTIFY_H
#define SCARAB_NOTIFY_H

/* Takes NOTIFY_SOCKET out of the environment; owned by the caller, NULL when there is none. */
char *notify_address(void);
/* Sends lines to it ("READY=1\nSTATUS=…"). address NULL: nothing is sent. 0 or -errno. */
int notify_send(const char *address, const char *lines);
/* "RELOADING=1" with the time that systemd wants beside it. */
int notify_reloading(const char *address);

/* Takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment. The one descriptor
 * passed, moved above the fixed ones; -ENOENT: none; -EINVAL: not exactly one. */
int notify_listener(void);

#endif
