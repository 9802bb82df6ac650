// with: tests/sim/*.c schedd/[a-ln-z]*.c
/*
 * year_driver DIRECTORY SEED DAYS DEATHS <PLAN (tests/sim/plan.h): schedd's real code through so
 * many days in a moment.
 *
 * schedd is a child of this program under a simulated kernel (tests/sim/kernel.h) with its ledger
 * in DIRECTORY; it dies DEATHS times, at random calls, and is born again on the same file. This
 * program is the world that outlives it: clocks that are set and hosts that sleep, a runnerd that
 * remembers its sessions, a disk in trouble, a control that tells events until it hears that they
 * are stored. Nothing here knows when an agent should run.
 *
 * Prints what happened, in its order:
 *   run AGENT KIND SCHEDULED NOW TASK   a session was let through its gate
 *   stored EVENT TYPE                   schedd said so
 *   away FROM TO WHY                    times that no schedd saw pass
 *   back FROM                           the clock was set back
 *   settled NOW                         it has done all that is due, after an away
 *   end NOW DEATHS CALLS TROUBLES
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "schedd/flush.h"
#include "schedd/peers.h"
#include "schedd/schedd.h"
#include "tests/sim/kernel.h"
#include "tests/sim/plan.h"

enum {
	MS = 1000000,
	EVENTS_A_DAY = 5,
	STEPS_A_DAY = 1,
	TROUBLES_A_DAY = 1,
	DEATH_CALLS = 80,
	PRUNING_LIVES = 32, /* one in so many */
};
#define SECOND (INT64_C(1000) * MS)
#define MINUTE (60 * SECOND)
#define DAY (1440 * MINUTE)
#define BEGIN INT64_C(1798761600000) /* 2027-01-01 00:00 UTC, ms */

struct held {
	struct uuid id;
	enum session_state state; /* setup, running, ended */
	enum session_outcome outcome;
	char agent[AGENT_NAME_MAX + 1], kind[16], task[64];
	uint64_t scheduled_ms, running_at_ms;
	int64_t ends_at; /* by the boot clock */
};
struct told {
	uint32_t number;
	unsigned type;
};

struct world {
	const char *directory;
	struct sim *sim;
	uint64_t random;
	int zoneinfo;

	/* schedd, while there is one */
	pid_t child;
	bool dead, settled;
	bool prunes; /* runnerd deletes logs in this life: each hour all agents are looked at */
	int control, runnerd, my_turn, its_turn, wall_timer, boot_timer;

	struct plan plan;
	struct held *held;
	size_t held_count, held_room;

	struct told *told; /* not stored yet */
	size_t told_count, told_room;
	uint32_t events;

	uint64_t deaths, deaths_wanted;
	int64_t next_death, next_step, next_event, until; /* until by the wall clock */
	int64_t trouble; /* when the disk's next one begins, or this one ends */
	uint64_t troubles;
	int64_t again; /* when what was refused is told again; SIM_NEVER: nothing was */
	int64_t death_every;
};

static _Noreturn void
fatal(const char *what, int rc)
{
	fprintf(stderr, "year_driver: %s: %s\n", what, strerror(rc < 0 ? -rc : errno));
	exit(2);
}

static int64_t
draw(struct world *world, int64_t below)
{
	return below > 0 ? (int64_t)sim_draw(&world->random, (uint64_t)below) : 0;
}

static int64_t
wall_ms(const struct world *world)
{
	return world->sim->wall / MS;
}

/* Room for one more of so many. */
static void *
grown(void *all, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return all;
	*room = *room ? 2 * *room : 64;
	all = reallocarray(all, *room, size);
	if (!all)
		fatal("memory", -ENOMEM);
	return all;
}

/* --- turns and messages --------------------------------------------------------------------------
 */

/* schedd goes on until it waits, or dies. */
static void
wait_turn(struct world *world)
{
	char byte;

	world->dead = read(world->my_turn, &byte, 1) != 1;
}

static void
give_turn(struct world *world)
{
	char byte = 0;

	if (write(world->its_turn, &byte, 1) != 1)
		fatal("a turn", 0);
	wait_turn(world);
}

static void
send_parcel(struct world *world, int fd, const struct parcel *sent)
{
	int rc = -EAGAIN;

	while (!world->dead && (rc = msg_send_raw(fd, sent->bytes, sent->length, &sent->fd,
						  sent->fd >= 0)) == -EAGAIN)
		give_turn(world);
	if (rc < 0 && !world->dead)
		fatal("sending", rc);
}

static void
send_msg(struct world *world, int fd, struct msg *msg)
{
	struct parcel sent = parcel_of(msg);

	send_parcel(world, fd, &sent);
	free(sent.bytes);
	close_fd(&sent.fd);
}

/* --- runnerd
 * --------------------------------------------------------------------------------------
 */

static struct held *
find_held(struct world *world, const struct uuid *id)
{
	for (size_t i = 0; i < world->held_count; i++)
		if (uuid_equal(&world->held[i].id, id))
			return &world->held[i];
	return NULL;
}

/* Where it stands. */
static void
tell_state(struct world *world, const struct held *held)
{
	struct msg msg;

	if (held->state == STATE_SETUP) {
		msg_init(&msg, MSG_PREPARED);
		msg.prepared.session = held->id;
	} else if (held->state == STATE_RUNNING) {
		msg_init(&msg, MSG_RUNNING);
		msg.running.session = held->id;
		msg.running.running_at_ms = held->running_at_ms;
	} else {
		msg_init(&msg, MSG_ENDED);
		msg.ended.session = held->id;
		strcpy(msg.ended.agent, held->agent);
		msg.ended.outcome = (uint8_t)held->outcome;
		msg.ended.running_at_ms = held->running_at_ms;
		msg.ended.ended_at_ms = (uint64_t)wall_ms(world);
	}
	send_msg(world, world->runnerd, &msg);
}

static void
end_held(struct world *world, struct held *held, enum session_outcome outcome)
{
	held->state = STATE_ENDED;
	held->outcome = outcome;
	tell_state(world, held);
}

static void
hear_prepare(struct world *world, const struct msg_prepare *prepare)
{
	struct held *held = find_held(world, &prepare->session);

	if (!held) {
		world->held =
		    grown(world->held, world->held_count, &world->held_room, sizeof(*world->held));
		held = &world->held[world->held_count++];
		*held = (struct held){.id = prepare->session,
				      .state = STATE_SETUP,
				      .scheduled_ms = prepare->scheduled_at_ms};
		strcpy(held->agent, prepare->agent);
		strcpy(held->kind, prepare->trigger_kind);
		snprintf(held->task, sizeof(held->task), "%.63s", prepare->task);
	}
	tell_state(world, held);
}

/* Most end at once, some after minutes. */
static void
hear_go(struct world *world, const struct msg_go *go)
{
	struct held *held = find_held(world, &go->session);

	if (!held || held->state != STATE_SETUP)
		return;
	held->state = STATE_RUNNING;
	held->running_at_ms = (uint64_t)wall_ms(world);
	held->ends_at = world->sim->boot + (draw(world, 8) ? 0 : draw(world, 30 * MINUTE));
	printf("run\t%s\t%s\t%" PRIu64 "\t%" PRId64 "\t%s\n", held->agent, held->kind,
	       held->scheduled_ms, wall_ms(world), held->task);
	tell_state(world, held);
	if (held->ends_at <= world->sim->boot)
		end_held(world, held, OUTCOME_SUCCESS);
}

static void
hear_cancel(struct world *world, const struct msg_cancel *cancel)
{
	struct held *held = find_held(world, &cancel->session);

	if (held && held->state != STATE_ENDED)
		end_held(world, held, (enum session_outcome)cancel->outcome);
}

static void
hear_end_ack(struct world *world, const struct msg_end_ack *ack)
{
	struct held *held = find_held(world, &ack->session);

	if (held)
		*held = world->held[--world->held_count];
}

/* Its log is gone: the session may be forgotten. Without an answer schedd asks for no more. */
static void
hear_prune(struct world *world, const struct msg_session_prune *prune)
{
	struct msg msg;

	if (!world->prunes)
		return;
	msg_init(&msg, MSG_SESSION_PRUNED);
	msg.session_pruned.session = prune->session;
	msg.session_pruned.gone = !find_held(world, &prune->session);
	send_msg(world, world->runnerd, &msg);
}

static void
hear_schedd(struct world *world, const struct msg *msg)
{
	switch (msg->type) {
	case MSG_PREPARE:
		hear_prepare(world, &msg->prepare);
		break;
	case MSG_GO:
		hear_go(world, &msg->go);
		break;
	case MSG_CANCEL:
		hear_cancel(world, &msg->cancel);
		break;
	case MSG_END_ACK:
		hear_end_ack(world, &msg->end_ack);
		break;
	case MSG_SESSION_PRUNE:
		hear_prune(world, &msg->session_prune);
		break;
	default:
		break;
	}
}

static void
greet(struct world *world, int fd, enum role own)
{
	struct msg msg;

	msg_hello(&msg, own);
	send_msg(world, fd, &msg);
}

static void
meet_as_runnerd(struct world *world)
{
	struct msg msg;

	greet(world, world->runnerd, ROLE_RUNNERD);
	for (size_t i = 0; i < world->plan.count; i++)
		send_parcel(world, world->runnerd, &world->plan.definitions[i]);
	for (size_t i = 0; i < world->held_count; i++) {
		const struct held *held = &world->held[i];

		if (held->state == STATE_ENDED) {
			tell_state(world, held);
			continue;
		}
		msg_init(&msg, MSG_INVENTORY);
		msg.inventory.session = held->id;
		strcpy(msg.inventory.agent, held->agent);
		msg.inventory.state = (uint8_t)held->state;
		msg.inventory.running_at_ms = held->running_at_ms;
		send_msg(world, world->runnerd, &msg);
	}
	msg_init(&msg, MSG_INVENTORY_END);
	send_msg(world, world->runnerd, &msg);
}

/* --- control
 * --------------------------------------------------------------------------------------
 */

static void
tell_event(struct world *world, const struct told *told)
{
	char data[32];
	struct msg msg;
	int fd;

	msg_init(&msg, MSG_EVENT_EMIT);
	msg.id = told->number;
	strcpy(msg.event_emit.type, world->plan.types[told->type]);
	strcpy(msg.event_emit.source, "/year");
	snprintf(msg.event_emit.id, sizeof(msg.event_emit.id), "e%u", told->number);
	fd = memfd_sealed("event", data, (size_t)snprintf(data, sizeof(data), "%u", told->number));
	if (fd < 0)
		fatal("an event", fd);
	msg_add_fd(&msg, fd);
	send_msg(world, world->control, &msg);
}

static void
hear_control(struct world *world, const struct msg *msg)
{
	if (msg->type == MSG_ERROR && (world->sim->fails_at || world->again != SIM_NEVER))
		return; /* it is told again */
	if (msg->type == MSG_ERROR) {
		fprintf(stderr, "year_driver: schedd refuses event %u: %s\n", msg->id,
			msg->error.why);
		exit(1);
	}
	for (size_t i = 0; msg->type == MSG_EVENT_STORED && i < world->told_count; i++) {
		struct told *told = &world->told[i];

		if (told->number != msg->id)
			continue;
		printf("stored\te%u\t%s\n", told->number, world->plan.types[told->type]);
		*told = world->told[--world->told_count];
	}
}

/* --- schedd: birth and death --------------------------------------------------------------------
 */

static _Noreturn void
live(struct world *world, const struct sim_ends *ends, int control, int runnerd)
{
	struct error error = ERROR_INIT;
	char path[PATH_LEN_MAX + 1];
	struct config *config = config_read(NULL, 0, "defaults", &error);
	struct ledger *ledger;
	struct schedd schedd;
	struct loop *loop;

	snprintf(path, sizeof(path), "%s/ledger.db", world->directory);
	sim_enter(world->sim, ends);
	if (config) {
		config->limits.sessions = config->limits.queue = 1000000;
		config->retention.sessions = 20; /* of an agent */
	}
	ledger = config ? ledger_open(path, path, &error) : NULL;
	loop = loop_new();
	if (!ledger || !loop ||
	    schedd_init(&schedd, loop, config, ledger, world->zoneinfo, &error) < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		exit(1);
	}
	flush_in_loop(schedd.flush);
	peers_introduce_control(&schedd, control);
	peers_introduce_runnerd(&schedd, runnerd);
	_exit(loop_run(loop) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void
make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		fatal("a pipe", 0);
}

static void
bear(struct world *world)
{
	int control[2], runnerd[2], its_turn[2], my_turn[2];
	struct sim_ends ends;

	if (channel_pair(control) < 0 || channel_pair(runnerd) < 0)
		fatal("a channel", 0);
	make_pipe(its_turn);
	make_pipe(my_turn);
	world->wall_timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world->boot_timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fflush(NULL);
	world->child = fork();
	if (world->child < 0 || world->wall_timer < 0 || world->boot_timer < 0)
		fatal("a child", 0);
	if (world->child == 0) {
		close(control[0]);
		close(runnerd[1]);
		close(my_turn[0]);
		close(its_turn[1]);
		ends = (struct sim_ends){.wall_timer = world->wall_timer,
					 .boot_timer = world->boot_timer,
					 .my_turn = its_turn[0],
					 .your_turn = my_turn[1]};
		live(world, &ends, control[1], runnerd[0]);
	}
	close(control[1]);
	close(runnerd[0]);
	close(its_turn[0]);
	close(my_turn[1]);
	world->control = control[0];
	world->runnerd = runnerd[1];
	world->its_turn = its_turn[1];
	world->my_turn = my_turn[0];
	world->settled = false;
	world->prunes = draw(world, PRUNING_LIVES) == 0;
	wait_turn(world);
	greet(world, world->control, ROLE_CONTROL);
	for (size_t i = 0; i < world->told_count; i++)
		tell_event(world, &world->told[i]);
	meet_as_runnerd(world);
}

/* What it said, also before it died. True when there was something. */
static bool
hear(struct world *world, int fd, enum channel_kind kind, enum side side,
     void (*fn)(struct world *world, const struct msg *msg))
{
	bool heard = false;
	struct msg msg;
	int rc;

	/* Its HELLO is the first; the rest is told from it by the type alone. */
	while ((rc = msg_recv_now(fd, kind, side, IN_OPEN, &msg)) == 1 ||
	       (rc == -EPERM && msg.type == MSG_HELLO)) {
		heard = true;
		if (rc == 1)
			fn(world, &msg);
		msg_close_fds(&msg);
	}
	if (rc < 0 && rc != -EAGAIN && !world->dead)
		fatal("a message of schedd's", rc);
	return heard;
}

static bool
hear_both(struct world *world)
{
	bool heard = hear(world, world->runnerd, CH_SCHEDD_RUNNERD, SIDE_B, hear_schedd);

	return hear(world, world->control, CH_CONTROL_SCHEDD, SIDE_A, hear_control) || heard;
}

static void
go_away(struct world *world, int64_t how_long, const char *why)
{
	int64_t from = wall_ms(world);

	world->sim->wall += how_long;
	world->sim->boot += how_long;
	printf("away\t%" PRId64 "\t%" PRId64 "\t%s\n", from, wall_ms(world), why);
}

static void
arm_death(struct world *world)
{
	if (world->deaths >= world->deaths_wanted || world->sim->boot < world->next_death)
		return;
	world->sim->dies_at = world->sim->calls + 1 + (uint64_t)draw(world, DEATH_CALLS);
	world->next_death += 1 + draw(world, 2 * world->death_every);
}

static void
bury(struct world *world)
{
	int status;

	hear_both(world);
	close(world->control);
	close(world->runnerd);
	close(world->its_turn);
	close(world->my_turn);
	close(world->wall_timer);
	close(world->boot_timer);
	if (waitpid(world->child, &status, 0) < 0 || !WIFSIGNALED(status) ||
	    WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "year_driver: schedd ended by itself, status %#x\n", status);
		exit(1);
	}
	world->deaths++;
	world->sim->dies_at = 0;
	go_away(world, draw(world, 10) ? draw(world, SECOND) : draw(world, 40 * MINUTE), "death");
	/* Some die while they begin. */
	if (draw(world, 4) == 0 && world->deaths < world->deaths_wanted)
		world->next_death = world->sim->boot;
	arm_death(world);
}

/* --- time --------------------------------------------------------------------------------------
 */

/* A timer rings once. */
static void
expire(int fd, int64_t *due)
{
	const uint64_t once = 1;

	*due = SIM_NEVER;
	if (write(fd, &once, sizeof(once)) != sizeof(once))
		fatal("a timer", 0);
}

/* The clock is set, or the host sleeps; the kernel tells both in the same way. */
static void
step_clock(struct world *world)
{
	int64_t by = draw(world, draw(world, 2) ? 3 * 60 * MINUTE : 2 * SECOND);

	switch (draw(world, 3)) {
	case 0:
		go_away(world, by, "sleep");
		break;
	case 1:
		printf("away\t%" PRId64 "\t%" PRId64 "\tset\n", wall_ms(world),
		       (world->sim->wall + by) / MS);
		world->sim->wall += by;
		break;
	default:
		printf("back\t%" PRId64 "\n", wall_ms(world));
		world->sim->wall -= by;
		break;
	}
	world->sim->wall_cancelled = true;
	expire(world->wall_timer, &world->sim->wall_due);
	world->settled = false;
}

static void
new_event(struct world *world)
{
	struct told *told;

	world->told =
	    grown(world->told, world->told_count, &world->told_room, sizeof(*world->told));
	told = &world->told[world->told_count++];
	*told = (struct told){.number = ++world->events,
			      .type = (unsigned)draw(world, world->plan.type_count)};
	tell_event(world, told);
}

static int64_t
most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The disk is full, read-only or broken from one of the next calls on, for a while. schedd tries it
 * again each second; what could not be stored is told again behind that. */
static void
turn_trouble(struct world *world)
{
	static const int errors[] = {ENOSPC, EROFS, EIO};
	struct sim *sim = world->sim;

	if (!sim->fails_at) {
		sim->fails_with = errors[draw(world, ARRAY_LEN(errors))];
		sim->fails_at = sim->calls + 1 + (uint64_t)draw(world, DEATH_CALLS);
		world->trouble = sim->boot + draw(world, draw(world, 4) ? MINUTE : 20 * MINUTE);
		world->troubles++;
		return;
	}
	sim->fails_at = 0;
	world->trouble = sim->boot + 1 + draw(world, 2 * DAY / TROUBLES_A_DAY);
	world->again = sim->boot + 2 * SECOND;
	world->next_death = most(world->next_death, world->again);
	world->next_step = most(world->next_step, world->again);
}

static void
tell_again(struct world *world)
{
	world->again = SIM_NEVER;
	for (size_t i = 0; i < world->told_count; i++)
		tell_event(world, &world->told[i]);
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* By the boot clock. */
static int64_t
next_moment(const struct world *world)
{
	const struct sim *sim = world->sim;
	int64_t next = least(least(world->next_event, world->again), sim->boot_due);

	/* Deaths and clocks that are set wait for the end of a trouble. */
	if (!sim->fails_at)
		next = least(next, world->next_step);
	if (!sim->dies_at)
		next = least(next, world->trouble);

	if (sim->wall_due != SIM_NEVER)
		next = least(next, sim->boot + (sim->wall_due - sim->wall));
	if (world->deaths < world->deaths_wanted && !sim->dies_at && !sim->fails_at)
		next = least(next, world->next_death);
	for (size_t i = 0; i < world->held_count; i++)
		if (world->held[i].state == STATE_RUNNING)
			next = least(next, world->held[i].ends_at);
	return next > sim->boot ? next : sim->boot;
}

static void
advance(struct world *world)
{
	struct sim *sim = world->sim;
	int64_t by = next_moment(world) - sim->boot;

	sim->wall += by;
	sim->boot += by;
	if (sim->wall >= sim->wall_due)
		expire(world->wall_timer, &sim->wall_due);
	if (sim->boot >= sim->boot_due)
		expire(world->boot_timer, &sim->boot_due);
	for (size_t i = 0; i < world->held_count; i++)
		if (world->held[i].state == STATE_RUNNING && world->held[i].ends_at <= sim->boot)
			end_held(world, &world->held[i], OUTCOME_SUCCESS);
	if (sim->boot >= world->trouble && !sim->dies_at)
		turn_trouble(world);
	if (sim->boot >= world->again)
		tell_again(world);
	if (!sim->dies_at && !sim->fails_at)
		arm_death(world);
	if (sim->boot >= world->next_event) {
		world->next_event = sim->boot + 1 + draw(world, 2 * DAY / EVENTS_A_DAY);
		if (world->plan.type_count)
			new_event(world);
	}
	if (sim->boot >= world->next_step && !sim->fails_at) {
		world->next_step = sim->boot + 1 + draw(world, 2 * DAY / STEPS_A_DAY);
		/* Some steps find schedd with something to hear. */
		if (world->plan.type_count && draw(world, 2))
			new_event(world);
		step_clock(world);
	}
}

static void
live_through(struct world *world)
{
	bear(world);
	for (;;) {
		if (world->dead) {
			bury(world);
			bear(world);
		} else if (!hear_both(world) && !world->dead) {
			if (!world->settled)
				printf("settled\t%" PRId64 "\n", wall_ms(world));
			world->settled = true;
			if (world->sim->wall >= world->until && !world->told_count &&
			    !world->sim->fails_at && world->deaths >= world->deaths_wanted)
				return;
			advance(world);
		}
		if (!world->dead)
			give_turn(world);
	}
}

static void
begin(struct world *world, char **argv)
{
	int64_t days = strtoll(argv[3], NULL, 10);

	world->directory = argv[1];
	world->random = strtoull(argv[2], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15) | 1;
	world->deaths_wanted = strtoull(argv[4], NULL, 10);
	world->zoneinfo = open("/usr/share/zoneinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	world->sim = mmap(NULL, sizeof(*world->sim), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world->sim == MAP_FAILED || days <= 0)
		fatal("beginning", -EINVAL);
	*world->sim = (struct sim){.wall = BEGIN * MS,
				   .boot = DAY,
				   .wall_due = SIM_NEVER,
				   .boot_due = SIM_NEVER,
				   .random = world->random ^ 0x5bd1e995};
	world->until = world->sim->wall + days * DAY;
	world->death_every = world->deaths_wanted ? days * DAY / (int64_t)world->deaths_wanted : 0;
	world->next_death = world->sim->boot + world->death_every;
	world->next_step = world->sim->boot + DAY / STEPS_A_DAY;
	world->trouble = world->sim->boot + DAY / TROUBLES_A_DAY;
	world->again = SIM_NEVER;
	world->next_event = world->sim->boot + DAY / EVENTS_A_DAY;
}

int
main(int argc, char **argv)
{
	struct world world = {0};

	if (argc != 5)
		fatal("usage: year_driver DIRECTORY SEED DAYS DEATHS", -EINVAL);
	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	begin(&world, argv);
	plan_read(&world.plan, stdin);
	live_through(&world);
	kill(world.child, SIGKILL);
	waitpid(world.child, NULL, 0);
	printf("end\t%" PRId64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", wall_ms(&world),
	       world.deaths, world.sim->calls, world.troubles);
	plan_free(&world.plan);
	free(world.held);
	free(world.told);
	return 0;
}
