/* libmicrohttpd on the loop; see listener.h. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "listener.h"

/* --- answers --------------------------------------------------------------------------------- */

static char *
answer_json(const struct answer *answer, size_t *length)
{
	struct json json = JSON_INIT;

	json_object(&json);
	if (answer->status < MHD_HTTP_BAD_REQUEST) {
		json_key(&json, "id");
		json_string(&json, answer->event);
		json_key(&json, "repeated");
		json_bool(&json, answer->repeated);
	} else {
		json_key(&json, "error");
		json_string(&json, answer->why);
	}
	json_object_end(&json);
	return json_take(&json, length);
}

static void
add_headers(struct MHD_Response *response, unsigned status)
{
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	/* One request a connection: its time is the request's. */
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "5");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "POST");
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
}

static enum MHD_Result
answer(struct listener *l, struct request *request)
{
	unsigned status = request->answer.status;
	struct MHD_Response *response;
	enum MHD_Result rc;
	size_t length = 0;
	char *text = answer_json(&request->answer, &length);

	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	add_headers(response, status);
	rc = MHD_queue_response(request->client->connection, status, response);
	MHD_destroy_response(response);
	deliver_note(l, status);
	if (request->client->phase != SENDING)
		client_enter(l, request->client, SENDING);
	return rc;
}

/* --- requests -------------------------------------------------------------------------------- */

static struct client *
client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* Nothing follows, or the sender asked before it sends (Expect): then it can be told at once. What
 * it sends all the same is read first, or its answer might be lost to a reset. */
static bool
told_at_once(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);

	if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT))
		return true;
	return length && strtoull(length, NULL, 10) > DISCARDED_MAX;
}

static enum MHD_Result
begin(struct listener *l, struct MHD_Connection *connection, const char *method, const char *path,
      void **context)
{
	struct client *client = client_of(connection);
	struct request *request;

	if (!client || client->dropped || client->request)
		return MHD_NO;
	request = request_new(l, client);
	if (!request)
		return MHD_NO;
	*context = request;
	request_begin(l, request, method, path);
	return request->answer.status && told_at_once(connection) ? answer(l, request) : MHD_YES;
}

static enum MHD_Result
whole(struct listener *l, struct request *request)
{
	if (!request->answer.status)
		deliver(l, request);
	if (request->answer.status)
		return answer(l, request);
	request->suspended = true;
	MHD_suspend_connection(request->client->connection);
	return MHD_YES;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
	   const char *version, const char *bytes, size_t *length, void **context)
{
	struct listener *l = arg;
	struct request *request = *context;

	(void)version;
	if (!request)
		return begin(l, connection, method, path, context);
	if (request->client->dropped)
		return MHD_NO;
	if (*length == 0)
		return whole(l, request);
	request_append(l, request, bytes, *length);
	*length = 0;
	return request->discarded > DISCARDED_MAX ? MHD_NO : MHD_YES;
}

static void
on_end(void *arg, struct MHD_Connection *connection, void **context,
       enum MHD_RequestTerminationCode how)
{
	(void)connection;
	(void)how;
	request_free(arg, *context);
	*context = NULL;
}

static void
on_connection(void *arg, struct MHD_Connection *connection, void **context,
	      enum MHD_ConnectionNotificationCode what)
{
	struct listener *l = arg;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = client_new(l, connection);
		return;
	}
	client_free(l, *context);
	*context = NULL;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void
on_io(struct loop_source *source, uint32_t events, void *arg)
{
	(void)source;
	(void)events;
	http_turn(arg);
}

/* Bytes that TLS has decrypted already wait in no socket: it says so by a time of 0. */
void
http_turn(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG timeout = 1;
	unsigned rounds = 0;

	if (!l->http)
		return;
	do {
		MHD_run(l->http);
	} while (MHD_get_timeout(l->http, &timeout) == MHD_YES && timeout == 0 &&
		 ++rounds < CHANNEL_READS_A_ROUND);
	if (timeout == 0 && rounds == CHANNEL_READS_A_ROUND)
		loop_arm_in(l->again, 0);
}

static void
on_again(struct loop_source *timer, void *arg)
{
	(void)timer;
	http_turn(arg);
}

int
http_open(struct listener *l, int listen_fd, const char *certificate, const char *key,
	  struct error *error)
{
	struct MHD_OptionItem tls[] = {
	    {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate},
	    {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
	    {MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (certificate ? MHD_USE_TLS : 0);
	const union MHD_DaemonInfo *info;

	l->http = MHD_start_daemon(
	    flags, 0, NULL, NULL, on_request, l, MHD_OPTION_LISTEN_SOCKET, listen_fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX + CONNECTIONS_MAX / 4,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
	    MHD_OPTION_NOTIFY_COMPLETED, on_end, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
	    certificate ? tls : tls + ARRAY_LEN(tls) - 1, MHD_OPTION_END);
	if (!l->http) {
		close(listen_fd);
		error_why(error, ERR_FAILED, "libmicrohttpd cannot start");
		return certificate ? error_hint(error, "webhooks.certificate and webhooks.key must "
						       "be PEM, belong together, and need no "
						       "passphrase")
				   : -1;
	}
	info = MHD_get_daemon_info(l->http, MHD_DAEMON_INFO_EPOLL_FD);
	l->again = loop_add_timer(l->loop, on_again, l);
	l->io = info ? loop_add_io(l->loop, info->epoll_fd, EPOLLIN, on_io, l) : NULL;
	if (!l->io || !l->again)
		return error_errno(error, errno, "watching libmicrohttpd");
	return 0;
}

/* It frees what is left of connections, but not suspended ones. */
void
http_close(struct listener *l)
{
	struct client *client;

	TAILQ_FOREACH(client, &l->clients[WAITING], entry)
	{
		if (client->request && client->request->suspended)
			MHD_resume_connection(client->connection);
	}
	loop_remove(l->io);
	loop_remove(l->again);
	l->io = l->again = NULL;
	if (l->http)
		MHD_stop_daemon(l->http);
	l->http = NULL;
}
