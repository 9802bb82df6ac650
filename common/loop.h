/*
 * The one event loop of every daemon: descriptors, timers, signals and child ends in one epoll.
 * Single-threaded. Callbacks may add and remove any source, also their own and others that are
 * ready in the same round (a removed source is never called again).
 */
#ifndef SCARAB_LOOP_H
#define SCARAB_LOOP_H

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

struct loop;
struct loop_source;

typedef void loop_io_fn(struct loop_source *source, uint32_t events, void *arg);
typedef void loop_timer_fn(struct loop_source *source, void *arg);
typedef void loop_signal_fn(const struct signalfd_siginfo *signal, void *arg);

struct loop *loop_new(void); /* NULL with errno */
void loop_free(struct loop *loop);
/* Runs until loop_stop, also one called before; returns its status, or -errno when epoll itself
 * fails. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int status);

/* The descriptor (a pidfd too: EPOLLIN when the process ended) stays the caller's and must
 * outlive the source. NULL with errno. */
struct loop_source *loop_add_io(struct loop *loop, int fd, uint32_t events, loop_io_fn *fn,
				void *arg);
/* events 0: not watched at all, not even for a hang-up. 0 or -errno. */
int loop_set_events(struct loop_source *source, uint32_t events);
/* A disarmed timer; loop_arm with a CLOCK_BOOTTIME deadline, 0 disarms. One shot. */
struct loop_source *loop_add_timer(struct loop *loop, loop_timer_fn *fn, void *arg);
void loop_arm(struct loop_source *timer, uint64_t deadline_ns);
void loop_arm_in(struct loop_source *timer, uint64_t after_ms);
/* Blocks the signals in this thread and reads them from a signalfd. Once per loop. */
int loop_add_signals(struct loop *loop, const sigset_t *signals, loop_signal_fn *fn, void *arg);
/* NULL is allowed. */
void loop_remove(struct loop_source *source);

uint64_t boottime_ns(void); /* CLOCK_BOOTTIME */
uint64_t realtime_ms(void); /* since the epoch */
uint64_t realtime_us(void);

#endif
