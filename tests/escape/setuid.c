/* A program of root's with the setuid bit, which lies beside this one and prints whose it is. */
#include "escape.h"

static int
as_whom(uint64_t program)
{
	char *argv[] = {(char *)(uintptr_t)program, (char *)"tell", NULL};

	execv(argv[0], argv);
	return errno;
}

int
main(int argc, char **argv)
{
	char path[4096];

	if (argc > 1)
		return geteuid() == getuid() && getegid() == getgid() ? EPERM : 0;
	snprintf(path, sizeof(path), "%s.root", argv[0]);
	if (access(path, X_OK) < 0)
		return verdict();
	attempt_in_child(as_whom, (uintptr_t)path, "a setuid program");
	attempt(setuid(0) == 0 && geteuid() != 1000, "setuid to 0");
	attempt(setresuid(0, 0, 0) == 0, "setresuid to 0");
	return verdict();
}
