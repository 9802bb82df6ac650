/* A fork bomb, of processes and of threads: at most COUNT at once, and none for long. */
#include <pthread.h>
#include <semaphore.h>

#include "escape.h"

enum { COUNT = 600, SECONDS = 20 };

static pid_t children[COUNT];

static int
make_processes(void)
{
	int made = 0;

	while (made < COUNT && (children[made] = fork()) >= 0) {
		if (children[made++])
			continue;
		prctl(PR_SET_PDEATHSIG, 9);
		alarm(SECONDS);
		pause();
		_exit(0);
	}
	return made;
}

static void *
wait_for_end(void *end)
{
	sem_wait(end);
	return NULL;
}

static int
make_threads(void)
{
	static pthread_t threads[COUNT];
	pthread_attr_t small;
	int made = 0, rc = 0;
	sem_t end;

	sem_init(&end, 0, 0);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	while (made < COUNT && !(rc = pthread_create(&threads[made], &small, wait_for_end, &end)))
		made++;
	for (int i = 0; i < made; i++)
		sem_post(&end);
	for (int i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
	errno = rc;
	return made;
}

int
main(void)
{
	int made, number;

	alarm(SECONDS);
	made = make_processes();
	number = errno;
	for (int i = 0; i < made; i++)
		kill(children[i], 9);
	while (wait(NULL) > 0)
		;
	errno = number;
	attempt(made == COUNT, "%d processes at once, %d were made", COUNT, made);
	made = make_threads();
	attempt(made == COUNT, "%d threads at once, %d were made", COUNT, made);
	return verdict();
}
