/*
 * Metrics on a Unix socket of their own (metrics.socket of agentd.yaml), for who scrapes: HTTP/1.0,
 * GET /metrics, one request a connection. Of a request the first line is looked at, and whether
 * OpenMetrics is asked for; nothing of it goes further. agentd-control only.
 */
#ifndef SCARAB_CONTROL_SCRAPE_H
#define SCARAB_CONTROL_SCRAPE_H

#include "control.h"

enum {
	SCRAPES_MAX = 16, /* connections at once */
	SCRAPES_PER_UID = 8,
	SCRAPE_HEAD_MAX = 4096,   /* bytes of a request */
	SCRAPE_WITHIN_MS = 10000, /* from its first byte to the answer's last, or it is dropped */
};

struct scrapes;

/* Takes connections of fd, which is taken over. NULL with errno. */
struct scrapes *scrapes_new(struct control *control, int fd);
void scrapes_free(struct scrapes *scrapes); /* NULL is allowed */

/* What is asked for, of a whole head: an HTTP status, and in which format. For tests, too. */
unsigned scrape_request(const char *head, bool *openmetrics);

#endif
