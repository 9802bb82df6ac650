/*
 * The first instruction of this program tells the time: CLOCK_MONOTONIC in ns, one line, and it
 * ends. Without a libc, whose start would be counted as well. With an argument it waits instead
 * until it is ended, for the bench of memory.
 */
#if defined(__x86_64__)
static long
call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static long
call(long number, long a, long b, long c)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
}
#else
#error "no system call here for this architecture"
#endif

#include <sys/syscall.h>
#include <time.h>

__attribute__((used)) _Noreturn void
begin(const long *stack)
{
	static const struct timespec long_time = {.tv_sec = 1 << 30};
	struct timespec now;
	char text[32];
	unsigned long long ns;
	int at = sizeof(text);

	call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
	while (stack[0] > 1)
		call(SYS_nanosleep, (long)&long_time, 0, 0);
	ns = (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec;
	text[--at] = '\n';
	for (; ns; ns /= 10)
		text[--at] = (char)('0' + ns % 10);
	call(SYS_write, 1, (long)(text + at), (long)sizeof(text) - at);
	for (;;)
		call(SYS_exit_group, 0, 0, 0);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
#else
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl begin\n");
#endif
