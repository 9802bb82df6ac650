/* What a plan says of inject, typed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "inject.h"

enum { HTTPS_PORT = 443 };

int
inject_rule(const struct manifest_inject *inject, struct net_rule *rule)
{
	size_t length = strcspn(inject->host, ":");
	const char *port = inject->host + length;
	unsigned number = HTTPS_PORT;

	if (length == 0 || length > NET_NAME_MAX)
		return -EINVAL;
	if (*port++ == ':' && (!(number = net_port(&port)) || *port))
		return -EINVAL;
	*rule =
	    (struct net_rule){.kind = NET_NAME, .low = (uint16_t)number, .high = (uint16_t)number};
	memcpy(rule->name, inject->host, length);
	return net_name_valid(rule->name) ? 0 : -EINVAL;
}

bool
inject_wanted(const struct manifest *plan)
{
	for (size_t i = 0; i < plan->credentials.count; i++)
		if (plan->credentials.items[i].has_inject)
			return true;
	return false;
}

int
inject_add_rules(const struct manifest *plan, struct rows *rows)
{
	struct net_rule rule;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->credentials.count; i++) {
		if (!plan->credentials.items[i].has_inject)
			continue;
		rc = inject_rule(&plan->credentials.items[i].inject, &rule);
		if (rc == 0)
			rc = net_rule_add(rows, &rule);
	}
	return rc;
}

/* One entry a line. -E2BIG. */
static int
join(const struct strings *list, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < list->count; i++) {
		int n = snprintf(text + used, size - used, "%s%s", i ? "\n" : "", list->items[i]);

		if (n < 0 || (size_t)n >= size - used)
			return -E2BIG;
		used += (size_t)n;
	}
	return 0;
}

static int
add_row(struct rows *rows, const struct manifest_credential *credential)
{
	const struct manifest_inject *inject = &credential->inject;
	struct msg row;
	struct msg_inject_rule *to = &row.inject_rule;
	struct net_rule rule;
	int rc = inject_rule(inject, &rule);

	if (rc < 0)
		return rc;
	msg_init(&row, MSG_INJECT_RULE);
	snprintf(to->secret, sizeof(to->secret), "%s", credential->name);
	snprintf(to->host, sizeof(to->host), "%s", rule.name);
	to->port = rule.low;
	snprintf(to->header, sizeof(to->header), "%s", inject->header);
	snprintf(to->format, sizeof(to->format), "%s", inject->format ? inject->format : "%s");
	if (join(&inject->methods, to->methods, sizeof(to->methods)) < 0 ||
	    join(&inject->paths, to->paths, sizeof(to->paths)) < 0)
		return -E2BIG;
	return rows_add(rows, &row);
}

int
inject_rules(const struct manifest *plan)
{
	struct rows *rows = rows_new("inject-rules");
	int rc = rows ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < plan->credentials.count; i++)
		if (plan->credentials.items[i].has_inject)
			rc = add_row(rows, &plan->credentials.items[i]);
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

void
inject_urls(const struct manifest *plan, inject_url_fn *fn, void *arg)
{
	struct net_rule rule;
	char url[1024];

	for (size_t i = 0; i < plan->credentials.count; i++) {
		const struct manifest_credential *credential = &plan->credentials.items[i];
		const char *path = credential->inject.base_path;

		if (!credential->has_inject || inject_rule(&credential->inject, &rule) < 0)
			continue;
		snprintf(url, sizeof(url), "http://%s%s", rule.name, path ? path : "");
		fn(credential, url, arg);
	}
}
