/* One request, from its head to what schedd is told; see listener.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/netaddr.h"
#include "common/values.h"
#include "listener.h"

enum { BODY_FIRST = 16 << 10 };

#define HEADER(text, member)                                                                       \
	{                                                                                          \
		text, offsetof(struct msg_webhook_delivery, member)                                \
	}

/* What schedd needs of a head, whatever the sender is. */
static const struct {
	const char *name;
	size_t offset;
} headers[] = {
    HEADER("Authorization", authorization),
    HEADER("Content-Type", content_type),
    HEADER("Idempotency-Key", idempotency_key),
    HEADER("Stripe-Signature", stripe_signature),
    HEADER("Webhook-Id", webhook_id),
    HEADER("Webhook-Signature", webhook_signature),
    HEADER("Webhook-Timestamp", webhook_timestamp),
    HEADER("X-Event-Type", event_type),
    HEADER("X-GitHub-Delivery", github_delivery),
    HEADER("X-GitHub-Event", github_event),
    HEADER("X-Gitlab-Event", gitlab_event),
    HEADER("X-Gitlab-Event-UUID", gitlab_event_uuid),
    HEADER("X-Gitlab-Token", gitlab_token),
    HEADER("X-Hub-Signature-256", hub_signature),
    HEADER("X-Signature", signature),
    HEADER("X-Signature-256", signature),
    HEADER("X-Timestamp", timestamp),
};

struct request *
request_new(struct listener *l, struct client *client)
{
	struct request *request = calloc(1, sizeof(*request));

	(void)l;
	if (!request)
		return NULL;
	msg_init(&request->delivery, MSG_WEBHOOK_DELIVERY);
	request->client = client;
	client->request = request;
	return request;
}

void
request_drop_body(struct listener *l, struct request *request)
{
	l->bodies -= request->room;
	free(request->body);
	request->body = NULL;
	request->length = request->room = 0;
}

void
request_free(struct listener *l, struct request *request)
{
	if (!request)
		return;
	if (request->id)
		l->under_way--;
	request_drop_body(l, request);
	request->client->request = NULL;
	free(request);
}

void
request_refuse(struct request *request, unsigned status, const char *why)
{
	request->answer = (struct answer){.status = status};
	snprintf(request->answer.why, sizeof(request->answer.why), "%s", why);
}

/* --- the head -------------------------------------------------------------------------------- */

struct reading {
	struct request *request;
	bool length_given, chunked;
};

static bool
printable(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

/* One that is there twice would be read by each as it likes. */
static void
take_header(struct request *request, char *field, const char *value, size_t length)
{
	if (*field)
		request_refuse(request, MHD_HTTP_BAD_REQUEST, "a header is there twice");
	else if (length > HEADER_MAX)
		request_refuse(request, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
			       "a header is longer than 767 bytes");
	else if (!printable(value, length))
		request_refuse(request, MHD_HTTP_BAD_REQUEST,
			       "a header has other characters than those of ASCII");
	else
		memcpy(field, value, length + 1);
}

/* How the body comes. */
static void
look_at_framing(struct reading *reading, const char *name, const char *value)
{
	struct request *request = reading->request;

	if (strcasecmp(name, "Content-Encoding") == 0 && strcasecmp(value, "identity") != 0)
		request_refuse(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
			       "a body must come as it is, without Content-Encoding");
	else if (strcasecmp(name, "Content-Length") == 0)
		reading->length_given = true;
	else if (strcasecmp(name, "Transfer-Encoding") == 0)
		reading->chunked = true;
	if (strcasecmp(name, "Content-Length") == 0 && strtoull(value, NULL, 10) > EVENT_DATA_MAX)
		request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE,
			       "the body is larger than 1 MiB");
}

static enum MHD_Result
see_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_length,
	   const char *value, size_t length)
{
	struct reading *reading = arg;
	char *fields = (char *)&reading->request->delivery.webhook_delivery;

	(void)kind;
	(void)name_length;
	if (!value)
		return MHD_YES;
	look_at_framing(reading, name, value);
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (strcasecmp(name, headers[i].name) == 0)
			take_header(reading->request, fields + headers[i].offset, value, length);
	return reading->request->answer.status ? MHD_NO : MHD_YES;
}

/* /AGENT/HOOK and nothing else. */
static bool
read_path(struct msg_webhook_delivery *delivery, const char *path)
{
	char why[REASON_SIZE];
	const char *slash = *path == '/' ? strchr(path + 1, '/') : NULL;

	if (!slash || (size_t)(slash - path - 1) > AGENT_NAME_MAX ||
	    strlen(slash + 1) > WEBHOOK_NAME_MAX)
		return false;
	memcpy(delivery->agent, path + 1, (size_t)(slash - path - 1));
	memcpy(delivery->hook, slash + 1, strlen(slash + 1) + 1);
	return value_agent_name(delivery->agent, why) && value_webhook(delivery->hook, why);
}

void
request_begin(struct listener *l, struct request *request, const char *method, const char *path)
{
	struct msg_webhook_delivery *delivery = &request->delivery.webhook_delivery;
	struct reading reading = {.request = request};

	net_address_text(&request->client->address, delivery->client);
	if (!rates_take(l->rates, &request->client->address, boottime_ns()))
		request_refuse(request, MHD_HTTP_TOO_MANY_REQUESTS, "too many requests");
	else if (!read_path(delivery, path))
		request_refuse(request, MHD_HTTP_NOT_FOUND, "no webhook has this path");
	else if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
		request_refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, "a webhook takes POST");
	else
		MHD_get_connection_values_n(request->client->connection, MHD_HEADER_KIND,
					    see_header, &reading);
	if (!request->answer.status && reading.length_given && reading.chunked)
		request_refuse(request, MHD_HTTP_BAD_REQUEST,
			       "a body has a length or comes in chunks, not both");
}

/* --- the body -------------------------------------------------------------------------------- */

static bool
grow(struct listener *l, struct request *request, size_t need)
{
	size_t room = request->room ? request->room : BODY_FIRST;
	uint8_t *body;

	while (room < need)
		room *= 2;
	if (room == request->room)
		return true;
	if (!clients_make_room(l, room - request->room) || request->client->dropped)
		return false;
	body = realloc(request->body, room);
	if (!body)
		return false;
	l->bodies += room - request->room;
	request->body = body;
	request->room = room;
	return true;
}

void
request_append(struct listener *l, struct request *request, const char *bytes, size_t length)
{
	if (request->answer.status) {
		request->discarded += length;
		return;
	}
	if (length > EVENT_DATA_MAX - request->length)
		request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE,
			       "the body is larger than 1 MiB");
	else if (!grow(l, request, request->length + length))
		request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "too much is under way; send it again later");
	if (request->answer.status) {
		request_drop_body(l, request);
		return;
	}
	memcpy(request->body + request->length, bytes, length);
	request->length += length;
}
