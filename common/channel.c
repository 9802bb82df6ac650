#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "channel.h"
#include "cleanup.h"
#include "log.h"

/* An encoded message that waits for the socket. */
struct parcel {
	struct parcel *next;
	uint64_t number; /* leaves once its channel's hold has passed it */
	size_t length;
	unsigned nfds;
	int *fds; /* behind the bytes */
	uint8_t bytes[];
};

struct channel {
	struct loop *loop;
	int fd;
	enum channel_kind kind;
	enum side self;
	enum role peer; /* expected, then as named */
	enum phase phase, after_hello;
	const struct channel_ops *ops;
	void *arg;
	struct loop_source *io;
	struct loop_source *timer; /* HELLO's deadline; later the deferred drain or end */
	struct parcel *first, **last;
	uint64_t last_number; /* of the last, while one waits */
	size_t queued, queued_bytes;
	struct channel_hold *hold;      /* NULL: nothing is held */
	struct channel *next, **beside; /* of the hold's channels */
	unsigned depth;                 /* callbacks of this channel under way */
	bool paused;                    /* by its owner */
	bool deaf;   /* the peer takes nothing more: read what is left, then end */
	bool ending; /* closed() is due */
	bool freed;  /* memory goes when depth is 0 */
	bool has_error;
	struct error why;
};

/* --- end ----------------------------------------------------------------------------------------
 */

static void
parcel_free(struct parcel *parcel)
{
	for (unsigned i = 0; i < parcel->nfds; i++)
		close_fd(&parcel->fds[i]);
	free(parcel);
}

static void
drop_queue(struct channel *channel)
{
	while (channel->first) {
		struct parcel *parcel = channel->first;
		channel->first = parcel->next;
		parcel_free(parcel);
	}
	channel->last = &channel->first;
	channel->queued = channel->queued_bytes = 0;
}

/* A callback of the channel begins; what it frees stays until leave(). */
static void
enter(struct channel *channel)
{
	channel->depth++;
}

static void
leave_hold(struct channel *channel)
{
	if (!channel->hold)
		return;
	*channel->beside = channel->next;
	if (channel->next)
		channel->next->beside = channel->beside;
	channel->hold = NULL;
}

/* False when the channel is gone. */
static bool
leave(struct channel *channel)
{
	if (--channel->depth > 0 || !channel->freed)
		return !channel->freed;
	if (channel->ops->freed)
		channel->ops->freed(channel->arg);
	free(channel);
	return false;
}

void
channel_free(struct channel *channel)
{
	if (!channel || channel->freed)
		return;
	enter(channel);
	channel->freed = channel->ending = true;
	drop_queue(channel);
	leave_hold(channel);
	loop_remove(channel->io);
	loop_remove(channel->timer);
	channel->io = channel->timer = NULL;
	close_fd(&channel->fd);
	leave(channel);
}

/* Nothing more passes; closed() comes from the loop. error NULL: the peer went away. */
static void
end(struct channel *channel, const struct error *error)
{
	if (channel->ending)
		return;
	channel->ending = true;
	if (error)
		channel->why = *error;
	channel->has_error = error != NULL;
	drop_queue(channel);
	loop_remove(channel->io);
	channel->io = NULL;
	loop_arm(channel->timer, 1);
}

static void __attribute__((format(printf, 2, 3)))
end_because(struct channel *channel, const char *fmt, ...)
{
	struct error error = ERROR_INIT;
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	error_why(&error, ERR_FAILED, "%s", why);
	error_what(&error, "%s channel with %s", channel_kind_name(channel->kind),
		   channel->peer == ROLE_NONE ? "a peer" : role_name(channel->peer));
	end(channel, &error);
}

static void
end_errno(struct channel *channel, const char *doing, int errnum)
{
	const char *text = strerrordesc_np(errnum);

	end_because(channel, "%s: %s", doing, text ? text : "unknown error");
}

static void
report_closed(struct channel *channel)
{
	enter(channel);
	channel->ops->closed(channel, channel->has_error ? &channel->why : NULL, channel->arg);
	if (!channel->ops->keep)
		channel_free(channel);
	leave(channel);
}

/* --- sending ------------------------------------------------------------------------------------
 */

/* The first that waits may leave. */
static bool
may_leave(const struct channel *channel)
{
	return channel->first &&
	       (!channel->hold || channel->first->number <= channel->hold->passed);
}

/* Watches what is wanted now; nothing at all when paused with an empty queue, since a hang-up
 * would be reported for ever. */
static void
watch(struct channel *channel)
{
	uint32_t events = 0;

	if (channel->ending)
		return;
	if (!channel->paused)
		events |= EPOLLIN;
	if (may_leave(channel) && channel->phase != IN_HELLO && !channel->deaf)
		events |= EPOLLOUT;
	int r = loop_set_events(channel->io, events);
	if (r < 0)
		end_errno(channel, "watching the socket", -r);
}

/* The peer reads no more. What it sent before is still to be read, from the loop. */
static void
peer_deaf(struct channel *channel)
{
	channel->deaf = true;
	drop_queue(channel);
	if (!channel->paused)
		loop_arm(channel->timer, 1);
}

/* True when sent, whole; false: not now (EAGAIN), or not at all. */
static bool
transmit(struct channel *channel, const uint8_t *bytes, size_t length, const int *fds,
	 unsigned nfds)
{
	int r = msg_send_raw(channel->fd, bytes, length, fds, nfds);

	if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN)
		peer_deaf(channel);
	else if (r < 0 && r != -EAGAIN)
		end_errno(channel, "sending", -r);
	return r == 0;
}

static void
flush(struct channel *channel)
{
	while (may_leave(channel)) {
		struct parcel *parcel = channel->first;
		if (!transmit(channel, parcel->bytes, parcel->length, parcel->fds, parcel->nfds))
			break;
		channel->first = parcel->next;
		if (!channel->first)
			channel->last = &channel->first;
		channel->queued--;
		channel->queued_bytes -= parcel->length;
		parcel_free(parcel);
	}
	watch(channel);
}

static bool
queue_is_full(const struct channel *channel, size_t length)
{
	bool outside = channel->kind == CH_OPERATOR || channel->kind == CH_SECRETS;
	size_t messages = outside ? OPERATOR_QUEUE_MAX : CHANNEL_QUEUE_MAX;
	size_t bytes = outside ? OPERATOR_QUEUE_BYTES : CHANNEL_QUEUE_BYTES;

	return channel->queued >= messages || channel->queued_bytes + length > bytes;
}

/* Behind all that leave no later than it. */
static void
insert(struct channel *channel, struct parcel *parcel)
{
	struct parcel **at = channel->last;

	if (channel->first && parcel->number < channel->last_number)
		for (at = &channel->first; (*at)->number <= parcel->number;)
			at = &(*at)->next;
	parcel->next = *at;
	*at = parcel;
	if (parcel->next)
		return;
	channel->last = &parcel->next;
	channel->last_number = parcel->number;
}

/* Takes the descriptors of msg over. */
static int
enqueue(struct channel *channel, const uint8_t *bytes, size_t length, struct msg *msg,
	uint64_t number)
{
	size_t padded = (length + sizeof(int) - 1) & ~(sizeof(int) - 1);

	if (queue_is_full(channel, length)) {
		end_because(channel, "%zu messages wait, it does not read", channel->queued);
		return -ENOBUFS;
	}
	struct parcel *parcel = malloc(sizeof(*parcel) + padded + msg->nfds * sizeof(int));
	if (!parcel) {
		end_errno(channel, "queueing a message", ENOMEM);
		return -ENOMEM;
	}
	parcel->number = number;
	parcel->length = length;
	parcel->nfds = msg->nfds;
	parcel->fds = (int *)(void *)(parcel->bytes + padded);
	memcpy(parcel->bytes, bytes, length);
	for (unsigned i = 0; i < msg->nfds; i++)
		parcel->fds[i] = steal_fd(&msg->fds[i]);
	insert(channel, parcel);
	channel->queued++;
	channel->queued_bytes += length;
	watch(channel);
	return channel->ending ? -EPIPE : 0;
}

static int
send_or_queue(struct channel *channel, struct msg *msg, uint64_t number)
{
	enum phase phase = channel->phase == IN_HELLO ? channel->after_hello : channel->phase;
	uint8_t bytes[PROTO_MESSAGE_MAX];

	if (channel->ending || channel->deaf)
		return -EPIPE;
	if (!msg_permitted(msg->type, channel->kind, channel->self, phase))
		return -EPERM;
	ssize_t length = msg_encode(msg, bytes, sizeof(bytes));
	if (length < 0)
		return (int)length;
	if (channel->phase == IN_HELLO || may_leave(channel) ||
	    (channel->hold && number > channel->hold->passed))
		return enqueue(channel, bytes, (size_t)length, msg, number);
	if (transmit(channel, bytes, (size_t)length, msg->fds, msg->nfds))
		return 0;
	if (channel->ending || channel->deaf)
		return -EPIPE;
	return enqueue(channel, bytes, (size_t)length, msg, number);
}

static int
send_under(struct channel *channel, struct msg *msg, uint64_t number)
{
	int r = send_or_queue(channel, msg, number);

	msg_close_fds(msg);
	if (r < 0 && r != -EPIPE && r != -ENOBUFS) {
		const struct msg_rule *rule = msg_rule(msg->type);
		log_error("bug: message %s may not be sent on the %s channel: %s",
			  rule ? rule->name : "of no type", channel_kind_name(channel->kind),
			  strerrordesc_np(-r));
	}
	return r;
}

int
channel_send(struct channel *channel, struct msg *msg)
{
	return send_under(channel, msg, channel->hold ? channel->hold->number : 0);
}

int
channel_send_at_once(struct channel *channel, struct msg *msg)
{
	return send_under(channel, msg, channel->hold ? channel->hold->passed : 0);
}

void
channel_set_hold(struct channel *channel, struct channel_hold *hold)
{
	channel->hold = hold;
	channel->beside = &hold->channels;
	channel->next = hold->channels;
	if (channel->next)
		channel->next->beside = &channel->next;
	hold->channels = channel;
}

/* Nothing is called from here that could free a channel. */
void
channel_hold_pass(struct channel_hold *hold, uint64_t passed)
{
	hold->passed = passed;
	for (struct channel *channel = hold->channels; channel; channel = channel->next) {
		if (channel->first && channel->phase != IN_HELLO && !channel->ending)
			flush(channel);
	}
}

int
channel_reply_error(struct channel *channel, uint32_t id, const struct error *error)
{
	struct msg msg;

	msg_from_error(&msg, id, error);
	return channel_send(channel, &msg);
}

int
channel_reply_ok(struct channel *channel, uint32_t id, uint64_t value)
{
	struct msg msg;

	msg_init(&msg, MSG_OK);
	msg.id = id;
	msg.ok.value = value;
	return channel_send(channel, &msg);
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static enum side
other_side(const struct channel *channel)
{
	return channel->self == SIDE_A ? SIDE_B : SIDE_A;
}

static void
greeted(struct channel *channel, const struct msg *hello)
{
	int r = msg_hello_check(hello, channel->kind, other_side(channel), channel->peer);

	if (r == -EPROTONOSUPPORT)
		end_because(channel, "it speaks protocol %u, this build %u", hello->hello.protocol,
			    PROTO_VERSION);
	else if (r == -ESTALE)
		end_because(channel, "it is of another build than this process");
	else if (r < 0)
		end_because(channel, "it calls itself role %u, which may not speak here",
			    hello->hello.role);
	if (r < 0)
		return;
	channel->peer = (enum role)hello->hello.role;
	channel->phase = channel->after_hello;
	loop_arm(channel->timer, 0);
	if (channel->ops->opened)
		channel->ops->opened(channel, channel->arg);
	if (!channel->ending)
		flush(channel);
}

static void
violated(struct channel *channel, const struct msg *msg, int r)
{
	const struct msg_rule *rule = msg_rule(msg->type);

	if (r == -EPERM && rule)
		end_because(channel, "it sent %s, which is not permitted there now", rule->name);
	else if (r == -EBADMSG)
		end_because(channel, "it sent something that is no message");
	else
		end_errno(channel, "receiving", -r);
}

/* One message, the end, or nothing. False when nothing more is to be read now. */
static bool
receive(struct channel *channel)
{
	struct msg msg;
	int r = msg_recv_now(channel->fd, channel->kind, channel->self, channel->phase, &msg);

	if (r == -EAGAIN && !channel->deaf)
		return false;
	if (r == 0 || r == -EAGAIN)
		end(channel, NULL);
	else if (r < 0)
		violated(channel, &msg, r);
	else if (channel->phase == IN_HELLO)
		greeted(channel, &msg);
	else
		channel->ops->message(channel, &msg, channel->arg);
	if (r == 1)
		msg_close_fds(&msg);
	return !channel->ending && !channel->paused;
}

/* Reads until nothing is left, but for a peer that went deaf at most a round's worth. */
static void
receive_some(struct channel *channel)
{
	int left = CHANNEL_READS_A_ROUND;

	while (left-- > 0 && receive(channel))
		;
	/* No event tells of a peer that lives and reads no more. */
	if (channel->deaf && !channel->ending && !channel->paused)
		loop_arm(channel->timer, 1);
}

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct channel *channel = arg;

	(void)source;
	enter(channel);
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && channel->first &&
	    channel->phase != IN_HELLO)
		flush(channel);
	if (!channel->ending && !channel->paused)
		receive_some(channel);
	leave(channel);
}

void
channel_drain(struct channel *channel)
{
	enter(channel);
	while (!channel->ending && receive(channel))
		;
	leave(channel);
}

static void
due(struct loop_source *source, void *arg)
{
	struct channel *channel = arg;

	(void)source;
	enter(channel);
	if (channel->ending)
		report_closed(channel);
	else if (channel->deaf)
		receive_some(channel);
	else if (channel->phase == IN_HELLO)
		end_because(channel, "it did not greet within %d s", CHANNEL_HELLO_MS / 1000);
	leave(channel);
}

/* --- making
 * --------------------------------------------------------------------------------------- */

/* A socketpair's ends have no names; a connection through the keeper's socket has one on one
 * side. */
static bool
socket_unnamed(int fd)
{
	struct sockaddr_un own = {.sun_family = AF_UNIX}, peer = {.sun_family = AF_UNIX};
	socklen_t own_length = sizeof(own), peer_length = sizeof(peer);

	return getsockname(fd, (struct sockaddr *)&own, &own_length) == 0 &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0 &&
	       own_length <= sizeof(sa_family_t) && peer_length <= sizeof(sa_family_t);
}

static enum phase
phase_after_hello(enum channel_kind kind, int fd)
{
	if (kind == CH_SUPERVISE || kind == CH_SUPERVISE_CONTROL || kind == CH_SUPERVISE_SECRETD)
		return IN_SETUP;
	return (kind == CH_KEEPER || kind == CH_BROKER || kind == CH_EGRESS) && socket_unnamed(fd)
		   ? IN_SETUP
		   : IN_OPEN;
}

/* Takes fd over. */
static struct channel *
channel_make(struct loop *loop, int fd, enum channel_kind kind, enum side self, enum role peer,
	     const struct channel_ops *ops, void *arg)
{
	_cleanup_close_ int owned = fd;
	_cleanup_free_ struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->loop = loop;
	channel->kind = kind;
	channel->self = self;
	channel->peer = peer;
	channel->phase = IN_HELLO;
	channel->after_hello = phase_after_hello(kind, fd);
	channel->ops = ops;
	channel->arg = arg;
	channel->last = &channel->first;
	channel->timer = loop_add_timer(loop, due, channel);
	channel->io = loop_add_io(loop, fd, EPOLLIN, ready, channel);
	if (!channel->timer || !channel->io) {
		int saved = errno;
		loop_remove(channel->timer);
		loop_remove(channel->io);
		errno = saved;
		return NULL;
	}
	channel->fd = steal_fd(&owned);
	return steal_ptr(&channel);
}

struct channel *
channel_new(struct loop *loop, int fd, enum channel_kind kind, enum side self, enum role own,
	    enum role peer, const struct channel_ops *ops, void *arg)
{
	struct channel *channel = channel_make(loop, fd, kind, self, peer, ops, arg);
	uint8_t bytes[PROTO_MESSAGE_MAX];
	struct msg hello;

	if (!channel)
		return NULL;
	msg_hello(&hello, own);
	ssize_t length = msg_encode(&hello, bytes, sizeof(bytes));
	loop_arm_in(channel->timer, CHANNEL_HELLO_MS);
	/* A fresh socket has room for it; one that has not is at its end. */
	if (!transmit(channel, bytes, (size_t)length, NULL, 0) && !channel->deaf)
		end_because(channel, "the greeting does not fit into the socket");
	return channel;
}

struct channel *
channel_new_greeted(struct loop *loop, int fd, enum channel_kind kind, enum side self,
		    enum role peer, enum phase phase, const struct channel_ops *ops, void *arg)
{
	struct channel *channel = channel_make(loop, fd, kind, self, peer, ops, arg);

	if (channel)
		channel->phase = phase;
	return channel;
}

void
channel_set_phase(struct channel *channel, enum phase phase)
{
	if (channel->phase == IN_HELLO)
		channel->after_hello = phase;
	else
		channel->phase = phase;
}

enum phase
channel_phase(const struct channel *channel)
{
	return channel->phase;
}

enum role
channel_peer(const struct channel *channel)
{
	return channel->peer;
}

int
channel_fd(const struct channel *channel)
{
	return channel->fd;
}

size_t
channel_queued(const struct channel *channel)
{
	return channel->queued;
}

void
channel_pause(struct channel *channel, bool paused)
{
	if (channel->ending || channel->paused == paused)
		return;
	channel->paused = paused;
	watch(channel);
	if (!paused && channel->deaf && !channel->ending)
		loop_arm(channel->timer, 1);
}

int
channel_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}
