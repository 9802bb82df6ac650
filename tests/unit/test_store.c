// with: runnerd/store.c runnerd/fs.c
/* The store of installed agents: what is written is read again, what is damaged is refused alone.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "runnerd/store.h"
#include "tests/unit/suite.h"

static char top[] = "/tmp/scarab-store-XXXXXX";
static int dir;

static void
make_dir(void)
{
	strcpy(top, "/tmp/scarab-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir, 0);
	log_set_level(LOG_LEVEL_ERROR - 1);
}

static void
remove_dir(void)
{
	static const char *const names[] = {"one.plan", "two.plan", "three.plan"};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		unlinkat(dir, names[i], 0);
	close(dir);
	ck_assert_int_eq(rmdir(top), 0);
}

static struct agent *
make(const char *name, const char *version)
{
	struct msg_store_head head = {.installed_at_ms = 5, .base_uid = 70000};
	struct error error = ERROR_INIT;
	struct manifest *plan;
	struct agent *agent;
	char text[512];
	uint8_t *bytes;
	size_t length;

	snprintf(text, sizeof(text),
		 "apiVersion: scarab/v1\nkind: AgentManifest\n"
		 "metadata: {name: %s, version: %s}\nspec: {args: [a, b]}\n",
		 name, version);
	plan = manifest_read(text, strlen(text), "test", NULL, &error);
	ck_assert_msg(plan != NULL, "%s", error.why);
	ck_assert_int_eq(plan_encode(plan, &bytes, &length), 0);
	manifest_free(plan);
	snprintf(head.name, sizeof(head.name), "%s", name);
	strcpy(head.install_dir, "/opt/x");
	agent = agent_new(&head, bytes, length, (const uint8_t *)text, strlen(text), &error);
	ck_assert_msg(agent != NULL, "%s", error.why);
	free(bytes);
	return agent;
}

static void
put(struct store *store, const char *name, const char *version)
{
	struct agent *agent = make(name, version);

	ck_assert_int_eq(store_put(store, agent, NULL), 0);
	agent_unref(agent);
}

static struct store *
opened(void)
{
	struct store *store = store_open(dir, NULL);

	ck_assert_ptr_nonnull(store);
	return store;
}

START_TEST(what_is_put_is_there_after_a_restart)
{
	struct store *store;
	struct agent *agent;

	make_dir();
	store = opened();
	put(store, "two", "1.0.0");
	put(store, "one", "1.0.0");
	put(store, "two", "2.0.0");
	store_close(store);
	store = opened();
	ck_assert_uint_eq(store_count(store), 2);
	ck_assert_str_eq(store_at(store, 0)->head.name, "one");
	agent = store_find(store, "two", NULL);
	ck_assert_ptr_nonnull(agent);
	ck_assert_str_eq(agent->plan->version, "2.0.0");
	ck_assert_uint_eq(agent->plan->args.count, 2);
	ck_assert_uint_eq(agent->head.base_uid, 70000);
	ck_assert_ptr_null(store_find(store, "three", NULL));
	store_close(store);
	remove_dir();
}
END_TEST

START_TEST(a_replaced_agent_stays_with_who_holds_it)
{
	struct agent *held;
	struct store *store;

	make_dir();
	store = opened();
	put(store, "one", "1.0.0");
	held = agent_ref(store_find(store, "one", NULL));
	put(store, "one", "2.0.0");
	ck_assert_str_eq(held->plan->version, "1.0.0");
	ck_assert_int_eq(store_remove(store, "one"), 0);
	ck_assert_ptr_null(store_find(store, "one", NULL));
	ck_assert_int_eq(store_remove(store, "one"), 0);
	agent_unref(held);
	store_close(store);
	remove_dir();
}
END_TEST

static void
damage(off_t at)
{
	int fd = openat(dir, "one.plan", O_RDWR | O_CLOEXEC);
	uint8_t byte;

	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void
assert_refused(void)
{
	struct store *store = opened();
	bool damaged = false;

	ck_assert_ptr_null(store_find(store, "one", &damaged));
	ck_assert(damaged);
	ck_assert_ptr_nonnull(store_find(store, "two", &damaged));
	ck_assert(!damaged);
	store_close(store);
}

/* Any flipped bit, anywhere in the file. */
START_TEST(a_damaged_file_refuses_its_agent_only)
{
	struct store *store;
	struct stat st;
	off_t at;

	make_dir();
	store = opened();
	put(store, "one", "1.0.0");
	put(store, "two", "1.0.0");
	store_close(store);
	ck_assert_int_eq(fstatat(dir, "one.plan", &st, 0), 0);
	for (at = 0; at < st.st_size; at++) {
		damage(at);
		assert_refused();
		damage(at);
	}
	remove_dir();
}
END_TEST

START_TEST(a_truncated_or_misnamed_file_is_refused)
{
	struct store *store;
	bool damaged;
	int fd;

	make_dir();
	store = opened();
	put(store, "one", "1.0.0");
	put(store, "two", "1.0.0");
	store_close(store);
	fd = openat(dir, "one.plan", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 20), 0);
	close(fd);
	assert_refused();
	ck_assert_int_eq(linkat(dir, "two.plan", dir, "three.plan", 0), 0);
	store = opened();
	ck_assert_ptr_null(store_find(store, "three", &damaged));
	ck_assert(damaged);
	put(store, "one", "3.0.0");
	ck_assert_ptr_nonnull(store_find(store, "one", &damaged));
	ck_assert(!damaged);
	store_close(store);
	remove_dir();
}
END_TEST

START_TEST(what_an_interrupted_write_left_goes)
{
	struct store *store;
	int fd;

	make_dir();
	fd = openat(dir, ".one.plan.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	store = opened();
	ck_assert_uint_eq(store_count(store), 0);
	ck_assert_int_lt(faccessat(dir, ".one.plan.new", F_OK, 0), 0);
	store_close(store);
	remove_dir();
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    what_is_put_is_there_after_a_restart,  a_replaced_agent_stays_with_who_holds_it,
	    a_damaged_file_refuses_its_agent_only, a_truncated_or_misnamed_file_is_refused,
	    what_an_interrupted_write_left_goes,
	};

	return suite_run("store", tests, ARRAY_LEN(tests));
}
