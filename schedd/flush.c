#include "flush.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "schedule.h"

struct flush {
	struct schedd *schedd;
	int log, done; /* the file; an eventfd, readable when the sync is over */
	struct loop_source *source, *again;
	aio_context_t aio; /* 0: in the loop */
	bool in_loop;
	int result;                        /* of one in the loop */
	struct channel_hold acts, answers; /* numbered by commits */
	uint64_t number, covered;          /* the last commit; what the sync under way covers */
	bool under_way, doubtful;
	struct error why;
};

/* --- what is held -------------------------------------------------------------------------- */

void
flush_hold(struct flush *flush, struct channel *channel)
{
	channel_set_hold(channel, &flush->acts);
}

void
flush_hold_answers(struct flush *flush, struct channel *channel)
{
	channel_set_hold(channel, &flush->answers);
}

static void
pass(struct flush *flush, uint64_t number)
{
	channel_hold_pass(&flush->acts, number);
	channel_hold_pass(&flush->answers, number);
}

/* --- syncing ------------------------------------------------------------------------------- */

/* 0, or -errno where the kernel cannot do it beside us. */
static int
submit(struct flush *flush)
{
	struct iocb request = {
	    .aio_lio_opcode = IOCB_CMD_FDSYNC,
	    .aio_fildes = (uint32_t)flush->log,
	    .aio_flags = IOCB_FLAG_RESFD,
	    .aio_resfd = (uint32_t)flush->done,
	};
	struct iocb *requests[] = {&request};

	if (flush->in_loop)
		return -ENOSYS;
	return syscall(SYS_io_submit, flush->aio, 1, requests) == 1 ? 0 : -errno;
}

static void
start(struct flush *flush)
{
	const uint64_t once = 1;

	if (flush->under_way || flush->doubtful)
		return;
	flush->under_way = true;
	flush->covered = flush->number;
	if (submit(flush) == 0)
		return;
	flush->in_loop = true;
	flush->result = fdatasync(flush->log) < 0 ? -errno : 0;
	if (write(flush->done, &once, sizeof(once)) < 0)
		log_error("telling that the ledger was synced: %s", strerrordesc_np(errno));
}

static void
committed(void *arg)
{
	struct flush *flush = arg;

	flush->acts.number = flush->answers.number = ++flush->number;
	start(flush);
}

/* Waits for the one under way where it is not over. 0 or -errno. */
static int
result(struct flush *flush)
{
	struct io_event event;
	long got;

	flush->under_way = false;
	if (flush->in_loop)
		return flush->result;
	do
		got = syscall(SYS_io_getevents, flush->aio, 1, 1, &event, NULL);
	while (got < 0 && errno == EINTR);
	return got == 1 ? (int)event.res : got < 0 ? -errno : -EIO;
}

/* --- doubt ---------------------------------------------------------------------------------- */

static void
doubt(struct flush *flush, const struct error *error)
{
	if (!flush->doubtful) {
		log_problem(LOG_LEVEL_ERROR, error);
		log_error("nothing is recorded until it can be; trying again");
	}
	flush->doubtful = true;
	flush->why = *error;
	flush->answers.number = flush->answers.passed;
	ledger_doubt(flush->schedd->ledger, &flush->why);
	loop_arm_in(flush->again, FLUSH_AGAIN_MS);
}

static void
sync_failed(struct flush *flush, int rc)
{
	struct error error = ERROR_INIT;

	error_errno(&error, -rc, "what was written to it did not reach the disk");
	error_hint(&error, "is the file system of state_dir full or failing? The kernel's log may "
			   "say more");
	error_what(&error, "ledger %s", ledger_name(flush->schedd->ledger));
	doubt(flush, &error);
}

static void
trust(struct flush *flush)
{
	if (flush->doubtful)
		log_info("ledger %s: it is on the disk again", ledger_name(flush->schedd->ledger));
	flush->doubtful = false;
	flush->answers.number = flush->number;
	ledger_doubt(flush->schedd->ledger, NULL);
	pass(flush, flush->number);
}

/* All of it into the file, from where it is read back; or, where that is no longer what was
 * written, what a new process finds is the ledger. */
static void
bring(struct flush *flush)
{
	struct ledger *ledger = flush->schedd->ledger;
	struct error error = ERROR_INIT;

	if (!ledger_log_holds(ledger, flush->log)) {
		log_error("ledger %s: the disk lost what was written to it and not acknowledged; "
			  "schedd begins anew with what is there",
			  ledger_name(ledger));
		ledger_abandon(ledger);
		loop_stop(flush->schedd->loop, -EIO);
		return;
	}
	if (ledger_checkpoint(ledger, true, &error) < 0)
		doubt(flush, &error);
	else
		trust(flush);
}

static void
bring_again(struct loop_source *timer, void *arg)
{
	(void)timer;
	bring(arg);
}

/* --- the log's length ----------------------------------------------------------------------- */

static bool
quiet(const struct flush *flush)
{
	const struct schedule *schedule = flush->schedd->schedule;
	const struct trigger *first = schedule ? triggers_first(schedule_triggers(schedule)) : NULL;

	return !flush->under_way &&
	       (!first || first->due_ms > schedule_now(schedule) + FLUSH_QUIET_MS);
}

/* One that fails is tried again after the next sync: until then the log has it all. */
static void
shorten(struct flush *flush)
{
	struct ledger *ledger = flush->schedd->ledger;
	unsigned pages = ledger_log_pages(ledger);
	struct error error = ERROR_INIT;

	if (pages < FLUSH_LOG_PAGES || (pages < FLUSH_LOG_PAGES_MAX && !quiet(flush)))
		return;
	if (ledger_checkpoint(ledger, false, &error) < 0)
		log_problem(LOG_LEVEL_DEBUG, &error);
}

static void
synced(struct loop_source *source, uint32_t events, void *arg)
{
	struct flush *flush = arg;
	uint64_t times, covered = flush->covered;
	int rc;

	(void)source;
	(void)events;
	if (read(flush->done, &times, sizeof(times)) < 0 || !flush->under_way)
		return;
	rc = result(flush);
	if (rc < 0) {
		sync_failed(flush, rc);
		return;
	}
	if (flush->number > covered)
		start(flush);
	pass(flush, covered);
	shorten(flush);
}

/* --- beginning and end ------------------------------------------------------------------------
 */

void
flush_in_loop(struct flush *flush)
{
	flush->in_loop = true;
}

void
flush_settle(struct flush *flush)
{
	int rc;

	if (!flush || flush->doubtful || flush->number == flush->acts.passed)
		return;
	rc = flush->under_way ? result(flush) : 0;
	if (rc == 0)
		rc = fdatasync(flush->log) < 0 ? -errno : 0;
	if (rc < 0)
		sync_failed(flush, rc);
	else
		pass(flush, flush->number);
}

static int
prepare(struct flush *flush, struct error *error)
{
	struct loop *loop = flush->schedd->loop;

	flush->log = ledger_log_open(flush->schedd->ledger, error);
	if (flush->log < 0)
		return -1;
	flush->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (flush->done >= 0)
		flush->source = loop_add_io(loop, flush->done, EPOLLIN, synced, flush);
	flush->again = loop_add_timer(loop, bring_again, flush);
	if (!flush->source || !flush->again)
		return error_errno(error, errno, "making the ledger's syncs heard");
	if (syscall(SYS_io_setup, 1, &flush->aio) < 0) {
		log_warn("the kernel syncs nothing beside us (%s): each commit waits for the disk",
			 strerrordesc_np(errno));
		flush->in_loop = true;
	}
	return ledger_commit_beside(flush->schedd->ledger, committed, flush, error);
}

struct flush *
flush_new(struct schedd *schedd, struct error *error)
{
	struct flush *flush = calloc(1, sizeof(*flush));

	if (!flush) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	flush->schedd = schedd;
	flush->log = flush->done = -1;
	if (prepare(flush, error) < 0) {
		flush_free(flush);
		return NULL;
	}
	bring(flush);
	return flush;
}

void
flush_free(struct flush *flush)
{
	if (!flush)
		return;
	ledger_doubt(flush->schedd->ledger, NULL);
	loop_remove(flush->source);
	loop_remove(flush->again);
	if (flush->aio)
		syscall(SYS_io_destroy, flush->aio);
	close_fd(&flush->done);
	close_fd(&flush->log);
	free(flush);
}
