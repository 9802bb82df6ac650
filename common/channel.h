/*
 * One end of a SOCK_SEQPACKET channel on a loop: greets with HELLO, checks every message against
 * the permission table, queues what does not fit into the socket, up to a bound. Whatever breaks
 * a rule ends the channel and is reported once through closed().
 */
#ifndef SCARAB_CHANNEL_H
#define SCARAB_CHANNEL_H

#include "loop.h"
#include "proto.h"

struct channel;

enum {
	/* What may wait for the socket; over it the channel ends. A daemon that greets a restarted
	 * one tells it of every session at once; an operator's client reads or is let go. */
	CHANNEL_QUEUE_MAX = 65536, /* messages */
	CHANNEL_QUEUE_BYTES = 64 << 20,
	OPERATOR_QUEUE_MAX = 1024,
	OPERATOR_QUEUE_BYTES = 1 << 20,
	CHANNEL_HELLO_MS = 5000,    /* a peer that has not greeted by then has its channel ended */
	CHANNEL_READS_A_ROUND = 32, /* then other sources of the loop have their turn */
};

struct channel_ops {
	/* The peer's HELLO was accepted; the phase is IN_OPEN (IN_SETUP on CH_SUPERVISE*, on the
	 * boot ends of CH_KEEPER, CH_BROKER and CH_EGRESS). May be NULL. */
	void (*opened)(struct channel *channel, void *arg);
	/* A permitted message; descriptors not taken are closed when it returns. */
	void (*message)(struct channel *channel, struct msg *msg, void *arg);
	/* EOF (error NULL) or a violation, a full queue, an I/O error. Called once, never from
	 * inside channel_send; the channel is freed after it returns. */
	void (*closed)(struct channel *channel, const struct error *error, void *arg);
	/* Called last of all, whatever ended the channel, channel_free included; for an owner of
	 * arg that lives as long as the channel. May be NULL. */
	void (*freed)(void *arg);
	/* The owner frees the channel, also after closed(): until then it only refuses to send. */
	bool keep;
};

/* Takes fd over, also on failure. Sends HELLO. peer: the role the other side must name
 * (ROLE_NONE: any). Build ids must be equal but on CH_OPERATOR, CH_KEEPER, CH_BROKER, CH_EGRESS and
 * CH_DIAL. NULL with errno. */
struct channel *channel_new(struct loop *loop, int fd, enum channel_kind kind, enum side self,
			    enum role own, enum role peer, const struct channel_ops *ops,
			    void *arg);
/* The same for a descriptor on which both HELLOs were exchanged already (msg_greet): begins in
 * this phase with this peer; opened() is not called. */
struct channel *channel_new_greeted(struct loop *loop, int fd, enum channel_kind kind,
				    enum side self, enum role peer, enum phase phase,
				    const struct channel_ops *ops, void *arg);
/* Closes without calling closed(). NULL is allowed. Safe inside the channel's own callbacks. */
void channel_free(struct channel *channel);

/* Queues the message; its descriptors are taken over (closed once sent). Returns 0, or -errno
 * when the message may not be sent (a bug: logged) or the channel is ending; descriptors are
 * closed in every case. Messages sent before HELLO arrives wait for it. */
int channel_send(struct channel *channel, struct msg *msg);
/* The same for what nothing that waits before it concerns: it overtakes what is held. */
int channel_send_at_once(struct channel *channel, struct msg *msg);
int channel_reply_error(struct channel *channel, uint32_t id, const struct error *error);
int channel_reply_ok(struct channel *channel, uint32_t id, uint64_t value);

/* Holds back what channels send until something has come to pass: a message that was sent under
 * number n leaves once passed is n or more, in its order. Belongs to who makes it (all zero) and
 * sets number; outlives its channels or loses them first. */
struct channel_hold {
	uint64_t number, passed;
	struct channel *channels;
};
/* Before anything was sent on the channel. */
void channel_set_hold(struct channel *channel, struct channel_hold *hold);
void channel_hold_pass(struct channel_hold *hold, uint64_t passed);

/* Before the peer's HELLO: the phase that follows it. By default IN_SETUP on CH_SUPERVISE* and on
 * a CH_KEEPER, CH_BROKER or CH_EGRESS channel whose socket has no name (the boot channel is a
 * socketpair), else IN_OPEN. */
void channel_set_phase(struct channel *channel, enum phase phase);
enum phase channel_phase(const struct channel *channel);
enum role channel_peer(const struct channel *channel); /* as HELLO named it and the kind allows */
int channel_fd(const struct channel *channel);         /* borrowed; for SO_PEERCRED */
/* How many messages wait for the socket: for a sender with a bound of its own. */
size_t channel_queued(const struct channel *channel);
/* Reads what lies in the socket now, to its end: of a peer that is dead. closed() may be called. */
void channel_drain(struct channel *channel);
/* Stops and resumes reading: back-pressure on a peer. */
void channel_pause(struct channel *channel, bool paused);

/* A SOCK_SEQPACKET | CLOEXEC pair, ends[0] for side A. 0 or -errno. */
int channel_pair(int ends[2]);

#endif
