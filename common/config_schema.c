#include "config_schema.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "field.h"
#include "limits.h"
#include "manifest_schema.h"
#include "values.h"

#define STRUCT struct config
/* A text that is never NULL once the file was read; ids are written by agentd, not by people. */
#define DEFAULT(number, name, member, bytes, how, value)                                           \
	{                                                                                          \
		AT(TEXT, number, name, member), .max = (bytes), .check = (how), .text = (value),   \
						.required = true                                   \
	}
#define NUMBER(form, number, name, member, low, high, value)                                       \
	{                                                                                          \
		AT(form, number, name, member), .min = (low), .max = (high), .fallback = (value)   \
	}
#define RESOLVED(number, name, member)                                                             \
	{                                                                                          \
		AT(NUMBER, number, name, member), .max = UINT32_MAX - 1, .fallback = ABSENT,       \
						  .hidden = true                                   \
	}

static const struct field users_fields[] = {
    DEFAULT(1, "control", users.control, 32, value_account, "agentd"),
    DEFAULT(2, "schedd", users.schedd, 32, value_account, "schedd"),
    DEFAULT(3, "secretd", users.secretd, 32, value_account, "secretd"),
    DEFAULT(4, "dialer", users.dialer, 32, value_account, "agentd-net"),
    DEFAULT(5, "webhook", users.webhook, 32, value_account, "agentd-web"),
};
static const struct record users_record = {RECORD(users_fields)};

static const struct field session_ids_fields[] = {
    NUMBER(NUMBER, 1, "first", session_ids.first, ID_RANGE, UINT32_MAX, 1879048192),
    NUMBER(NUMBER, 2, "ranges", session_ids.ranges, 1, 65534, 4096),
};
static const struct record session_ids_record = {RECORD(session_ids_fields)};

static const struct field limits_fields[] = {
    NUMBER(NUMBER, 1, "sessions", limits.sessions, 1, 100000, 64),
    NUMBER(NUMBER, 2, "per_agent", limits.per_agent, 1, 10000, 4),
    NUMBER(NUMBER, 3, "queue", limits.queue, 1, 1000000, 10000),
};
static const struct record limits_record = {RECORD(limits_fields)};

static const struct field defaults_fields[] = {
    NUMBER(SECONDS, 1, "timeout_secs", defaults.timeout_ms, MS(1), DAYS(366), HOURS(1)),
    NUMBER(SIZE, 2, "memory_limit", defaults.memory_limit, MIB(1), TIB(1024), GIB(1)),
    NUMBER(NUMBER, 3, "max_pids", defaults.max_pids, 2, 4194304, 256),
    NUMBER(NUMBER, 4, "max_open_files", defaults.max_open_files, 16, 1048576, 1024),
    NUMBER(SIZE, 5, "disk", defaults.disk, MIB(1), TIB(1024), GIB(1)),
};
static const struct record defaults_record = {RECORD(defaults_fields)};

static const struct field ceilings_fields[] = {
    {AT(ENUM, 1, "trust_level", ceilings.trust_level), .choices = trust_level_choices,
     .fallback = TRUST_TRUSTED},
    TEXTS(2, "allowed_context", ceilings.allowed_context, 256, PATH_LEN_MAX, value_path),
    TEXTS(3, "allowed_install", ceilings.allowed_install, 256, PATH_LEN_MAX, value_path),
    TEXTS(4, "allowed_images", ceilings.allowed_images, 256, PATH_LEN_MAX, value_image_place),
    NUMBER(SIZE, 5, "memory_limit", ceilings.memory_limit, MIB(1), TIB(1024), GIB(8)),
    {AT(BOOL, 6, "any_install", ceilings.any_install), .hidden = true},
};
static const struct record ceilings_record = {RECORD(ceilings_fields)};

static bool
value_prompt(const char *text, char why[REASON_SIZE])
{
	return strcmp(text, "prompt") == 0 ||
	       value_wrong(why, "must be prompt: a passphrase never stands in a file");
}

static const struct field secrets_fields[] = {
    TEXT(1, "kek_file", secrets.kek_file, PATH_LEN_MAX, value_path),
    TEXT(2, "kek_credential", secrets.kek_credential, 128, value_file_name),
    TEXT(3, "passphrase", secrets.passphrase, 16, value_prompt),
};
static const struct record secrets_record = {RECORD(secrets_fields)};

static const struct field webhooks_fields[] = {
    DEFAULT(1, "listen", webhooks.listen, 255, value_listen, "127.0.0.1:8787"),
    TEXT(2, "certificate", webhooks.certificate, PATH_LEN_MAX, value_path),
    TEXT(3, "key", webhooks.key, PATH_LEN_MAX, value_path),
    {AT(BOOL, 4, "off", webhooks.off), .hidden = true},
};
static const struct record webhooks_record = {RECORD(webhooks_fields)};

static const struct field metrics_fields[] = {
    TEXT(1, "socket", metrics.socket, PATH_LEN_MAX, value_socket),
};
static const struct record metrics_record = {RECORD(metrics_fields)};

static const struct field retention_fields[] = {
    NUMBER(NUMBER, 1, "sessions", retention.sessions, 1, 1000000, 1000),
    NUMBER(DURATION, 2, "age", retention.age_ms, MS(60), DAYS(36600), DAYS(90)),
    NUMBER(SIZE, 3, "log_bytes", retention.log_bytes, MIB(1), TIB(1024), GIB(1)),
};
static const struct record retention_record = {RECORD(retention_fields)};

static const struct field log_fields[] = {
    DEFAULT(1, "level", log.level, 16, value_log_level, "info"),
    DEFAULT(2, "target", log.target, 16, value_log_target, "auto"),
};
static const struct record log_record = {RECORD(log_fields)};

static const struct field ids_fields[] = {
    RESOLVED(1, "control", ids.control), RESOLVED(2, "schedd", ids.schedd),
    RESOLVED(3, "secretd", ids.secretd), RESOLVED(4, "dialer", ids.dialer),
    RESOLVED(5, "webhook", ids.webhook), RESOLVED(6, "group", ids.group),
};
static const struct record ids_record = {RECORD(ids_fields)};

static const struct field config_fields[] = {
    DEFAULT(1, "run_dir", run_dir, PATH_LEN_MAX, value_dir, "/run/scarab-runtime"),
    DEFAULT(2, "state_dir", state_dir, PATH_LEN_MAX, value_dir, "/var/lib/scarab-runtime"),
    DEFAULT(3, "log_dir", log_dir, PATH_LEN_MAX, value_dir, "/var/log/scarab-runtime"),
    TEXT_REQUIRED(4, "socket", socket, PATH_LEN_MAX, value_socket),
    DEFAULT(5, "libexec_dir", libexec_dir, PATH_LEN_MAX, value_path, SCARAB_LIBEXECDIR),
    DEFAULT(6, "group", group, 32, value_account, "agentd"),
    GROUP(7, "users", users_record),
    GROUP(8, "session_ids", session_ids_record),
    DEFAULT(9, "cgroup", cgroup, PATH_LEN_MAX, value_cgroup, "auto"),
    GROUP(10, "limits", limits_record),
    GROUP(11, "defaults", defaults_record),
    GROUP(12, "ceilings", ceilings_record),
    TEXTS(13, "degraded", degraded, 64, 64, value_mechanism),
    GROUP(14, "secrets", secrets_record),
    GROUP(15, "webhooks", webhooks_record),
    GROUP(16, "retention", retention_record),
    GROUP(17, "log", log_record),
    {.key = "ids", .type = FIELD_GROUP, .tag = 18, .record = &ids_record, .hidden = true},
    GROUP(19, "metrics", metrics_record),
};

/* --- what one key demands of another ---------------------------------------------------------- */

static int
check_dirs(const struct config *config, const struct place *place)
{
	const struct {
		const char *key, *path;
	} dirs[] = {{"run_dir", config->run_dir},
		    {"state_dir", config->state_dir},
		    {"log_dir", config->log_dir}};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(dirs[i].path, dirs[j].path) == 0)
				return complain_at(place, dirs[i].key, "is the same as %s",
						   dirs[j].key);
	return 0;
}

static int
check_sockets(const struct config *config, const struct place *place)
{
	int folder = (int)(strrchr(config->socket, '/') - config->socket);
	char beside[PATH_LEN_MAX + 16], why[REASON_SIZE];

	snprintf(beside, sizeof(beside), "%.*s/secretd.sock", folder, config->socket);
	if (strcmp(beside, config->socket) == 0)
		return complain_at(place, "socket", "must not be called secretd.sock");
	if (!value_socket(beside, why))
		return complain_at(place, "socket", "leaves no room for secretd.sock beside it");
	if (config->metrics.socket && (strcmp(config->metrics.socket, config->socket) == 0 ||
				       strcmp(config->metrics.socket, beside) == 0))
		return complain_at(place, "metrics.socket", "is that of another daemon");
	return 0;
}

static int
check_users(const struct config *config, const struct place *place)
{
	const struct {
		const char *key, *user;
	} users[] = {{"users.control", config->users.control},
		     {"users.schedd", config->users.schedd},
		     {"users.secretd", config->users.secretd},
		     {"users.dialer", config->users.dialer},
		     {"users.webhook", config->users.webhook}};

	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		if (strcmp(users[i].user, "0") == 0 || strcmp(users[i].user, "root") == 0)
			return complain_at(place, users[i].key, "must not be root");
		for (size_t j = 0; j < i; j++)
			if (strcmp(users[i].user, users[j].user) == 0)
				return complain_at(place, users[i].key,
						   "must not be the same user as %s", users[j].key);
	}
	return 0;
}

static int
check_session_ids(const struct config *config, const struct place *place)
{
	/* The last range of 65536 holds 2^32 - 1, which is no id. */
	const uint64_t end = UINT64_C(0xffff0000);
	uint64_t last = config->session_ids.first + config->session_ids.ranges * ID_RANGE;

	if (last > end)
		return complain_at(place, "session_ids",
				   "ends at %llu, ids beyond %llu are not usable",
				   (unsigned long long)last - 1, (unsigned long long)end - 1);
	return 0;
}

static int
check_secrets(const struct config *config, const struct place *place)
{
	int sources = (config->secrets.kek_file != NULL) +
		      (config->secrets.kek_credential != NULL) +
		      (config->secrets.passphrase != NULL);

	if (sources != 1)
		return complain_at(place, "secrets",
				   "must have one of kek_file, kek_credential and passphrase");
	if (!config->webhooks.certificate != !config->webhooks.key)
		return complain_at(place, "webhooks", "needs both certificate and key, or neither");
	return 0;
}

static int
check_limits(const struct config *config, const struct place *place)
{
	if (config->defaults.memory_limit > config->ceilings.memory_limit)
		return complain_at(place, "defaults.memory_limit",
				   "is above ceilings.memory_limit");
	if (config->ceilings.any_install && config->ceilings.allowed_install.count)
		return complain_at(place, "ceilings.allowed_install", "is both null and a list");
	return 0;
}

static int
finish_config(void *object, const struct place *place)
{
	static int (*const rules[])(const struct config *, const struct place *) = {
	    check_dirs, check_sockets, check_users, check_session_ids, check_secrets, check_limits,
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i](object, place) < 0)
			return -1;
	return 0;
}

const struct record config_record = {RECORD(config_fields), .finish = finish_config};
