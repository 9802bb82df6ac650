/*
 * A kernel of the test's own below a daemon's real code: its clocks and timers stand where the test
 * sets them, its random numbers are the seed's, it waits by handing its turn to the test, and it
 * dies by SIGKILL at the call that the test names. Of one process, which is a child of the test and
 * runs in turns with it: the same seed gives the same run.
 *
 * tests/sim/kernel.c has the C library's functions for this (clock_gettime, timerfd_*, epoll_wait,
 * getrandom) and those that leave a trace in a file or at a peer, for the program that it is linked
 * into; before sim_enter() they do what they always do.
 */
#ifndef SCARAB_TESTS_SIM_KERNEL_H
#define SCARAB_TESTS_SIM_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_NEVER INT64_MAX

/* In memory that is shared with the test; times are nanoseconds. */
struct sim {
	int64_t wall, boot;         /* CLOCK_REALTIME, CLOCK_BOOTTIME */
	int64_t wall_due, boot_due; /* what its timers wait for, SIM_NEVER: nothing */
	bool wall_cancelled;        /* the clock was set: the timer's next read says so */
	uint64_t random;
	uint64_t calls;    /* that left a trace, of all processes so far */
	uint64_t dies_at;  /* at this one; 0: never */
	uint64_t fails_at; /* from this one on nothing can be written; 0: all can */
	int fails_with;    /* errno */
};

/* The ends that a process has of what the test made for it. */
struct sim_ends {
	int wall_timer, boot_timer; /* eventfds: the test writes when the time has come */
	int my_turn, your_turn;     /* pipes, a byte for a turn; its end is the process's */
};

/* From now on this process lives under the simulated kernel. */
void sim_enter(struct sim *sim, const struct sim_ends *ends);
/* xorshift64*: below a bound. */
uint64_t sim_draw(uint64_t *state, uint64_t below);

#endif
