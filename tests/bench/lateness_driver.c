// with: schedd/triggers.c schedd/zone*.c schedd/next.c
/*
 * lateness_driver BUILD DIRECTORY AGENTS SECONDS: how late a real schedd begins what is due.
 *
 * Plays agentd and runnerd to BUILD/schedd, whose ledger lies in DIRECTORY: so many agents, each on
 * `every: 1s` with a jitter of a second, whose sessions end as soon as they have begun. Root only.
 *
 * A fire's lateness is the time from when it is due, which is its scheduled second and its
 * trigger's delay, until runnerd has its PREPARE: from then on a sandbox is built. That its row is
 * durable is told by GO, and is a figure of its own. Prints JSON; exit status 1 when a fire is lost
 * or came twice.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "common/config.h"
#include "schedd/triggers.h"
#include "tests/bench/daemon.h"

enum { SCHEDD_UID = 2147483647, JITTER_MS = 1000, LIVE_MAX = 65536 };

/* A session between PREPARE and GO. */
struct pending {
	struct uuid id;
	uint64_t due_ns;
};

struct bench {
	unsigned agents, seconds;
	struct played schedd;
	uint64_t first;           /* the first scheduled second that counts */
	uint8_t *fires;           /* of each agent and second */
	uint64_t *late, *durable; /* ns */
	size_t count, durable_count, live, live_max;
	struct pending *pending;
	size_t pending_count;
};

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- agentd --------------------------------------------------------------------------------------
 */

static int
config_memfd(const char *directory)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct error error = ERROR_INIT;
	struct config *config = config_read(NULL, 0, "defaults", &error);
	size_t size;
	int fd;

	if (!config)
		die(error.why, -EINVAL);
	free(config->state_dir);
	config->state_dir = strdup(directory);
	config->ids.schedd = SCHEDD_UID;
	config->limits.sessions = config->limits.queue = 100000;
	if (config_encode(config, &bytes, &size) < 0)
		die("the configuration", -EINVAL);
	fd = memfd_sealed("config", bytes, size);
	config_free(config);
	return fd;
}

static void
begin(struct bench *bench, const char *build, const char *directory)
{
	char path[PATH_LEN_MAX + 1];

	snprintf(path, sizeof(path), "%s/sched", directory);
	if (mkdir(path, 0700) < 0 || chown(path, SCHEDD_UID, 0) < 0)
		die(path, 0);
	play_start(&bench->schedd, build, ROLE_SCHEDD, config_memfd(directory));
	play_introduce(&bench->schedd, ROLE_SCHEDD);
	if (setsockopt(bench->schedd.peer, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int)) < 0)
		die("asking for times", 0);
}

/* --- runnerd -------------------------------------------------------------------------------------
 */

static void
say(struct bench *bench, struct msg *msg)
{
	int rc = msg_send(bench->schedd.peer, CH_SCHEDD_RUNNERD, SIDE_B, IN_OPEN, msg);

	if (rc < 0)
		die("speaking to schedd", rc);
}

static void
install(struct bench *bench)
{
	struct msg msg;

	for (unsigned i = 0; i < bench->agents; i++) {
		msg_init(&msg, MSG_AGENT_DEF);
		snprintf(msg.agent_def.agent, sizeof(msg.agent_def.agent), "agent-%u", i);
		msg.agent_def.max = 1;
		msg.agent_def.queue_limit = 1000;
		msg.agent_def.triggers = 1;
		say(bench, &msg);
		msg_init(&msg, MSG_TRIGGER_DEF);
		snprintf(msg.trigger_def.agent, sizeof(msg.trigger_def.agent), "agent-%u", i);
		msg.trigger_def.kind = TRIGGER_EVERY;
		msg.trigger_def.missed = MISSED_RUN_ALL;
		msg.trigger_def.every_ms = 1000;
		msg.trigger_def.at_ms = msg.trigger_def.missed_within_ms = ABSENT;
		msg.trigger_def.jitter_ms = JITTER_MS;
		say(bench, &msg);
	}
	msg_init(&msg, MSG_INVENTORY_END);
	say(bench, &msg);
}

static void
count_fire(struct bench *bench, const struct msg_prepare *prepare, uint64_t now)
{
	uint64_t second = prepare->scheduled_at_ms / 1000;
	uint32_t delay = trigger_delay(prepare->agent, prepare->trigger_id, JITTER_MS);
	unsigned agent = (unsigned)strtoul(prepare->agent + strlen("agent-"), NULL, 10);
	uint64_t due = (prepare->scheduled_at_ms + delay) * 1000000;

	bench->live++;
	if (bench->live > bench->live_max)
		bench->live_max = bench->live;
	if (second < bench->first || second >= bench->first + bench->seconds ||
	    agent >= bench->agents)
		return;
	bench->fires[(size_t)agent * bench->seconds + (second - bench->first)]++;
	bench->late[bench->count++] = now > due ? now - due : 0;
	if (bench->pending_count < LIVE_MAX)
		bench->pending[bench->pending_count++] =
		    (struct pending){.id = prepare->session, .due_ns = due};
}

static void
count_durable(struct bench *bench, const struct uuid *id, uint64_t now)
{
	for (size_t i = bench->pending_count; i-- > 0;) {
		struct pending *pending = &bench->pending[i];

		if (!uuid_equal(&pending->id, id))
			continue;
		bench->durable[bench->durable_count++] = now - pending->due_ns;
		*pending = bench->pending[--bench->pending_count];
		return;
	}
}

/* The next message, and when it was sent. */
static uint64_t
hear(struct bench *bench, struct msg *msg)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	char control[CMSG_SPACE(sizeof(struct timespec))] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(bench->schedd.peer, &header, MSG_CMSG_CLOEXEC);
	struct cmsghdr *stamp = length > 0 ? CMSG_FIRSTHDR(&header) : NULL;
	struct timespec at;

	if (length <= 0 || msg_decode(msg, bytes, (size_t)length, 0) < 0)
		die("hearing schedd", length ? 0 : -ECONNRESET);
	if (!stamp || stamp->cmsg_type != SCM_TIMESTAMPNS)
		die("a message has no time", -EPROTO);
	memcpy(&at, CMSG_DATA(stamp), sizeof(at));
	return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

/* As quick as a runnerd could be. */
static void
attend(struct bench *bench)
{
	struct msg msg, answer;
	uint64_t now = hear(bench, &msg);

	if (msg.type == MSG_PREPARE) {
		count_fire(bench, &msg.prepare, now);
		msg_init(&answer, MSG_PREPARED);
		answer.prepared.session = msg.prepare.session;
		say(bench, &answer);
	} else if (msg.type == MSG_GO) {
		count_durable(bench, &msg.go.session, now);
		msg_init(&answer, MSG_RUNNING);
		answer.running.session = msg.go.session;
		answer.running.running_at_ms = now / 1000000;
		say(bench, &answer);
		msg_init(&answer, MSG_ENDED);
		answer.ended.session = msg.go.session;
		answer.ended.outcome = OUTCOME_SUCCESS;
		answer.ended.running_at_ms = answer.ended.ended_at_ms = now / 1000000;
		say(bench, &answer);
	} else if (msg.type == MSG_END_ACK) {
		bench->live--;
	}
}

/* --- the figures ---------------------------------------------------------------------------------
 */

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double
part(const uint64_t *sorted, size_t count, unsigned thousandth)
{
	size_t at = count ? (count - 1) * thousandth / 1000 : 0;

	return count ? (double)sorted[at] / 1e3 : 0;
}

static int
report(struct bench *bench)
{
	size_t lost = 0, doubled = 0, all = (size_t)bench->agents * bench->seconds;

	for (size_t i = 0; i < all; i++) {
		lost += bench->fires[i] == 0;
		doubled += bench->fires[i] > 1;
	}
	qsort(bench->late, bench->count, sizeof(*bench->late), compare);
	qsort(bench->durable, bench->durable_count, sizeof(*bench->durable), compare);
	printf("{\"agents\":%u,\"seconds\":%u,\"fires\":%zu,\"lost\":%zu,\"doubled\":%zu,"
	       "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
	       "\"durable_p50_us\":%.1f,\"durable_p99_us\":%.1f,\"live_max\":%zu}\n",
	       bench->agents, bench->seconds, bench->count, lost, doubled,
	       part(bench->late, bench->count, 500), part(bench->late, bench->count, 900),
	       part(bench->late, bench->count, 990), part(bench->late, bench->count, 1000),
	       part(bench->durable, bench->durable_count, 500),
	       part(bench->durable, bench->durable_count, 990), bench->live_max);
	return lost || doubled;
}

int
main(int argc, char **argv)
{
	struct bench bench = {0};
	uint64_t until;
	size_t room;

	if (argc != 5)
		die("usage: lateness_driver BUILD DIRECTORY AGENTS SECONDS", -EINVAL);
	signal(SIGPIPE, SIG_IGN);
	bench.agents = (unsigned)strtoul(argv[3], NULL, 10);
	bench.seconds = (unsigned)strtoul(argv[4], NULL, 10);
	room = (size_t)bench.agents * bench.seconds;
	bench.fires = calloc(room + 1, 1);
	bench.late = calloc(2 * room + 1, sizeof(*bench.late));
	bench.durable = calloc(2 * room + 1, sizeof(*bench.durable));
	bench.pending = calloc(LIVE_MAX, sizeof(*bench.pending));
	if (!room || !bench.fires || !bench.late || !bench.durable || !bench.pending)
		die("starting", -EINVAL);
	begin(&bench, argv[1], argv[2]);
	install(&bench);
	bench.first = now_ns() / 1000000000 + 3;
	/* A second for the last ones' delay, and what is late. */
	until = (bench.first + bench.seconds + 2) * 1000000000;
	while (now_ns() < until)
		attend(&bench);
	play_end(&bench.schedd);
	return report(&bench);
}
