/* Names of users and groups to numbers, and which keys a running agentd cannot change. */
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "settings.h"

/* Numbers need no account, so that a private instance runs anywhere. */
static bool
as_number(const char *text, uint64_t *number)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && !*end && *number < UINT32_MAX;
}

static int
resolve_user(const char *key, const char *name, uint64_t *id, struct error *error)
{
	struct passwd *user;

	if (!as_number(name, id)) {
		user = getpwnam(name);
		if (!user) {
			error_why(error, ERR_INVALID, "users.%s: there is no user %s", key, name);
			return error_hint(error, "run systemd-sysusers (or the package's "
						 "installation), or write a number");
		}
		*id = user->pw_uid;
	}
	if (*id == 0)
		return error_why(error, ERR_INVALID, "users.%s: may not be root", key);
	return 0;
}

static int
resolve_group(const char *name, uint64_t *id, struct error *error)
{
	struct group *group;

	if (as_number(name, id))
		return 0;
	group = getgrnam(name);
	if (!group) {
		error_why(error, ERR_INVALID, "group: there is no group %s", name);
		return error_hint(error, "run systemd-sysusers (or the package's installation), "
					 "or write a number");
	}
	*id = group->gr_gid;
	return 0;
}

static int
check_user(const struct config *config, const char *key, uint64_t id, struct error *error)
{
	uint64_t first = config->session_ids.first;
	uint64_t end = first + config->session_ids.ranges * ID_RANGE;

	if (id >= first && id < end)
		return error_why(error, ERR_INVALID,
				 "users.%s: uid %llu lies in session_ids, which are the agents'",
				 key, (unsigned long long)id);
	return 0;
}

int
settings_resolve(struct config *config, struct error *error)
{
	const struct {
		const char *key, *name;
		uint64_t *id;
	} users[] = {
	    {"control", config->users.control, &config->ids.control},
	    {"schedd", config->users.schedd, &config->ids.schedd},
	    {"secretd", config->users.secretd, &config->ids.secretd},
	    {"dialer", config->users.dialer, &config->ids.dialer},
	    {"webhook", config->users.webhook, &config->ids.webhook},
	};

	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		if (resolve_user(users[i].key, users[i].name, users[i].id, error) < 0 ||
		    check_user(config, users[i].key, *users[i].id, error) < 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (*users[i].id == *users[j].id)
				return error_why(error, ERR_INVALID,
						 "users.%s and users.%s: must differ, one daemon "
						 "could trace the other",
						 users[j].key, users[i].key);
	}
	return resolve_group(config->group, &config->ids.group, error);
}

/* --- what a reload cannot change
 * ------------------------------------------------------------------ */

#define TEXT(key, member)                                                                          \
	{                                                                                          \
		key, offsetof(struct config, member)                                               \
	}

/* Texts that processes, directories or sockets of this run were made from. */
static const struct {
	const char *key;
	size_t offset;
} fixed_texts[] = {
    TEXT("run_dir", run_dir),
    TEXT("state_dir", state_dir),
    TEXT("log_dir", log_dir),
    TEXT("socket", socket),
    TEXT("libexec_dir", libexec_dir),
    TEXT("group", group),
    TEXT("users.control", users.control),
    TEXT("users.schedd", users.schedd),
    TEXT("users.secretd", users.secretd),
    TEXT("users.dialer", users.dialer),
    TEXT("users.webhook", users.webhook),
    TEXT("cgroup", cgroup),
    TEXT("metrics.socket", metrics.socket),
    TEXT("secrets.kek_file", secrets.kek_file),
    TEXT("secrets.kek_credential", secrets.kek_credential),
    TEXT("secrets.passphrase", secrets.passphrase),
};

static void
add_name(char *names, size_t size, const char *name)
{
	size_t used = strlen(names);

	snprintf(names + used, size - used, "%s%s", used ? ", " : "", name);
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void
settings_keep(struct config *config, struct config *old, char *changed, size_t size)
{
	*changed = '\0';
	for (size_t i = 0; i < ARRAY_LEN(fixed_texts); i++) {
		char **now = (char **)(void *)((char *)config + fixed_texts[i].offset);
		char **before = (char **)(void *)((char *)old + fixed_texts[i].offset);
		char *held = *now;

		if (same_text(*now, *before))
			continue;
		add_name(changed, size, fixed_texts[i].key);
		*now = *before;
		*before = held; /* freed with the old configuration */
	}
	if (config->session_ids.first != old->session_ids.first ||
	    config->session_ids.ranges != old->session_ids.ranges)
		add_name(changed, size, "session_ids");
	config->session_ids = old->session_ids;
	config->ids = old->ids;
}
