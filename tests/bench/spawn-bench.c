/*
 * spawn-bench ROUNDS JSON <COMMANDS
 *
 * Times whole commands from posix_spawn to their end, interleaved: each round runs every command
 * once, so that a busy moment of the machine hits all of them. COMMANDS has lines
 *
 *   NAME|EVERY|PROGRAM ARGUMENT…      (run in each EVERYth round; arguments are split at spaces)
 *
 * Prints a table with medians and the ratio of the first command to each, and writes JSON.
 * A command that fails ends the bench.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { COMMANDS_MAX = 16, ARGUMENTS_MAX = 64, ROUNDS_MAX = 10000 };

struct command {
	char *name;
	char *argv[ARGUMENTS_MAX + 1];
	int every, count;
	double *us;
};

static double
now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int
read_command(struct command *command, int rounds)
{
	static char line[16384];
	char *name, *every, *word;
	int argc = 0;

	if (!fgets(line, sizeof(line), stdin))
		return 0;
	line[strcspn(line, "\n")] = '\0';
	name = strtok(line, "|");
	every = strtok(NULL, "|");
	while ((word = strtok(NULL, argc ? " " : "| ")) && argc < ARGUMENTS_MAX)
		command->argv[argc++] = strdup(word);
	if (!name || !every || !argc)
		return 0;
	command->name = strdup(name);
	command->every = atoi(every);
	command->us = calloc((size_t)rounds, sizeof(*command->us));
	return command->name && command->us && command->every > 0;
}

static void
time_once(struct command *command, posix_spawn_file_actions_t *quiet)
{
	double began = now_us();
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, command->argv[0], quiet, NULL, command->argv, environ) ||
	    waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "spawn-bench: %s failed\n", command->name);
		exit(1);
	}
	command->us[command->count++] = now_us() - began;
}

static int
by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* Of sorted times. */
static double
quantile(const struct command *command, double part)
{
	return command->us[(int)(part * (command->count - 1) + 0.5)];
}

static void
print_table(const struct command *commands, int count)
{
	printf("%-34s %6s %10s %10s %10s %8s\n", "whole command", "runs", "median ms", "p10 ms",
	       "p90 ms", "ratio");
	for (int i = 0; i < count; i++)
		printf("%-34s %6d %10.2f %10.2f %10.2f %8.3f\n", commands[i].name,
		       commands[i].count, quantile(&commands[i], 0.5) / 1e3,
		       quantile(&commands[i], 0.1) / 1e3, quantile(&commands[i], 0.9) / 1e3,
		       quantile(&commands[0], 0.5) / quantile(&commands[i], 0.5));
	printf("ratio: the median of the first row to this row's\n");
}

static int
write_json(const char *path, const struct command *commands, int count)
{
	FILE *stream = fopen(path, "we");

	if (!stream)
		return -1;
	fprintf(stream, "[");
	for (int i = 0; i < count; i++)
		fprintf(stream,
			"%s\n {\"name\":\"%s\",\"runs\":%d,\"median_us\":%.1f,\"p10_us\":%.1f,"
			"\"p90_us\":%.1f,\"first_to_this\":%.4f}",
			i ? "," : "", commands[i].name, commands[i].count,
			quantile(&commands[i], 0.5), quantile(&commands[i], 0.1),
			quantile(&commands[i], 0.9),
			quantile(&commands[0], 0.5) / quantile(&commands[i], 0.5));
	fprintf(stream, "\n]\n");
	return fclose(stream);
}

int
main(int argc, char **argv)
{
	struct command commands[COMMANDS_MAX] = {0};
	posix_spawn_file_actions_t quiet;
	int rounds = argc == 3 ? atoi(argv[1]) : 0, count = 0;

	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: spawn-bench ROUNDS JSON <COMMANDS\n");
		return 2;
	}
	while (count < COMMANDS_MAX && read_command(&commands[count], rounds))
		count++;
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < count; i++)
			if (round % commands[i].every == 0)
				time_once(&commands[i], &quiet);
	for (int i = 0; i < count; i++)
		qsort(commands[i].us, (size_t)commands[i].count, sizeof(double), by_size);
	print_table(commands, count);
	return write_json(argv[2], commands, count) ? 1 : 0;
}
