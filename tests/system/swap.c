/*
 * swap A B COUNT: exchanges the two names COUNT times, each time at once. Prints how many times it
 * was done.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXCHANGE = 2 };

int
main(int argc, char **argv)
{
	long count, done = 0;

	if (argc != 4)
		return 2;
	count = strtol(argv[3], NULL, 10);
	while (done < count &&
	       syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], EXCHANGE) == 0)
		done++;
	printf("%ld\n", done);
	return done == count ? 0 : 1;
}
