#include <stdbool.h>
#include <sys/timerfd.h>
#include <time.h>

#include "cleanup.h"
#include "loop.h"

enum source_kind { SOURCE_IO, SOURCE_TIMER, SOURCE_TIMERFD, SOURCE_SIGNALS };

enum { EVENTS_A_ROUND = 64, NOT_IN_HEAP = -1 };

struct loop_source {
	struct loop *loop;
	enum source_kind kind;
	union {
		loop_io_fn *io;
		loop_timer_fn *timer;
		loop_signal_fn *signal;
	} fn;
	void *arg;
	int fd;
	uint32_t events;      /* what epoll watches; 0: nothing, not even a hang-up */
	uint64_t deadline_ns; /* of a timer */
	ssize_t heap_index;
	bool removed;
	struct loop_source *next, *previous; /* of all sources; next also of the removed ones */
};

struct loop {
	int epoll_fd;
	struct loop_source *sources; /* alive */
	struct loop_source
	    *removed; /* freed when the round is over: epoll_wait may have named them */
	struct loop_source *timerfd, *signals;
	struct loop_source **heap; /* armed timers, the earliest first */
	size_t armed, timers, heap_size;
	uint64_t timerfd_ns; /* what the timerfd is set to; 0: disarmed */
	bool stopped;
	int status;
};

uint64_t
boottime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t
realtime_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
realtime_ms(void)
{
	return realtime_us() / 1000;
}

/* --- the heap of timers ------------------------------------------------------------------- */

static void
heap_put(struct loop *loop, size_t index, struct loop_source *timer)
{
	loop->heap[index] = timer;
	timer->heap_index = (ssize_t)index;
}

static void
heap_up(struct loop *loop, size_t index)
{
	struct loop_source *timer = loop->heap[index];

	while (index > 0) {
		size_t parent = (index - 1) / 2;
		if (loop->heap[parent]->deadline_ns <= timer->deadline_ns)
			break;
		heap_put(loop, index, loop->heap[parent]);
		index = parent;
	}
	heap_put(loop, index, timer);
}

static void
heap_down(struct loop *loop, size_t index)
{
	struct loop_source *timer = loop->heap[index];

	for (;;) {
		size_t child = 2 * index + 1;
		if (child >= loop->armed)
			break;
		if (child + 1 < loop->armed &&
		    loop->heap[child + 1]->deadline_ns < loop->heap[child]->deadline_ns)
			child++;
		if (timer->deadline_ns <= loop->heap[child]->deadline_ns)
			break;
		heap_put(loop, index, loop->heap[child]);
		index = child;
	}
	heap_put(loop, index, timer);
}

static void
heap_remove(struct loop *loop, struct loop_source *timer)
{
	if (timer->heap_index == NOT_IN_HEAP)
		return;
	size_t index = (size_t)timer->heap_index;
	struct loop_source *last = loop->heap[--loop->armed];
	timer->heap_index = NOT_IN_HEAP;
	if (last == timer)
		return;
	heap_put(loop, index, last);
	heap_up(loop, index);
	heap_down(loop, (size_t)last->heap_index);
}

void
loop_arm(struct loop_source *timer, uint64_t deadline_ns)
{
	struct loop *loop = timer->loop;

	heap_remove(loop, timer);
	if (deadline_ns == 0 || timer->removed)
		return;
	timer->deadline_ns = deadline_ns;
	/* There is room: loop_add_timer made it. */
	heap_put(loop, loop->armed, timer);
	heap_up(loop, loop->armed++);
}

void
loop_arm_in(struct loop_source *timer, uint64_t after_ms)
{
	uint64_t now = boottime_ns();
	uint64_t after_ns;

	if (__builtin_mul_overflow(after_ms, UINT64_C(1000000), &after_ns) ||
	    __builtin_add_overflow(now, after_ns, &after_ns))
		after_ns = INT64_MAX;
	loop_arm(timer, after_ns);
}

/* The timerfd follows the earliest deadline; set only when that changed. */
static int
timerfd_follow(struct loop *loop)
{
	uint64_t earliest = loop->armed ? loop->heap[0]->deadline_ns : 0;
	struct itimerspec when = {
	    .it_value = {.tv_sec = (time_t)(earliest / 1000000000),
			 .tv_nsec = (long)(earliest % 1000000000)},
	};

	if (earliest == loop->timerfd_ns)
		return 0;
	if (timerfd_settime(loop->timerfd->fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		return -errno;
	loop->timerfd_ns = earliest;
	return 0;
}

/* --- sources --------------------------------------------------------------------------------- */

static int
source_watch(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = source}};
	int op = EPOLL_CTL_MOD;

	if (source->events == events)
		return 0;
	if (source->events == 0)
		op = EPOLL_CTL_ADD;
	else if (events == 0)
		op = EPOLL_CTL_DEL;
	if (epoll_ctl(source->loop->epoll_fd, op, source->fd, &event) < 0)
		return -errno;
	source->events = events;
	return 0;
}

static struct loop_source *
source_new(struct loop *loop, enum source_kind kind, int fd, void *arg)
{
	struct loop_source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	source->loop = loop;
	source->kind = kind;
	source->fd = fd;
	source->arg = arg;
	source->heap_index = NOT_IN_HEAP;
	source->next = loop->sources;
	if (loop->sources)
		loop->sources->previous = source;
	loop->sources = source;
	return source;
}

/* A source of this descriptor, watched. NULL with errno. */
static struct loop_source *
source_watched(struct loop *loop, enum source_kind kind, int fd, uint32_t events, void *arg)
{
	struct loop_source *source = source_new(loop, kind, fd, arg);

	if (!source)
		return NULL;
	int r = source_watch(source, events);
	if (r < 0) {
		loop_remove(source);
		errno = -r;
		return NULL;
	}
	return source;
}

struct loop_source *
loop_add_io(struct loop *loop, int fd, uint32_t events, loop_io_fn *fn, void *arg)
{
	struct loop_source *source = source_watched(loop, SOURCE_IO, fd, events, arg);

	if (source)
		source->fn.io = fn;
	return source;
}

int
loop_set_events(struct loop_source *source, uint32_t events)
{
	return source->removed ? -ENOENT : source_watch(source, events);
}

struct loop_source *
loop_add_timer(struct loop *loop, loop_timer_fn *fn, void *arg)
{
	if (loop->timers == loop->heap_size) {
		size_t size = loop->heap_size ? 2 * loop->heap_size : 16;
		void *grown = reallocarray(loop->heap, size, sizeof(struct loop_source *));
		if (!grown)
			return NULL;
		loop->heap = grown;
		loop->heap_size = size;
	}
	struct loop_source *timer = source_new(loop, SOURCE_TIMER, -1, arg);
	if (!timer)
		return NULL;
	timer->fn.timer = fn;
	loop->timers++;
	return timer;
}

int
loop_add_signals(struct loop *loop, const sigset_t *signals, loop_signal_fn *fn, void *arg)
{
	if (loop->signals)
		return -EBUSY;
	if (sigprocmask(SIG_BLOCK, signals, NULL) < 0)
		return -errno;
	_cleanup_close_ int fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	loop->signals = source_watched(loop, SOURCE_SIGNALS, fd, EPOLLIN, arg);
	if (!loop->signals)
		return -errno;
	loop->signals->fn.signal = fn;
	steal_fd(&fd);
	return 0;
}

void
loop_remove(struct loop_source *source)
{
	if (!source || source->removed)
		return;
	struct loop *loop = source->loop;
	source->removed = true;
	heap_remove(loop, source);
	loop->timers -= source->kind == SOURCE_TIMER;
	source_watch(source, 0);
	if (source->next)
		source->next->previous = source->previous;
	*(source->previous ? &source->previous->next : &loop->sources) = source->next;
	source->next = loop->removed;
	loop->removed = source;
}

static void
free_removed(struct loop *loop)
{
	while (loop->removed) {
		struct loop_source *source = loop->removed;
		loop->removed = source->next;
		free(source);
	}
}

/* --- the loop ----------------------------------------------------------------------------------
 */

struct loop *
loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	_cleanup_close_ int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd >= 0 && loop->epoll_fd >= 0)
		loop->timerfd = source_watched(loop, SOURCE_TIMERFD, fd, EPOLLIN, NULL);
	if (!loop->timerfd) {
		loop_free(loop);
		return NULL;
	}
	steal_fd(&fd);
	return loop;
}

static void
close_source(struct loop_source *source)
{
	if (source)
		close_fd(&source->fd);
}

void
loop_free(struct loop *loop)
{
	if (!loop)
		return;
	int saved = errno;
	close_source(loop->timerfd);
	close_source(loop->signals);
	close_fd(&loop->epoll_fd);
	while (loop->sources)
		loop_remove(loop->sources);
	free_removed(loop);
	free(loop->heap);
	free(loop);
	errno = saved;
}

/* Those due now; one armed for the past from inside waits for the next round, so that the
 * descriptors have their turn. */
static void
run_timers(struct loop *loop)
{
	uint64_t expirations;
	uint64_t now = boottime_ns();
	size_t left = loop->armed;

	while (read(loop->timerfd->fd, &expirations, sizeof(expirations)) < 0 && errno == EINTR)
		;
	loop->timerfd_ns = 0;
	while (left-- > 0 && loop->armed > 0 && loop->heap[0]->deadline_ns <= now) {
		struct loop_source *timer = loop->heap[0];
		heap_remove(loop, timer);
		timer->fn.timer(timer, timer->arg);
	}
}

static void
run_signals(struct loop *loop)
{
	struct signalfd_siginfo signal;

	while (read(loop->signals->fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal))
		loop->signals->fn.signal(&signal, loop->signals->arg);
}

static void
dispatch(struct loop *loop, struct loop_source *source, uint32_t events)
{
	if (source->removed)
		return;
	switch (source->kind) {
	case SOURCE_IO:
		/* Not what an earlier callback of this round stopped watching. */
		events &= source->events | EPOLLERR | EPOLLHUP;
		if (events && source->events)
			source->fn.io(source, events, source->arg);
		return;
	case SOURCE_TIMERFD:
		run_timers(loop);
		return;
	case SOURCE_SIGNALS:
		run_signals(loop);
		return;
	case SOURCE_TIMER:
		return;
	}
}

static int
run_round(struct loop *loop)
{
	struct epoll_event events[EVENTS_A_ROUND];

	int r = timerfd_follow(loop);
	if (r < 0)
		return r;
	int count = epoll_wait(loop->epoll_fd, events, EVENTS_A_ROUND, -1);
	if (count < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < count && !loop->stopped; i++)
		dispatch(loop, events[i].data.ptr, events[i].events);
	free_removed(loop);
	return 0;
}

int
loop_run(struct loop *loop)
{
	while (!loop->stopped) {
		int r = run_round(loop);
		if (r < 0)
			return r;
	}
	loop->stopped = false;
	return loop->status;
}

void
loop_stop(struct loop *loop, int status)
{
	loop->stopped = true;
	loop->status = status;
}
