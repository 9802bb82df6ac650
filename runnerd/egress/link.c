/* The channels of an egress process: with runnerd, which may be another one tomorrow, and with the
 * dialer. What it counts can be told again at any time; notes are lost with a runnerd that is away.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "egress.h"

/* Until it has the values of all rules of inject it is not up, and only says why it never will be.
 */
static bool
may_tell(const struct egress *egress, const struct msg *msg)
{
	return egress->runnerd &&
	       (egress->injects.values == egress->injects.count || msg->type == MSG_ERROR);
}

static void
tell(struct egress *egress, struct msg *msg)
{
	if (may_tell(egress, msg))
		channel_send(egress->runnerd, msg);
	else
		msg_close_fds(msg);
}

static void
tell_up(struct egress *egress)
{
	struct msg msg;

	msg_init(&msg, MSG_EGRESS_UP);
	msg.egress_up.session = egress->boot.session;
	msg.egress_up.pid = (uint32_t)getpid();
	tell(egress, &msg);
}

/* --- notes ------------------------------------------------------------------------------------ */

static void
tell_note(struct egress *egress, struct note *note)
{
	struct msg msg;

	msg_init(&msg, MSG_EGRESS_NOTE);
	msg.egress_note.allowed = note->allowed;
	msg.egress_note.port = note->port;
	msg.egress_note.count = note->count;
	snprintf(msg.egress_note.name, sizeof(msg.egress_note.name), "%s", note->name);
	snprintf(msg.egress_note.why, sizeof(msg.egress_note.why), "%s", note->why);
	note->count = 0;
	tell(egress, &msg);
}

static void
tell_notes(struct egress *egress)
{
	struct note lost = {.why = "more than can be told one by one", .count = egress->notes_lost};

	for (unsigned i = 0; i < egress->note_count; i++)
		if (egress->notes[i].count)
			tell_note(egress, &egress->notes[i]);
	if (egress->notes_lost)
		tell_note(egress, &lost);
	egress->note_count = 0;
	egress->notes_lost = 0;
}

static void
notes_due(struct loop_source *timer, void *arg)
{
	(void)timer;
	tell_notes(arg);
}

static struct note *
find_note(struct egress *egress, const struct note *like)
{
	for (unsigned i = 0; i < egress->note_count; i++) {
		struct note *one = &egress->notes[i];

		if (one->allowed == like->allowed && one->port == like->port &&
		    strcmp(one->name, like->name) == 0 && strcmp(one->why, like->why) == 0)
			return one;
	}
	return NULL;
}

/* Into the session's own log, for its operator. */
static void
say_denial(const struct note *note)
{
	const char *name = note->name[0] ? note->name : "a name that is none";

	if (note->port)
		log_info("denied %s:%u: %s", name, note->port, note->why);
	else
		log_info("denied %s: %s", name, note->why);
}

/* A name that has no address inside. */
static struct name_use *
stranger(struct egress *egress, const char *name)
{
	struct name_use *use = egress->strangers;

	for (unsigned i = 0; i < egress->stranger_count; i++, use++)
		if (strcmp(use->name, name) == 0)
			return use;
	if (egress->stranger_count == STRANGERS_MAX)
		return &egress->other_strangers;
	egress->stranger_count++;
	snprintf(use->name, sizeof(use->name), "%s", name);
	return use;
}

/* Denials are counted where they happen, but for those of strangers, who have no place there. */
static void
remember_denial(struct egress *egress, const char *name, const char *why)
{
	int number = names_find(egress->names, name);
	struct name_use *use = &egress->literals;
	struct in6_addr address;

	if (number >= 0) {
		use = names_use(egress->names, number);
	} else if (!net_address(name, &address)) {
		use = stranger(egress, name);
		use->denials++;
	}
	snprintf(use->why, sizeof(use->why), "%.*s", (int)sizeof(use->why) - 1, why);
	uses_changed(egress);
}

/* The first of a kind at once, its repetitions as a number. */
void
note(struct egress *egress, const char *name, unsigned port, const char *why)
{
	struct note new = {.allowed = !why, .port = port, .count = 1}, *old;

	snprintf(new.name, sizeof(new.name), "%s", name);
	snprintf(new.why, sizeof(new.why), "%s", why ? why : "");
	egress->total_denials += why != NULL;
	if (why)
		remember_denial(egress, name, why);
	old = find_note(egress, &new);
	if (old) {
		old->count++;
		return;
	}
	if (egress->note_count == NOTES_MAX) {
		egress->notes_lost++;
		return;
	}
	if (egress->note_count == 0)
		loop_arm_in(egress->notes_timer, NOTES_EVERY_MS);
	if (why)
		say_denial(&new);
	egress->notes[egress->note_count] = new;
	tell_note(egress, &egress->notes[egress->note_count++]);
}

/* --- meters ----------------------------------------------------------------------------------- */

static int
add_meter(struct rows *rows, enum net_meter kind, const struct name_use *use)
{
	struct msg row;

	if (!use->connections && !use->denials)
		return 0;
	msg_init(&row, MSG_NET_METER);
	row.net_meter.kind = (uint8_t)kind;
	snprintf(row.net_meter.name, sizeof(row.net_meter.name), "%s", use->name);
	snprintf(row.net_meter.why, sizeof(row.net_meter.why), "%s", use->why);
	row.net_meter.connections = use->connections;
	row.net_meter.denials = use->denials;
	row.net_meter.sent_bytes = use->sent_bytes;
	row.net_meter.received_bytes = use->received_bytes;
	return rows_add(rows, &row);
}

static void
add_up(struct name_use *sum, const struct name_use *use)
{
	sum->connections += use->connections;
	sum->denials += use->denials;
	sum->sent_bytes += use->sent_bytes;
	sum->received_bytes += use->received_bytes;
	if (use->why[0])
		memcpy(sum->why, use->why, sizeof(sum->why));
}

/* The first that were used, then the rest in one row. */
static int
add_meters(struct egress *egress, struct rows *rows)
{
	struct name_use others = egress->other_strangers;
	int rc = add_meter(rows, METER_ADDRESSES, &egress->literals), told = 0;

	for (int i = 0; rc == 0 && i < names_count(egress->names); i++) {
		const struct name_use *use = names_use(egress->names, i);

		if (!use->connections && !use->denials)
			continue;
		if (told++ < METERS_MAX)
			rc = add_meter(rows, METER_NAME, use);
		else
			add_up(&others, use);
	}
	for (unsigned i = 0; rc == 0 && i < egress->stranger_count; i++)
		rc = add_meter(rows, METER_NAME, &egress->strangers[i]);
	return rc == 0 ? add_meter(rows, METER_OTHERS, &others) : rc;
}

static void
tell_uses(struct egress *egress)
{
	struct rows *rows = rows_new("net-meters");
	int rc = rows ? add_meters(egress, rows) : -ENOMEM;
	struct msg msg;

	if (rc < 0) {
		rows_free(rows);
		return;
	}
	rc = rows_seal(rows);
	if (rc < 0)
		return;
	msg_init(&msg, MSG_EGRESS_USES);
	msg.egress_uses.connections = egress->total_connections;
	msg.egress_uses.denials = egress->total_denials;
	msg_add_fd(&msg, rc);
	tell(egress, &msg);
}

static void
uses_are_due(struct loop_source *timer, void *arg)
{
	struct egress *egress = arg;

	(void)timer;
	egress->uses_due = false;
	refusals_tell(egress);
	tell_uses(egress);
}

void
uses_changed(struct egress *egress)
{
	if (egress->uses_due)
		return;
	egress->uses_due = true;
	loop_arm_in(egress->uses_timer, USES_EVERY_MS);
}

/* --- the dialer ------------------------------------------------------------------------------- */

static void
dialer_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	connection_dialed(arg, msg);
}

/* runnerd brings another one. */
static void
dialer_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct egress *egress = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (egress->dialer == channel)
		egress->dialer = NULL;
}

static const struct channel_ops dialer_ops = {
    .message = dialer_message,
    .closed = dialer_closed,
};

static void
use_dialer(struct egress *egress, int fd)
{
	channel_free(egress->dialer);
	egress->dialer = channel_new(egress->loop, fd, CH_DIAL, SIDE_A, ROLE_EGRESS, ROLE_DIALER,
				     &dialer_ops, egress);
	if (!egress->dialer)
		log_error("the channel with the dialer: %s", strerrordesc_np(errno));
	connections_dial_again(egress);
}

/* --- runnerd ---------------------------------------------------------------------------------- */

/* One that cannot be used ends the session's set-up. */
static void
take_secret(struct egress *egress, struct msg *msg)
{
	_cleanup_close_ int fd = msg_take_fd(msg, 0);
	struct error error = ERROR_INIT;
	struct msg answer;

	if (injects_value(&egress->injects, msg->egress_secret.rule, fd, &error) == 0) {
		tell_up(egress);
		return;
	}
	msg_from_error(&answer, 0, &error);
	tell(egress, &answer);
}

static void
runnerd_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct egress *egress = arg;

	(void)channel;
	if (msg->type == MSG_EGRESS_SECRET) {
		take_secret(egress, msg);
	} else if (msg->type == MSG_EGRESS_DIALER) {
		use_dialer(egress, msg_take_fd(msg, 0));
	} else if (msg->type == MSG_EGRESS_QUERY) {
		tell_up(egress);
		tell_uses(egress);
	}
}

static void
runnerd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct egress *egress = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (egress->runnerd == channel)
		egress->runnerd = NULL;
}

static const struct channel_ops runnerd_ops = {
    .message = runnerd_message,
    .closed = runnerd_closed,
};

/* Root alone may speak to it, and the newest connection is runnerd's. */
static void
accept_runnerd(struct loop_source *source, uint32_t events, void *arg)
{
	struct egress *egress = arg;
	int fd = accept_root(egress->own_listener);

	(void)source;
	(void)events;
	if (fd < 0)
		return;
	channel_free(egress->runnerd);
	egress->runnerd = channel_new(egress->loop, fd, CH_EGRESS, SIDE_B, ROLE_EGRESS,
				      ROLE_RUNNERD, &runnerd_ops, egress);
	if (!egress->runnerd)
		log_error("the channel with runnerd: %s", strerrordesc_np(errno));
}

int
link_open(struct egress *egress, int boot, int dialer, struct error *error)
{
	egress->runnerd = channel_new_greeted(egress->loop, boot, CH_EGRESS, SIDE_B, ROLE_RUNNERD,
					      IN_OPEN, &runnerd_ops, egress);
	egress->notes_timer = loop_add_timer(egress->loop, notes_due, egress);
	egress->uses_timer = loop_add_timer(egress->loop, uses_are_due, egress);
	egress->own_source =
	    loop_add_io(egress->loop, egress->own_listener, EPOLLIN, accept_runnerd, egress);
	if (!egress->runnerd || !egress->notes_timer || !egress->uses_timer || !egress->own_source)
		return error_errno(error, errno, "the egress process's channels");
	use_dialer(egress, dialer);
	tell_up(egress);
	return 0;
}

void
link_end(struct egress *egress)
{
	struct msg msg;

	refusals_tell(egress);
	tell_notes(egress);
	tell_uses(egress);
	msg_init(&msg, MSG_EGRESS_ENDING);
	tell(egress, &msg);
}

void
link_close(struct egress *egress)
{
	channel_free(egress->dialer);
	channel_free(egress->runnerd);
	loop_remove(egress->own_source);
	loop_remove(egress->notes_timer);
	loop_remove(egress->uses_timer);
}
