/*
 * The broker of one session: MCP client of every plugin, MCP server of the agent. Outside the
 * sandbox, under a user of its own (BROKER_UID of the agent's range), in an empty network
 * namespace, confined; nothing that an agent or a plugin writes is parsed anywhere else.
 *
 * How it is started. As root, by what starts a keeper: 0, 1 /dev/null, 2 the session's log (a pipe
 * that the keeper reads as stream "runtime"), BROKER_FD_BOOT side B of a CH_BROKER channel; no
 * argument, no environment, one cgroup with limits of its own. It waits for BROKER_BOOT, drops,
 * listens, says BROKER_UP. An error until then is ERROR and exit status 1.
 *
 * Plugins. runnerd starts all of them at once, each in a sandbox of its own, and hands over both
 * ends that it keeps with BROKER_PLUGIN {server, generation 1}: pipes or sockets, whatever the
 * broker does not write or read is not touched. Standard error never comes here: the keeper drains
 * it into the log, so that it is kept when the broker is gone. From the handover on each plugin has
 * its start_timeout for handshake and lists. The broker closes a plugin's standard input when it is
 * to end; processes are runnerd's: BROKER_PLUGIN_GONE tells of their end, BROKER_WANT asks for one
 * (a plugin that breaks the protocol) or for a new start (after a crash, with a growing pause, a
 * new generation each; RESTARTS_MAX in a row, then it stays failed). A message about a generation
 * that is no longer the newest is ignored by both.
 *
 * Order of a session: BROKER_UP; BROKER_SERVER_STATE at each change; BROKER_REGISTRY, then
 * BROKER_READY once, when every plugin is ready or failed: with no plugins, at once. The agent may
 * connect from BROKER_UP on and is answered from BROKER_READY on; runnerd opens the gate at
 * BROKER_READY {ready true} and takes the session down as setup_failed otherwise. Later each change
 * of a definition or a state is a new BROKER_REGISTRY: tools.json as the agent finds it is that of
 * the start.
 *
 * Secrets. BROKER_REDACT comes before the first BROKER_PLUGIN of a session that has any, and again
 * when a value changed: from then on what is told to runnerd, logged or shown to operators is
 * without them, and an entry of a list that shows one is left out. What passes between an agent and
 * its plugins is theirs and stays as it is.
 *
 * Calls. Each that ends is one BROKER_CALL, in the order of their ends, at most AUDIT_MS late;
 * while AUDIT_QUEUE of them wait for runnerd (because it is away, or slow) new calls are refused as
 * busy: none goes unrecorded. BROKER_STATS follows at most once in STATS_MS, and before the
 * broker's end. max_tool_calls bounds calls of plugins' tools; the first over it is refused and
 * BROKER_END asks runnerd to end the session as budget_exceeded.
 *
 * Approvals. A call of a tool that an ask glob matches is BROKER_ASK, waits for BROKER_ANSWER at
 * most approval_ms, and is over with BROKER_ASK_OVER whatever comes of it. Its deadline starts when
 * it is allowed.
 *
 * Notes of the agent (BROKER_NOTE) wait for runnerd while it is away, up to NOTES_HELD; then the
 * tool that notes says that it is busy.
 *
 * Life. BROKER_FD_LIFE is written to, a byte at most once in LIFE_MS, whenever the agent says
 * something and as long as a call of its is under way: for the keeper's idle time.
 *
 * Pins. BROKER_PINs of the plan are definitions that were accepted before, by SHA-256. A tool with
 * a pin whose definition has another digest is quarantined: not listed, not callable,
 * TOOL_QUARANTINED in the registry. A tool without a pin is what it is at its first sight, also for
 * the rest of the session; runnerd keeps the digests of BROKER_REGISTRY as pins of the agent.
 * BROKER_ACCEPT lifts a quarantine at once.
 *
 * A restarted runnerd connects to the broker's own socket (root alone may), greets, sends
 * BROKER_QUERY, and is told again: BROKER_UP, every BROKER_SERVER_STATE, BROKER_REGISTRY,
 * BROKER_READY if it was sent, every BROKER_ASK that waits, BROKER_STATS, the notes that
 * waited, BROKER_ACTIVITY. Plugins and agent do not
 * notice. If the broker dies the session is failed, reason "broker".
 *
 * The end. BROKER_STOP: calls in flight fail, standard inputs are closed, what is owed to runnerd
 * is sent, what plugins still write is read and dropped until they have ended (DRAIN_MS at most),
 * the process exits 0; the same at EOF of BROKER_FD_LIFE, when the agent has ended. Calls that
 * could not be told to a runnerd that is away are in the session's log then. EOF of its own
 * socket's listener never comes; EOF of the channel alone changes nothing.
 */
#ifndef SCARAB_BROKER_H
#define SCARAB_BROKER_H

#include "common/limits.h"

enum {
	BROKER_FD_BOOT = 3, /* CH_BROKER, side B */
	BROKER_FD_LIFE = 4, /* a socket of the keeper's: EOF is BROKER_STOP */

	NO_SERVER = 255,          /* instead of a plugin's number: the runtime's own */
	APPROVAL_MS = 600000,     /* BROKER_BOOT.approval_ms unless runnerd knows better */
	CALL_TIMEOUT_MS = 60000,  /* mcp_servers.timeout where the manifest says nothing */
	START_TIMEOUT_MS = 20000, /* mcp_servers.start_timeout, likewise */
	RESULT_BYTES = 32 << 20,  /* BROKER_SERVER.result_bytes: a line may hold a text twice */
	ASK_BYTES_MAX = 64 << 10, /* of a call's arguments, shown to an operator */
	NOTE_BYTES_MAX = 1 << 20, /* of agentd__result; the other notes: NOTE_TEXT_MAX */
	NOTE_TEXT_MAX = 16 << 10,
	RESTARTS_MAX = 5, /* starts of a plugin that came to nothing, one after the other */
	AUDIT_QUEUE = 1024,
	AUDIT_MS = 20,
	STATS_MS = 1000,
	LIFE_MS = 250,   /* idle_timeout_secs is one second at least */
	DRAIN_MS = 5000, /* as long as the keeper takes to end plugins, and no longer */
	NOTES_HELD = 64,
};

/* BROKER_RULE.kind */
enum rule_kind {
	RULE_ALLOW, /* of one plugin: names as the plugin has them; none: all */
	RULE_DENY,
	RULE_ASK,
	RULE_CAPABILITY, /* an entry of spec.capabilities: tool.invoke:GLOB, mcp.SERVER.GLOB; others
			  * are ignored. Looked at only with BROKER_BOOT.has_capabilities */
	RULE_KINDS,
};

/* BROKER_SERVER_STATE.state */
enum server_state {
	SERVER_WAITING,  /* no process yet, or none again */
	SERVER_STARTING, /* handshake and lists */
	SERVER_READY,
	SERVER_FAILED, /* for good */
	SERVER_STATES,
};

/* TOOL_ROW.state */
enum tool_state {
	TOOL_OPEN,
	TOOL_ASK,         /* a call waits for an operator */
	TOOL_DENIED,      /* by allow, deny or capabilities: neither listed nor callable */
	TOOL_QUARANTINED, /* its definition is not the accepted one */
	TOOL_ABSENT,      /* its plugin is not ready */
	TOOL_STATES,
};

/* BROKER_CALL.outcome, BROKER_ASK_OVER.outcome */
enum call_outcome {
	CALL_OK,
	CALL_TOOL_ERROR, /* a result with isError, as the plugin sent it */
	CALL_ERROR,      /* a JSON-RPC error, as the plugin sent it */
	CALL_TIMED_OUT,
	CALL_CANCELLED, /* by the agent, or it went away */
	CALL_DIED,      /* the plugin ended, or its answer was no valid message */
	CALL_BUSY,
	CALL_REFUSED, /* unknown, denied, quarantined, no capability */
	CALL_DENIED,  /* by an operator */
	CALL_EXPIRED, /* no operator answered */
	CALL_BUDGET,
	CALL_INVALID, /* arguments of a built-in tool */
	CALL_OUTCOMES,
};

/* BROKER_NOTE.kind */
enum note_kind {
	NOTE_OBSERVATION, /* agentd__observe */
	NOTE_TRANSITION,  /* agentd__transition: name is plan, act or observe; why: the reason given
			   */
	NOTE_RESULT,      /* agentd__result: JSON of any type; the last one counts */
	NOTE_EVENT, /* agentd__emit_event: name is its type, subject its subject; fd 0: its data */
	NOTE_KINDS,
};

/*
 * The built-in tools, as `tools/list` describes them to the agent:
 *
 *   agentd__mission     {}                                    → mission.json with "plugins" added:
 *                                                               [{name, state, why}]
 *   agentd__observe     {text, data?}                         → {"recorded":true}
 *   agentd__transition  {state: plan|act|observe, reason?}    →
 * {"state":STATE,"previous":STATE|null} agentd__result      {result}                              →
 * {"stored":true} agentd__emit_event  {type, data?, subject?}               → {"emitted":true}
 *
 * Each answers with the object as text content and, from 2025-06-18 on, as structuredContent. Bad
 * arguments are results with isError. `observe` takes any data and keeps text and data as they
 * came.
 */

#endif
