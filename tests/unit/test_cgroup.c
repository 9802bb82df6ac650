// with: runnerd/cgroup*.c runnerd/fs.c
/*
 * Cgroups on a tree of ordinary files: how a host is understood that is all v2, and one whose
 * controllers are on v1, and what is written where. The files that a kernel would make are made
 * before.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "runnerd/cgroup.h"
#include "runnerd/cgroup_limits.h"
#include "suite.h"

static char top[32];

/* Makes the file and the directories above it, below top. */
static void
make_file(const char *path, const char *text)
{
	char whole[512], *slash;
	FILE *file;

	snprintf(whole, sizeof(whole), "%s%s", top, path);
	for (slash = whole + strlen(top) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(whole, 0755);
		*slash = '/';
	}
	file = fopen(whole, "w");
	ck_assert_msg(file != NULL, "%s", whole);
	fputs(text, file);
	fclose(file);
}

static const char *
text_of(const char *path)
{
	static char text[256];
	char whole[512];
	FILE *file;

	snprintf(whole, sizeof(whole), "%s%s", top, path);
	file = fopen(whole, "r");
	if (!file)
		return "(no file)";
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return text;
}

static void
make_top(void)
{
	strcpy(top, "/tmp/scarab-cgroup-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
}

static void
remove_top(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}

/* The instance: cgroup names its group, NULL leaves it to itself. */
static struct config *
config_for(const char *cgroup)
{
	struct error error = ERROR_INIT;
	struct config *config;
	char text[256];

	snprintf(text, sizeof(text), "run_dir: %s/run\ncgroup: %s\n", top,
		 cgroup ? cgroup : "auto");
	config = config_read(text, strlen(text), "test", &error);
	ck_assert_msg(config != NULL, "%s", error.why);
	return config;
}

/* In mountinfo @ stands for top. */
static void
parse(const char *mountinfo, const char *cgroup, struct cgroup_layout *layout)
{
	_cleanup_free_ char *mounts = NULL, *groups = strdup(cgroup);
	struct error error = ERROR_INIT;
	size_t size;
	FILE *stream = open_memstream(&mounts, &size);

	for (; *mountinfo; mountinfo++)
		if (*mountinfo == '@')
			fputs(top, stream);
		else
			fputc(*mountinfo, stream);
	fclose(stream);
	ck_assert_msg(cgroup_layout_parse(mounts, groups, layout, &error) == 0, "%s", error.why);
}

/* --- understanding a host ------------------------------------------------------------------------
 */

#define V2_MOUNT "31 23 0:28 / @/v2 rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT(name, list) "40 31 0:37 / @/" name " rw - cgroup cgroup rw," list "\n"

START_TEST(a_host_of_v2)
{
	struct cgroup_layout layout;
	char path[64];

	make_top();
	parse("22 1 8:1 / / rw - ext4 /dev/sda rw\n" V2_MOUNT, "0::/user.slice/a b\n", &layout);
	ck_assert_uint_eq(layout.count, 1);
	snprintf(path, sizeof(path), "%s/v2", top);
	ck_assert_str_eq(layout.all[0].mount, path);
	ck_assert_str_eq(layout.all[0].own, "/user.slice/a b");
	cgroup_layout_free(&layout);
	remove_top();
}
END_TEST

/* Each controller where it is, with a path of its own; cpu together with another. What is mounted
 * in part, or twice, or names no group of ours, does not count. */
START_TEST(a_hybrid_host)
{
	struct cgroup_layout layout;

	make_top();
	parse(V2_MOUNT V1_MOUNT("systemd", "name=systemd") V1_MOUNT("cpu,cpuacct", "cpu,cpuacct")
		  V1_MOUNT("memory", "memory") "41 31 0:38 /part @/part rw - cgroup cgroup "
					       "rw,pids\n" V1_MOUNT("memory-again", "memory"),
	      "9:name=systemd:/s\n4:memory:/in/a/container\n3:cpu,cpuacct:/\n5:pids:/p\n0::/x\n",
	      &layout);
	ck_assert_uint_eq(layout.count, 3);
	ck_assert_str_eq(layout.all[0].own, "/x");
	ck_assert_uint_eq(layout.all[1].controllers, 1U << CONTROLLER_CPU);
	ck_assert_str_eq(layout.all[1].own, "/");
	ck_assert_uint_eq(layout.all[2].controllers, 1U << CONTROLLER_MEMORY);
	ck_assert_str_eq(layout.all[2].own, "/in/a/container");
	ck_assert_ptr_nonnull(strstr(layout.all[2].mount, "/memory"));
	ck_assert_ptr_null(strstr(layout.all[2].mount, "again"));
	cgroup_layout_free(&layout);
	remove_top();
}
END_TEST

START_TEST(paths_with_blanks)
{
	struct cgroup_layout layout;

	make_top();
	parse("31 23 0:28 / @/a\\040b\\134c rw - cgroup2 none rw\n", "0::/\n", &layout);
	ck_assert_ptr_nonnull(strstr(layout.all[0].mount, "/a b\\c"));
	cgroup_layout_free(&layout);
	remove_top();
}
END_TEST

START_TEST(garbage_is_no_host)
{
	static const char *const bad[][2] = {
	    {"", ""},
	    {"- cgroup2 ", "0::/\n"},
	    {"1 2 3 - cgroup2 x y\n", "0::/\n"},
	    {"1 2 3 / - cgroup2 x y\n", "0::/\n"},
	    {"1 2 3 /part /p rw - cgroup2 x y\n", "0::/\n"},
	    {"1 2 3 / /p rw - cgroup2 x y\n", ""},
	    {"1 2 3 / /p rw - cgroup2 x y\n", "0:\n::\n:::\n0::relative\n1:memory:/x\n"},
	    {"1 2 3 / /p rw - cgroup2x x y\n", "0::/\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_free_ char *mounts = strdup(bad[i][0]), *groups = strdup(bad[i][1]);
		struct cgroup_layout layout;
		struct error error = ERROR_INIT;

		ck_assert_int_eq(cgroup_layout_parse(mounts, groups, &layout, &error), -1);
		ck_assert_ptr_nonnull(strstr(error.why, "no cgroup v2"));
		cgroup_layout_free(&layout);
	}
}
END_TEST

/* --- v2
 * -------------------------------------------------------------------------------------------
 */

static const struct cgroup_limits limits = {
    .memory_bytes = 1 << 20, .pids = 64, .cpus_milli = 1500, .cpu_shares = 512};

/* Every group has the control files; what a kernel adds to when it is written to is empty. */
static void
make_v2_group(const char *path, const char *offers)
{
	static const char *const files[] = {
	    "cgroup.subtree_control",
	    "cgroup.kill",
	    "cgroup.events",
	    "memory.max",
	    "memory.swap.max",
	    "memory.oom.group",
	    "pids.max",
	    "cpu.weight",
	    "cpu.max",
	};
	char file[256];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(file, sizeof(file), "/v2%s/%s", path, files[i]);
		make_file(file, "");
	}
	snprintf(file, sizeof(file), "/v2%s/cgroup.controllers", path);
	make_file(file, offers);
}

static struct cgroups *
open_v2(const char *cgroup, const char *own, const char *offers)
{
	struct cgroup_layout layout;
	struct error error = ERROR_INIT;
	struct config *config = config_for(cgroup);
	struct cgroups *cgroups;

	make_v2_group("", offers);
	parse(V2_MOUNT, own, &layout);
	cgroups = cgroups_open_at(&layout, config, &error);
	ck_assert_msg(cgroups != NULL, "%s: %s", error.what, error.why);
	cgroup_layout_free(&layout);
	config_free(config);
	return cgroups;
}

START_TEST(v2_limits_are_written)
{
	struct session_cgroup cgroup = SESSION_CGROUP_INIT;
	struct error error = ERROR_INIT;
	struct cgroups *cgroups;
	struct cgroup_entry entry;

	make_top();
	make_v2_group("/a", "");
	make_v2_group("/a/base", "");
	make_v2_group("/a/base/s", "");
	make_v2_group("/a/base/s/runtime", "");
	make_v2_group("/a/base/s/agent", "");
	cgroups = open_v2("/a/base", "0::/\n", "cpuset cpu io memory pids\n");
	ck_assert_str_eq(cgroups_base(cgroups), "/a/base");
	ck_assert_uint_eq(cgroups->count, 1);
	for (unsigned i = 0; i < CONTROLLERS; i++)
		ck_assert_ptr_eq(cgroups->limits[i].in, &cgroups->all[0]);
	/* On the way to the base each of them was asked for, the last one over the others. */
	ck_assert(strncmp(text_of("/v2/cgroup.subtree_control"), "+cpu", 4) == 0);
	ck_assert(strncmp(text_of("/v2/a/cgroup.subtree_control"), "+cpu", 4) == 0);
	ck_assert(strncmp(text_of("/v2/a/base/cgroup.subtree_control"), "+cpu", 4) == 0);
	ck_assert_int_eq(cgroup_name(cgroups, "s", &limits, &cgroup), 0);
	ck_assert_msg(cgroup_create(cgroups, &limits, &cgroup, &error) == 0, "%s", error.why);
	ck_assert_str_eq(text_of("/v2/a/base/s/cgroup.subtree_control"), "+memory +pids +cpu");
	ck_assert_str_eq(text_of("/v2/a/base/s/cpu.weight"), "50");
	ck_assert_str_eq(text_of("/v2/a/base/s/agent/memory.max"), "1048576");
	ck_assert_str_eq(text_of("/v2/a/base/s/agent/memory.swap.max"), "0");
	ck_assert_str_eq(text_of("/v2/a/base/s/agent/memory.oom.group"), "1");
	ck_assert_str_eq(text_of("/v2/a/base/s/agent/pids.max"), "64");
	ck_assert_str_eq(text_of("/v2/a/base/s/agent/cpu.max"), "150000 100000");
	ck_assert_str_eq(text_of("/v2/a/base/s/runtime/memory.max"), "335544320");
	ck_assert_str_eq(text_of("/v2/a/base/s/runtime/memory.oom.group"), "");
	ck_assert_str_eq(text_of("/v2/a/base/s/runtime/pids.max"), "74");
	ck_assert_int_eq(cgroup_enter_agent(cgroups, &cgroup, &entry), 0);
	ck_assert_uint_eq(entry.count, 1);
	cgroup_entry_close(&entry);
	cgroup_close(&cgroup);
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

/* What was not asked for is not written, and not passed on. */
START_TEST(v2_without_limits_of_cpu)
{
	static const struct cgroup_limits few = {
	    .memory_bytes = 4096, .pids = 2, .cpus_milli = ABSENT, .cpu_shares = ABSENT};
	struct session_cgroup cgroup = SESSION_CGROUP_INIT;
	struct error error = ERROR_INIT;
	struct cgroups *cgroups;

	make_top();
	make_v2_group("/b/s", "");
	make_v2_group("/b", "");
	make_v2_group("/b/s/runtime", "");
	make_v2_group("/b/s/agent", "");
	cgroups = open_v2("/b", "0::/\n", "cpu memory pids\n");
	ck_assert_int_eq(cgroup_name(cgroups, "s", &few, &cgroup), 0);
	ck_assert_msg(cgroup_create(cgroups, &few, &cgroup, &error) == 0, "%s", error.why);
	ck_assert_str_eq(text_of("/v2/b/s/cgroup.subtree_control"), "+memory +pids");
	ck_assert_str_eq(text_of("/v2/b/s/cpu.weight"), "");
	ck_assert_str_eq(text_of("/v2/b/s/agent/cpu.max"), "");
	cgroup_close(&cgroup);
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

START_TEST(what_v2_lacks_is_said)
{
	struct cgroups *cgroups;

	make_top();
	make_v2_group("/b", "");
	cgroups = open_v2("/b", "0::/\n", "cpuset io memory_recursiveprot pids\n");
	ck_assert_ptr_null(cgroups->limits[CONTROLLER_MEMORY].in);
	ck_assert_str_eq(cgroups->limits[CONTROLLER_MEMORY].found,
			 "the kernel offers no controller memory");
	ck_assert_ptr_null(cgroups->limits[CONTROLLER_CPU].in);
	ck_assert_ptr_nonnull(cgroups->limits[CONTROLLER_PIDS].in);
	ck_assert_ptr_nonnull(strstr(cgroups->limits[CONTROLLER_PIDS].found, "cgroup v2, /b"));
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

START_TEST(a_group_in_the_way_is_named)
{
	struct cgroups *cgroups;
	char path[64];

	make_top();
	make_v2_group("/b", "");
	snprintf(path, sizeof(path), "%s/v2/b/cgroup.subtree_control", top);
	unlink(path);
	cgroups = open_v2("/b", "0::/\n", "cpu memory pids\n");
	ck_assert_ptr_null(cgroups->limits[CONTROLLER_PIDS].in);
	ck_assert_str_eq(cgroups->limits[CONTROLLER_PIDS].found,
			 "pids cannot be enabled in /b/cgroup.subtree_control: No such file or "
			 "directory");
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

/* --- hybrid
 * ---------------------------------------------------------------------------------------
 */

#define HYBRID                                                                                     \
	V2_MOUNT V1_MOUNT("memory", "memory") V1_MOUNT("pids", "pids")                             \
	    V1_MOUNT("cpu", "cpu,cpuacct")
#define HYBRID_GROUPS "3:memory:/jail\n2:pids:/\n4:cpu,cpuacct:/c/d\n0::/own\n"

static void
make_hybrid(void)
{
	static const char *const files[] = {
	    "/v2/cgroup.controllers",
	    "/v2/own/base/s/cgroup.events",
	    "/v2/own/base/s/runtime/cgroup.procs",
	    "/v2/own/base/s/agent/cgroup.procs",
	    "/memory/jail/base/memory.memsw.limit_in_bytes",
	    "/memory/jail/base/s-agent/tasks",
	    "/memory/jail/base/s-agent/memory.limit_in_bytes",
	    "/memory/jail/base/s-agent/memory.swappiness",
	    "/memory/jail/base/s-agent/memory.memsw.limit_in_bytes",
	    "/memory/jail/base/s-agent/memory.oom_control",
	    "/memory/jail/base/s-agent/cgroup.event_control",
	    "/memory/jail/base/s-runtime/tasks",
	    "/memory/jail/base/s-runtime/memory.limit_in_bytes",
	    "/memory/jail/base/s-runtime/memory.memsw.limit_in_bytes",
	    "/pids/base/s-agent/tasks",
	    "/pids/base/s-agent/pids.max",
	    "/pids/base/s-runtime/tasks",
	    "/pids/base/s-runtime/pids.max",
	    "/cpu/c/d/base/s/cpu.shares",
	    "/cpu/c/d/base/s/agent/tasks",
	    "/cpu/c/d/base/s/agent/cpu.cfs_quota_us",
	    "/cpu/c/d/base/s/agent/cpu.cfs_period_us",
	};

	make_top();
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		make_file(files[i], "");
}

static struct cgroups *
open_hybrid(const char *named, const char *groups)
{
	struct cgroup_layout layout;
	struct error error = ERROR_INIT;
	struct config *config = config_for(named);
	struct cgroups *cgroups;

	parse(HYBRID, groups, &layout);
	cgroups = cgroups_open_at(&layout, config, &error);
	ck_assert_msg(cgroups != NULL, "%s: %s", error.what, error.why);
	cgroup_layout_free(&layout);
	config_free(config);
	return cgroups;
}

START_TEST(hybrid_limits_are_written)
{
	struct session_cgroup cgroup = SESSION_CGROUP_INIT;
	struct error error = ERROR_INIT;
	struct cgroup_entry entry;
	struct cgroups *cgroups;
	int fds[2];

	make_hybrid();
	cgroups = open_hybrid("/own/base", HYBRID_GROUPS);
	ck_assert_uint_eq(cgroups->count, 4);
	for (unsigned i = 0; i < CONTROLLERS; i++)
		ck_assert(cgroups->limits[i].in && !cgroups->limits[i].in->unified);
	ck_assert_int_eq(cgroup_name(cgroups, "s", &limits, &cgroup), 0);
	ck_assert_msg(cgroup_create(cgroups, &limits, &cgroup, &error) == 0, "%s", error.why);
	ck_assert_str_eq(text_of("/memory/jail/base/s-agent/memory.limit_in_bytes"), "1048576");
	ck_assert_str_eq(text_of("/memory/jail/base/s-agent/memory.memsw.limit_in_bytes"),
			 "1048576");
	ck_assert_str_eq(text_of("/memory/jail/base/s-agent/memory.swappiness"), "0");
	ck_assert_str_eq(text_of("/memory/jail/base/s-runtime/memory.limit_in_bytes"), "335544320");
	ck_assert_str_eq(text_of("/pids/base/s-agent/pids.max"), "64");
	ck_assert_str_eq(text_of("/pids/base/s-runtime/pids.max"), "74");
	ck_assert_str_eq(text_of("/cpu/c/d/base/s/cpu.shares"), "512");
	ck_assert_str_eq(text_of("/cpu/c/d/base/s/agent/cpu.cfs_quota_us"), "150000");
	ck_assert_str_eq(text_of("/cpu/c/d/base/s/agent/cpu.cfs_period_us"), "100000");
	ck_assert_int_eq(cgroup_enter_agent(cgroups, &cgroup, &entry), 0);
	ck_assert_uint_eq(entry.count, 4);
	cgroup_entry_close(&entry);
	ck_assert_int_eq(cgroup_enter_runtime(cgroups, &cgroup, &entry), 0);
	ck_assert_uint_eq(entry.count, 3);
	cgroup_entry_close(&entry);
	ck_assert_int_eq(cgroup_watch_oom(cgroups, &cgroup, fds), 0);
	ck_assert(fds[0] >= 0 && fds[1] >= 0);
	ck_assert_int_eq(atoi(text_of("/memory/jail/base/s-agent/cgroup.event_control")), fds[1]);
	close(fds[0]);
	close(fds[1]);
	cgroup_close(&cgroup);
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

/* The agent enters every group, or does not run. */
START_TEST(a_v1_leaf_that_is_gone_is_an_error)
{
	struct session_cgroup cgroup = SESSION_CGROUP_INIT;
	struct error error = ERROR_INIT;
	struct cgroup_entry entry;
	struct cgroups *cgroups;
	char path[64];

	make_hybrid();
	cgroups = open_hybrid("/own/base", HYBRID_GROUPS);
	ck_assert_int_eq(cgroup_name(cgroups, "s", &limits, &cgroup), 0);
	ck_assert_int_eq(cgroup_create(cgroups, &limits, &cgroup, &error), 0);
	snprintf(path, sizeof(path), "%s/pids/base/s-agent/tasks", top);
	unlink(path);
	ck_assert_int_eq(cgroup_enter_agent(cgroups, &cgroup, &entry), -ENOENT);
	ck_assert_uint_eq(entry.count, 0);
	cgroup_close(&cgroup);
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

START_TEST(a_control_file_that_is_missing_is_named)
{
	struct session_cgroup cgroup = SESSION_CGROUP_INIT;
	struct error error = ERROR_INIT;
	struct cgroups *cgroups;
	char path[96];

	make_hybrid();
	snprintf(path, sizeof(path), "%s/memory/jail/base/s-agent/memory.memsw.limit_in_bytes",
		 top);
	unlink(path); /* a kernel that never swaps */
	cgroups = open_hybrid("/own/base", HYBRID_GROUPS);
	ck_assert_int_eq(cgroup_name(cgroups, "s", &limits, &cgroup), 0);
	ck_assert_int_eq(cgroup_create(cgroups, &limits, &cgroup, &error), 0);
	snprintf(path, sizeof(path), "%s/memory/jail/base/s-agent/memory.limit_in_bytes", top);
	unlink(path);
	ck_assert_int_eq(cgroup_create(cgroups, &limits, &cgroup, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "memory.limit_in_bytes"));
	cgroup_close(&cgroup);
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

/* What the journal keeps is enough to find the groups from anywhere else. */
START_TEST(paths_survive_in_the_journal)
{
	struct session_cgroup cgroup = SESSION_CGROUP_INIT, again = SESSION_CGROUP_INIT;
	struct msg_journal_groups groups;
	struct cgroups *cgroups;

	make_hybrid();
	cgroups = open_hybrid("/own/base", HYBRID_GROUPS);
	ck_assert_int_eq(cgroup_name(cgroups, "s", &limits, &cgroup), 0);
	ck_assert(cgroup_to_journal(cgroups, &cgroup, &groups));
	ck_assert_str_eq(groups.memory, "/jail/base/s");
	ck_assert_str_eq(groups.pids, "/base/s");
	ck_assert_str_eq(groups.cpu, "/c/d/base/s");
	cgroups_close(cgroups);
	make_file("/memory/else/memory.memsw.limit_in_bytes", "");
	cgroups = open_hybrid("/else", "3:memory:/\n2:pids:/\n4:cpu,cpuacct:/\n0::/\n");
	ck_assert_int_eq(cgroup_from_journal(cgroups, cgroup.paths[0], &groups, &again), 0);
	for (unsigned i = 0; i < HIERARCHIES_MAX; i++)
		ck_assert_str_eq(again.paths[i], cgroup.paths[i]);
	cgroup_close(&again);
	cgroup_close(&cgroup);
	cgroups_close(cgroups);
	remove_top();
}
END_TEST

/* auto: below our own group of each; named outside our own: there in each. */
START_TEST(bases_are_where_we_are)
{
	static const struct {
		const char *named, *groups, *paths[4];
	} cases[] = {
	    {"/own/base", HYBRID_GROUPS, {"/own/base", "/jail/base", "/base", "/c/d/base"}},
	    {"/other", HYBRID_GROUPS, {"/other", "/other", "/other", "/other"}},
	    {"other", HYBRID_GROUPS, {"/other", "/other", "/other", "/other"}},
	    {"/x/y",
	     "3:memory:/jail\n2:pids:/\n4:cpu,cpuacct:/c\n0::/\n",
	     {"/x/y", "/jail/x/y", "/x/y", "/c/x/y"}},
	    {NULL, HYBRID_GROUPS, {"/own/scarab-", "/jail/scarab-", "/scarab-", "/c/d/scarab-"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cgroups *cgroups;

		make_hybrid();
		cgroups = open_hybrid(cases[i].named, cases[i].groups);
		ck_assert_uint_eq(cgroups->count, 4);
		for (unsigned j = 0; j < 4; j++) {
			const char *path = cgroups->all[j].base_path, *want = cases[i].paths[j];

			ck_assert_msg(strncmp(path, want, strlen(want)) == 0 &&
					  (!cases[i].named || strlen(path) == strlen(want)),
				      "%zu: %s, not %s", i, path, want);
		}
		cgroups_close(cgroups);
		remove_top();
	}
}
END_TEST

/* --- numbers
 * --------------------------------------------------------------------------------------
 */

START_TEST(shares_and_cpus_become_what_the_kernel_takes)
{
	static const struct {
		uint64_t shares, milli;
		const char *weight, *max;
	} cases[] = {
	    {2, 10, "1", "1000 100000"},
	    {10, 11, "1", "1100 100000"},
	    {1024, 1000, "100", "100000 100000"},
	    {512, 500, "50", "50000 100000"},
	    {102400, 2500, "10000", "250000 100000"},
	    {262144, 8192000, "10000", "819200000 100000"},
	};
	struct hierarchy v2 = {.unified = true, .controllers = 1U << CONTROLLER_CPU};
	struct error error = ERROR_INIT;
	int dir;

	make_top();
	make_v2_group("/g", "");
	v2.root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = group_open(v2.root, "v2/g", false);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cgroup_limits cpu = {.memory_bytes = ABSENT,
						  .pids = ABSENT,
						  .cpus_milli = cases[i].milli,
						  .cpu_shares = cases[i].shares};

		make_v2_group("/g", "");
		ck_assert_int_eq(limits_write(&v2, PART_SESSION, dir, &cpu, &error), 0);
		ck_assert_int_eq(limits_write(&v2, PART_AGENT, dir, &cpu, &error), 0);
		ck_assert_str_eq(text_of("/v2/g/cpu.weight"), cases[i].weight);
		ck_assert_str_eq(text_of("/v2/g/cpu.max"), cases[i].max);
		ck_assert_str_eq(text_of("/v2/g/memory.max"), "");
	}
	close(dir);
	close(v2.root);
	remove_top();
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_host_of_v2,
	    a_hybrid_host,
	    paths_with_blanks,
	    garbage_is_no_host,
	    v2_limits_are_written,
	    v2_without_limits_of_cpu,
	    what_v2_lacks_is_said,
	    a_group_in_the_way_is_named,
	    hybrid_limits_are_written,
	    a_v1_leaf_that_is_gone_is_an_error,
	    a_control_file_that_is_missing_is_named,
	    paths_survive_in_the_journal,
	    bases_are_where_we_are,
	    shares_and_cpus_become_what_the_kernel_takes,
	};

	return suite_run("cgroup", tests, ARRAY_LEN(tests));
}
