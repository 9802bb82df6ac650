/*
 * webhook(8): the listener of webhooks, a process of its own. It reads HTTP, and nothing of what it
 * reads: a whole request goes to schedd as one message with its body in a sealed memfd, and
 * schedd's word becomes the answer. It holds no key and decides about no signature, so that whoever
 * owns it can tell schedd what anybody on the network could.
 *
 * libmicrohttpd reads HTTP and, where agentd.yaml names a certificate, TLS. It is driven by this
 * process's loop; everything here runs in one thread.
 */
#ifndef SCARAB_WEBHOOK_LISTENER_H
#define SCARAB_WEBHOOK_LISTENER_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/queue.h>

#include "common/channel.h"
#include "rate.h"

/* Where numbers have no other reason: GitHub and Stripe wait 10 to 20 s for an answer and send a
 * few requests a second to one address. */
enum {
	CONNECTIONS_MAX =
	    512, /* one more, and the oldest that has not sent its request is let go */
	CONNECTION_BYTES = 16 << 10, /* a request's head */
	BODIES_MAX = 32 << 20,       /* held at once; then the same */
	DISCARDED_MAX = 4 << 20, /* of a body that was refused: read, so that the answer is too */
	DELIVERIES_MAX = 64,     /* that schedd has not answered; then 503 */
	RECEIVE_MS = 10000,      /* from the connection to the last byte of the request */
	ANSWER_MS = 20000,       /* then schedd is taken for busy: 503 */
	SEND_MS = 10000,         /* for who does not read its answer */
	SAY_EVERY_MS = 10000,    /* what was refused is logged as often, as numbers */
};

/* Where a connection stands; each has its time. */
enum phase_of_client { RECEIVING, WAITING, SENDING, PHASES };

struct request;

struct client {
	TAILQ_ENTRY(client) entry;
	struct MHD_Connection *connection;
	int fd; /* of the connection, borrowed */
	enum phase_of_client phase;
	uint64_t deadline_ns;
	bool dropped; /* shut down; its end is a matter of the next round */
	struct request *request;
	struct in6_addr address;
};
TAILQ_HEAD(client_list, client);

/* What the sender gets. */
struct answer {
	unsigned status;
	bool repeated;
	char event[EVENT_NAME_MAX + 1];
	char why[256];
};

struct request {
	struct client *client;
	struct msg delivery; /* but for its body */
	uint32_t id;         /* of the delivery at schedd; 0: not there */
	uint8_t *body;
	size_t length, room, discarded;
	bool suspended;
	struct answer answer; /* status 0: none yet */
};

struct listener {
	struct loop *loop;
	struct channel *agentd, *schedd;
	struct MHD_Daemon *http;
	struct loop_source *io, *timer, *again;
	struct client_list clients[PHASES]; /* each in the order of deadlines */
	unsigned count, under_way;
	size_t bodies; /* bytes */
	uint32_t last_id;
	struct rates *rates;
	struct {
		uint64_t said_ns; /* 0: never */
		unsigned refused, limited, let_go;
	} told;
};

/* --- http.c: libmicrohttpd on the loop ---------------------------------------------------------
 */

/* Takes listen_fd over. certificate and key: PEM, NULL for plain HTTP. -1 with error. */
int http_open(struct listener *l, int listen_fd, const char *certificate, const char *key,
	      struct error *error);
void http_close(struct listener *l);
/* Something was resumed, or shut down: libmicrohttpd has to see it. */
void http_turn(struct listener *l);

/* --- clients.c: connections and their time -----------------------------------------------------
 */

struct client *client_new(struct listener *l, struct MHD_Connection *connection);
void client_free(struct listener *l, struct client *client);
void client_enter(struct listener *l, struct client *client, enum phase_of_client phase);
void clients_expired(struct loop_source *timer, void *arg);
/* Lets the oldest go that have not sent their request, until there is room for this many more
 * bytes. False: there is none. */
bool clients_make_room(struct listener *l, size_t bytes);

/* --- request.c: one request ---------------------------------------------------------------------
 */

struct request *request_new(struct listener *l, struct client *client);
void request_free(struct listener *l, struct request *request);
void request_drop_body(struct listener *l, struct request *request);
/* Its head is there. Sets the answer where it is refused. */
void request_begin(struct listener *l, struct request *request, const char *method,
		   const char *path);
void request_append(struct listener *l, struct request *request, const char *bytes, size_t length);
void request_refuse(struct request *request, unsigned status, const char *why);

/* --- deliver.c: schedd --------------------------------------------------------------------------
 */

void deliver_introduced(struct listener *l, int fd);
/* To schedd, or the answer is set. */
void deliver(struct listener *l, struct request *request);
/* The answer is set: the connection goes on. */
void deliver_answered(struct listener *l, struct request *request);
/* Counts an answer that refused, and says so from time to time. */
void deliver_note(struct listener *l, unsigned status);

#endif
