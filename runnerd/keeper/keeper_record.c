#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"
#include "common/log.h"
#include "keeper.h"

static int64_t
milliseconds(const struct timeval *time)
{
	return time->tv_sec * INT64_C(1000) + time->tv_usec / 1000;
}

/* What init and everything it waited for used. */
static void
take_use(struct keeper *keeper)
{
	struct msg_exit_record *record = &keeper->record;
	uint64_t ended_ns = keeper->ended_ns ? keeper->ended_ns : boottime_ns();
	struct rusage use;

	record->cpu_ms = record->wall_ms = record->peak_memory_bytes = -1;
	if (keeper->running_ns)
		record->wall_ms = (int64_t)((ended_ns - keeper->running_ns) / 1000000);
	if (keeper->init <= 0 || wait4(keeper->init, NULL, __WALL | WNOHANG, &use) <= 0)
		return;
	record->cpu_ms = milliseconds(&use.ru_utime) + milliseconds(&use.ru_stime);
	record->peak_memory_bytes = use.ru_maxrss * INT64_C(1024);
}

static void
name_outcome(struct msg_exit_record *record, enum session_outcome outcome)
{
	record->outcome = (uint8_t)outcome;
}

static void
judge_exit(struct msg_exit_record *record)
{
	char *reason = record->reason;
	size_t size = sizeof(record->reason);

	if (record->signal >= 0) {
		name_outcome(record, OUTCOME_SIGNALED);
		snprintf(reason, size, "killed by signal %d (%s)", record->signal,
			 strsignal(record->signal));
	} else if (record->exit_code > 0) {
		name_outcome(record, OUTCOME_FAILED);
		snprintf(reason, size, "exit status %d", record->exit_code);
	} else {
		name_outcome(record, OUTCOME_SUCCESS);
	}
}

/* The verdict first; then what stopped it from starting; then how the agent ended. Nothing of
 * all that before GO: nobody wanted it any more. */
static void
judge(struct keeper *keeper)
{
	struct msg_exit_record *record = &keeper->record;

	if (keeper->verdict.set) {
		name_outcome(record, keeper->verdict.outcome);
		snprintf(record->reason, sizeof(record->reason), "%s", keeper->verdict.reason);
	} else if (!record->started && record->reason[0]) {
		name_outcome(record, OUTCOME_SETUP_FAILED);
	} else if (keeper->opened && oom_happened(keeper)) {
		name_outcome(record, OUTCOME_OOM_KILLED);
		snprintf(record->reason, sizeof(record->reason), "%s", OOM_REASON);
	} else if (keeper->exit_known) {
		judge_exit(record);
	} else if (keeper->opened) {
		name_outcome(record, OUTCOME_LOST);
		snprintf(record->reason, sizeof(record->reason),
			 "the sandbox was killed from outside");
	}
}

/* Whatever its own process still had to say: all of it was killed. */
static void
end_by_kill(struct keeper *keeper)
{
	keeper->exit_known = true;
	keeper->record.exit_code = -1;
	keeper->record.signal = SIGKILL;
}

static void
complete(struct keeper *keeper)
{
	struct msg_exit_record *record = &keeper->record;

	record->session = keeper->boot.session;
	if (record->outcome == OUTCOME_OOM_KILLED)
		end_by_kill(keeper);
	record->ended_at_ms = keeper->ended_ns ? keeper->ended_at_ms : realtime_ms();
	if (!keeper->exit_known)
		record->exit_code = record->signal = -1;
	record->segment = keeper->segments.number;
	record->log_bytes = keeper->segments.total;
	record->log_dropped_bytes = keeper->segments.dropped;
}

static int
write_record(const struct keeper *keeper)
{
	struct msg msg;
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length;
	int rc;

	msg_init(&msg, MSG_EXIT_RECORD);
	msg.exit_record = keeper->record;
	length = msg_encode(&msg, bytes, sizeof(bytes));
	if (length < 0)
		return (int)length;
	rc = pwrite_all(keeper->fds.record, bytes, (size_t)length, 0);
	CRASH_POINT("exit.written");
	if (rc == 0 && fdatasync(keeper->fds.record) < 0)
		rc = -errno;
	return rc;
}

bool
record_exit(struct keeper *keeper)
{
	int rc;

	CRASH_POINT("exit.begin");
	take_use(keeper);
	output_drain(keeper);
	judge(keeper);
	complete(keeper);
	rc = write_record(keeper);
	if (rc < 0)
		log_session(LOG_LEVEL_ERROR, &keeper->boot.session,
			    "the exit record cannot be written: %s", strerror(-rc));
	CRASH_POINT("exit.durable");
	keeper->link.due |= DUE_LOG | (rc == 0 ? DUE_ENDED : 0U);
	link_settle(keeper);
	CRASH_POINT("exit.told");
	return rc == 0;
}
