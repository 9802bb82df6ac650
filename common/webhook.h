/*
 * Webhooks as manifests name them: each kind is a way to sign. The one list for who checks a
 * manifest and for schedd, which reads what senders of that kind say. Pure.
 */
#ifndef SCARAB_WEBHOOK_H
#define SCARAB_WEBHOOK_H

enum webhook_kind {
	WEBHOOK_NONE,
	WEBHOOK_GITHUB,
	WEBHOOK_GITLAB,
	WEBHOOK_STRIPE,
	WEBHOOK_GENERIC,
	WEBHOOK_BEARER,
	WEBHOOK_KINDS,
};

/* NULL for a number out of range. */
const char *webhook_kind_name(enum webhook_kind kind);
/* WEBHOOK_NONE for any other text. */
enum webhook_kind webhook_kind_parse(const char *name);

#endif
