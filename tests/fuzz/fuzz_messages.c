/*
 * Every message of proto.def on every kind of channel and from both sides, right and then spoilt:
 * what the receiver accepts encodes to the very bytes that were sent, everything else is refused
 * with -EBADMSG or -EPERM, and no descriptor stays open. Then the same against whole channels on a
 * loop: each ends exactly once.
 *
 * fuzz_messages [SEED [CASES]]: the same seed is the same run; CASES a kind of channel.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/proto.h"

enum {
	CASES_DEFAULT = 100000,
	CASES_A_BATCH = 1000, /* then the descriptors are counted */
	CASES_A_CHANNEL = 50, /* one channel for so many cases of a kind */
	FDS_TOP = 512,
	FDS_MAX = 253,
	BYTES_MAX = 3 * PROTO_MESSAGE_MAX,
};

struct fuzz {
	uint64_t random; /* xorshift64* */
	uint64_t seed, cases, failures;
	int null; /* what is sent as a descriptor */
	int sender, receiver;
};

/* One datagram, and as what it is received. */
struct trial {
	enum channel_kind kind;
	enum side sender;
	enum phase phase;
	unsigned nfds;
	size_t length;
	const char *mutation;
	int expected; /* what msg_recv_now must say; ANY: 1, -EBADMSG or -EPERM */
	uint8_t bytes[BYTES_MAX];
};

enum { ANY = 1000 };

/* --- randomness ---------------------------------------------------------------------------------
 */

static uint64_t
next_random(struct fuzz *fuzz)
{
	fuzz->random ^= fuzz->random >> 12;
	fuzz->random ^= fuzz->random << 25;
	fuzz->random ^= fuzz->random >> 27;
	return fuzz->random * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 … bound - 1 */
static size_t
below(struct fuzz *fuzz, size_t bound)
{
	return (size_t)((next_random(fuzz) >> 11) % bound);
}

/* Mostly short, now and then at the bound. */
static size_t
random_length(struct fuzz *fuzz, size_t max)
{
	size_t kind = below(fuzz, 32);

	if (kind == 0)
		return max;
	if (kind == 1)
		return below(fuzz, max + 1);
	return kind < 6 ? 0 : below(fuzz, max < 24 ? max + 1 : 24);
}

static void
random_bytes(struct fuzz *fuzz, uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(next_random(fuzz) >> 56);
}

static void
random_string(struct fuzz *fuzz, char *text, size_t max)
{
	size_t length = random_length(fuzz, max);

	for (size_t i = 0; i < length; i++)
		text[i] = (char)(1 + below(fuzz, 255));
	text[length] = '\0';
}

/* --- samples: every message with random contents
 * -------------------------------------------------- */

#define BOOL(f) m->f = below(fuzz, 2) == 1;
#define U8(f) m->f = (uint8_t)next_random(fuzz);
#define U32(f) m->f = (uint32_t)next_random(fuzz);
#define U64(f) m->f = next_random(fuzz);
#define I32(f) m->f = (int32_t)next_random(fuzz);
#define I64(f) m->f = (int64_t)next_random(fuzz);
#define ID(f) random_bytes(fuzz, m->f.bytes, sizeof(m->f.bytes));
#define STR(f, max) random_string(fuzz, m->f, max);
#define BYTES(f, max)                                                                              \
	m->f##_len = (uint32_t)random_length(fuzz, max);                                           \
	random_bytes(fuzz, m->f, m->f##_len);
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	static void sample_##name(struct fuzz *fuzz, struct msg *msg)                              \
	{                                                                                          \
		struct msg_##name *m = &msg->name;                                                 \
		__VA_ARGS__                                                                        \
	}
#include "common/proto.def"
#undef MSG

static void (*const samples[])(struct fuzz *fuzz, struct msg *msg) = {
#define MSG(number, NAME, name, ...) sample_##name,
#include "common/proto.def"
#undef MSG
};

static enum side
other(enum side side)
{
	return side == SIDE_A ? SIDE_B : SIDE_A;
}

/* A random row that this side may send, -1 when it may send nothing. */
static int
pick_rule(struct fuzz *fuzz, enum channel_kind kind, enum side sender, enum phase phase)
{
	size_t count, permitted = 0;
	const struct msg_rule *rules = msg_rules(&count);
	int picked = -1;

	for (size_t i = 0; i < count; i++) {
		if (msg_permitted(rules[i].type, kind, sender, phase) &&
		    below(fuzz, ++permitted) == 0)
			picked = (int)i;
	}
	return picked;
}

/* A valid message of this side and phase; false when there is none. */
static bool
sample(struct fuzz *fuzz, struct trial *trial)
{
	size_t count;
	const struct msg_rule *rules = msg_rules(&count);
	int index = pick_rule(fuzz, trial->kind, trial->sender, trial->phase);
	struct msg msg;

	if (index < 0)
		return false;
	const struct msg_rule *rule = &rules[index];
	msg_init(&msg, rule->type);
	samples[index](fuzz, &msg);
	msg.id = (uint32_t)next_random(fuzz);
	msg.nfds = rule->fds_min + (unsigned)below(fuzz, rule->fds_max - rule->fds_min + 1u);
	ssize_t length = msg_encode(&msg, trial->bytes, PROTO_MESSAGE_MAX);
	if (length < 0)
		return false;
	trial->length = (size_t)length;
	trial->nfds = msg.nfds;
	trial->expected = 1;
	trial->mutation = "none";
	return true;
}

/* --- mutations
 * -------------------------------------------------------------------------------------- */

static void
fit_header(struct trial *trial)
{
	uint32_t payload = (uint32_t)(trial->length - PROTO_HEADER_BYTES);

	for (int i = 0; i < 4; i++)
		trial->bytes[8 + i] = (uint8_t)(payload >> (8 * i));
	trial->bytes[6] = (uint8_t)trial->nfds;
}

static void
flip_bits(struct fuzz *fuzz, struct trial *trial)
{
	for (size_t flips = 1 + below(fuzz, 8); flips > 0; flips--)
		trial->bytes[below(fuzz, trial->length)] ^= (uint8_t)(1u << below(fuzz, 8));
	trial->expected = ANY;
}

static void
overwrite_header(struct fuzz *fuzz, struct trial *trial)
{
	static const uint8_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff};

	trial->bytes[below(fuzz, 12)] = edges[below(fuzz, sizeof(edges))];
	trial->expected = ANY;
}

/* Another type on the same contents: the number of some other message. */
static void
change_type(struct fuzz *fuzz, struct trial *trial)
{
	size_t count;
	const struct msg_rule *rules = msg_rules(&count);
	unsigned type = rules[below(fuzz, count)].type;

	trial->bytes[4] = (uint8_t)type;
	trial->bytes[5] = (uint8_t)(type >> 8);
	trial->expected = ANY;
}

static void
truncate_it(struct fuzz *fuzz, struct trial *trial)
{
	trial->length = below(fuzz, trial->length);
	trial->expected = trial->length == 0 && trial->nfds == 0 ? 0 : -EBADMSG;
	if (trial->length < PROTO_HEADER_BYTES || below(fuzz, 2) == 0)
		return;
	fit_header(trial);
	trial->expected = -EBADMSG;
}

static void
extend_it(struct fuzz *fuzz, struct trial *trial)
{
	size_t more = 1 + random_length(fuzz, 512);

	if (trial->length + more > PROTO_MESSAGE_MAX)
		more = 1;
	random_bytes(fuzz, trial->bytes + trial->length, more);
	trial->length += more;
	if (below(fuzz, 2) == 0)
		fit_header(trial);
	trial->expected = -EBADMSG;
}

/* Bigger than a datagram may be: MSG_TRUNC. */
static void
bloat_it(struct fuzz *fuzz, struct trial *trial)
{
	size_t size = PROTO_MESSAGE_MAX + 1 + below(fuzz, BYTES_MAX - PROTO_MESSAGE_MAX - 1);

	memset(trial->bytes + trial->length, 'x', size - trial->length);
	trial->length = size;
	if (below(fuzz, 2) == 0)
		fit_header(trial);
	trial->expected = -EBADMSG;
}

static void
wrong_phase(struct fuzz *fuzz, struct trial *trial)
{
	static const enum phase phases[] = {IN_HELLO, IN_SETUP, IN_OPEN};
	enum msg_type type = (enum msg_type)(trial->bytes[4] | trial->bytes[5] << 8);

	trial->phase = phases[below(fuzz, 3)];
	trial->expected =
	    msg_permitted(type, trial->kind, trial->sender, trial->phase) ? 1 : -EPERM;
}

static void
wrong_route(struct fuzz *fuzz, struct trial *trial)
{
	enum msg_type type = (enum msg_type)(trial->bytes[4] | trial->bytes[5] << 8);

	if (below(fuzz, 2) == 0)
		trial->sender = other(trial->sender);
	else
		trial->kind = (enum channel_kind)(below(fuzz, CH_COUNT + 2));
	trial->expected =
	    msg_permitted(type, trial->kind, trial->sender, trial->phase) ? 1 : -EPERM;
}

static void
missing_fds(struct fuzz *fuzz, struct trial *trial)
{
	if (trial->nfds == 0)
		return;
	trial->nfds = (unsigned)below(fuzz, trial->nfds);
	trial->expected = -EBADMSG;
	if (below(fuzz, 2) == 0) {
		trial->bytes[6] = (uint8_t)trial->nfds;
		trial->expected = ANY;
	}
}

static void
surplus_fds(struct fuzz *fuzz, struct trial *trial)
{
	/* One more fits into the padding of an odd number. */
	unsigned more = below(fuzz, 2) ? 1 : 1 + (unsigned)below(fuzz, FDS_MAX - trial->nfds);

	trial->nfds += more;
	trial->expected = -EBADMSG;
	if (below(fuzz, 2) == 0) {
		trial->bytes[6] = (uint8_t)trial->nfds;
		trial->expected = ANY;
	}
}

static void
garbage(struct fuzz *fuzz, struct trial *trial)
{
	trial->length = 1 + random_length(fuzz, PROTO_MESSAGE_MAX - 1);
	random_bytes(fuzz, trial->bytes, trial->length);
	trial->expected = ANY;
}

static void
nothing(struct fuzz *fuzz, struct trial *trial)
{
	(void)fuzz;
	(void)trial;
}

static const struct mutation {
	const char *name;
	void (*apply)(struct fuzz *fuzz, struct trial *trial);
} mutations[] = {
    {.name = "none", .apply = nothing},
    {.name = "bit flips", .apply = flip_bits},
    {.name = "bit flips", .apply = flip_bits},
    {.name = "header", .apply = overwrite_header},
    {.name = "other type", .apply = change_type},
    {.name = "truncation", .apply = truncate_it},
    {.name = "extension", .apply = extend_it},
    {.name = "too big", .apply = bloat_it},
    {.name = "wrong phase", .apply = wrong_phase},
    {.name = "wrong route", .apply = wrong_route},
    {.name = "missing descriptors", .apply = missing_fds},
    {.name = "surplus descriptors", .apply = surplus_fds},
    {.name = "garbage", .apply = garbage},
};

static void
mutate(struct fuzz *fuzz, struct trial *trial)
{
	const struct mutation *mutation = &mutations[below(fuzz, ARRAY_LEN(mutations))];

	mutation->apply(fuzz, trial);
	trial->mutation = mutation->name;
}

/* --- one datagram
 * ------------------------------------------------------------------------------------ */

static void
failed(struct fuzz *fuzz, const struct trial *trial, const char *why, int r)
{
	if (fuzz->failures++ < 20)
		fprintf(stderr,
			"fuzz_messages: seed %" PRIu64 " case %" PRIu64
			": kind %d sender %d phase %d mutation %s: %s (%d)\n",
			fuzz->seed, fuzz->cases, trial->kind, trial->sender, trial->phase,
			trial->mutation, why, r);
}

static int
open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < FDS_TOP; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* 0 or -errno. */
static int
send_trial(const struct fuzz *fuzz, int fd, const struct trial *trial)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)trial->bytes, .iov_len = trial->length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (trial->nfds > 0) {
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(trial->nfds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(trial->nfds * sizeof(int));
		for (unsigned i = 0; i < trial->nfds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fuzz->null, sizeof(int));
	}
	return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void
check_accepted(struct fuzz *fuzz, const struct trial *trial, struct msg *msg)
{
	static const enum role roles[] = {ROLE_NONE, ROLE_AGENTD, ROLE_SCHEDD, ROLE_ASH};
	uint8_t again[PROTO_MESSAGE_MAX];
	ssize_t length = msg_encode(msg, again, sizeof(again));

	if (length < 0 || (size_t)length != trial->length ||
	    memcmp(again, trial->bytes, trial->length) != 0)
		failed(fuzz, trial, "accepted, but encodes to other bytes", (int)length);
	if (msg->nfds != trial->nfds)
		failed(fuzz, trial, "accepted with another number of descriptors", (int)msg->nfds);
	if (!msg_permitted(msg->type, trial->kind, trial->sender, trial->phase))
		failed(fuzz, trial, "accepted against the table", (int)msg->type);
	for (unsigned i = 0; i < msg->nfds; i++) {
		if ((fcntl(msg->fds[i], F_GETFD) & FD_CLOEXEC) == 0)
			failed(fuzz, trial, "a descriptor without close-on-exec", msg->fds[i]);
	}
	if (msg->type != MSG_HELLO)
		return;
	/* Random greetings name a random protocol: none of them may pass. */
	int r = msg_hello_check(msg, trial->kind, trial->sender, roles[below(fuzz, 4)]);
	if (r != -EPROTONOSUPPORT && r != -EPROTO && r != -ESTALE)
		failed(fuzz, trial, "a bad greeting passed", r);
}

static void
run_case(struct fuzz *fuzz, struct trial *trial)
{
	struct msg msg;

	fuzz->cases++;
	int r = send_trial(fuzz, fuzz->sender, trial);
	if (r < 0) {
		failed(fuzz, trial, "it could not be sent", r);
		return;
	}
	r = msg_recv_now(fuzz->receiver, trial->kind, other(trial->sender), trial->phase, &msg);
	bool known = r == 1 || r == -EBADMSG || r == -EPERM;
	if (trial->expected == ANY ? !known : r != trial->expected)
		failed(fuzz, trial, "another answer than expected", r);
	if (r == 1)
		check_accepted(fuzz, trial, &msg);
	else if (msg.nfds != 0)
		failed(fuzz, trial, "refused, but descriptors are left", (int)msg.nfds);
	msg_close_fds(&msg);
}

/* What this side may send in some phase, or nothing. */
static bool
prepare(struct fuzz *fuzz, struct trial *trial, enum channel_kind kind)
{
	static const enum phase phases[] = {IN_HELLO, IN_SETUP, IN_OPEN, IN_OPEN,
					    IN_OPEN,  IN_OPEN,  IN_OPEN, IN_OPEN};

	trial->kind = kind;
	trial->sender = below(fuzz, 2) ? SIDE_A : SIDE_B;
	trial->phase = phases[below(fuzz, ARRAY_LEN(phases))];
	return sample(fuzz, trial);
}

static void
fuzz_kind(struct fuzz *fuzz, struct trial *trial, enum channel_kind kind, uint64_t cases)
{
	int before = open_fds();

	for (uint64_t i = 0; i < cases; i++) {
		while (!prepare(fuzz, trial, kind))
			;
		mutate(fuzz, trial);
		run_case(fuzz, trial);
		if ((i + 1) % CASES_A_BATCH != 0 && i + 1 != cases)
			continue;
		int now = open_fds();
		if (now != before)
			failed(fuzz, trial, "descriptors leaked in this batch", now - before);
		before = now;
	}
}

/* --- whole channels
 * ----------------------------------------------------------------------------------- */

struct subject {
	struct fuzz *fuzz;
	struct loop *loop;
	enum channel_kind kind;
	enum side own;
	unsigned closed, freed;
	bool by_hand; /* freed in a callback: closed() may not come any more */
};

static void
subject_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct subject *subject = arg;
	struct error error = ERROR_INIT;
	_cleanup_close_ int taken = -1;

	switch (below(subject->fuzz, 16)) {
	case 0:
		subject->by_hand = true;
		channel_free(channel);
		return;
	case 1:
		taken = msg_take_fd(msg, 0);
		return;
	case 2:
		channel_set_phase(channel, IN_OPEN);
		return;
	default:
		break;
	}
	if (!msg_permitted(MSG_ERROR, subject->kind, subject->own, channel_phase(channel)))
		return;
	error_why(&error, ERR_FAILED, "no");
	channel_reply_error(channel, msg->id, &error);
}

static void
subject_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct subject *subject = arg;

	(void)error;
	subject->closed++;
	if (below(subject->fuzz, 2))
		channel_free(channel);
}

static void
subject_freed(void *arg)
{
	struct subject *subject = arg;

	subject->freed++;
	loop_stop(subject->loop, 0);
}

static const struct channel_ops subject_ops = {
    .message = subject_message, .closed = subject_closed, .freed = subject_freed};

static enum role
speaker(enum channel_kind kind, enum side side)
{
	for (int role = ROLE_NONE + 1; role < ROLE_COUNT; role++) {
		if (role_speaks((enum role)role, kind, side))
			return (enum role)role;
	}
	return ROLE_NONE;
}

/* The other end's HELLO: right in three of four cases, else anything. */
static void
send_hello(struct fuzz *fuzz, struct trial *trial, int fd)
{
	struct msg hello;

	trial->phase = IN_HELLO;
	if (below(fuzz, 4) == 0) {
		sample(fuzz, trial);
		mutate(fuzz, trial);
	} else {
		msg_hello(&hello, speaker(trial->kind, trial->sender));
		trial->length = (size_t)msg_encode(&hello, trial->bytes, PROTO_MESSAGE_MAX);
		trial->nfds = 0;
	}
	send_trial(fuzz, fd, trial);
}

static void
send_some(struct fuzz *fuzz, struct trial *trial, int fd)
{
	enum channel_kind kind = trial->kind;
	enum side sender = trial->sender;

	for (size_t left = below(fuzz, 8); left > 0; left--) {
		trial->kind = kind;
		trial->sender = sender;
		trial->phase = below(fuzz, 4) ? IN_OPEN : IN_SETUP;
		if (!sample(fuzz, trial))
			continue;
		if (below(fuzz, 4) == 0)
			mutate(fuzz, trial);
		if (send_trial(fuzz, fd, trial) < 0)
			break;
	}
	trial->kind = kind;
	trial->sender = sender;
}

static void
tick(struct loop_source *timer, void *arg)
{
	(void)timer;
	loop_stop(arg, 1);
}

/* A channel whose other end says this and that and goes. */
static void
run_channel(struct fuzz *fuzz, struct loop *loop, struct trial *trial)
{
	enum side own = other(trial->sender);
	struct subject subject = {.fuzz = fuzz, .loop = loop, .kind = trial->kind, .own = own};
	int ends[2];

	fuzz->cases++;
	if (channel_pair(ends) < 0) {
		failed(fuzz, trial, "no socketpair", errno);
		return;
	}
	if (below(fuzz, 2))
		send_hello(fuzz, trial, ends[1]);
	if (!channel_new(loop, ends[0], trial->kind, own, speaker(trial->kind, own), ROLE_NONE,
			 &subject_ops, &subject)) {
		failed(fuzz, trial, "no channel", errno);
		close(ends[1]);
		return;
	}
	if (below(fuzz, 2))
		send_hello(fuzz, trial, ends[1]);
	trial->mutation = "channel";
	send_some(fuzz, trial, ends[1]);
	close(ends[1]);
	struct loop_source *timer = loop_add_timer(loop, tick, loop);
	loop_arm_in(timer, 10000);
	if (loop_run(loop) != 0)
		failed(fuzz, trial, "the channel does not end", (int)subject.freed);
	/* A second end would come in the next round. */
	loop_arm(timer, 1);
	loop_run(loop);
	loop_remove(timer);
	if (subject.freed != 1 || subject.closed != (subject.by_hand ? 0 : 1))
		failed(fuzz, trial, "it ended another number of times", (int)subject.closed);
}

static void
fuzz_channels(struct fuzz *fuzz, struct trial *trial, enum channel_kind kind, uint64_t cases)
{
	struct loop *loop = loop_new();

	if (!loop) {
		failed(fuzz, trial, "no loop", errno);
		return;
	}
	int before = open_fds();
	for (uint64_t i = 0; i < cases; i++) {
		trial->kind = kind;
		trial->sender = i % 2 ? SIDE_A : SIDE_B;
		trial->mutation = "channel";
		run_channel(fuzz, loop, trial);
	}
	int now = open_fds();
	if (now != before)
		failed(fuzz, trial, "channels leaked descriptors", now - before);
	loop_free(loop);
}

/* --- all of it
 * ------------------------------------------------------------------------------------------ */

static int
fuzz_all(struct fuzz *fuzz, uint64_t cases)
{
	_cleanup_free_ struct trial *trial = calloc(1, sizeof(*trial));
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int ends[2];

	if (!trial || null < 0 || channel_pair(ends) < 0) {
		perror("fuzz_messages");
		return -1;
	}
	fuzz->null = null;
	fuzz->sender = ends[0];
	fuzz->receiver = ends[1];
	for (int kind = CH_NONE + 1; kind < CH_COUNT; kind++) {
		fuzz_kind(fuzz, trial, (enum channel_kind)kind, cases);
		if (kind != CH_RECORD)
			fuzz_channels(fuzz, trial, (enum channel_kind)kind,
				      cases / CASES_A_CHANNEL);
	}
	close(ends[0]);
	close(ends[1]);
	return 0;
}

int
main(int argc, char **argv)
{
	struct fuzz fuzz = {.seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1};
	uint64_t cases = argc > 2 ? strtoull(argv[2], NULL, 0) : CASES_DEFAULT;

	fuzz.random = fuzz.seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	if (fuzz_all(&fuzz, cases) < 0)
		return EXIT_FAILURE;
	printf("fuzz_messages: %" PRIu64 " cases, %" PRIu64 " failures\n", fuzz.cases,
	       fuzz.failures);
	return fuzz.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
