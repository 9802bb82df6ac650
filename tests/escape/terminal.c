/* Typing into a terminal, its own: TIOCSTI, TIOCLINUX and TIOCSETD, also with bits set that the
 * kernel does not read (CVE-2019-10063). */
#include <sys/ioctl.h>

#include "escape.h"

static const uint64_t high[] = {0, UINT64_C(1) << 32, UINT64_C(0xffffffff) << 32};

static int
own_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char name[64];

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)) != 0)
		return -1;
	setsid();
	slave = open(name, O_RDWR | O_CLOEXEC);
	if (slave >= 0)
		ioctl(slave, TIOCSCTTY, 0);
	return slave;
}

static int
in_session(uint64_t argument)
{
	int terminal = own_terminal(), discipline = 0;
	char subcode = 6; /* the state of the shift keys */

	(void)argument;
	if (terminal < 0) {
		printf("no terminal: %s\n", strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(high) / sizeof(high[0]); i++) {
		attempt(syscall(SYS_ioctl, terminal, TIOCSTI | high[i], "x") == 0, "TIOCSTI %#llx",
			(unsigned long long)high[i]);
		attempt(syscall(SYS_ioctl, terminal, TIOCLINUX | high[i], &subcode) == 0,
			"TIOCLINUX %#llx", (unsigned long long)high[i]);
		attempt(syscall(SYS_ioctl, terminal, TIOCSETD | high[i], &discipline) == 0,
			"TIOCSETD %#llx", (unsigned long long)high[i]);
	}
	return escapes ? 0 : EPERM;
}

int
main(void)
{
	attempt_in_child(in_session, 0, "a terminal's forbidden requests");
	return verdict();
}
