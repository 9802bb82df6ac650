/* Raising what bounds it: limits, priorities, capabilities, the kernel's choice whom to kill. */
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>

#include "escape.h"

static int
raise_limit(uint64_t which)
{
	struct rlimit limit;

	getrlimit((__rlimit_resource_t)which, &limit);
	if (limit.rlim_max == RLIM_INFINITY)
		return EINVAL;
	limit.rlim_max++;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit((__rlimit_resource_t)which, &limit) == 0 ? 0 : errno;
}

static int
raise_priority(uint64_t argument)
{
	(void)argument;
	return setpriority(PRIO_PROCESS, 0, -1) == 0 ? 0 : errno;
}

static int
become_realtime(uint64_t argument)
{
	struct sched_param param = {.sched_priority = 1};

	(void)argument;
	return syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param) == 0 ? 0 : errno;
}

static int
spare_me(uint64_t argument)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	(void)argument;
	if (fd < 0)
		return errno;
	return write(fd, "-1", 2) == 2 ? 0 : errno;
}

static int
gain_capability(uint64_t argument)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{.effective = 1 << CAP_CHOWN,
						  .permitted = 1 << CAP_CHOWN,
						  .inheritable = 1 << CAP_CHOWN}};

	(void)argument;
	return syscall(SYS_capset, &head, sets) == 0 ? 0 : errno;
}

int
main(void)
{
	attempt_in_child(raise_limit, RLIMIT_NOFILE, "more open files");
	attempt_in_child(raise_limit, RLIMIT_CORE, "core dumps");
	attempt_in_child(raise_priority, 0, "a better priority");
	attempt_in_child(become_realtime, 0, "real-time scheduling");
	attempt_in_child(spare_me, 0, "a better oom_score_adj");
	attempt_in_child(gain_capability, 0, "a capability");
	return verdict();
}
