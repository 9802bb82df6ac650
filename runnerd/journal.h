/*
 * A session's journal, STATE_DIR/sessions/ID/journal. The first record is durable before the
 * session's first side effect; what follows needs only to survive this process, because nothing
 * else of a session survives the host. Its end is durable again.
 */
#ifndef SCARAB_RUNNERD_JOURNAL_H
#define SCARAB_RUNNERD_JOURNAL_H

#include "common/procid.h"
#include "common/proto.h"

/* Marks of JOURNAL_STEP. */
enum journal_mark {
	MARK_BEGIN = 1,
	MARK_END = 2,
	MARK_UNDONE = 3,
	MARK_GATE = 4, /* GO is about to be sent: from here on the agent may have run */
};

/* Makes the journal in the session's directory with this first record and, where there are groups
 * on v1, their record, durable. Descriptor or -errno; an older journal is replaced. */
int journal_create(int session_dir, const struct msg_journal_session *first,
		   const struct msg_journal_groups *groups);
/* Opens an existing one for appending. Descriptor or -errno. */
int journal_open(int session_dir);
int journal_step(int journal, enum session_step step, enum journal_mark mark);
int journal_keeper(int journal, uint32_t pid, uint64_t start_ticks, const char *boot_id);
/* Process 1 of the agent's sandbox. */
int journal_init(int journal, const struct procid *init);
/* Process 1 of a plugin's sandbox. */
int journal_plugin(int journal, const char *server, const struct procid *init);
/* A plugin, by its number in the plan; uid: inside the agent's range. */
int journal_server(int journal, uint8_t number, uint32_t uid, const char *name);
/* After journal_create(): its agent may be another by the time that a new runnerd ends it. */
int journal_home(int journal, const struct msg_journal_home *home);
/* The image whose layers the session has, "sha256:HEX". */
int journal_image(int journal, const char *digest);
int journal_segment(int journal, uint32_t segment, uint64_t offset);
/* Durable: what is discarded cannot be looked at again. why is not empty. */
int journal_discard(int journal, const struct msg_journal_discard *discard);
/* Need not be durable where the keeper's record is, which says the same after a power cut. */
int journal_ended(int journal, const struct msg_journal_ended *ended, bool durable);

/* All that a journal says. */
struct journal {
	struct msg_journal_session session;
	struct msg_journal_groups groups;
	struct msg_journal_home home;
	struct msg_journal_image image; /* digest "": none */
	bool has_session, has_groups, has_home, has_keeper, has_ended;
	bool gate; /* it may have been opened */
	bool begun[STEP_COUNT];
	enum session_step step; /* the last one that began */
	struct msg_journal_keeper keeper;
	struct procid init; /* pid 0: not said */
	struct journal_plugin {
		char server[SERVER_NAME_MAX + 1];
		struct procid init;
	} plugins[SERVERS_MAX]; /* those with secrets */
	unsigned plugin_count;
	struct msg_journal_server servers[SERVERS_MAX]; /* server_count of them, by their number */
	unsigned server_count;
	struct msg_journal_discard discard; /* why "": not said */
	struct msg_journal_ended ended;
	uint32_t segment;
	uint64_t offset;
};

/* 0, -ENOENT, -EBADMSG (what was read before the damage is kept), -errno. */
int journal_read(int session_dir, struct journal *journal);

#endif
