#include "sandbox_view.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/timefmt.h"
#include "output.h"

static const char *
home_of(const struct manifest *manifest)
{
	enum home_mode otherwise =
	    manifest->trust_level == TRUST_UNTRUSTED ? HOME_NONE : HOME_JOURNAL;

	return home_mode_name(manifest->home.mode ? manifest->home.mode : otherwise);
}

static const char *
network_of(const struct manifest *manifest)
{
	return network_policy_name(
	    manifest->network.policy == NETWORK_ABSENT ? NETWORK_NONE : manifest->network.policy);
}

static void
json_known(struct json *json, const char *key, uint64_t value)
{
	json_key(json, key);
	if (value == ABSENT)
		json_null(json);
	else
		json_uint(json, value);
}

static void
context_json(const struct manifest *manifest, struct json *json)
{
	json_key(json, "context");
	json_array(json);
	for (size_t i = 0; i < manifest->context.count; i++) {
		json_object(json);
		json_key(json, "source");
		json_string(json, manifest->context.items[i].source);
		json_key(json, "target");
		json_string(json, manifest->context.items[i].target);
		json_object_end(json);
	}
	json_array_end(json);
}

void
sandbox_json(const struct manifest *manifest, const struct msg_agent_row *row, struct json *json)
{
	uint64_t grace = manifest->lifecycle.stop_grace_ms;
	uint64_t idle = manifest->lifecycle.idle_timeout_ms;

	json_object(json);
	json_key(json, "image");
	json_string(json, manifest->image ? manifest->image : "host");
	json_key(json, "home");
	json_string(json, home_of(manifest));
	json_key(json, "network");
	json_string(json, network_of(manifest));
	context_json(manifest, json);
	json_key(json, "seccomp");
	json_string(json, profile_name(profile_of(manifest->trust_level)));
	json_key(json, "first_uid");
	json_uint(json, row->base_uid);
	json_key(json, "uids");
	json_uint(json, ID_RANGE);
	json_known(json, "timeout_ms", manifest->lifecycle.timeout_ms);
	json_known(json, "stop_grace_ms", grace == ABSENT ? STOP_GRACE_DEFAULT_MS : grace);
	json_known(json, "idle_timeout_ms", idle == ABSENT ? 0 : idle);
	json_known(json, "memory_limit", manifest->resources.memory_limit);
	json_known(json, "max_pids", manifest->resources.max_pids);
	json_known(json, "cpus_milli", manifest->resources.cpus_milli);
	json_known(json, "cpu_shares", manifest->resources.cpu_shares);
	json_known(json, "max_open_files", manifest->resources.max_open_files);
	json_object_end(json);
}

static void
context_text(const struct ash *ash, const struct manifest *manifest)
{
	if (manifest->context.count == 0)
		output_line(ash, "Context", COLOR_NONE, "none");
	for (size_t i = 0; i < manifest->context.count; i++) {
		const struct manifest_context *context = &manifest->context.items[i];

		output_line(ash, "Context", COLOR_NONE, "%s, read-only at %s", context->source,
			    context->target);
	}
}

static void
command_text(const struct ash *ash, const struct manifest *manifest,
	     const struct msg_agent_row *row)
{
	_cleanup_free_ char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	if (!stream)
		return;
	if (manifest->command)
		fputs(manifest->command, stream);
	else
		fprintf(stream, "%s/%s", row->install_dir, row->name);
	for (size_t i = 0; i < manifest->args.count; i++)
		fprintf(stream, " %s", manifest->args.items[i]);
	fclose(stream);
	if (text)
		output_line(ash, "Command", COLOR_NONE, "%s", text);
}

static void
number_text(const struct ash *ash, const char *name, uint64_t value)
{
	if (value == ABSENT)
		output_line(ash, name, COLOR_NONE, "agentd's default");
	else
		output_line(ash, name, COLOR_NONE, "%llu", (unsigned long long)value);
}

static void
resources_text(const struct ash *ash, const struct manifest *manifest)
{
	uint64_t memory = manifest->resources.memory_limit, cpus = manifest->resources.cpus_milli;
	uint64_t shares = manifest->resources.cpu_shares;
	char text[32];

	output_line(ash, "Memory", COLOR_NONE, "%s",
		    memory == ABSENT ? "agentd's default" : size_format(memory, text));
	number_text(ash, "Processes", manifest->resources.max_pids);
	if (cpus != ABSENT)
		output_line(ash, "CPUs", COLOR_NONE, "%llu.%03llu", (unsigned long long)cpus / 1000,
			    (unsigned long long)cpus % 1000);
	if (shares != ABSENT)
		number_text(ash, "CPU shares", shares);
	number_text(ash, "Open files", manifest->resources.max_open_files);
}

static void
limits_text(const struct ash *ash, const struct manifest *manifest)
{
	uint64_t timeout = manifest->lifecycle.timeout_ms,
		 idle = manifest->lifecycle.idle_timeout_ms;
	uint64_t grace = manifest->lifecycle.stop_grace_ms;
	char text[32];

	output_line(ash, "Timeout", COLOR_NONE, "%s",
		    timeout == ABSENT || timeout == 0 ? "agentd's default"
						      : duration_format(timeout, text));
	output_line(ash, "Stop grace", COLOR_NONE, "%s",
		    duration_format(grace == ABSENT ? STOP_GRACE_DEFAULT_MS : grace, text));
	if (idle != ABSENT && idle != 0)
		output_line(ash, "Idle timeout", COLOR_NONE, "%s", duration_format(idle, text));
	resources_text(ash, manifest);
}

void
sandbox_text(const struct ash *ash, const struct manifest *manifest,
	     const struct msg_agent_row *row)
{
	command_text(ash, manifest, row);
	if (manifest->task)
		output_line(ash, "Task", COLOR_NONE, "%s", manifest->task);
	output_line(ash, "Image", COLOR_NONE, "%s, %s", manifest->image ? manifest->image : "host",
		    manifest_image_dir(manifest) ? "below a layer of each session's own"
						 : "read-only");
	output_line(ash, "Home", COLOR_NONE, "%s", home_of(manifest));
	output_line(ash, "Network", COLOR_NONE, "%s", network_of(manifest));
	context_text(ash, manifest);
	output_line(ash, "Seccomp", COLOR_NONE, "%s set",
		    profile_name(profile_of(manifest->trust_level)));
	output_line(ash, "User ids", COLOR_NONE, "%u to %u", row->base_uid,
		    row->base_uid + ID_RANGE - 1);
	limits_text(ash, manifest);
}
