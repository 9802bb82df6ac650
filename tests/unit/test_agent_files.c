// with: runnerd/agent_files.c
#include "runnerd/agent_files.h"

#include <cJSON.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "tests/unit/suite.h"

static char top[] = "/tmp/scarab-files-XXXXXX";

static int
begin(void)
{
	int tree;

	strcpy(top, "/tmp/scarab-files-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	tree = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(tree, 0);
	return tree;
}

static void
finish(int tree)
{
	static const char *const names[] = {"AGENTS.md", "CLAUDE.md", "mine", "victim"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlinkat(tree, names[i], 0);
	close(tree);
	ck_assert_int_eq(rmdir(top), 0);
}

static bool
is_there(int tree, const char *name)
{
	return faccessat(tree, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

START_TEST(test_new_home)
{
	_cleanup_free_ char *text = NULL;
	int tree = begin();
	struct stat st;
	size_t length;

	ck_assert_int_eq(agent_files_write(tree, getuid()), 0);
	ck_assert_int_eq(read_file_at(tree, "AGENTS.md", 1 << 20, &text, &length), 0);
	ck_assert_ptr_nonnull(strstr(text, "agentd__mission"));
	ck_assert_int_eq(fstatat(tree, "CLAUDE.md", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0644);
	finish(tree);
}
END_TEST

/* A link that an agent left is neither followed nor replaced, and nothing is put beside it. */
START_TEST(test_home_in_use)
{
	int tree = begin();
	struct stat st;

	close(openat(tree, "victim", O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(symlinkat("victim", tree, "AGENTS.md"), 0);
	ck_assert_int_eq(agent_files_write(tree, getuid()), 0);
	ck_assert_int_eq(fstatat(tree, "victim", &st, 0), 0);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert(!is_there(tree, "CLAUDE.md"));
	finish(tree);
}
END_TEST

START_TEST(test_removed_stays_removed)
{
	int tree = begin();

	ck_assert_int_eq(agent_files_write(tree, getuid()), 0);
	close(openat(tree, "mine", O_CREAT | O_WRONLY, 0600));
	unlinkat(tree, "AGENTS.md", 0);
	ck_assert_int_eq(agent_files_write(tree, getuid()), 0);
	ck_assert(!is_there(tree, "AGENTS.md"));
	finish(tree);
}
END_TEST

START_TEST(test_mcp_json)
{
	cJSON *json = cJSON_Parse(agent_mcp_json.text);
	const cJSON *server =
	    cJSON_GetObjectItem(cJSON_GetObjectItem(json, "mcpServers"), "agentd");

	ck_assert_str_eq(cJSON_GetObjectItem(server, "command")->valuestring, AGENT_BRIDGE);
	cJSON_Delete(json);
}
END_TEST

START_TEST(test_bridge)
{
	struct error error = ERROR_INIT;
	int tree = begin();

	ck_assert_int_eq(agent_bridge_open(top, &error), -1);
	ck_assert_int_eq(error.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(error.why, "mcp-bridge"));
	finish(tree);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    test_new_home, test_home_in_use, test_removed_stays_removed, test_mcp_json, test_bridge,
	};

	return suite_run("agent_files", tests, ARRAY_LEN(tests));
}
