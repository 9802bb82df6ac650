#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Also libraries find these before the C library's. */
#define REPLACED __attribute__((visibility("default")))

enum { NS = 1000000000 };

static struct sim *sim; /* NULL: the real kernel */
static struct sim_ends ends;
static int wall_fd; /* what timerfd_create gave for the wall clock */

uint64_t
sim_draw(uint64_t *state, uint64_t below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(0x2545F4914F6CDD1D) >> 16) % below;
}

void
sim_enter(struct sim *shared, const struct sim_ends *own)
{
	sim = shared;
	ends = *own;
	sim->wall_due = sim->boot_due = SIM_NEVER;
	sim->wall_cancelled = false;
}

/* --- what leaves a trace -----------------------------------------------------------------------
 */

/* True for the call at which this process ends. */
static bool
last_call(void)
{
	return sim && ++sim->calls == sim->dies_at;
}

static _Noreturn void
die(void)
{
	for (;;)
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

/* Half of the deaths come before the call, half behind it. */
#define LEAVE_TRACE(call)                                                                          \
	({                                                                                         \
		bool last = last_call();                                                           \
		if (last && sim_draw(&sim->random, 2))                                             \
			die();                                                                     \
		typeof(call) result = (call);                                                      \
		if (last)                                                                          \
			die();                                                                     \
		result;                                                                            \
	})

/* The disk is full, read-only or broken. */
static bool
fails(void)
{
	if (!sim || !sim->fails_at || sim->calls + 1 < sim->fails_at)
		return false;
	sim->calls++;
	errno = sim->fails_with;
	return true;
}

REPLACED ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	return LEAVE_TRACE(syscall(SYS_sendmsg, fd, message, flags));
}

/* A signal that kills cuts a long write. */
REPLACED ssize_t
pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
	if (fails())
		return -1;
	if (sim && sim->calls + 1 == sim->dies_at && length > 1)
		syscall(SYS_pwrite64, fd, bytes, (size_t)sim_draw(&sim->random, (uint64_t)length),
			offset);
	return LEAVE_TRACE(syscall(SYS_pwrite64, fd, bytes, length, offset));
}

REPLACED int
fdatasync(int fd)
{
	if (fails())
		return -1;
	return (int)LEAVE_TRACE(syscall(SYS_fdatasync, fd));
}

REPLACED int
ftruncate64(int fd, off64_t length)
{
	if (fails())
		return -1;
	return (int)LEAVE_TRACE(syscall(SYS_ftruncate, fd, length));
}

REPLACED int
unlink(const char *path)
{
	if (fails())
		return -1;
	return (int)LEAVE_TRACE(syscall(SYS_unlink, path));
}

REPLACED int
open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (!(flags & O_CREAT))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	return (int)LEAVE_TRACE(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

/* --- clocks ------------------------------------------------------------------------------------
 */

REPLACED int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int64_t at;

	if (!sim || (clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME))
		return (int)syscall(SYS_clock_gettime, clock, now);
	at = clock == CLOCK_REALTIME ? sim->wall : sim->boot;
	*now = (struct timespec){.tv_sec = at / NS, .tv_nsec = at % NS};
	return 0;
}

REPLACED int
timerfd_create(int clock, int flags)
{
	if (!sim)
		return (int)syscall(SYS_timerfd_create, clock, flags);
	if (clock != CLOCK_REALTIME)
		return fcntl(ends.boot_timer, F_DUPFD_CLOEXEC, 0);
	return wall_fd = fcntl(ends.wall_timer, F_DUPFD_CLOEXEC, 0);
}

static void
expire(int fd)
{
	const uint64_t once = 1;

	syscall(SYS_write, fd, &once, sizeof(once));
}

/* Absolute times only, which is all that daemons ask for. A clock that was set is told to whoever
 * sets the timer anew before it was read, as Linux does: the timer is set all the same. */
REPLACED int
timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
	int64_t at = when->it_value.tv_sec >= SIM_NEVER / NS
			 ? SIM_NEVER
			 : when->it_value.tv_sec * NS + when->it_value.tv_nsec;
	uint64_t expired;
	int64_t *due;
	bool wall, cancelled;

	if (!sim)
		return (int)syscall(SYS_timerfd_settime, fd, flags, when, old);
	wall = fd == wall_fd;
	syscall(SYS_read, fd, &expired, sizeof(expired));
	due = wall ? &sim->wall_due : &sim->boot_due;
	*due = at ? at : SIM_NEVER;
	cancelled = wall && sim->wall_cancelled;
	if (wall)
		sim->wall_cancelled = false;
	if (*due <= (wall ? sim->wall : sim->boot)) {
		*due = SIM_NEVER;
		expire(fd);
	}
	errno = ECANCELED;
	return cancelled ? -1 : 0;
}

REPLACED ssize_t
read(int fd, void *bytes, size_t length)
{
	ssize_t got = syscall(SYS_read, fd, bytes, length);

	if (!sim || fd != wall_fd || !sim->wall_cancelled)
		return got;
	sim->wall_cancelled = false;
	errno = ECANCELED;
	return -1;
}

REPLACED ssize_t
getrandom(void *bytes, size_t length, unsigned flags)
{
	if (!sim)
		return syscall(SYS_getrandom, bytes, length, flags);
	for (size_t i = 0; i < length; i++)
		((uint8_t *)bytes)[i] = (uint8_t)sim_draw(&sim->random, 256);
	return (ssize_t)length;
}

/* --- turns ---------------------------------------------------------------------------------------
 */

/* Nothing is left to do: it is the test's turn, until it has something. */
static void
hand_over(void)
{
	char byte = 0;

	if (syscall(SYS_write, ends.your_turn, &byte, 1) != 1 ||
	    syscall(SYS_read, ends.my_turn, &byte, 1) != 1)
		_exit(0);
}

REPLACED int
epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	long count;

	if (!sim)
		return (int)syscall(SYS_epoll_wait, fd, events, max, timeout);
	while ((count = syscall(SYS_epoll_wait, fd, events, max, 0)) == 0)
		hand_over();
	return (int)count;
}
