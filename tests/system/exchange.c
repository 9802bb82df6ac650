/* exchange COUNT A B: exchanges the two names COUNT times, as fast as it can; "ready" after the
 * first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	long count = argc == 4 ? strtol(argv[1], NULL, 10) : 0;

	for (long i = 0; i < count; i++) {
		if (renameat2(AT_FDCWD, argv[2], AT_FDCWD, argv[3], RENAME_EXCHANGE) < 0) {
			fprintf(stderr, "exchange: %s and %s: %s\n", argv[2], argv[3],
				strerror(errno));
			return 1;
		}
		if (i == 0)
			printf("ready\n"), fflush(stdout);
	}
	return count == 0;
}
