/* The agent's side: each request is read whole, checked, and written anew for its server. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "exchange.h"
#include "sniff.h"

enum { FRAME_BYTES = 32, HTTP_PORT = 80, HTTPS_PORT = 443 };

/* --- for whom it is --------------------------------------------------------------------------- */

/* Parts an absolute target, which must say what Host does, from its path. */
static const char *
split_target(struct http_head *head, bool *absolute)
{
	static const char scheme[] = "http://";
	struct http_text *target = &head->target, authority;
	const char *slash;

	*absolute = false;
	if (target->at[0] == '/')
		return NULL;
	if (target->length <= strlen(scheme) ||
	    strncasecmp(target->at, scheme, strlen(scheme)) != 0)
		return "its target is neither a path nor an http:// URL";
	authority.at = target->at + strlen(scheme);
	authority.length = target->length - strlen(scheme);
	slash = memchr(authority.at, '/', authority.length);
	if (!slash)
		return "its target has no path";
	target->length = authority.length - (size_t)(slash - authority.at);
	target->at = slash;
	authority.length = (size_t)(slash - authority.at);
	*absolute = true;
	return authority.length == head->host.length &&
		       strncasecmp(authority.at, head->host.at, authority.length) == 0
		   ? NULL
		   : "its target names another host than its header Host";
}

/* Where a rule of inject leads. NULL, or why nowhere. */
static const char *
find_injected(struct exchange *x, const struct msg_inject_rule *rule, const struct http_head *head)
{
	snprintf(x->to.host, sizeof(x->to.host), "%s", rule->host);
	x->to.port = rule->port;
	x->to.secret = true;
	return injects_refuse(&x->egress->injects, rule->host, head);
}

/* Where a request to the proxy leads: a name, or an address that a rule names. */
static const char *
find_proxied(struct exchange *x, struct http_text authority, const struct http_head *head)
{
	const struct net_rules *rules = &x->egress->rules;
	const struct msg_inject_rule *rule = NULL;
	const struct net_rule *found;

	x->to = (struct target){0};
	if (!authority_parse(authority, HTTP_PORT, x->to.host, &x->to.address, &x->to.port)) {
		x->to.port = 0;
		return "its host is malformed";
	}
	if (x->to.host[0] && x->to.port == INJECT_PORT)
		rule = injects_host(&x->egress->injects, x->to.host);
	if (rule)
		return find_injected(x, rule, head);
	found = x->to.host[0] ? net_rules_find_name(rules, x->to.host, x->to.port)
			      : net_rules_find_address(rules, &x->to.address, x->to.port);
	x->to.below = found && found->kind == NET_BELOW;
	return found ? NULL : "no rule lets its host through at this port";
}

/* NULL, or why nowhere. */
static const char *
find_server(struct exchange *x, struct http_head *head)
{
	const struct msg_inject_rule *named;
	char name[NET_NAME_MAX + 1];
	struct in6_addr address;
	const char *why;
	bool absolute;
	unsigned port;

	why = split_target(head, &absolute);
	if (why)
		return why;
	if (!x->rule)
		return absolute ? find_proxied(x, head->host, head)
				: "a request to the proxy must name its whole URL";
	if (!authority_parse(head->host, HTTP_PORT, name, &address, &port))
		return "its host is malformed";
	named = name[0] ? injects_host(&x->egress->injects, name) : NULL;
	if (!named || strcmp(named->host, x->rule->host) != 0 || port != INJECT_PORT)
		return "it asks for another host";
	return find_injected(x, x->rule, head);
}

/* --- its head, anew --------------------------------------------------------------------------- */

static void
put_text(struct bytes *up, struct http_text text)
{
	bytes_put(up, text.at, text.length);
}

static void
put_secret(struct bytes *up, const struct inject *inject)
{
	const char *format = inject->rule.format, *place = strstr(format, "%s");

	bytes_say(up, "%s: %.*s", inject->rule.header, (int)(place - format), format);
	bytes_put(up, inject->value, inject->length);
	bytes_say(up, "%s\r\n", place + 2);
}

/* What nobody can look through cannot be scrubbed. */
static void
put_secrets(struct exchange *x, const struct http_head *head)
{
	const struct inject *inject;
	size_t at = 0;

	bytes_say(&x->up, "Accept-Encoding: identity\r\n");
	while ((inject = injects_next(&x->egress->injects, x->to.host, head, &at)))
		put_secret(&x->up, inject);
}

/* Not what has an answer come in a form, or in parts, that cannot be searched. */
static bool
passes_searched(const struct exchange *x, const struct http_field *field)
{
	return !injects_own(&x->egress->injects, x->to.host, field->name) &&
	       !http_is(field->name, "Accept-Encoding") && !http_is(field->name, "Range") &&
	       !http_is(field->name, "If-Range");
}

static void
put_fields(struct exchange *x, const struct http_head *head)
{
	for (size_t i = 0; i < head->count; i++) {
		const struct http_field *field = &head->fields[i];

		if (!http_passes(head, field) || (x->to.secret && !passes_searched(x, field)))
			continue;
		put_text(&x->up, field->name);
		bytes_say(&x->up, ": ");
		put_text(&x->up, field->value);
		bytes_say(&x->up, "\r\n");
	}
}

static void
put_head(struct exchange *x, const struct http_head *head)
{
	put_text(&x->up, head->method);
	bytes_say(&x->up, " ");
	put_text(&x->up, head->target);
	bytes_say(&x->up, " HTTP/1.1\r\nHost: ");
	if (!x->to.secret)
		put_text(&x->up, head->host);
	else if (x->to.port == HTTPS_PORT)
		bytes_say(&x->up, "%s", x->to.host);
	else
		bytes_say(&x->up, "%s:%u", x->to.host, x->to.port);
	bytes_say(&x->up, "\r\n");
	put_fields(x, head);
	if (x->to.secret)
		put_secrets(x, head);
	if (head->framing == HTTP_CHUNKED)
		bytes_say(&x->up, "Transfer-Encoding: chunked\r\n");
	else if (head->has_length)
		bytes_say(&x->up, "Content-Length: %llu\r\n", (unsigned long long)head->length);
	bytes_say(&x->up, "\r\n");
}

/* --- one request ------------------------------------------------------------------------------ */

static void
begin_request(struct exchange *x, struct http_head *head)
{
	const char *why;

	if (http_is(head->method, "CONNECT")) {
		exchange_refuse(x, 501, "its method is not offered here");
		return;
	}
	why = find_server(x, head);
	if (why) {
		exchange_refuse(x, 403, why);
		return;
	}
	put_head(x, head);
	if (x->up.overflown) {
		exchange_refuse(x, 431, "its head is too long");
		return;
	}
	x->to_head = http_is(head->method, "HEAD");
	x->last = head->close;
	x->informational = 0;
	http_body_begin(&x->sending, head->framing, head->length);
	if (head->expects && !x->sending.done && bytes_used(&x->in) == head->bytes)
		bytes_say(&x->down, "HTTP/1.1 100 Continue\r\n\r\n");
	bytes_drop(&x->in, head->bytes);
	exchange_wait(x, 0);
	exchange_connect(x);
}

bool
exchange_take_request(struct exchange *x)
{
	struct http_head head;

	if (x->state != EXCHANGE_HEAD || bytes_used(&x->down))
		return false;
	if (bytes_used(&x->in) == 0) {
		if (x->client.ended)
			x->state = EXCHANGE_GONE;
		return false;
	}
	switch (http_request(bytes_first(&x->in), bytes_used(&x->in), &head)) {
	case HTTP_MORE:
		if (x->client.ended)
			x->state = EXCHANGE_GONE;
		return false;
	case HTTP_BAD:
		exchange_refuse(x, head.refusal, head.why);
		return true;
	default:
		begin_request(x, &head);
		return true;
	}
}

/* --- its body --------------------------------------------------------------------------------- */

static bool
end_sending(struct exchange *x)
{
	if (!x->sending.done)
		return false;
	if (x->sending.framing == HTTP_CHUNKED)
		bytes_say(&x->up, "0\r\n\r\n");
	return true;
}

static void
put_piece(struct exchange *x, struct http_text piece)
{
	bool chunked = x->sending.framing == HTTP_CHUNKED;

	if (!piece.length)
		return;
	if (chunked)
		bytes_say(&x->up, "%zx\r\n", piece.length);
	put_text(&x->up, piece);
	if (chunked)
		bytes_say(&x->up, "\r\n");
}

/* What was read of it, framed anew. Where there is no server yet it waits. */
bool
exchange_take_sending(struct exchange *x)
{
	size_t room = bytes_room(&x->up), used = bytes_used(&x->in);
	struct http_text piece;
	ssize_t n;

	if (x->state != EXCHANGE_RELAYING || x->sending.done || room <= FRAME_BYTES)
		return false;
	if (used == 0) {
		if (x->client.ended)
			x->state = EXCHANGE_GONE;
		return false;
	}
	if (used > room - FRAME_BYTES)
		used = room - FRAME_BYTES;
	n = http_body_take(&x->sending, bytes_first(&x->in), used, &piece);
	if (n < 0) {
		exchange_drop_server(x);
		exchange_refuse(x, 400, "its body is malformed");
		return true;
	}
	put_piece(x, piece);
	bytes_drop(&x->in, (size_t)n);
	end_sending(x);
	return n > 0;
}
