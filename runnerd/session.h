/*
 * One session from PREPARE to END_ACK: what it holds, its phases, and the table of all of them.
 * Nothing here waits: every answer of a spawner, keeper or builder comes through the loop with a
 * deadline, and a session is known by the channel that speaks, never by a field.
 *
 *   BUILDING → PREPARED → OPENING → LIVE → STOPPING → ENDING → ENDED
 *
 * Any phase may go to ENDING; only ENDED waits for schedd.
 */
#ifndef SCARAB_RUNNERD_SESSION_H
#define SCARAB_RUNNERD_SESSION_H

#include "cgroup.h"
#include "common/procid.h"
#include "logs.h"
#include "mechanism.h"
#include "policy.h"
#include "recipe.h"
#include "runnerd.h"
#include "store.h"

enum session_phase {
	PHASE_BUILDING, /* steps; then keeper and builder are awaited */
	PHASE_PREPARED, /* init stands at the gate, GO is awaited */
	PHASE_OPENING,  /* GO was sent */
	PHASE_LIVE,
	PHASE_STOPPING, /* the keeper was told to end it */
	PHASE_ENDING,   /* teardown */
	PHASE_ENDED,    /* only END_ACK is missing */
};

struct session {
	struct session *next;
	struct runnerd *r;
	struct uuid id;
	char name[UUID_TEXT_LEN + 1];
	char agent_name[AGENT_NAME_MAX + 1];
	enum session_phase phase;
	struct agent *agent;         /* NULL for an adopted one whose agent is gone */
	struct msg_prepare *request; /* NULL for an adopted one */
	char *event;                 /* that started it, for mission.json; NULL: none */
	size_t event_length;
	struct image *image; /* images.h; of what is being set up, NULL: host's or a directory's */
	/* Of the layers that it has, "sha256:HEX"; "": none. They stay for as long as it is. */
	char image_digest[IMAGE_DIGEST_LEN + 1];
	struct effective effective;
	uint32_t base_uid;
	uint64_t timeout_ms;

	enum session_step step; /* the one at work, or where it failed */
	bool built[STEP_COUNT];
	uint64_t step_started_ms, step_started_ns;
	struct msg_step told[STEP_COUNT]; /* for a schedd that asks again */

	int records, live; /* STATE_DIR/sessions/ID, RUN_DIR/sessions/ID */
	int journal, exit_record;
	struct cgroup_limits limits;
	struct session_cgroup cgroup;
	char degraded[MECHANISMS_TEXT_MAX + 1]; /* what it goes without, as root accepted */
	struct session_log log;
	int home_lock;       /* until it is handed on */
	int segments[2];     /* until the keeper has them */
	int layers;          /* runnerd/layers.h; -1: it writes over nothing */
	bool home_in_memory; /* the home's layer is one of them */
	int builder_end;     /* the builder's end of its channel, until the keeper has it */

	size_t next_step;              /* of set-up */
	struct net *net;               /* net.h; NULL: the agent has none */
	struct net *plugin_nets;       /* a list */
	struct tools *tools;           /* tools.h; NULL: not begun */
	struct spawner_request *spawn; /* not answered yet */
	struct channel *keeper, *builder;
	int redaction; /* fingerprints for the keeper, until it is up; -1: none */
	/* The number of the last that were told, and of those that both filter by. */
	uint32_t redactions, keeper_redactions, broker_redactions;
	bool redaction_failed; /* the newest values cannot be told apart */
	struct recipe recipe;
	int keeper_pidfd;
	struct loop_source *keeper_watch, *cgroup_watch, *timer;
	bool keeper_up, sandbox_built, keeper_gone;
	struct procid init;     /* process 1 of the agent's sandbox; pid 0: not known */
	unsigned hands;         /* credentials that secretd has not written yet */
	bool credentials_stale; /* one changed while the sandbox was built */
	bool gate;              /* opened, or it may have been */
	bool waits_for_home;    /* nothing of it is built yet */
	unsigned home_waits;
	bool host_restarted; /* since it was prepared */
	bool outcome_settled;
	struct home_job_run *home_job; /* at its home, at the end */
	bool keeper_holds;            /* the home's layer, beyond its record, until it is settled */
	bool home_settled, home_told; /* told: its end has words about the home */
	struct msg_journal_discard discard; /* why "": nothing is known against keeping it */
	unsigned home_tries;
	uint64_t running_at_ms;

	struct msg_journal_ended end; /* outcome: why it ends, as soon as that is known */
};

struct session_table {
	struct session *first;
};

struct session_table *sessions_new(void);
/* Lets go of every session without ending any: keepers go on. */
void sessions_free(struct session_table *sessions);

struct session *session_find(const struct session_table *sessions, const struct uuid *id);
/* Sessions of this agent that have not ended; agent NULL: of all. */
uint32_t sessions_of_agent(const struct session_table *sessions, const char *agent);
/* Is there one whose home is not what it leaves behind? */
bool sessions_hold_home(const struct session_table *sessions, const char *agent);
uint32_t sessions_count(const struct session_table *sessions);
/* INVENTORY or ENDED of each, to a schedd just introduced; returns how many. */
uint32_t sessions_announce(struct runnerd *r);

/* schedd's requests. Idempotent. */
void session_prepare(struct runnerd *r, const struct msg *msg);
void session_go(struct runnerd *r, const struct uuid *id);
void session_cancel(struct runnerd *r, const struct msg_cancel *cancel);
void session_ack(struct runnerd *r, const struct msg_end_ack *ack);

/* --- for the modules that make up a session ----------------------------------------------------
 */

enum {
	STEP_WAIT_MS = 30000,   /* keeper and builder together */
	GO_WAIT_MS = 30000,     /* from PREPARED to GO */
	KEEPER_WAIT_MS = 10000, /* for an answer, or its end */
};

/* A session with every descriptor closed, in the table. NULL when memory ran out. */
struct session *session_new(struct runnerd *r, const struct uuid *id, const char *agent_name);
/* Out of the table, everything closed, nothing else done. */
void session_free(struct session *s);
/* The public state for INVENTORY. */
enum session_state session_public_state(const struct session *s);

/* session_setup.c */
void session_setup(struct session *s);
/* The step that waited has got what it waited for. */
void session_setup_goes_on(struct session *s);
/* Keeper or builder answered: PREPARED when both are there. */
void session_progress(struct session *s);

/* session_image.c: the image of its plan, if there is one. 0, or -1 with error. */
int session_take_image(struct session *s, struct error *error);
/* Its runtime is container: for the others an image is files and no more. */
bool session_is_container(const struct session *s);
/* The agent's ids inside: those of a container's user. */
uint32_t session_agent_uid(const struct session *s);
uint32_t session_agent_gid(const struct session *s);

/* session_frame.c: what every step needs and nothing undoes but the end. */
int frame_open(struct session *s, struct error *error);
/* 0, or -EBUSY while a cgroup is not empty yet. */
int frame_close(struct session *s);
/* Connects to NAME.sock in the session's directory, where a living process of the session listens:
 * one of this uid inside its range, or -1 with error. */
int session_connect(const struct session *s, const char *name, uint32_t uid, struct error *error);

/* session_keeper.c */
void keeper_spawned(pid_t pid, int pidfd, const struct error *error, void *arg);
int keeper_channel_open(struct session *s, int fd);
int builder_channel_open(struct session *s, int fd);
/* Connects to a living keeper's socket; KEEPER_STATE makes the session LIVE. -1 with error. */
int keeper_adopt(struct session *s, struct error *error);
int keeper_watch(struct session *s, int pidfd);
void keeper_tell_go(struct session *s);
/* Gives the keeper an envelope with the session's layers, to hold beyond a runnerd's end. 0 or
 * -errno. */
int keeper_tell_layers(struct session *s);
/* It need not stay for them; nothing more is heard of it but its end. */
void keeper_let_go(struct session *s);
/* fd: the fingerprints of the secrets that the session sees (common/redact_set.h), taken over.
 * Before GO for a session that has any; afterwards they replace those that the keeper has. */
void keeper_tell_redaction(struct session *s, int fd);
void keeper_tell_stop(struct session *s, enum session_outcome outcome, const char *reason);

/* session_end.c. The first outcome holds. */
void session_end(struct session *s, enum session_outcome outcome, const char *reason);
/* The reason of a lost session whose keeper died: a word, since programs look for it. */
#define REASON_KEEPER "keeper"
void session_fail(struct session *s, const struct error *error);
/* What was waited for came: goes on with the teardown. */
void session_end_advance(struct session *s);
void session_end_insist(struct session *s);
void session_tell_end(const struct session *s);
/* It is torn down whole, and its journal says so. */
void session_is_ended(struct session *s);

/* Takes over what the keeper recorded; repeated it changes nothing. True when what the end says is
 * durable already, in that record. */
bool session_settle_outcome(struct session *s);

/* session_home.c. What the journal says that its home does not keep is said by its end too. */
void home_tell_discard(struct session *s);
/* 0 when the session's home is settled, or -EAGAIN: session_end_advance() is called
 * once there is news. */
int home_settle_session(struct session *s);
/* The same while the keeper holds what is to be committed; 0 also when it holds nothing. */
int home_settle_held(struct session *s);

void session_timer(struct loop_source *source, void *arg);

#endif
