#include "spawner.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "runnerd/keeper/keeper.h"

/* CLONE_VM and CLONE_VFORK: no page table is copied, and the child's errno comes back through
 * memory. The child runs on a stack of its own below. */
enum { STACK_BYTES = 32768 };

struct start {
	const struct keeper_start *with;
	int failure; /* errno of what failed in the child */
	const char *call;
};

static _Noreturn void
give_up(struct start *start, const char *call)
{
	start->failure = errno;
	start->call = call;
	_exit(127);
}

/* In the child, which shares memory with the suspended parent: system calls only. */
static _Noreturn void
become_keeper(struct start *start)
{
	static char name[] = "keeper";
	char *argv[] = {name, NULL}, *envp[] = {NULL};
	sigset_t none;
	int binary;

	close(SPAWNER_FD_GENERATION);
	for (unsigned i = 1; i < start->with->cgroup_count; i++)
		if (write(start->with->cgroups[i], "0", 1) != 1)
			give_up(start, "entering the session's cgroups of v1");
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	binary = fcntl(SPAWNER_FD_KEEPER, F_DUPFD_CLOEXEC, KEEPER_FD_NET + 1);
	if (binary < 0 || dup2(start->with->channel, KEEPER_FD_BOOT) < 0 ||
	    dup2(SPAWNER_FD_INIT, KEEPER_FD_INIT) < 0 || dup2(start->with->net, KEEPER_FD_NET) < 0)
		give_up(start, "dup2");
	if (close_range(KEEPER_FD_NET + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		give_up(start, "close_range");
	execveat(binary, "", argv, envp, AT_EMPTY_PATH);
	give_up(start, "execveat of the keeper");
}

/* The system call and the switch to the new stack in one piece: the child must not return into
 * a frame that the parent still uses. Returns in the parent only. */
#if defined(__x86_64__)
static long
clone_keeper(struct clone_args *args, struct start *start)
{
	long result;

	__asm__ volatile("movq %[start], %%r12\n\t"
			 "syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "movq %%r12, %%rdi\n\t"
			 "call *%[child]\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "0"((long)SYS_clone3), "D"(args),
			   "S"(sizeof(*args)), [start] "r"(start), [child] "b"(become_keeper)
			 : "rcx", "r11", "r12", "memory");
	return result;
}
#elif defined(__aarch64__)
static long
clone_keeper(struct clone_args *args, struct start *start)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = (long)sizeof(*args);
	register long x19 __asm__("x19") = (long)start;
	register long x20 __asm__("x20") = (long)become_keeper;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "mov x0, x19\n\t"
			 "blr x20\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x19), "r"(x20)
			 : "memory", "x30");
	return x0;
}
#else
#error "the spawner knows how to clone on x86_64 and aarch64"
#endif

pid_t
spawner_clone(const struct keeper_start *with, int *pidfd, struct error *error)
{
	static uint8_t stack[STACK_BYTES] __attribute__((aligned(64)));
	struct start start = {.with = with};
	struct clone_args args = {
	    .flags = CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_VM | CLONE_VFORK,
	    .pidfd = (uintptr_t)pidfd,
	    .exit_signal = SIGCHLD,
	    .stack = (uintptr_t)stack,
	    .stack_size = sizeof(stack),
	    .cgroup = (unsigned)with->cgroups[0],
	};
	long pid = clone_keeper(&args, &start);

	if (pid < 0)
		return error_errno(error, (int)-pid,
				   "clone3 of the keeper into the session's cgroup");
	if (start.failure) {
		close_fd(pidfd);
		return error_errno(error, start.failure, "%s", start.call);
	}
	return (pid_t)pid;
}
