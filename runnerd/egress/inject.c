#include "inject.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/glob.h"
#include "common/netrule.h"

enum { SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL };

static const char suffix[] = ".agentd";

/* --- rules ------------------------------------------------------------------------------------ */

static bool
is_rule(const struct msg *row)
{
	const struct msg_inject_rule *rule = &row->inject_rule;

	return row->type == MSG_INJECT_RULE && net_name_valid(rule->host) && rule->port > 0 &&
	       rule->port <= UINT16_MAX && rule->header[0] && strstr(rule->format, "%s");
}

static int
add_rule(struct injects *injects, const struct msg *row)
{
	struct inject *items;

	if (!is_rule(row) || injects->count == INJECTS_MAX)
		return -EBADMSG;
	items = reallocarray(injects->items, injects->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	injects->items = items;
	items[injects->count++] = (struct inject){.rule = row->inject_rule};
	return 0;
}

int
injects_read(int memfd, struct injects *injects)
{
	struct rows_reader *reader = rows_open(memfd);
	static struct msg row;
	int rc = reader ? 1 : -EBADMSG;

	injects->scrubs = scrubs_new();
	if (reader && !injects->scrubs)
		rc = -ENOMEM;
	while (rc > 0 && (rc = rows_next(reader, &row)) > 0)
		if (add_rule(injects, &row) < 0)
			rc = -EBADMSG;
	rows_close(reader);
	return rc;
}

void
injects_clear(struct injects *injects)
{
	for (size_t i = 0; i < injects->count; i++)
		if (injects->items[i].value)
			munmap((void *)injects->items[i].value, injects->items[i].length);
	free(injects->items);
	scrubs_free(injects->scrubs);
	*injects = (struct injects){0};
}

/* --- values ----------------------------------------------------------------------------------- */

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Newlines and blanks at its end are the editor's. The rest must be what a header's value may hold.
 * A server takes blanks around it away: an echo would be of something else than what is hidden. */
static bool
is_value(struct inject *inject, size_t size)
{
	while (size && (is_blank(inject->value[size - 1]) || inject->value[size - 1] == '\n' ||
			inject->value[size - 1] == '\r'))
		size--;
	if (size && is_blank(inject->value[0]))
		return false;
	for (size_t i = 0; i < size; i++)
		if ((inject->value[i] < ' ' && inject->value[i] != '\t') ||
		    inject->value[i] == 0x7f)
			return false;
	inject->length = size;
	return true;
}

int
injects_value(struct injects *injects, unsigned number, int memfd, struct error *error)
{
	struct inject *inject = number < injects->count ? &injects->items[number] : NULL;
	struct stat st;
	void *value;
	int rc;

	if (!inject || inject->value)
		return error_why(error, ERR_FAILED, "a secret that no rule asks for");
	if ((fcntl(memfd, F_GET_SEALS) & SEALS) != SEALS || fstat(memfd, &st) < 0)
		return error_why(error, ERR_FAILED, "the secret %s is not sealed",
				 inject->rule.secret);
	value = st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, memfd, 0)
			       : MAP_FAILED;
	if (value == MAP_FAILED)
		return error_why(error, ERR_FAILED, "the secret %s cannot be read",
				 inject->rule.secret);
	inject->value = value;
	rc = is_value(inject, (size_t)st.st_size)
		 ? scrubs_add(injects->scrubs, inject->value, inject->length)
		 : -EINVAL;
	if (rc == -EINVAL) {
		error_why(error, ERR_INVALID, "the secret %s cannot stand in a header",
			  inject->rule.secret);
		return error_hint(error,
				  "it must be one line of %d to %d bytes, and not begin "
				  "with a blank",
				  SCRUB_VALUE_MIN, SCRUB_VALUE_MAX);
	}
	injects->values++;
	return rc < 0 ? error_errno(error, -rc, "hiding %s", inject->rule.secret) : 0;
}

/* --- which -------------------------------------------------------------------------------------
 */

const struct msg_inject_rule *
injects_host(const struct injects *injects, const char *name)
{
	for (size_t i = 0; i < injects->count; i++) {
		const struct msg_inject_rule *rule = &injects->items[i].rule;
		size_t length = strlen(rule->host);

		if (strncmp(name, rule->host, length) == 0 &&
		    (!name[length] || strcmp(name + length, suffix) == 0))
			return rule;
	}
	return NULL;
}

/* The next line of a list; false at its end. */
static bool
next_entry(const char **list, char *entry, size_t size)
{
	size_t length = strcspn(*list, "\n");

	if (!**list || length >= size)
		return false;
	memcpy(entry, *list, length);
	entry[length] = '\0';
	*list += length + ((*list)[length] == '\n');
	return true;
}

static bool
method_allowed(const struct msg_inject_rule *rule, const struct http_head *head)
{
	const char *list = rule->methods;
	char method[sizeof(rule->methods)];

	if (!*list)
		return true;
	while (next_entry(&list, method, sizeof(method)))
		if (strlen(method) == head->method.length &&
		    memcmp(method, head->method.at, head->method.length) == 0)
			return true;
	return false;
}

/* The path of a target that begins with it, without its query. */
static void
path_of(const struct http_head *head, char path[HTTP_HEAD_MAX])
{
	size_t length = head->target.length;
	const char *query = memchr(head->target.at, '?', length);

	if (query)
		length = (size_t)(query - head->target.at);
	memcpy(path, head->target.at, length);
	path[length] = '\0';
}

static bool
path_allowed(const struct msg_inject_rule *rule, const char *path)
{
	const char *list = rule->paths;
	char pattern[sizeof(rule->paths)];

	if (!*list)
		return true;
	while (next_entry(&list, pattern, sizeof(pattern)))
		if (glob_match(pattern, path))
			return true;
	return false;
}

/* Servers resolve these differently from how a pattern reads them. */
static bool
is_plain_path(const char *path)
{
	static const char *const odd[] = {"//",  "/..", "/./", "/.;", "/.%",
					  "%25", "%2e", "%2f", "%5c", "\\"};
	size_t length = strlen(path);

	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		if (strcasestr(path, odd[i]))
			return false;
	return !(length > 1 && strcmp(path + length - 2, "/.") == 0);
}

static bool
inject_applies(const struct inject *inject, const char *host, const struct http_head *head)
{
	char path[HTTP_HEAD_MAX];

	if (strcmp(inject->rule.host, host) != 0 || !method_allowed(&inject->rule, head))
		return false;
	path_of(head, path);
	return path_allowed(&inject->rule, path);
}

/* Gateways hand fields on as variables, whose names know no hyphen: X_Api_Key is X-Api-Key. */
static bool
is_field(struct http_text name, const char *other)
{
	size_t i = 0;

	for (; i < name.length && other[i]; i++) {
		int a = name.at[i] == '_' ? '-' : tolower((unsigned char)name.at[i]);
		int b = other[i] == '_' ? '-' : tolower((unsigned char)other[i]);

		if (a != b)
			return false;
	}
	return i == name.length && !other[i];
}

/* What servers take for the method or the path instead of the request line's. */
static bool
overrides(const struct http_head *head)
{
	static const char *const fields[] = {
	    "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
	    "X-Original-URL",         "X-Rewrite-URL",
	};

	for (size_t i = 0; i < head->count; i++)
		for (size_t j = 0; j < ARRAY_LEN(fields); j++)
			if (is_field(head->fields[i].name, fields[j]))
				return true;
	return false;
}

const char *
injects_refuse(const struct injects *injects, const char *host, const struct http_head *head)
{
	bool applies = false, has_paths = false, has_limits = false;
	char path[HTTP_HEAD_MAX];

	for (size_t i = 0; i < injects->count; i++) {
		const struct inject *inject = &injects->items[i];

		if (strcmp(inject->rule.host, host) != 0)
			continue;
		has_paths |= inject->rule.paths[0] != '\0';
		has_limits |= inject->rule.paths[0] || inject->rule.methods[0];
		applies |= inject_applies(inject, host, head);
	}
	if (!applies)
		return "no rule of inject lets this method and path through";
	if (has_limits && overrides(head))
		return "a line of its head asks for another method or path";
	path_of(head, path);
	return has_paths && !is_plain_path(path)
		   ? "its path has parts that servers and rules read differently"
		   : NULL;
}

bool
injects_own(const struct injects *injects, const char *host, struct http_text name)
{
	for (size_t i = 0; i < injects->count; i++)
		if (strcmp(injects->items[i].rule.host, host) == 0 &&
		    is_field(name, injects->items[i].rule.header))
			return true;
	return false;
}

const struct inject *
injects_next(const struct injects *injects, const char *host, const struct http_head *head,
	     size_t *at)
{
	while (*at < injects->count) {
		const struct inject *inject = &injects->items[(*at)++], *other = injects->items;

		if (!inject_applies(inject, host, head))
			continue;
		while (other < inject &&
		       !(strcasecmp(other->rule.header, inject->rule.header) == 0 &&
			 inject_applies(other, host, head)))
			other++;
		if (other == inject)
			return inject;
	}
	return NULL;
}
