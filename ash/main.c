/*
 * ash, the operator's command: one table of commands, one way to call them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ash.h"
#include "common/cleanup.h"
#include "output.h"
#include "pager.h"
#include "pause.h"
#include "suggest.h"

#define DEFAULT_SOCKET "/run/scarab-runtime/agentd.sock"

static command_fn help_command, version_command;

static const struct command commands[] = {
    {.words = "agent install",
     .takes = TAKES_FILE,
     .usage = "MANIFEST [--dir DIR] [--runtime R] [--replace]",
     .about = "check and store an agent's definition",
     .options = {{"--dir", 0, "DIR", "install_dir; default: the manifest's folder"},
		 {"--runtime", 0, "R", "rust, native, python, node, wasm, container"},
		 {"--replace", 0, NULL, "replace an installed agent of this name"}},
     .min = 1,
     .max = 1,
     .run = agent_install_command},
    {.words = "agent list",
     .pages = true,
     .usage = "",
     .about = "installed agents",
     .run = agent_list_command},
    {.words = "agent show",
     .pages = true,
     .takes = TAKES_AGENT,
     .usage = "NAME",
     .about = "an agent's definition and effective sandbox",
     .min = 1,
     .max = 1,
     .run = agent_show_command},
    {.words = "agent validate",
     .takes = TAKES_FILE,
     .usage = "MANIFEST...",
     .about = "check manifests without agentd",
     .min = 1,
     .max = SIZE_MAX,
     .run = agent_validate_command},
    {.words = "agent remove",
     .takes = TAKES_AGENT,
     .usage = "NAME [--purge]",
     .about = "remove an agent",
     .options = {{"--purge", 0, NULL, "its home and history too"}},
     .min = 1,
     .max = 1,
     .run = agent_remove_command},
    {.words = "agent run",
     .takes = TAKES_AGENT,
     .usage = "NAME [--task T] [--input FILE|-] [--timeout D] [--detach|--wait]",
     .about = "start a session and show its output",
     .options = {{"--task", 0, "T", "what to do, in place of the manifest's task"},
		 {"--input", 0, "FILE|-", "what the agent reads from standard input"},
		 {"--timeout", 0, "D", "end it after this time (90s, 5m, 2h)"},
		 {"--detach", 'd', NULL, "print the session's id and leave it running"},
		 {"--wait", 0, NULL, "wait for its end (the default)"}},
     .min = 1,
     .max = 1,
     .run = agent_run_command,
     .waits = true},
    {.words = "agent pause",
     .takes = TAKES_AGENT,
     .usage = "NAME|--all",
     .about = "start no new sessions",
     .options = {{"--all", 0, NULL, "of every installed agent"}},
     .max = 1,
     .run = agent_pause_command},
    {.words = "agent resume",
     .takes = TAKES_AGENT,
     .usage = "NAME|--all",
     .about = "start sessions again",
     .options = {{"--all", 0, NULL, "of every installed agent"}},
     .max = 1,
     .run = agent_resume_command},
    {.words = "image list", .usage = "", .about = "images of the store", .run = image_list_command},
    {.words = "image show",
     .usage = "DIGEST|REFERENCE",
     .about = "an image, and what it runs",
     .min = 1,
     .max = 1,
     .run = image_show_command},
    {.words = "image add",
     .usage = "PATH[:TAG]|docker://NAME[:TAG]",
     .about = "bring an image into the store before an agent needs it",
     .min = 1,
     .max = 1,
     .run = image_add_command},
    {.words = "image remove",
     .usage = "DIGEST|REFERENCE",
     .about = "remove an image that nothing uses",
     .min = 1,
     .max = 1,
     .run = image_remove_command},
    {.words = "image gc",
     .usage = "",
     .about = "remove all images that nothing uses",
     .run = image_gc_command},
    {.words = "session list",
     .pages = true,
     .usage = "[--agent A] [--state S] [--since D]",
     .about = "sessions, newest first",
     .options = {{"--agent", 0, "A", "only of this agent"},
		 {"--state", 0, "S", "queued, setup, running, stopping, ended"},
		 {"--since", 0, "D", "queued within this time (2h, 7d) or since an RFC 3339 time"},
		 {"--limit", 'n', "N", "at most so many"}},
     .run = session_list_command},
    {.words = "session show",
     .pages = true,
     .takes = TAKES_SESSION,
     .usage = "ID",
     .about = "everything about a session",
     .min = 1,
     .max = 1,
     .run = session_show_command},
    {.words = "session logs",
     .pages = true,
     .takes = TAKES_SESSION,
     .usage = "ID [-f]",
     .about = "what a session printed",
     .options = {{"--follow", 'f', NULL, "go on until the session ends"}},
     .min = 1,
     .max = 1,
     .run = session_logs_command},
    {.words = "session cancel",
     .takes = TAKES_SESSION,
     .usage = "ID",
     .about = "end a session",
     .min = 1,
     .max = 1,
     .run = session_cancel_command},
    {.words = "session wait",
     .takes = TAKES_SESSION,
     .usage = "ID",
     .about = "wait for a session's end",
     .min = 1,
     .max = 1,
     .run = session_wait_command,
     .waits = true},
    {.words = "session why",
     .pages = true,
     .takes = TAKES_SESSION,
     .usage = "ID",
     .about = "why a session is as it is, and what to do",
     .min = 1,
     .max = 1,
     .run = session_why_command},
    {.words = "schedule list",
     .pages = true,
     .usage = "[--agent A]",
     .about = "what time starts, and when next",
     .options = {{"--agent", 0, "A", "only of this agent"}},
     .run = schedule_list_command},
    {.words = "schedule next",
     .pages = true,
     .takes = TAKES_AGENT,
     .usage = "NAME [-n N] [--from T]",
     .about = "an agent's next times",
     .options = {{"--count", 'n', "N", "so many (1)"},
		 {"--from", 0, "T", "after this RFC 3339 time instead of now"},
		 {"--explain", 0, NULL, "say of each why it is then"}},
     .min = 1,
     .max = 1,
     .run = schedule_next_command},
    {.words = "event emit",
     .usage = "TYPE [--source S] [--id ID] [--subject S] [--data JSON|@FILE|-]",
     .about = "tell an event, once for each source and id",
     .options = {{"--source", 0, "S", "who tells it; default: you, /operators/UID"},
		 {"--id", 0, "ID", "its name; the same again is not delivered again"},
		 {"--subject", 0, "S", "what of the source it is about"},
		 {"--data", 0, "JSON|@FILE|-", "what it carries, up to 1 MiB of JSON"}},
     .min = 1,
     .max = 1,
     .run = event_emit_command},
    {.words = "event list",
     .pages = true,
     .usage = "[--type GLOB] [--source S] [--since D] [-n N]",
     .about = "events that were told, newest first",
     .options = {{"--type", 0, "GLOB", "only of types that match"},
		 {"--source", 0, "S", "only of this source"},
		 {"--since", 0, "D", "told within this time (2h, 7d) or since an RFC 3339 time"},
		 {"--limit", 'n', "N", "at most so many"}},
     .run = event_list_command},
    {.words = "event show",
     .pages = true,
     .usage = "ID [--source S]",
     .about = "an event and its data",
     .options = {{"--source", 0, "S", "of this source, when several have told the id"}},
     .min = 1,
     .max = 1,
     .run = event_show_command},
    {.words = "event replay",
     .usage = "ID [--source S]",
     .about = "deliver an event once more",
     .options = {{"--source", 0, "S", "of this source, when several have told the id"}},
     .min = 1,
     .max = 1,
     .run = event_replay_command},
    {.words = "secret set",
     .takes = TAKES_SECRET,
     .usage = "NAME [--from FILE|-] [--now]",
     .about = "store a secret, from standard input",
     .options = {{"--from", 0, "FILE|-", "the file that holds it, in place of standard input"},
		 {"--now", 0, NULL, "live sessions get the new value too"}},
     .min = 1,
     .max = 1,
     .run = secret_set_command},
    {.words = "secret restore",
     .takes = TAKES_SECRET,
     .usage = "NAME [--now]",
     .about = "make the version before the next one",
     .options = {{"--now", 0, NULL, "live sessions get the value too"}},
     .min = 1,
     .max = 1,
     .run = secret_restore_command},
    {.words = "secret list",
     .pages = true,
     .takes = TAKES_SECRET,
     .usage = "[NAME]",
     .about = "secrets and who may use them",
     .max = 1,
     .run = secret_list_command},
    {.words = "secret remove",
     .takes = TAKES_SECRET,
     .usage = "NAME",
     .about = "remove a secret and its grants",
     .min = 1,
     .max = 1,
     .run = secret_remove_command},
    {.words = "secret grant",
     .takes = TAKES_SECRET,
     .usage = "NAME --agent A [--for SERVER] [--until T] [--max-uses N]",
     .about = "let an agent, as it is installed now, use a secret",
     .options = {{"--agent", 0, "A", "the agent"},
		 {"--for", 0, "SERVER", "its MCP server, in place of the agent itself"},
		 {"--until", 0, "T", "for this time (30m, 7d) or until an RFC 3339 time"},
		 {"--max-uses", 0, "N", "in so many sessions"}},
     .min = 1,
     .max = 1,
     .run = secret_grant_command},
    {.words = "secret revoke",
     .takes = TAKES_SECRET,
     .usage = "NAME --agent A|--all [--for SERVER]",
     .about = "take a grant back",
     .options = {{"--agent", 0, "A", "the agent, and its servers"},
		 {"--for", 0, "SERVER", "only what this MCP server of it has"},
		 {"--all", 0, NULL, "every grant of the secret"}},
     .min = 1,
     .max = 1,
     .run = secret_revoke_command},
    {.words = "secret rotate-key",
     .usage = "",
     .about = "seal the store of secrets under a new key",
     .run = secret_rotate_command},
    {.words = "secret unlock",
     .usage = "",
     .about = "open the store of secrets",
     .run = secret_unlock_command},
    {.words = "tool list",
     .pages = true,
     .takes = TAKES_SESSION_OR_AGENT,
     .usage = "SESSION|AGENT | --plugin CMD [ARG...]",
     .about = "tools of a session, or of a plugin that is tried without agentd",
     .options = {{"--plugin", 0, "CMD...", "run this plugin, up to --, without a sandbox",
		  .rest = true}},
     .max = 1,
     .run = tool_list_command},
    {.words = "tool call",
     .usage = "--plugin CMD [ARG...] -- TOOL [JSON]",
     .about = "call a tool of a plugin that is tried without agentd",
     .options = {{"--timeout", 0, "D", "how long the call may take (default 60s)"},
		 {"--plugin", 0, "CMD...", "run this plugin, up to --, without a sandbox",
		  .rest = true}},
     .max = 2,
     .run = tool_call_command},
    {.words = "tool pin",
     .takes = TAKES_AGENT,
     .usage = "AGENT [TOOL[@DIGEST]...]",
     .about = "accept the definitions that an agent's tools have now",
     .min = 1,
     .max = SIZE_MAX,
     .run = tool_pin_command},
    {.words = "tool diff",
     .pages = true,
     .takes = TAKES_AGENT,
     .usage = "AGENT",
     .about = "definitions that are not the pinned ones",
     .min = 1,
     .max = 1,
     .run = tool_diff_command},
    {.words = "pending",
     .pages = true,
     .takes = TAKES_CALL,
     .usage = "[ID]",
     .about = "calls that wait for approval, or one with its arguments",
     .max = 1,
     .run = pending_command},
    {.words = "approve",
     .takes = TAKES_CALL,
     .usage = "ID",
     .about = "let a call go to its tool",
     .min = 1,
     .max = 1,
     .run = approve_command},
    {.words = "deny",
     .takes = TAKES_CALL,
     .usage = "ID",
     .about = "let a call fail",
     .min = 1,
     .max = 1,
     .run = deny_command},
    {.words = "home log",
     .pages = true,
     .takes = TAKES_AGENT,
     .usage = "NAME",
     .about = "sessions whose changes of a home can be undone",
     .min = 1,
     .max = 1,
     .run = home_log_command},
    {.words = "home diff",
     .pages = true,
     .takes = TAKES_AGENT,
     .usage = "NAME SESSION",
     .about = "what a session changed in its home",
     .min = 2,
     .max = 2,
     .run = home_diff_command},
    {.words = "home rollback",
     .takes = TAKES_AGENT,
     .usage = "NAME SESSION",
     .about = "make a home what it was before a session",
     .min = 2,
     .max = 2,
     .run = home_rollback_command},
    {.words = "audit verify",
     .takes = TAKES_FILE,
     .usage = "[--head HASH] [FILE...]",
     .about = "is the audit log whole?",
     .options = {{"--head", 0, "HASH", "it must hold the entry with this hash"}},
     .max = SIZE_MAX,
     .run = audit_verify_command},
    {.words = "audit",
     .pages = true,
     .usage = "[--agent A] [--session S] [--since D] [-f]",
     .about = "who did what, oldest first",
     .options = {{"--agent", 0, "A", "only of this agent"},
		 {"--session", 0, "S", "only of this session"},
		 {"--since", 0, "D", "within this time (2h, 7d) or since an RFC 3339 time"},
		 {"--follow", 'f', NULL, "go on with entries as they come"}},
     .run = audit_command},
    {.words = "status",
     .pages = true,
     .usage = "",
     .about = "agentd, its daemons and sessions at a glance",
     .run = status_command},
    {.words = "top",
     .usage = "",
     .about = "live sessions, calls to decide and next fires, on a screen",
     .run = top_command},
    {.words = "events",
     .usage = "[--agent A] [--kind GLOB]",
     .about = "what happens, as it happens",
     .options = {{"--agent", 0, "A", "only of this agent"},
		 {"--kind", 0, "GLOB", "only of kinds that match: session.*, call.asked"}},
     .run = events_command},
    {.words = "metrics",
     .usage = "[--openmetrics] [--textfile FILE]",
     .about = "what the daemons count, for Prometheus",
     .options = {{"--openmetrics", 0, NULL, "OpenMetrics 1.0, in place of text format 0.0.4"},
		 {"--textfile", 0, "FILE", "write it there, whole, for node_exporter"}},
     .run = metrics_command},
    {.words = "doctor",
     .pages = true,
     .usage = "",
     .about = "what the host lacks, and the remedy",
     .run = doctor_command},
    {.words = "explain",
     .pages = true,
     .takes = TAKES_AGENT_OR_FILE,
     .usage = "NAME|MANIFEST",
     .about = "the sandbox that an agent, or a manifest, comes to",
     .min = 1,
     .max = 1,
     .run = explain_command},
    {.words = "config show",
     .usage = "",
     .about = "the configuration that holds, and where it comes from",
     .run = config_show_command},
    {.words = "reload", .usage = "", .about = "read agentd.yaml again", .run = reload_command},
    {.words = "ping", .usage = "", .about = "does agentd answer?", .run = ping_command},
    {.words = "shutdown",
     .usage = "[--drain]",
     .about = "stop agentd; sessions go on",
     .options = {{"--drain", 0, NULL, "end the sessions first"}},
     .run = shutdown_command},
    {.words = "completion",
     .takes = TAKES_SHELL,
     .usage = "bash|zsh|fish",
     .about = "the completion of ash for a shell",
     .min = 1,
     .max = SIZE_MAX,
     .run = completion_command},
    {.words = "version", .usage = "", .about = "print the version", .run = version_command},
    {.words = "help",
     .pages = true,
     .takes = TAKES_COMMAND,
     .usage = "[COMMAND]",
     .about = "how to use ash or a command",
     .max = 2,
     .run = help_command},
};

static void
print_option(const struct option_spec *option)
{
	char names[64];

	snprintf(names, sizeof(names), "%c%c%s%s%s%s", option->letter ? '-' : ' ',
		 option->letter ? option->letter : ' ', option->letter ? ", " : "  ", option->name,
		 option->value ? " " : "", option->value ? option->value : "");
	printf("  %-22s %s\n", names, option->about);
}

static void
print_globals(void)
{
	size_t count;
	const struct option_spec *options = args_global_options(&count);

	for (size_t i = 0; i < count; i++)
		print_option(&options[i]);
}

/* All commands, or those of one group. False when there is none. */
static bool
print_commands(const char *group)
{
	size_t length = group ? strlen(group) : 0;
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *command = &commands[i];

		if (command->later || (group && (strncmp(command->words, group, length) != 0 ||
						 command->words[length] != ' ')))
			continue;
		printf("  %-22s %s\n", command->words, command->about);
		found = true;
	}
	return found;
}

static void
print_overview(void)
{
	puts("usage: ash [-s SOCKET] [--json] [--quiet] [--no-color] [--no-pager] "
	     "COMMAND\n\ncommands:");
	print_commands(NULL);
	puts("\noptions, anywhere:");
	print_globals();
	puts("\n'ash help COMMAND' tells more about one; ash(1) tells all.");
}

static void
print_command(const struct command *command)
{
	printf("usage: ash %s%s%s\n\n%s\n", command->words, *command->usage ? " " : "",
	       command->usage, command->about);
	if (command->later)
		puts("This build does not have it.");
	if (command->options[0].name)
		puts("\noptions:");
	for (size_t i = 0; i < OPTIONS_MAX && command->options[i].name; i++)
		print_option(&command->options[i]);
	puts("\noptions of every command:");
	print_globals();
}

static void
option_json(const struct option_spec *option, struct json *json)
{
	char letter[2] = {option->letter, '\0'};

	json_object(json);
	json_key(json, "name");
	json_string(json, option->name);
	json_key(json, "letter");
	json_string(json, *letter ? letter : NULL);
	json_key(json, "value");
	json_string(json, option->value);
	json_key(json, "about");
	json_string(json, option->about);
	json_object_end(json);
}

/* The table itself, for who completes or documents command lines. */
static int
help_json(struct error *error)
{
	struct json json = JSON_INIT;
	size_t count;
	const struct option_spec *globals = args_global_options(&count);

	json_object(&json);
	json_key(&json, "options");
	json_array(&json);
	for (size_t i = 0; i < count; i++)
		option_json(&globals[i], &json);
	json_array_end(&json);
	json_key(&json, "commands");
	json_array(&json);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *command = &commands[i];

		if (command->later)
			continue;
		json_object(&json);
		json_key(&json, "command");
		json_string(&json, command->words);
		json_key(&json, "usage");
		json_string(&json, command->usage);
		json_key(&json, "about");
		json_string(&json, command->about);
		json_key(&json, "options");
		json_array(&json);
		for (size_t j = 0; j < OPTIONS_MAX && command->options[j].name; j++)
			option_json(&command->options[j], &json);
		json_array_end(&json);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	return output_json(&json, error);
}

static int
help_command(struct ash *ash, const struct args *args, struct error *error)
{
	char words[64] = "";

	if (ash->json)
		return help_json(error);
	if (args->count == 0) {
		print_overview();
		return 0;
	}
	snprintf(words, sizeof(words), "%s%s%s", args->operands[0], args->count > 1 ? " " : "",
		 args->count > 1 ? args->operands[1] : "");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].words, words) == 0) {
			print_command(&commands[i]);
			return 0;
		}
	if (print_commands(words))
		return 0;
	error_why(error, ERR_USAGE, "there is no command '%s'", words);
	return error_hint(error, "see 'ash help'");
}

static int
version_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct json json = JSON_INIT;

	(void)args;
	if (!ash->json) {
		printf("ash %s\n", scarab_version);
		return 0;
	}
	json_object(&json);
	json_key(&json, "version");
	json_string(&json, scarab_version);
	json_key(&json, "build");
	json_string(&json, scarab_build_id);
	json_object_end(&json);
	return output_json(&json, error);
}

static const char *
socket_path(const struct args *args)
{
	const char *path = getenv("ASH_SOCKET");

	if (args->socket)
		return args->socket;
	return path && *path ? path : DEFAULT_SOCKET;
}

static int
run_command(struct ash *ash, const struct args *args, struct error *error)
{
	const struct command *command = args->command;
	int status;

	if (args->version)
		return version_command(ash, args, error);
	if (args->help) {
		if (command)
			print_command(command);
		else if (args->count == 0 || !print_commands(args->operands[0]))
			print_overview();
		return 0;
	}
	if (command->later) {
		error_why(error, ERR_FAILED, "not in this build");
		error_hint(error, "a later version of Scarab Runtime brings it; 'ash help' lists "
				  "what this one has");
		return error_what(error, "%s", command->words);
	}
	ash->socket = socket_path(args);
	ash->connection.path = ash->socket;
	ash->commands = commands;
	ash->command_count = ARRAY_LEN(commands);
	pager_start(ash, args);
	status = command->run(ash, args, error);
	if (status < 0 && error->code == ERR_NOT_FOUND)
		suggest_agent(ash, args, error);
	connection_close(&ash->connection);
	connection_close(&ash->secrets);
	free(ash->secrets_socket);
	if (status < 0 && error->code == ERR_USAGE)
		error_what(error, "%s", command->words);
	return status;
}

/* What an error exits with: its code, but 125 where the agent's own status is expected. */
static int
failure_status(const struct args *args, const struct error *error)
{
	const struct command *command = args->command;

	if (command && command->waits && error->code != ERR_USAGE && !args_flag(args, "--detach"))
		return EXIT_NO_STATUS;
	return error->code != ERR_NONE ? (int)error->code : ERR_FAILED;
}

int
main(int argc, char **argv)
{
	struct ash ash = {.connection = CONNECTION_INIT, .secrets = SECRETS_CONNECTION_INIT};
	struct error error = ERROR_INIT;
	struct args args;
	int status;

	signal(SIGPIPE, SIG_IGN);
	status = args_parse(commands, ARRAY_LEN(commands), argc, argv, &args, &error);
	output_style(&ash, &args);
	ash.command = args.command ? args.command->words : NULL;
	if (status == 0)
		status = run_command(&ash, &args, &error);
	if (status >= 0 && output_flush(&error) < 0)
		status = -1;
	pager_end(&ash);
	if (status < 0) {
		output_error(&ash, &error);
		status = failure_status(&args, &error);
	}
	args_free(&args);
	return status;
}
