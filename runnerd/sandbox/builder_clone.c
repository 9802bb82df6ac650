#include <linux/sched.h>
#include <sys/syscall.h>

#include "builder.h"
#include "common/cleanup.h"
#include "namespaces.h"

/* CLONE_PARENT makes the keeper its parent, which will read its status; a child of CLONE_PARENT
 * ends with its maker's exit signal, so none is named. The cgroup namespace comes after, in the
 * child: its root is the caller's cgroup, which for the child is the session's leaf. */
pid_t
builder_clone(int cgroup, int *pidfd)
{
	struct clone_args args = {
	    .flags = CLONE_PARENT | NAMESPACES_CLONED | CLONE_PIDFD | CLONE_INTO_CGROUP,
	    .pidfd = (uintptr_t)pidfd,
	    .cgroup = (unsigned)cgroup,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}
