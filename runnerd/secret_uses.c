#include "secret_uses.h"

#include <string.h>

#include "common/template.h"

static const char *
server_of(const struct manifest_credential *credential)
{
	const char *server = credential->for_server;

	return server && strcmp(server, "agent") != 0 ? server : "";
}

/* One that is injected never enters a sandbox. */
static int
each_credential(const struct manifest *plan, const char *server, secret_use_fn *fn, void *arg)
{
	struct secret_use use = {0};
	unsigned injected = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->credentials.count; i++) {
		use.credential = &plan->credentials.items[i];
		use.server = server_of(use.credential);
		use.file = use.credential->as ? use.credential->as : use.credential->name;
		use.place = use.credential->has_inject ? PLACE_EGRESS : PLACE_CREDENTIALS;
		use.rule = injected;
		injected += use.credential->has_inject;
		if (!server || strcmp(server, use.server) == 0)
			rc = fn(&use, arg);
	}
	return rc;
}

enum secret_place
template_file(const struct manifest *plan, const char *server, const char *secret,
	      const char **file)
{
	for (size_t i = 0; i < plan->credentials.count; i++) {
		const struct manifest_credential *c = &plan->credentials.items[i];

		if (c->has_inject || strcmp(server_of(c), server) != 0 ||
		    strcmp(c->name, secret) != 0)
			continue;
		*file = c->as ? c->as : c->name;
		return PLACE_CREDENTIALS;
	}
	*file = secret;
	return PLACE_ENVIRONMENT;
}

/* --- templates ----------------------------------------------------------------------------------
 */

/* Its place among the placeholders of the server: where was this secret named first? */
struct placeholder {
	size_t variable;
	const char *after;
};

static struct placeholder
first_named(const struct manifest_server *server, const char *secret)
{
	struct placeholder found = {0};
	struct template_part part;

	for (; found.variable < server->env_template.count; found.variable++) {
		found.after = server->env_template.items[found.variable].value;
		while (template_next(&found.after, &part) == 1)
			if (!part.text && strcmp(part.secret, secret) == 0)
				return found;
	}
	return found;
}

static int
use_placeholder(const struct manifest *plan, const struct manifest_server *server, char *secret,
		secret_use_fn *fn, void *arg)
{
	const struct manifest_credential credential = {.name = secret, .for_server = server->name};
	struct secret_use use = {.credential = &credential, .server = server->name};

	use.place = template_file(plan, server->name, secret, &use.file);
	return use.place == PLACE_ENVIRONMENT ? fn(&use, arg) : 0;
}

static int
each_placeholder(const struct manifest *plan, const struct manifest_server *server,
		 secret_use_fn *fn, void *arg)
{
	struct template_part part;
	int rc = 0;

	for (size_t i = 0; i < server->env_template.count; i++) {
		const char *at = server->env_template.items[i].value;

		while (rc == 0 && template_next(&at, &part) == 1) {
			struct placeholder first;

			if (part.text)
				continue;
			first = first_named(server, part.secret);
			if (first.variable == i && first.after == at)
				rc = use_placeholder(plan, server, part.secret, fn, arg);
		}
	}
	return rc;
}

int
secret_uses(const struct manifest *plan, const char *server, secret_use_fn *fn, void *arg)
{
	int rc = each_credential(plan, server, fn, arg);

	for (size_t i = 0; rc == 0 && i < plan->mcp_servers.count; i++) {
		const struct manifest_server *one = &plan->mcp_servers.items[i];

		if (!server || strcmp(server, one->name) == 0)
			rc = each_placeholder(plan, one, fn, arg);
	}
	return rc;
}

/* --- counting -----------------------------------------------------------------------------------
 */

struct count {
	enum secret_place place;
	size_t uses;
};

static int
count_one(const struct secret_use *use, void *arg)
{
	struct count *count = arg;

	count->uses += use->place == count->place;
	return 0;
}

size_t
secret_uses_count(const struct manifest *plan, const char *server, enum secret_place place)
{
	struct count count = {.place = place};

	secret_uses(plan, server, count_one, &count);
	return count.uses;
}
