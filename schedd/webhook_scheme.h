/*
 * What senders of webhooks say about a request, by the kind of webhook: how it is signed, when,
 * what the event is called. Pure; schedd only. Whether a signature is right, secretd says.
 */
#ifndef SCARAB_SCHEDD_WEBHOOK_SCHEME_H
#define SCARAB_SCHEDD_WEBHOOK_SCHEME_H

#include "common/proto.h"
#include "common/scan.h"
#include "common/webhook.h"

/* A signed time may lie so far from now, either way: what Stripe's and Standard Webhooks' libraries
 * take. */
enum { WEBHOOK_TOLERANCE_S = 300 };

/* Fills what secretd is asked (prefix, signatures, token, encoded) from the headers. now_s: seconds
 * of the epoch. 0, or -1 with error: it is not signed, or not as this kind is, or not now. */
int webhook_question(enum webhook_kind kind, const struct msg_webhook_delivery *delivery,
		     uint64_t now_s, struct msg_signature_query *query, struct error *error);

/* SECONDS.BODY and ID.SECONDS.BODY are what other kinds sign. Where a body alone was signed, one
 * that begins so is theirs, with its time taken away: a replay of any age. */
bool webhook_body_has_time(struct span body);

/* The event's type and id: KIND.WHAT, with only those characters that a type has; and what the
 * sender calls the delivery, empty where it calls it nothing. data: the body, scanned. Buffers of
 * EVENT_TYPE_MAX + 1 and EVENT_NAME_MAX + 1 bytes. False: the id is longer. */
bool webhook_name(enum webhook_kind kind, const struct msg_webhook_delivery *delivery,
		  struct span data, char *type, char *id);

#endif
