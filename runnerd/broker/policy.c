/* Which tools an agent may see and call: globs of its manifest, capabilities, pinned definitions.
 */
#include <errno.h>
#include <sodium/crypto_hash_sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "pin.h"
#include "state.h"

/* --- rules ----------------------------------------------------------------------------------- */

static bool
any_matches(const struct rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->count; i++)
		if (glob_match(rules->globs[i], name))
			return true;
	return false;
}

/* mcp.SERVER.GLOB: SERVER may be a pattern too. */
static bool
mcp_matches(const char *pattern, const char *server, const char *tool)
{
	char own[SERVER_NAME_MAX + 1];
	const char *dot = strchr(pattern, '.');

	if (!dot || (size_t)(dot - pattern) >= sizeof(own))
		return false;
	memcpy(own, pattern, (size_t)(dot - pattern));
	own[dot - pattern] = '\0';
	return glob_match(own, server) && glob_match(dot + 1, tool);
}

/* tool.invoke:GLOB is of names as the agent has them, before they were cut. */
static bool
capable(const struct broker *broker, const struct server *server, const char *tool,
	const char *exposed)
{
	static const char invoke[] = "tool.invoke:", mcp[] = "mcp.";
	char whole[SERVER_NAME_MAX + 2 + TOOL_NAME_MAX + 1];

	if (!broker->boot.has_capabilities)
		return true;
	snprintf(whole, sizeof(whole), "%s__%s", server->plan.name, tool);
	for (size_t i = 0; i < broker->capabilities.count; i++) {
		const char *one = broker->capabilities.globs[i];

		if (strncmp(one, invoke, sizeof(invoke) - 1) == 0) {
			one += sizeof(invoke) - 1;
			if (glob_match(one, exposed) || glob_match(one, whole))
				return true;
		} else if (strncmp(one, mcp, sizeof(mcp) - 1) == 0 &&
			   mcp_matches(one + sizeof(mcp) - 1, server->plan.name, tool)) {
			return true;
		}
	}
	return false;
}

enum tool_state
policy_rules(const struct broker *broker, const struct server *server, const char *tool,
	     const char *exposed)
{
	const struct rules *allow = &server->rules[RULE_ALLOW];

	if (allow->count > 0 && !any_matches(allow, tool))
		return TOOL_DENIED;
	if (any_matches(&server->rules[RULE_DENY], tool))
		return TOOL_DENIED;
	if (!capable(broker, server, tool, exposed))
		return TOOL_DENIED;
	return any_matches(&server->rules[RULE_ASK], tool) ? TOOL_ASK : TOOL_OPEN;
}

/* --- what a definition is: its meaning, not its spaces --------------------------------------- */

/* The bytes without the space between tokens. */
static void
hash_compact(crypto_hash_sha256_state *state, struct span value)
{
	const char *at = value.at, *end = value.at + value.length, *from = at;
	bool quoted = false;

	for (; at < end; at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (*at == '\\' && quoted)
			at++;
		else if (!quoted && strchr(" \t\r\n", *at)) {
			crypto_hash_sha256_update(state, (const unsigned char *)from,
						  (size_t)(at - from));
			from = at + 1;
		}
	}
	crypto_hash_sha256_update(state, (const unsigned char *)from, (size_t)(end - from));
}

void
tool_digest(struct span definition, uint8_t digest[DIGEST_BYTES])
{
	static const char *const parts[] = {"name",        "title",        "description",
					    "inputSchema", "outputSchema", "annotations"};
	struct span values[ARRAY_LEN(parts)];
	crypto_hash_sha256_state state;

	_Static_assert(DIGEST_BYTES == crypto_hash_sha256_BYTES, "digests are SHA-256");
	crypto_hash_sha256_init(&state);
	if (members(definition, parts, ARRAY_LEN(parts), values) < 0)
		memset(values, 0, sizeof(values));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		/* No value begins with a NUL: absent is not the same as any text. */
		crypto_hash_sha256_update(&state, (const unsigned char *)parts[i],
					  strlen(parts[i]) + 1);
		if (values[i].at)
			hash_compact(&state, values[i]);
		crypto_hash_sha256_update(&state, (const unsigned char *)"", 1);
	}
	crypto_hash_sha256_final(&state, digest);
}

/* --- pins ------------------------------------------------------------------------------------ */

static int
order(const struct pin *pin, uint8_t server, const char *tool)
{
	if (pin->server != server)
		return pin->server < server ? -1 : 1;
	return strcmp(pin->tool, tool);
}

/* Where it is, or where it would be. */
static size_t
find_pin(const struct broker *broker, uint8_t server, const char *tool, bool *found)
{
	size_t low = 0, high = broker->pin_count;

	*found = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int rc = order(&broker->pins[middle], server, tool);

		if (rc == 0) {
			*found = true;
			return middle;
		}
		if (rc < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
insert_pin(struct broker *broker, size_t at, uint8_t server, const char *tool)
{
	struct pin *pins = broker->pins;

	if (broker->pin_count >= PINS_MAX)
		return -ENOSPC;
	if (broker->pin_count % PINS_STEP == 0) {
		pins = reallocarray(pins, broker->pin_count + PINS_STEP, sizeof(struct pin));
		if (!pins)
			return -ENOMEM;
		broker->pins = pins;
	}
	memmove(&pins[at + 1], &pins[at], (broker->pin_count - at) * sizeof(struct pin));
	pins[at] = (struct pin){.server = server, .tool = strdup(tool)};
	if (!pins[at].tool) {
		memmove(&pins[at], &pins[at + 1], (broker->pin_count - at) * sizeof(struct pin));
		return -ENOMEM;
	}
	broker->pin_count++;
	return 0;
}

int
policy_pin(struct broker *broker, uint8_t server, const char *tool, const uint8_t *digest)
{
	bool found;
	size_t at = find_pin(broker, server, tool, &found);
	int rc = found ? 0 : insert_pin(broker, at, server, tool);

	if (rc == 0)
		memcpy(broker->pins[at].digest, digest, DIGEST_BYTES);
	return rc;
}

/* The first sight of a tool is its pin. */
bool
policy_accepted(struct broker *broker, uint8_t server, const char *tool, const uint8_t *digest)
{
	bool found;
	size_t at = find_pin(broker, server, tool, &found);

	if (found)
		return memcmp(broker->pins[at].digest, digest, DIGEST_BYTES) == 0;
	return policy_pin(broker, server, tool, digest) == 0;
}
