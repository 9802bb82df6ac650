/* The machine's name and time, its modules, swap and accounts: arguments that would change nothing
 * if they were let through. */
#include <sys/time.h>
#include <sys/timex.h>

#include "escape.h"

/* Anything but EPERM and ENOSYS says that the kernel looked at the arguments. */
static void
reach(const char *name, long number, long first, long second, long third)
{
	long rc = syscall(number, first, second, third);

	attempt(rc >= 0 || (errno != EPERM && errno != ENOSYS), "%s", name);
}

int
main(void)
{
	struct timex nothing = {.modes = 0};
	char name[65] = "";

	gethostname(name, sizeof(name));
	reach("sethostname", SYS_sethostname, (long)name, (long)strlen(name), 0);
	reach("adjtimex that only asks", SYS_adjtimex, (long)&nothing, 0, 0);
	reach("settimeofday of nothing", SYS_settimeofday, 0, 0, 0);
	reach("init_module of nothing", SYS_init_module, 0, 0, 0);
	reach("swapoff of nothing", SYS_swapoff, 0, 0, 0);
	reach("acct of a bad address", SYS_acct, 1, 0, 0);
	reach("quotactl of nothing", SYS_quotactl, -1, 0, 0);
	reach("syslog: the ring's size", SYS_syslog, 10, 0, 0);
	reach("kexec_load of nothing", SYS_kexec_load, 0, 1L << 32, 0);
#ifdef __x86_64__
	reach("iopl", SYS_iopl, 0, 0, 0);
	reach("ioperm of nothing", SYS_ioperm, 0, 0, 0);
	reach("modify_ldt that reads", SYS_modify_ldt, 0, 0, 0);
#endif
	reach("personality that reads implies execute", SYS_personality, 0x0400000, 0, 0);
	return verdict();
}
