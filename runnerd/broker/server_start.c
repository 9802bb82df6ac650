/* The handshake with a plugin: the newest of the handshake revisions is offered, any that is known
 * is taken. No client capability is advertised: roots would replace a file server's own allow-list,
 * and nobody answers sampling or elicitation. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "revision.h"
#include "state.h"

static const struct {
	const char *capability;
	enum item_kind kind;
} offers[] = {
    {"tools", ITEM_TOOL},
    {"prompts", ITEM_PROMPT},
    {"resources", ITEM_RESOURCE},
    {"resources", ITEM_TEMPLATE},
};

static void
take_capabilities(struct server *server, struct span capabilities)
{
	struct span resources = member(capabilities, "resources");

	for (size_t i = 0; i < ARRAY_LEN(offers); i++)
		server->offers[offers[i].kind] =
		    value_kind(member(capabilities, offers[i].capability)) == VALUE_OBJECT;
	server->subscribes = span_equal(member(resources, "subscribe"), SPAN("true"));
	server->completes = value_kind(member(capabilities, "completions")) == VALUE_OBJECT;
	server->logs = value_kind(member(capabilities, "logging")) == VALUE_OBJECT;
}

static void
take_software(struct server *server, struct span info)
{
	char name[64], version[60];

	if (string_text(member(info, "name"), name, sizeof(name)) < 0)
		strcpy(name, "?");
	if (string_text(member(info, "version"), version, sizeof(version)) < 0)
		strcpy(version, "?");
	snprintf(server->software, sizeof(server->software), "%s %s", name, version);
}

static void
initialized(struct call *call, const struct rpc *answer, enum call_outcome outcome, const char *why)
{
	static const char text[] =
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";
	struct server *server = call->server;
	char message[200];

	if (outcome != CALL_OK) {
		if (answer &&
		    string_text(member(answer->error, "message"), message, sizeof(message)) >= 0)
			why = message;
		if (server->state == SERVER_STARTING)
			server_fail(server, "it refused the handshake: %s", why);
		return;
	}
	if (string_text(member(answer->result, "protocolVersion"), server->revision,
			sizeof(server->revision)) < 0 ||
	    !revision_handshake(server->revision)) {
		server_fail(server, "it speaks no revision of MCP that is known here");
		return;
	}
	take_capabilities(server, member(answer->result, "capabilities"));
	take_software(server, member(answer->result, "serverInfo"));
	server_send(server, &(struct iovec){(void *)(uintptr_t)text, sizeof(text) - 1}, 1, 0);
	server_list(server);
}

void
server_greet(struct server *server)
{
	struct call *call = call_new(server->broker, server, initialized, 0);
	char text[320];
	int length;

	if (!call) {
		server_fail(server, "too many calls are in flight");
		return;
	}
	length = snprintf(text, sizeof(text),
			  "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"initialize\",\"params\":{"
			  "\"protocolVersion\":\"%s\",\"capabilities\":{},\"clientInfo\":{\"name\":"
			  "\"agentd\",\"version\":\"%s\"}}}\n",
			  (unsigned long long)call->id, REVISION_HANDSHAKE, scarab_version);
	call->sent = true;
	/* One that has ended already breaks at the end of this round, with the reason of its end.
	 */
	if (server_send(server, &(struct iovec){text, (size_t)length}, 1, 0) == -ENOBUFS)
		server_fail(server, "there is no memory for its handshake");
}
