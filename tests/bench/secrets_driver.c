// with: secretd/catalog.c secretd/chain.c secretd/files.c secretd/hand.c secretd/head.c
// with: secretd/index.c secretd/keying.c secretd/keys.c secretd/macs.c secretd/operators.c
// with: secretd/requests.c secretd/sealed.c secretd/signature.c secretd/sources.c
// with: secretd/spellings.c secretd/store.c secretd/writer.c
/*
 * secrets_driver DIRECTORY SECRETS JSON: what a store of that many secrets costs, in µs: one more
 * value, a list for each secret in it, and a hand-over with both of its messages, on the processor
 * of one process that is secretd and runnerd; what a disk adds is the disk's. Prints one line, and
 * an object into the file JSON.
 */
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "secretd/hand.h"
#include "secretd/requests.h"
#include "secretd/spellings.h"

enum { ROUNDS = 2000, LISTED = 100000 };

struct bench {
	struct loop *loop;
	struct secretd s;
	struct channel *runnerd;
	uint64_t answers;
};

static _Noreturn void
die(const char *what, const struct error *error)
{
	fprintf(stderr, "secrets_driver: %s: %s\n", what, error->why);
	exit(1);
}

static void
answered(struct channel *channel, struct msg *msg, void *arg)
{
	struct bench *bench = arg;

	(void)channel;
	if (msg->type != MSG_SECRET_HANDED)
		exit(2);
	bench->answers++;
	loop_stop(bench->loop, 0);
}

static void
greeted(struct channel *channel, void *arg)
{
	struct bench *bench = arg;

	(void)channel;
	loop_stop(bench->loop, 0);
}

static void
ended(struct channel *channel, const struct error *error, void *arg)
{
	(void)channel;
	(void)error;
	(void)arg;
	exit(3);
}

static const struct channel_ops ops = {.opened = greeted, .message = answered, .closed = ended};

static void
not_full(bool full, void *arg)
{
	(void)full;
	(void)arg;
}

static void
written(void *arg)
{
	(void)arg;
}

static const struct writer_ops log_ops = {.full = not_full, .durable = written};

static void
set(struct bench *bench, unsigned number)
{
	struct error error = ERROR_INIT;
	uint64_t version;
	char name[32];

	snprintf(name, sizeof(name), "secret-%u", number);
	memset(store_value(bench->s.store), 'v', 64);
	if (store_set(bench->s.store, name, 64, &version, &error) < 0)
		die("set", &error);
}

static void
grant(struct bench *bench, unsigned number)
{
	struct grant granted = {.agent = "agent"};
	struct error error = ERROR_INIT;
	char name[32];

	snprintf(name, sizeof(name), "secret-%u", number);
	if (store_grant(bench->s.store, name, &granted, &error) < 0)
		die("grant", &error);
}

static void
hand(struct bench *bench, unsigned number, int fd)
{
	uint64_t before = bench->answers;
	struct msg msg;

	msg_init(&msg, MSG_SECRET_HAND);
	strcpy(msg.secret_hand.agent, "agent");
	msg.secret_hand.digest_len = PLAN_DIGEST_BYTES;
	snprintf(msg.secret_hand.secret, sizeof(msg.secret_hand.secret), "secret-%u", number);
	msg_add_fd(&msg, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	channel_send(bench->runnerd, &msg);
	while (bench->answers == before)
		loop_run(bench->loop);
}

/* Of the processor, so that neighbours do not count; flushes to a disk do not either. */
static uint64_t
processor_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double
since_us(uint64_t began, unsigned rounds)
{
	return (double)(processor_ns() - began) / 1000 / rounds;
}

static void
list(struct bench *bench)
{
	static const struct msg_op_secret_list all = {0};
	struct rows *rows = rows_new("secrets");
	int fd;

	if (!rows || list_rows(&bench->s, rows, &all) < 0)
		exit(4);
	fd = rows_seal(rows);
	if (fd < 0)
		exit(4);
	close(fd);
}

static void
measure(struct bench *bench, unsigned secrets, FILE *json)
{
	int fd = open("/dev/shm", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	/* As many rows in all, whatever the store holds. */
	unsigned lists = LISTED / secrets;
	double set_us, list_us, hand_us;
	uint64_t began = processor_ns();

	for (unsigned i = 0; i < ROUNDS; i++)
		set(bench, i % secrets);
	set_us = since_us(began, ROUNDS);
	began = processor_ns();
	for (unsigned i = 0; i < lists; i++)
		list(bench);
	list_us = since_us(began, lists * secrets);
	hand(bench, 0, fd);
	began = processor_ns();
	for (unsigned i = 0; i < ROUNDS; i++)
		hand(bench, (i * 7919) % secrets, fd);
	hand_us = since_us(began, ROUNDS);
	printf("%6u secrets: set %.0f us, list %.2f us each, hand-over %.1f us\n", secrets, set_us,
	       list_us, hand_us);
	fprintf(json, "{\"secrets\":%u,\"set_us\":%.1f,\"list_us\":%.3f,\"hand_us\":%.1f}\n",
		secrets, set_us, list_us, hand_us);
}

int
main(int argc, char **argv)
{
	static const struct wrap terms = {.passphrase = false};
	static struct bench bench;
	unsigned secrets = argc > 3 ? (unsigned)atoi(argv[2]) : 0;
	FILE *json = argc > 3 ? fopen(argv[3], "we") : NULL;
	int dir = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, ends[2];
	struct error error = ERROR_INIT;

	if (dir < 0 || !secrets || secrets > LISTED || !json || sodium_init() < 0) {
		fprintf(stderr, "usage: secrets_driver DIRECTORY SECRETS JSON\n");
		return 2;
	}
	bench.loop = bench.s.loop = loop_new();
	bench.s.writer =
	    writer_new(bench.loop, memfd_create("audit.log", MFD_CLOEXEC), &log_ops, NULL, &error);
	bench.s.store = store_new(dir, &error);
	if (!bench.s.writer || !bench.s.store ||
	    store_make(bench.s.store, &terms, (const uint8_t *)"0123456789abcdef0123456789abcdef",
		       &error) < 0)
		die("making a store", &error);
	for (unsigned i = 0; i < secrets; i++) {
		set(&bench, i);
		grant(&bench, i);
	}
	if (channel_pair(ends) < 0)
		return 1;
	runnerd_introduced(&bench.s, ends[1]);
	bench.runnerd = channel_new(bench.loop, ends[0], CH_RUNNERD_SECRETD, SIDE_A, ROLE_RUNNERD,
				    ROLE_SECRETD, &ops, &bench);
	loop_run(bench.loop);
	measure(&bench, secrets, json);
	return fclose(json) == 0 ? 0 : 1;
}
