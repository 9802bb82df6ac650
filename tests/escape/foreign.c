/* The system call tables of other architectures: int 0x80 and x32 on x86-64. */
#include "escape.h"

#ifdef __x86_64__
enum { GETPID_32 = 20, GETPID_64 = 39, X32 = 0x40000000 };

static int
by_interrupt(uint64_t argument)
{
	long result = GETPID_32;

	(void)argument;
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
	return result > 0 ? 0 : ENOSYS;
}

static int
by_x32(uint64_t argument)
{
	(void)argument;
	return syscall(X32 | GETPID_64) > 0 ? 0 : errno;
}

int
main(void)
{
	attempt_in_child(by_interrupt, 0, "int 0x80");
	attempt_in_child(by_x32, 0, "x32");
	return verdict();
}
#else
int
main(void)
{
	return verdict();
}
#endif
