/*
 * The body of a webhook as an event's data: JSON as it came; the JSON in a form's field payload, as
 * GitHub sends it by default; any other text as a JSON string. Pure; schedd only, of verified
 * bodies.
 */
#ifndef SCARAB_SCHEDD_WEBHOOK_BODY_H
#define SCARAB_SCHEDD_WEBHOOK_BODY_H

#include "common/error.h"
#include "common/scan.h"

/* data: the value, scanned. It lies in body or in *held (heap, the caller's to free; NULL: not
 * needed). 0, or -1 with error: it is declared as JSON and is none, or it is no text. */
int webhook_body(const char *content_type, struct span body, struct span *data, char **held,
		 struct error *error);

#endif
