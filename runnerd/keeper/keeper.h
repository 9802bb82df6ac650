/*
 * The keeper of one session: parent of its init, outside the sandbox, under a user of its own.
 * Everything that must outlive the daemons is here: the agent's output, its input, the deadline,
 * the home's lock, what it wrote over its home where that is in memory, and the exit record. It
 * never waits for anything that the agent can hold up.
 *
 * Started by the spawner as root: 0, 1 /dev/null, 2 the log, and the descriptors below.
 */
#ifndef SCARAB_KEEPER_H
#define SCARAB_KEEPER_H

#include "common/boot.h"
#include "common/loop.h"
#include "common/proto.h"
#include "common/redact.h"
#include "keeper_lines.h"
#include "keeper_segments.h"

enum {
	KEEPER_FD_BOOT = 3, /* CH_KEEPER, side B */
	KEEPER_FD_INIT = 4, /* the sealed copy of init */
	KEEPER_FD_NET = 5,  /* the session's network namespace */

	PLUGIN_LOG_BYTES = 64 << 10, /* of a plugin's standard error, each second */
};

extern const struct boot keeper_start;

/* What KEEPER_BOOT brought, in its order. */
struct boot_fds {
	int builder, segment, next_segment, record, socket, lock, input, root, program,
	    builder_program;
	int oom_count, oom_event;   /* -1: there is none */
	int broker, broker_channel; /* -1: none; its binary, and its end of the channel */
	/* The same; the agent's first. */
	int egress[1 + SERVERS_MAX], egress_channel[1 + SERVERS_MAX];
	int plugin_builders[SERVERS_MAX];
};

enum keeper_state {
	KEEPER_BUILDING, /* no init yet */
	KEEPER_GATED,    /* init waits for GO */
	KEEPER_OPENING,  /* init starts the agent */
	KEEPER_RUNNING,
	KEEPER_STOPPING, /* TERM was sent, the grace runs */
	KEEPER_ENDING,   /* only init's own end is missing */
	KEEPER_CLOSING,  /* the agent is gone; broker and plugins are awaited */
	KEEPER_HOLDING,  /* the record is written; a runnerd settles the home with the layers */
	KEEPER_DONE,     /* nothing is left to do */
	KEEPER_STATES,
};

enum keeper_event {
	EVENT_BUILT,
	EVENT_BUILD_FAILED,
	EVENT_GO,
	EVENT_STARTED,
	EVENT_EXEC_FAILED,
	EVENT_AGENT_ENDED,
	EVENT_STOP,      /* runnerd's wish or the deadline: the verdict is set */
	EVENT_OOM,       /* the kernel killed one of it for memory: the verdict is set */
	EVENT_LINK_LOST, /* runnerd is gone */
	EVENT_PATIENCE,  /* init did not end though it was told to */
	EVENT_INIT_EXIT,
	EVENT_TOOLS_GONE, /* broker and every plugin */
	EVENT_RELEASE,    /* the layers need not be held any more */
	EVENTS,
};

struct stream {
	const char *name;
	int fd; /* -1 once it ended */
	struct loop_source *source, *timer;
	struct redact *redact; /* NULL: this session has no secrets */
	struct lines lines;
	struct keeper *keeper;
	bool rationed;            /* a plugin's: PLUGIN_LOG_BYTES a second, the rest is counted */
	uint64_t ration_ns, over; /* when the second began; bytes that were over, untold */
	size_t rationed_bytes;
};

/* What is owed to runnerd: bits, so that nothing queues up. In the order of sending. */
enum {
	DUE_HELLO = 1,
	DUE_UP = 2,
	DUE_STATE = 4,
	DUE_RUNNING = 8,
	DUE_LOG = 16,
	DUE_PLUGINS = 32, /* those whose due is set */
	DUE_REDACTED = 64,
	DUE_ENDED = 128,
	DUE_LAYERS = 256,
};

struct link {
	int fd; /* -1: nobody listens */
	enum phase phase;
	bool has_layers; /* the peer, if there are any */
	unsigned due;
	uint32_t query; /* id of the KEEPER_QUERY that KEEPER_STATE answers */
	struct loop_source *source;
};

/* Why it shall end, as it was first told. */
struct verdict {
	bool set;
	uint8_t outcome;
	uint64_t grace_ms;
	char reason[REASON_MAX + 1];
};

/* KEEPER_PLUGIN.state */
enum plugin_state {
	PLUGIN_NONE,  /* no sandbox yet */
	PLUGIN_GATED, /* nothing runs in it: never started, or ended */
	PLUGIN_STARTING,
	PLUGIN_RUNNING,
	PLUGIN_GONE, /* its init ended */
};

struct plugin {
	struct keeper *keeper;
	char name[32]; /* plugin-NAME, also its stream in the log */
	uid_t uid;
	enum plugin_state state;
	uint32_t generation;
	int exit_code, signal; /* of its last end */
	char why[REASON_MAX + 1];
	bool due; /* runnerd is to be told */

	pid_t init;
	int pidfd, socket; /* -1: none */
	struct loop_source *pidfd_source, *socket_source;
	struct stream stderr_stream;
};

/* A process of the keeper's that is only reaped. */
struct child {
	pid_t pid;
	int pidfd;
	struct loop_source *source;
};

/* An egress process, of the agent or of a plugin; its end ends no session. */
struct outlet {
	struct keeper *keeper;
	const char *whose;
	struct child child; /* pidfd -1: there is none */
	int life, net;      /* net: the namespace that it furnishes, until it has it */
	struct stream log;
};

struct keeper {
	struct loop *loop;
	struct msg_keeper_boot boot;
	struct boot_fds fds;
	struct child builders[1 + SERVERS_MAX]; /* the agent's first */
	enum keeper_state state;
	struct verdict verdict;
	struct link link;
	struct loop_source *listener;

	int nursery;
	struct loop_source *nursery_source;
	pid_t init;
	int init_pidfd, init_socket;
	struct loop_source *pidfd_source, *init_source;

	int input; /* the keeper's end of the agent's standard input */
	struct loop_source *input_source;
	uint64_t input_offset;

	struct plugin plugins[SERVERS_MAX]; /* boot.plugins of them */
	struct child broker;
	int broker_life;                  /* as long as it is open, the broker goes on */
	struct loop_source *broker_signs; /* of the agent's life; NULL: it may be idle for ever */
	struct stream broker_log;
	struct outlet outlets[1 + SERVERS_MAX]; /* the agent's first */
	struct loop_source *closing;
	unsigned closing_stage;

	struct stream streams[2];
	struct redact_set *secrets; /* fingerprints; NULL: none */
	uint32_t redacted;          /* the number of the last set */
	bool mute;                  /* what may be shown cannot be told: output is dropped */
	struct segments segments;
	struct loop_source *report_timer;
	uint64_t reported_ns;
	uint32_t reported_segment;

	struct loop_source *deadline, *patience;
	struct loop_source *idle; /* NULL: it may be idle for ever */
	uint64_t active_ns;       /* CLOCK_BOOTTIME of its last sign of life */
	struct loop_source *oom_source, *oom_again;
	uint64_t oom_look_ms;           /* until the next look */
	uint64_t running_ns;            /* CLOCK_BOOTTIME when the agent started */
	uint64_t ended_ns, ended_at_ms; /* when its init was gone */
	int layers;                     /* the envelope of KEEPER_LAYERS; -1: none */
	bool opened;                    /* the gate was */
	bool exit_known;
	struct msg_exit_record record;
};

/* keeper_start.c: as root; then the drop. 0, or -1 with error. */
int keeper_receive(struct keeper *keeper, struct error *error);
int keeper_fork_builders(struct keeper *keeper, struct error *error);
int keeper_drop(struct keeper *keeper, struct error *error);

/* keeper_beside.c, still as root: namespaces for plugins that have a network, before their
 * builders; then the processes that are no sandbox. Egress last: the others take longer. */
int keeper_make_nets(struct keeper *keeper, struct error *error);
int keeper_fork_broker(struct keeper *keeper, struct error *error);
int keeper_fork_egress(struct keeper *keeper, struct error *error);

/* keeper_link.c */
int link_open(struct keeper *keeper, struct error *error);
void link_owe(struct keeper *keeper, unsigned due);
/* Sends what is owed, waiting a little for a slow runnerd; for the very end. */
void link_settle(struct keeper *keeper);

/* keeper_sandbox.c: the builder's hand-over, init, and what both report. */
int sandbox_watch(struct keeper *keeper);
/* Reads one message that lies in the nursery now; false when there was none. */
bool sandbox_look(struct keeper *keeper);
void sandbox_go(struct keeper *keeper);
void sandbox_stop(struct keeper *keeper, uint64_t grace_ms);
/* EOF: init exits at once. */
void sandbox_abandon(struct keeper *keeper);

/* keeper_plugins.c: the other inits, and the broker. */
int plugins_watch(struct keeper *keeper);
void plugin_take(struct keeper *keeper, struct msg *nursery_init);
bool plugin_told_go(struct keeper *keeper, struct msg *msg);
bool plugin_told_stop(struct keeper *keeper, struct msg *msg);
/* Nobody needs tools any more: the broker closes what plugins read, then they are stopped, then
 * killed. EVENT_TOOLS_GONE comes once all are gone, a few seconds later at
 * the latest. */
void plugins_close(struct keeper *keeper);

/* keeper_output.c and keeper_input.c */
int output_open(struct keeper *keeper);
/* One more stream of the log: fd is set, a plugin's standard error or the broker's. */
int stream_open(struct keeper *keeper, struct stream *stream, const char *name);
void stream_drain(struct stream *stream);
void output_drain(struct keeper *keeper);
void output_say(struct keeper *keeper, const char *text);
void output_told_dropped(struct keeper *keeper);
/* Takes the descriptor of KEEPER_REDACT over. False: the session must not start. */
bool output_redact(struct keeper *keeper, int fd);
/* What others say of the agent: without secrets, or empty. */
void output_clean(const struct keeper *keeper, char *text, size_t size);
void input_start(struct keeper *keeper);

/* keeper_states.c */
void keeper_on(struct keeper *keeper, enum keeper_event event);
/* Sets the verdict unless one is there, then EVENT_STOP. */
void keeper_end_as(struct keeper *keeper, enum session_outcome outcome, uint64_t grace_ms,
		   const char *reason);

/* keeper_idle.c: idle is who neither writes output, nor takes input, nor uses or awaits a tool.
 * idle_sign() says that it did. */
int idle_open(struct keeper *keeper);
void idle_start(struct keeper *keeper);
void idle_sign(struct keeper *keeper);

/* keeper_oom.c: ends the session as a whole once the kernel killed one of it for its memory. */
int oom_open(struct keeper *keeper);
/* Did it, so far? */
bool oom_happened(const struct keeper *keeper);

#define OOM_REASON "out of memory: the kernel ended it at its memory_limit"
/* The kernel killed one of the session for its memory: all of it ends at once. */
void keeper_out_of_memory(struct keeper *keeper);

/* keeper_record.c: reaps init, drains the output, writes the record, tells runnerd. False: it could
 * not be written. */
bool record_exit(struct keeper *keeper);

#endif
