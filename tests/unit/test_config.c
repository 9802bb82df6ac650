#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/config_schema.h"
#include "common/proto.h"
#include "tests/unit/corpus.h"
#include "tests/unit/page.h"
#include "tests/unit/suite.h"

static bool
reads(const char *text, size_t length, const char *file, struct error *error)
{
	struct config *config = config_read(text, length, file, error);

	config_free(config);
	return config != NULL;
}

static struct config *
read_text(const char *text)
{
	struct error error = ERROR_INIT;
	struct config *config = config_read(text, text ? strlen(text) : 0, "f", &error);

	ck_assert_msg(config, "%s", error.why);
	return config;
}

START_TEST(every_bad_file_is_refused_with_its_error)
{
	corpus_walk("tests/corpus/configs/bad-*.yaml", 30, corpus_bad, reads);
}
END_TEST

START_TEST(every_good_file_is_read)
{
	corpus_walk("tests/corpus/configs/good-*.yaml", 5, corpus_good, reads);
}
END_TEST

START_TEST(the_defaults_of_the_contract)
{
	struct config *c = read_text(NULL);

	ck_assert_str_eq(c->run_dir, "/run/scarab-runtime");
	ck_assert_str_eq(c->state_dir, "/var/lib/scarab-runtime");
	ck_assert_str_eq(c->log_dir, "/var/log/scarab-runtime");
	ck_assert_str_eq(c->socket, "/run/scarab-runtime/agentd.sock");
	ck_assert_str_eq(c->group, "agentd");
	ck_assert_str_eq(c->users.control, "agentd");
	ck_assert_str_eq(c->users.webhook, "agentd-web");
	ck_assert_uint_eq(c->session_ids.first, 1879048192);
	ck_assert_uint_eq(c->session_ids.ranges, 4096);
	ck_assert_str_eq(c->cgroup, "auto");
	ck_assert_uint_eq(c->limits.sessions, 64);
	ck_assert_uint_eq(c->limits.per_agent, 4);
	ck_assert_uint_eq(c->limits.queue, 10000);
	ck_assert_uint_eq(c->defaults.timeout_ms, 3600000);
	ck_assert_uint_eq(c->defaults.memory_limit, 1 << 30);
	ck_assert_uint_eq(c->defaults.max_pids, 256);
	ck_assert_uint_eq(c->defaults.max_open_files, 1024);
	ck_assert_uint_eq(c->defaults.disk, 1 << 30);
	ck_assert_int_eq(c->ceilings.trust_level, TRUST_TRUSTED);
	ck_assert_uint_eq(c->ceilings.allowed_context.count, 3);
	ck_assert_str_eq(c->ceilings.allowed_context.items[2], "/var/log");
	ck_assert(c->ceilings.any_install);
	ck_assert_uint_eq(c->ceilings.allowed_images.count, 2);
	ck_assert_uint_eq(c->ceilings.memory_limit, UINT64_C(8) << 30);
	ck_assert_uint_eq(c->degraded.count, 0);
	ck_assert_ptr_nonnull(strstr(c->secrets.kek_file, "/secrets.key"));
	ck_assert_ptr_null(c->secrets.kek_credential);
	ck_assert_str_eq(c->webhooks.listen, "127.0.0.1:8787");
	ck_assert_ptr_null(c->webhooks.certificate);
	ck_assert(!c->webhooks.off);
	ck_assert_uint_eq(c->retention.sessions, 1000);
	ck_assert_uint_eq(c->retention.age_ms, UINT64_C(90) * 86400000);
	ck_assert_uint_eq(c->retention.log_bytes, 1 << 30);
	ck_assert_str_eq(c->log.level, "info");
	ck_assert_str_eq(c->log.target, "auto");
	ck_assert_uint_eq(c->ids.control, ABSENT);
	config_free(c);
}
END_TEST

START_TEST(the_socket_follows_run_dir)
{
	struct config *c = read_text("run_dir: /tmp/i\n");

	ck_assert_str_eq(c->socket, "/tmp/i/agentd.sock");
	config_free(c);
	c = read_text("run_dir: /tmp/i\nsocket: /tmp/s\n");
	ck_assert_str_eq(c->socket, "/tmp/s");
	config_free(c);
}
END_TEST

START_TEST(empty_lists_are_not_the_default)
{
	struct config *c =
	    read_text("ceilings: {allowed_context: [], allowed_install: [], allowed_images: []}\n");

	ck_assert_uint_eq(c->ceilings.allowed_context.count, 0);
	ck_assert_uint_eq(c->ceilings.allowed_images.count, 0);
	ck_assert(!c->ceilings.any_install);
	config_free(c);
}
END_TEST

START_TEST(a_listener_that_is_null_is_off)
{
	struct error error = ERROR_INIT;
	struct config *c = read_text("webhooks: {listen: null}\n"), *d;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;

	ck_assert(c->webhooks.off);
	ck_assert_int_eq(config_encode(c, &bytes, &length), 0);
	d = config_decode(bytes, length, &error);
	ck_assert(d && d->webhooks.off);
	config_free(c);
	config_free(d);
	c = read_text("webhooks: {listen: \"[::1]:1\"}\n");
	ck_assert(!c->webhooks.off);
	config_free(c);
}
END_TEST

START_TEST(encoded_and_back)
{
	struct error error = ERROR_INIT;
	struct config *c = read_text("run_dir: /tmp/i\nceilings: {allowed_context: []}\n"
				     "users: {schedd: 7002}\ndegraded: [disk]\n");
	_cleanup_free_ uint8_t *bytes = NULL, *again = NULL;
	size_t length, again_length;
	struct config *d;

	c->ids.schedd = 7002;
	ck_assert_int_eq(config_encode(c, &bytes, &length), 0);
	d = config_decode(bytes, length, &error);
	ck_assert_msg(d, "%s", error.why);
	ck_assert_str_eq(d->socket, "/tmp/i/agentd.sock");
	ck_assert_uint_eq(d->ceilings.allowed_context.count, 0);
	ck_assert_uint_eq(d->ids.schedd, 7002);
	ck_assert_uint_eq(d->ids.control, ABSENT);
	ck_assert_str_eq(d->degraded.items[0], "disk");
	ck_assert_int_eq(config_encode(d, &again, &again_length), 0);
	ck_assert_uint_eq(length, again_length);
	ck_assert_mem_eq(bytes, again, length);
	config_free(c);
	config_free(d);
}
END_TEST

START_TEST(through_a_memfd)
{
	struct error error = ERROR_INIT;
	struct config *c = read_text(NULL), *d;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;
	int fd;

	ck_assert_int_eq(config_encode(c, &bytes, &length), 0);
	fd = memfd_sealed("config", bytes, length);
	ck_assert_int_ge(fd, 0);
	d = config_from_memfd(fd, &error);
	ck_assert_msg(d, "%s", error.why);
	ck_assert_str_eq(d->run_dir, c->run_dir);
	config_free(d);
	config_free(c);
	close(fd);
	fd = memfd_sealed("config", "", 0);
	ck_assert_ptr_null(config_from_memfd(fd, &error));
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_ptr_null(config_from_memfd(fd, &error));
	close(fd);
}
END_TEST

static int
check_ids(const char *ids, const char *login_defs, struct error *error)
{
	struct config *c = read_text(ids);
	int result = config_check_ids(c, login_defs, login_defs ? strlen(login_defs) : 0, error);

	config_free(c);
	return result;
}

START_TEST(session_ids_beside_other_ranges)
{
	struct error error = ERROR_INIT;

	ck_assert_int_eq(check_ids("", NULL, &error), 0);
	ck_assert_int_eq(check_ids("session_ids: {first: 2000000000, ranges: 9}", NULL, &error), 0);
	ck_assert_int_eq(check_ids("session_ids: {first: 100000, ranges: 1}", NULL, &error), -1);
	ck_assert_str_eq(error.why,
			 "session_ids 100000-165535 overlap subordinate uids of login.defs "
			 "(SUB_UID_MIN-SUB_UID_MAX), 100000-600100000");
	ck_assert_int_eq(error.code, ERR_INVALID);
	ck_assert_int_eq(check_ids("session_ids: {first: 700000000, ranges: 1}", NULL, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "systemd's containers, 524288-1879048191"));
	ck_assert_int_eq(check_ids("session_ids: {first: 65536, ranges: 1}", NULL, &error), -1);
}
END_TEST

START_TEST(session_ids_beside_login_defs)
{
	static const char file[] = "# SUB_UID_MIN 1\n SUB_UID_MIN\t2000000000\n"
				   "SUB_UID_MAX 0x773e9fff\nSUB_UID_MAXIMUM 7\nUID_MAX \"70000\"\n"
				   "SUB_GID_MIN 3\nSUB_GID_MAX 2";
	struct error error = ERROR_INIT;

	ck_assert_int_eq(check_ids("session_ids: {first: 1900000000, ranges: 9}", file, &error), 0);
	ck_assert_int_eq(check_ids("session_ids: {first: 1999950000, ranges: 1}", file, &error),
			 -1);
	ck_assert_ptr_nonnull(strstr(error.why, ", 2000000000-2000592895"));
	ck_assert_int_eq(check_ids("session_ids: {first: 2000592896, ranges: 1}", file, &error), 0);
	ck_assert_int_eq(check_ids("session_ids: {first: 65536, ranges: 1}", file, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "UID_MIN-UID_MAX"));
}
END_TEST

/* The lines "#key: value" and "#  key: value" without their #; prose begins with "# ". */
static size_t
uncomment(FILE *f, char *text, size_t size)
{
	char line[512];
	size_t used = 0;

	while (fgets(line, sizeof(line), f)) {
		bool nested = strncmp(line, "#  ", 3) == 0;
		const char *key = line + (nested ? 3 : 1);

		if (*line == '#' && *key >= 'a' && *key <= 'z' && strchr(key, ':'))
			used += (size_t)snprintf(text + used, size - used, "%s", line + 1);
		ck_assert_uint_lt(used, size);
	}
	return used;
}

static void
has_every_key(const char *text, const struct record *record, const char *indent)
{
	char line[80];

	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];

		if (field->hidden)
			continue;
		snprintf(line, sizeof(line), "\n%s%s:", indent, field->key);
		/* One key of secrets excludes the others. */
		ck_assert_msg(strstr(text, line) || strcmp(field->key, "kek_credential") == 0 ||
				  strcmp(field->key, "passphrase") == 0,
			      "etc/agentd.yaml lacks %s", field->key);
		if (field->type == FIELD_GROUP)
			has_every_key(text, field->record, "  ");
	}
}

START_TEST(the_installed_file_has_every_key_with_its_default)
{
	static char text[16384] = "\n";
	_cleanup_free_ uint8_t *bytes = NULL, *installed = NULL;
	struct config *defaults = read_text(NULL), *c;
	size_t length, again;
	FILE *f = fopen("etc/agentd.yaml", "r");

	ck_assert_ptr_nonnull(f);
	uncomment(f, text + 1, sizeof(text) - 1);
	fclose(f);
	has_every_key(text, &config_record, "");
	c = read_text(text);
	ck_assert_int_eq(config_encode(defaults, &bytes, &length), 0);
	ck_assert_int_eq(config_encode(c, &installed, &again), 0);
	ck_assert_uint_eq(length, again);
	ck_assert_mem_eq(bytes, installed, length);
	config_free(defaults);
	config_free(c);
}
END_TEST

START_TEST(the_page_names_every_key)
{
	page_is_complete("man/agentd.yaml.5", &config_record);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    every_bad_file_is_refused_with_its_error,
	    every_good_file_is_read,
	    the_defaults_of_the_contract,
	    the_socket_follows_run_dir,
	    empty_lists_are_not_the_default,
	    a_listener_that_is_null_is_off,
	    encoded_and_back,
	    through_a_memfd,
	    session_ids_beside_other_ranges,
	    session_ids_beside_login_defs,
	    the_installed_file_has_every_key_with_its_default,
	    the_page_names_every_key,
	};

	return suite_run("config", tests, ARRAY_LEN(tests));
}
