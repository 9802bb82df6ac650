/* Signals to process 1 and to anything that is no child of this program: signal 0 only. */
#include <signal.h>

#include "escape.h"

enum { INIT = 1, PIDS = 100000 };

int
main(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, INIT, 0);
	int others = 0;

	attempt(kill(INIT, 0) == 0, "kill of process 1");
	attempt(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0,
		"pidfd_send_signal to process 1");
	attempt(syscall(SYS_tgkill, INIT, INIT, 0) == 0, "tgkill of process 1");
	errno = ESRCH;
	for (int pid = 2; pid < PIDS; pid++)
		others += pid != getpid() && kill(pid, 0) == 0;
	attempt(others > 0, "kill of %d other processes", others);
	return verdict();
}
