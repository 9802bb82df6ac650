#include "journal.h"

#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"
#include "common/loop.h"
#include "fs.h"
#include "records.h"

/* All that an ordinary session writes, so that a full disk stops none that has begun. */
enum { JOURNAL_BYTES = 12 << 10 };

int
journal_create(int session_dir, const struct msg_journal_session *first,
	       const struct msg_journal_groups *groups)
{
	_cleanup_close_ int fd = -1;
	struct msg record;
	int rc;

	fd = openat(session_dir, "journal",
		    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	CRASH_POINT("journal.made");
	msg_init(&record, MSG_JOURNAL_SESSION);
	record.journal_session = *first;
	rc = reserve(fd, JOURNAL_BYTES);
	if (!rc)
		rc = record_append(fd, &record, !groups);
	if (!rc && groups) {
		msg_init(&record, MSG_JOURNAL_GROUPS);
		record.journal_groups = *groups;
		rc = record_append(fd, &record, true);
	}
	if (!rc)
		rc = sync_dir(session_dir);
	CRASH_POINT("journal.end");
	return rc < 0 ? rc : steal_fd(&fd);
}

int
journal_open(int session_dir)
{
	int fd = openat(session_dir, "journal", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int
journal_home(int journal, const struct msg_journal_home *home)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_HOME);
	record.journal_home = *home;
	return record_append(journal, &record, false);
}

int
journal_image(int journal, const char *digest)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_IMAGE);
	snprintf(record.journal_image.digest, sizeof(record.journal_image.digest), "%s", digest);
	return record_append(journal, &record, false);
}

int
journal_step(int journal, enum session_step step, enum journal_mark mark)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_STEP);
	record.journal_step.step = (uint8_t)step;
	record.journal_step.mark = (uint8_t)mark;
	record.journal_step.at_ms = realtime_ms();
	return record_append(journal, &record, false);
}

int
journal_keeper(int journal, uint32_t pid, uint64_t start_ticks, const char *boot_id)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_KEEPER);
	record.journal_keeper.pid = pid;
	record.journal_keeper.start_ticks = start_ticks;
	snprintf(record.journal_keeper.boot_id, sizeof(record.journal_keeper.boot_id), "%s",
		 boot_id);
	return record_append(journal, &record, false);
}

int
journal_init(int journal, const struct procid *init)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_INIT);
	record.journal_init.pid = (uint32_t)init->pid;
	record.journal_init.start_ticks = init->start_ticks;
	return record_append(journal, &record, false);
}

int
journal_plugin(int journal, const char *server, const struct procid *init)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_PLUGIN);
	snprintf(record.journal_plugin.server, sizeof(record.journal_plugin.server), "%s", server);
	record.journal_plugin.pid = (uint32_t)init->pid;
	record.journal_plugin.start_ticks = init->start_ticks;
	return record_append(journal, &record, false);
}

int
journal_server(int journal, uint8_t number, uint32_t uid, const char *name)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_SERVER);
	record.journal_server.number = number;
	record.journal_server.uid = uid;
	snprintf(record.journal_server.name, sizeof(record.journal_server.name), "%s", name);
	return record_append(journal, &record, false);
}

int
journal_segment(int journal, uint32_t segment, uint64_t offset)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_SEGMENT);
	record.journal_segment.segment = segment;
	record.journal_segment.offset = offset;
	return record_append(journal, &record, false);
}

int
journal_discard(int journal, const struct msg_journal_discard *discard)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_DISCARD);
	record.journal_discard = *discard;
	return record_append(journal, &record, true);
}

int
journal_ended(int journal, const struct msg_journal_ended *ended, bool durable)
{
	struct msg record;

	msg_init(&record, MSG_JOURNAL_ENDED);
	record.journal_ended = *ended;
	return record_append(journal, &record, durable);
}

static void
read_step(struct journal *journal, const struct msg_journal_step *step)
{
	if (step->step >= STEP_COUNT)
		return;
	if (step->mark == MARK_BEGIN)
		journal->step = (enum session_step)step->step;
	if (step->mark == MARK_GATE)
		journal->gate = true;
	else
		journal->begun[step->step] = step->mark != MARK_UNDONE;
}

/* They come in the order of their numbers, all or, of a set-up that did not come to its end, some.
 */
static void
read_server(struct journal *journal, const struct msg_journal_server *server)
{
	if (server->number == journal->server_count && server->number < SERVERS_MAX)
		journal->servers[journal->server_count++] = *server;
}

static void
read_plugin(struct journal *journal, const struct msg_journal_plugin *plugin)
{
	struct journal_plugin *slot = &journal->plugins[journal->plugin_count];

	if (journal->plugin_count == SERVERS_MAX)
		return;
	memcpy(slot->server, plugin->server, sizeof(slot->server));
	slot->init.pid = (pid_t)plugin->pid;
	slot->init.start_ticks = plugin->start_ticks;
	journal->plugin_count++;
}

static void
read_record(struct journal *journal, const struct msg *record)
{
	switch (record->type) {
	case MSG_JOURNAL_SESSION:
		journal->session = record->journal_session;
		journal->has_session = true;
		break;
	case MSG_JOURNAL_GROUPS:
		journal->groups = record->journal_groups;
		journal->has_groups = true;
		break;
	case MSG_JOURNAL_HOME:
		journal->home = record->journal_home;
		journal->has_home = true;
		break;
	case MSG_JOURNAL_IMAGE:
		journal->image = record->journal_image;
		break;
	case MSG_JOURNAL_STEP:
		read_step(journal, &record->journal_step);
		break;
	case MSG_JOURNAL_KEEPER:
		journal->keeper = record->journal_keeper;
		journal->has_keeper = true;
		break;
	case MSG_JOURNAL_INIT:
		journal->init.pid = (pid_t)record->journal_init.pid;
		journal->init.start_ticks = record->journal_init.start_ticks;
		break;
	case MSG_JOURNAL_PLUGIN:
		read_plugin(journal, &record->journal_plugin);
		break;
	case MSG_JOURNAL_SERVER:
		read_server(journal, &record->journal_server);
		break;
	case MSG_JOURNAL_SEGMENT:
		journal->segment = record->journal_segment.segment;
		journal->offset = record->journal_segment.offset;
		break;
	case MSG_JOURNAL_DISCARD:
		journal->discard = record->journal_discard;
		break;
	case MSG_JOURNAL_ENDED:
		journal->ended = record->journal_ended;
		journal->has_ended = true;
		break;
	default:
		break;
	}
}

int
journal_read(int session_dir, struct journal *journal)
{
	struct records records;
	struct msg record;
	int rc;

	*journal = (struct journal){0};
	rc = records_open(&records, session_dir, "journal");
	if (rc < 0)
		return rc;
	while ((rc = records_next(&records, &record)) > 0)
		read_record(journal, &record);
	records_close(&records);
	return rc;
}
