/*
 * The messages of proto.def as C: types, structs, permission table, codec.
 *
 * Wire layout, all little-endian, one datagram a message:
 *   0  u16 magic 0x5253 ("SR")   2  u8 version   3  u8 flags (0)
 *   4  u16 type                  6  u8 fd count  7  u8 zero
 *   8  u32 payload length       12  u32 id (a request's, repeated by its answer; 0 elsewhere)
 *  16  the fields in the order of proto.def: integers as they are, BOOL one byte 0 or 1, ID 16
 *      bytes, STR and BYTES a u16 length and the bytes.
 * A decoder that meets a bad BOOL, a string with a NUL, a length over its bound, or bytes left
 * over refuses the whole message.
 */
#ifndef SCARAB_PROTO_H
#define SCARAB_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"
#include "limits.h"
#include "uuid.h"

enum {
	PROTO_MAGIC = 0x5253,
	PROTO_VERSION = 1,
	PROTO_HEADER_BYTES = 16,
	PROTO_MESSAGE_MAX = 16384, /* DESIGN 4: anything bigger is a sealed memfd */
	PROTO_FDS_MAX = 6 + CONTEXT_MAX + WATCHES_MAX + SKILLS_MAX,
};

enum role {
	ROLE_NONE,
	ROLE_AGENTD,
	ROLE_CONTROL,
	ROLE_SCHEDD,
	ROLE_SECRETD,
	ROLE_RUNNERD,
	ROLE_SPAWNER,
	ROLE_KEEPER,
	ROLE_BUILDER,
	ROLE_INIT,
	ROLE_CONFIG,
	ROLE_ASH,
	ROLE_HOMEKEEPER,
	ROLE_BROKER,
	ROLE_DIALER,
	ROLE_EGRESS,
	ROLE_WEBHOOK,
	ROLE_UNPACK,
	ROLE_COUNT,
};

/* Kinds of channel; the comment names side A, then side B. */
enum channel_kind {
	CH_NONE,
	CH_SUPERVISE,         /* agentd, a daemon */
	CH_SUPERVISE_CONTROL, /* agentd, control */
	CH_CONFIG,            /* agentd, agentd-config */
	CH_CONTROL_SCHEDD,    /* control, schedd */
	CH_CONTROL_RUNNERD,   /* control, runnerd */
	CH_SCHEDD_RUNNERD,    /* schedd, runnerd */
	CH_AUDIT,             /* a daemon, secretd */
	CH_SPAWNER,           /* runnerd, spawner */
	CH_KEEPER,            /* runnerd, a keeper */
	CH_BUILDER,           /* runnerd, a builder */
	CH_NURSERY,           /* a builder, its keeper */
	CH_INIT,              /* a keeper, an init */
	CH_OPERATOR,          /* ash, control */
	CH_RECORD,            /* the writer of a file or memfd, its reader */
	CH_HOME,              /* runnerd, a homekeeper */
	CH_BROKER,            /* runnerd, a broker */
	CH_SUPERVISE_SECRETD, /* agentd, secretd */
	CH_RUNNERD_SECRETD,   /* runnerd, secretd */
	CH_SCHEDD_SECRETD,    /* schedd, secretd */
	CH_SECRETS,           /* ash, secretd */
	CH_RUNNERD_DIALER,    /* runnerd, dialer */
	CH_EGRESS,            /* runnerd, an egress process */
	CH_DIAL,              /* an egress process, dialer */
	CH_SCHEDD_WEBHOOK,    /* schedd, the webhook listener */
	CH_IMAGE,             /* runnerd, an unpack */
	CH_COUNT,
};

enum side { SIDE_A, SIDE_B };

#define A_TO_B(kind) (UINT64_C(1) << (2 * (kind)))
#define B_TO_A(kind) (UINT64_C(2) << (2 * (kind)))
#define BOTH(kind) (A_TO_B(kind) | B_TO_A(kind))
#define EVERY_ROUTE (~UINT64_C(0) & ~BOTH(CH_RECORD))

enum phase {
	IN_HELLO = 1, /* only HELLO may pass */
	IN_SETUP = 2, /* before the receiver is confined or the sandbox complete */
	IN_OPEN = 4,
};

enum session_state {
	STATE_NONE,
	STATE_QUEUED,
	STATE_SETUP,
	STATE_RUNNING,
	STATE_STOPPING,
	STATE_ENDED,
	STATE_COUNT,
};

enum session_outcome {
	OUTCOME_NONE,
	OUTCOME_SUCCESS,
	OUTCOME_FAILED,
	OUTCOME_SIGNALED,
	OUTCOME_TIMED_OUT,
	OUTCOME_IDLE_TIMED_OUT,
	OUTCOME_OOM_KILLED,
	OUTCOME_CANCELLED,
	OUTCOME_BUDGET_EXCEEDED,
	OUTCOME_SETUP_FAILED,
	OUTCOME_SKIPPED,
	OUTCOME_REFUSED,
	OUTCOME_LOST,
	OUTCOME_COUNT,
};

/* DAEMON_ROW: what agentd knows of a daemon. */
enum daemon_state {
	DAEMON_NONE,
	DAEMON_STARTING, /* not confined yet */
	DAEMON_READY,    /* serves */
	DAEMON_WAITING,  /* died; started again after a pause */
	DAEMON_STOPPING,
	DAEMON_STATE_COUNT,
};

/* KEK_QUERY: the key that the data key of the store of secrets is wrapped under. */
enum kek_purpose {
	KEK_OPEN = 1, /* as it is */
	KEK_CREATE,   /* the same; a key file that is missing is made */
	KEK_NEXT,     /* its successor: a new file beside it, or the credential NAME.new */
	KEK_COMMIT,   /* the successor takes its place, then as KEK_OPEN */
};

/* GRANT_ROW. */
enum grant_state {
	GRANT_HOLDS = 1,
	GRANT_LAPSED,  /* the agent's definition has changed since */
	GRANT_EXPIRED, /* its time is over */
	GRANT_USED_UP,
	GRANT_UNKNOWN, /* the agent's definition is not known here now */
	GRANT_STATE_COUNT,
};

/* FACT: what it holds. */
enum fact_kind {
	FACT_NONE, /* not known */
	FACT_TEXT,
	FACT_NUMBER,
	FACT_BYTES,
	FACT_BOOL,
	FACT_ITEM,  /* text, one more of the list of this key */
	FACT_EMPTY, /* that list, or without a key the section, has none */
	FACT_COUNT,
};

/* IMAGE_TEXT. */
enum image_text {
	IMAGE_TEXT_ENV = 1, /* NAME=VALUE */
	IMAGE_TEXT_ENTRYPOINT,
	IMAGE_TEXT_CMD,
	IMAGE_TEXT_REFERENCE, /* what it was called by, with its tag */
	IMAGE_TEXT_USER,      /* an agent that names it; in no record */
};

/* In the order of set-up; teardown walks them backwards. */
enum session_step {
	STEP_NONE,
	STEP_IMAGE,
	STEP_IDENTITY,
	STEP_CREDENTIALS,
	STEP_CONTEXT,
	STEP_SKILLS,
	STEP_NETWORK,
	STEP_TOOLS,
	STEP_AGENT,
	STEP_COUNT,
};

/* Names as CONTRACT 4 and 9 print them; NULL for a number out of range. *_parse return 0
 * (…_NONE) for an unknown name. */
const char *role_name(enum role role);
const char *channel_kind_name(enum channel_kind kind);
const char *daemon_state_name(enum daemon_state state);
const char *grant_state_name(enum grant_state state);
const char *session_state_name(enum session_state state);
/* How a session follows the end of another. */
enum succession {
	SUCCESSION_NONE,
	SUCCESSION_RETRY,   /* of a failed one */
	SUCCESSION_RESTART, /* restart_policy */
};
const char *session_outcome_name(enum session_outcome outcome);
const char *session_step_name(enum session_step step);
enum session_state session_state_parse(const char *name);
enum session_outcome session_outcome_parse(const char *name);

/* What this build is: a hash over its sources (build-id.h, made by make), and its version. */
extern const char scarab_build_id[];
extern const char scarab_version[];

enum msg_type {
	MSG_NONE,
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...) MSG_##NAME = number,
#include "proto.def"
#undef MSG
};

#define BOOL(f) bool f;
#define U8(f) uint8_t f;
#define U32(f) uint32_t f;
#define U64(f) uint64_t f;
#define I32(f) int32_t f;
#define I64(f) int64_t f;
#define ID(f) struct uuid f;
#define STR(f, max) char f[(max) + 1];
#define BYTES(f, max)                                                                              \
	uint32_t f##_len;                                                                          \
	uint8_t f[max];
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	struct msg_##name {                                                                        \
		__VA_ARGS__                                                                        \
	};
#include "proto.def"
#undef MSG
#undef BOOL
#undef U8
#undef U32
#undef U64
#undef I32
#undef I64
#undef ID
#undef STR
#undef BYTES

/* One decoded message. fds[0 … nfds-1] are open and belong to the struct until taken with
 * msg_take_fd; msg_close_fds closes what is left. */
struct msg {
	enum msg_type type;
	uint32_t id;
	unsigned nfds;
	int fds[PROTO_FDS_MAX];
	union {
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...) struct msg_##name name;
#include "proto.def"
#undef MSG
	};
};

/* One row of the permission table. */
struct msg_rule {
	enum msg_type type;
	const char *name;
	uint64_t routes; /* A_TO_B, B_TO_A bits */
	uint32_t phases; /* IN_* bits */
	uint8_t fds_min, fds_max;
};

const struct msg_rule *msg_rule(enum msg_type type); /* NULL: no such message */
const struct msg_rule *msg_rules(size_t *count);

/* True when sender's side of a channel of this kind may send the message in this phase. */
bool msg_permitted(enum msg_type type, enum channel_kind kind, enum side sender, enum phase phase);

/* A zeroed message of this type with no descriptors. */
void msg_init(struct msg *msg, enum msg_type type);
/* Takes the descriptor into the message. Returns false (and closes it) when there is no room. */
bool msg_add_fd(struct msg *msg, int fd);
/* The caller owns the descriptor afterwards; -1 when index is out of range or taken. */
int msg_take_fd(struct msg *msg, unsigned index);
void msg_close_fds(struct msg *msg);

/* Writes header and payload to out (PROTO_MESSAGE_MAX bytes). Returns the length or -EMSGSIZE;
 * -EINVAL for an unknown type, a string that is too long or a wrong number of descriptors. */
ssize_t msg_encode(const struct msg *msg, uint8_t *out, size_t size);
/* Reads exactly one message of length bytes; nfds descriptors came with it, msg->fds is left to
 * the caller. 0 or -EBADMSG. */
int msg_decode(struct msg *msg, const uint8_t *in, size_t length, unsigned nfds);
/* How long the message at the head of these bytes is, by its header: for records that lie one
 * after the other. -EBADMSG when it is no header or the message is longer than length. */
ssize_t msg_size(const uint8_t *in, size_t length);
/* "NAME{field=value, …}" for the log; bytes and long strings are shortened. */
void msg_print(const struct msg *msg, FILE *stream);

/* Fills the message's reason from error, for MSG_ERROR, and back. */
void msg_from_error(struct msg *msg, uint32_t id, const struct error *error);
int msg_to_error(const struct msg *msg, struct error *error); /* -1, for `return` */

/* --- blocking transfer: one-shot helpers, the spawner, builders, init, ash ---------------- */

/* Sends one message; descriptors are duplicated by the kernel, the message keeps its own.
 * Refuses what the table does not permit (-EPERM). 0 or -errno. */
int msg_send(int fd, enum channel_kind kind, enum side self, enum phase phase,
	     const struct msg *msg);
/* Receives one message: 1, 0 on EOF, -errno; -EBADMSG, -EPERM for what the table refuses. On
 * anything but 1 no descriptor stays open. Waits for timeout_ms (-1: for ever; -ETIMEDOUT). */
int msg_recv(int fd, enum channel_kind kind, enum side self, enum phase phase, struct msg *msg,
	     int timeout_ms);
/* The one receiver of every channel: reads a datagram without waiting and applies every rule of
 * DESIGN 4. As msg_recv, and -EAGAIN. */
int msg_recv_now(int fd, enum channel_kind kind, enum side self, enum phase phase, struct msg *msg);
/* Sends bytes that msg_encode made, without checking and without waiting: the channel's own queue.
 * 0 or -errno (-EAGAIN). */
int msg_send_raw(int fd, const uint8_t *bytes, size_t length, const int *fds, unsigned nfds);

/* May this role speak on that side of a channel of this kind? */
bool role_speaks(enum role role, enum channel_kind kind, enum side side);
/* Fills this process's HELLO, and checks the sender's: 0, -EPROTONOSUPPORT (protocol), -EPROTO (a
 * role that may not speak there; peer ROLE_NONE: any that may), -ESTALE (another build, where both
 * must be of one). */
void msg_hello(struct msg *msg, enum role own);
int msg_hello_check(const struct msg *msg, enum channel_kind kind, enum side sender,
		    enum role peer);
/* Both HELLOs of a blocking channel: 0, -ECONNRESET on EOF, as msg_recv and msg_hello_check. */
int msg_greet(int fd, enum channel_kind kind, enum side self, enum role own, enum role peer,
	      int timeout_ms);

/* --- rows: records in a sealed memfd --------------------------------------------------------- */

struct rows; /* a memfd being filled */
struct rows *rows_new(const char *name);
/* Appends one record (A_TO_B of CH_RECORD). 0 or -errno; -EFBIG over ROWS_BYTES_MAX. */
int rows_add(struct rows *rows, const struct msg *record);
uint32_t rows_count(const struct rows *rows);
/* Seals (WRITE, GROW, SHRINK, SEAL); the caller owns the descriptor. Frees rows. -errno. */
int rows_seal(struct rows *rows);
void rows_free(struct rows *rows);

struct rows_reader; /* a sealed memfd, mapped */
/* Checks type, seals and size of the memfd (borrowed). NULL with errno. */
struct rows_reader *rows_open(int fd);
/* 1 and the next record, 0 at the end, -EBADMSG. */
int rows_next(struct rows_reader *reader, struct msg *record);
void rows_close(struct rows_reader *reader);

/* A sealed memfd with these bytes, never executable; the caller owns it. -errno. */
int memfd_sealed(const char *name, const void *bytes, size_t length);
/* Maps a memfd that must be sealed against writing, growing and shrinking and at most max bytes.
 * 0 and *bytes (munmap with length; NULL when empty), or -errno. */
int memfd_map(int fd, size_t max, const uint8_t **bytes, size_t *length);

#endif
