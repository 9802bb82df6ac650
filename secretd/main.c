/*
 * secretd: holds the secrets and writes the audit log. User secretd, no capabilities, no network,
 * no programs; its root is STATE_DIR/secrets, and beyond that it holds the descriptors that START
 * brought: audit.log, its own listening socket, and the key of the store, which it reads and
 * closes.
 */
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/daemon.h"
#include "common/log.h"
#include "hand.h"
#include "operators.h"
#include "requests.h"
#include "signature.h"
#include "spellings.h"

enum { OPEN_FILES = 512, NOGROUP = 65534, HEAD_EVERY = 256 /* entries; then the head is logged */ };
enum { EXTRA_LOG, EXTRA_LISTENER, EXTRA_KEK }; /* START's descriptors */

/* Besides the base: files of its root, its listener, and locked memory. */
static const int syscalls[] = {
    SYS_fdatasync,  SYS_fsync,     SYS_openat,  SYS_renameat,   SYS_renameat2,
    SYS_unlinkat,   SYS_faccessat, SYS_fchmod,  SYS_getdents64, SYS_accept4,
    SYS_getsockopt, SYS_mlock,     SYS_munlock, SYS_faccessat2,
};

enum { QUIET_ROUNDS = 2 /* what was sent before STOP has been read by then */ };

/* --- audit channels --------------------------------------------------------------------------- */

static enum role
role_of(const struct secretd *s, const struct channel *channel)
{
	for (int role = 0; role < ROLE_COUNT; role++)
		if (s->peers[role] == channel)
			return (enum role)role;
	return ROLE_NONE;
}

/* Who speaks is told by the channel: its place in the table, never the message. */
static void
tell_count(const struct secretd *s, struct channel *channel)
{
	struct msg msg;

	msg_init(&msg, MSG_AUDIT_COUNT);
	msg.audit_count.entries = writer_chain(s->writer)->seq;
	channel_send(channel, &msg);
}

static void
audit_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct secretd *s = arg;

	s->quiet_rounds = 0;
	if (msg->type == MSG_AUDIT)
		writer_add(s->writer, role_of(s, channel), &msg->audit);
	else if (msg->type == MSG_AUDIT_COUNT_QUERY)
		tell_count(s, channel);
}

static void
audit_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct secretd *s = arg;
	enum role role = role_of(s, channel);

	s->peers[role] = NULL;
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	else
		log_debug("the audit channel of %s closed", role_name(role));
}

static void
log_head(struct secretd *s, const char *when)
{
	const struct chain *chain = writer_chain(s->writer);
	char hex[2 * CHAIN_HASH_BYTES + 1];

	s->logged_seq = chain->seq;
	log_info("audit.log at %s: entry %llu, head %s", when, (unsigned long long)chain->seq,
		 sodium_bin2hex(hex, sizeof(hex), chain->head, CHAIN_HASH_BYTES));
}

/* All that was read so far lies on the disk. */
static void
acknowledge(void *arg)
{
	struct secretd *s = arg;

	for (int role = 0; role < ROLE_COUNT; role++) {
		struct source source = writer_source(s->writer, (enum role)role);
		struct msg msg;

		if (!s->peers[role] || (source.generation == s->told[role].generation &&
					source.sequence == s->told[role].sequence))
			continue;
		s->told[role] = source;
		msg_init(&msg, MSG_AUDIT_ACK);
		msg.audit_ack.generation = source.generation;
		msg.audit_ack.sequence = source.sequence;
		channel_send(s->peers[role], &msg);
	}
	if (writer_chain(s->writer)->seq >= s->logged_seq + HEAD_EVERY)
		log_head(s, "this time");
}

static const struct channel_ops audit_ops = {.message = audit_message, .closed = audit_closed};

static void
hold_back(bool full, void *arg)
{
	struct secretd *s = arg;

	for (int role = 0; role < ROLE_COUNT; role++)
		if (s->peers[role])
			channel_pause(s->peers[role], full);
}

/* agentd opens files; this process cannot. */
static void
ask_next(uint64_t seq, void *arg)
{
	struct secretd *s = arg;
	struct msg msg;

	msg_init(&msg, MSG_AUDIT_FULL);
	msg.audit_full.seq = seq;
	channel_send(s->agentd, &msg);
}

static const struct writer_ops writer_ops = {
    .full = hold_back,
    .durable = acknowledge,
    .large = ask_next,
};

/* --- what agentd asks ----------------------------------------------------------------------------
 */

static void
introduced(enum channel_kind kind, enum role peer, int fd, void *arg)
{
	struct secretd *s = arg;

	if (kind == CH_RUNNERD_SECRETD) {
		runnerd_introduced(s, fd);
		return;
	}
	if (kind == CH_SCHEDD_SECRETD) {
		schedd_introduced(s, fd);
		return;
	}
	if (kind != CH_AUDIT || peer <= ROLE_NONE || peer >= ROLE_COUNT) {
		log_error("agentd introduced a channel that secretd does not know: %s",
			  channel_kind_name(kind));
		close(fd);
		return;
	}
	channel_free(s->peers[peer]);
	s->told[peer] = (struct source){0};
	s->peers[peer] =
	    channel_new(s->loop, fd, CH_AUDIT, SIDE_B, ROLE_SECRETD, peer, &audit_ops, s);
	if (!s->peers[peer])
		log_error("the audit channel of %s: %s", role_name(peer), strerror(errno));
}

void
rules_from(struct custody_rules *rules, const struct config *config)
{
	*rules = (struct custody_rules){
	    .daemons = {config->ids.control, config->ids.schedd, config->ids.secretd,
			config->ids.dialer, config->ids.webhook},
	    .agents_first = config->session_ids.first,
	    .agents_end = config->session_ids.first + config->session_ids.ranges * ID_RANGE,
	    .passphrase = config->secrets.passphrase != NULL,
	};
}

static int
reload(struct config *config, struct error *error, void *arg)
{
	struct secretd *s = arg;

	(void)error;
	rules_from(&s->rules, config);
	config_free(config);
	keying_try(s);
	return 0;
}

static void
agentd_message(struct channel *agentd, struct msg *msg, void *arg)
{
	struct secretd *s = arg;

	if (msg->type == MSG_AUDIT_NEXT)
		writer_next(s->writer, msg_take_fd(msg, 0));
	else
		call_answered(s, agentd, msg);
}

/* What peers sent before agentd said STOP may be unread yet: ends after quiet rounds only. */
static void
finish(struct loop_source *source, void *arg)
{
	struct secretd *s = arg;

	if (s->quiet_rounds++ < QUIET_ROUNDS || writer_pending(s->writer)) {
		loop_arm_in(source, 0);
		return;
	}
	log_head(s, "the end");
	loop_stop(s->loop, 0);
}

static void
stop(void *arg)
{
	struct secretd *s = arg;

	s->quiet_rounds = 0;
	loop_arm_in(s->finish, 0);
}

static const struct daemon_ops daemon_ops = {
    .introduced = introduced,
    .reload = reload,
    .stop = stop,
    .message = agentd_message,
};

/* --- start
 * ------------------------------------------------------------------------------------------ */

static int
open_root(const struct config *config, struct error *error)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/secrets", config->state_dir) < 0)
		return error_errno(error, ENOMEM, "the private root");
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(error, errno, "opening the private root %s", path);
	return fd;
}

static int
drop(const struct config *config, struct error *error)
{
	struct confinement c = CONFINEMENT_INIT;

	c.uid = (uid_t)config->ids.secretd;
	c.gid = NOGROUP;
	c.root_fd = open_root(config, error);
	if (c.root_fd < 0)
		return -1;
	c.syscalls = syscalls;
	c.syscall_count = ARRAY_LEN(syscalls);
	c.open_files = OPEN_FILES;
	c.no_processes = true;
	c.landlock = c.landlock_files = true;
	return confine(&c, error);
}

/* Without a key it serves all the same: who needs a secret is told what to do. */
static int
open_store(struct secretd *s, int kek, struct error *error)
{
	struct error why = ERROR_INIT;
	int rc = 0;

	s->store = store_new(AT_FDCWD, error);
	if (!s->store)
		return -1;
	s->kek = sodium_malloc(KEY_BYTES);
	s->spellings = spellings_new();
	if (!s->kek || !s->spellings || sodium_mlock(s->kek, KEY_BYTES) < 0)
		return error_errno(error, ENOMEM, "locking memory for a key");
	if (kek >= 0 && store_state(s->store) == STORE_LOCKED)
		rc = keying_use(s, kek, &why);
	else if (store_state(s->store) != STORE_EMPTY)
		rc = store_closed(s->store, &why);
	if (rc < 0)
		log_problem(LOG_LEVEL_WARNING, &why);
	return 0;
}

static int
serve(struct secretd *s, int extra[DAEMON_EXTRAS], struct error *error)
{
	int rc;

	s->loop = loop_new();
	if (!s->loop)
		return error_errno(error, errno, "the event loop");
	s->writer = writer_new(s->loop, steal_fd(&extra[EXTRA_LOG]), &writer_ops, s, error);
	if (!s->writer)
		return -1;
	rc = open_store(s, extra[EXTRA_KEK], error);
	close_fd(&extra[EXTRA_KEK]);
	if (rc < 0)
		return -1;
	if (operators_listen(s, steal_fd(&extra[EXTRA_LISTENER])) < 0)
		return error_errno(error, errno, "listening to operators");
	s->finish = loop_add_timer(s->loop, finish, s);
	s->agentd = s->finish ? daemon_ready(s->loop, ROLE_SECRETD, &daemon_ops, s) : NULL;
	if (!s->agentd)
		return error_errno(error, errno, "announcing itself to agentd");
	log_head(s, "the start");
	rc = loop_run(s->loop);
	operators_free(s);
	plans_free(s);
	store_free(s->store);
	spellings_free(s->spellings);
	return rc;
}

int
main(void)
{
	struct secretd secretd = {0};
	struct error error = ERROR_INIT;
	struct config *config = NULL;
	int extra[DAEMON_EXTRAS], status;

	log_open("secretd", LOG_LEVEL_INFO, log_target_auto());
	if (sodium_init() < 0 || daemon_start(ROLE_SECRETD, &config, extra, &error) < 0 ||
	    drop(config, &error) < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		return 1;
	}
	rules_from(&secretd.rules, config);
	config_free(config);
	status = serve(&secretd, extra, &error);
	if (status < 0)
		log_problem(LOG_LEVEL_ERROR, &error);
	return status < 0 ? 1 : status;
}
