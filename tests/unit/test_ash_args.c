// with: ash/args.c ash/text.c
/* The command line: options anywhere, both spellings, and what is wrong with it in words. */
#include <string.h>

#include "ash/args.h"
#include "common/cleanup.h"
#include "suite.h"

static const struct command commands[] = {
    {.words = "agent run",
     .usage = "NAME [--task T]",
     .options = {{"--task", 't', "T", ""}, {"--detach", 'd', NULL, ""}},
     .min = 1,
     .max = 1},
    {.words = "agent list", .usage = ""},
    {.words = "status", .usage = ""},
    {.words = "tool call",
     .usage = "--plugin CMD -- TOOL",
     .options = {{"--timeout", 0, "D", ""}, {"--plugin", 0, "CMD...", "", .rest = true}},
     .min = 1,
     .max = 2},
    {.words = "audit", .usage = "", .later = true},
    {.words = "record", .usage = "", .options = {{"--all", 0, NULL, "everything"}}, .max = 1},
    {.words = "record verify", .usage = ""},
};

static struct args args;
static struct error error;

static int
parse(const char *line)
{
	static char copy[256];
	static char *argv[32];
	char *rest = copy, *word;
	int argc = 0;

	args_free(&args);
	error = (struct error)ERROR_INIT;
	snprintf(copy, sizeof(copy), "ash %s", line);
	while ((word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	return args_parse(commands, ARRAY_LEN(commands), argc, argv, &args, &error);
}

static void
refuses(const char *line, const char *why, const char *hint)
{
	ck_assert_msg(parse(line) == -1, "'%s' is taken", line);
	ck_assert_int_eq(error.code, ERR_USAGE);
	ck_assert_msg(strstr(error.why, why), "'%s': %s", line, error.why);
	ck_assert_msg(strstr(error.hint, hint), "'%s': %s", line, error.hint);
}

START_TEST(a_command_of_others_ends_at_two_dashes)
{
	uint64_t ms = 7;

	ck_assert_int_eq(parse("tool call --timeout 2m --plugin node --json x.js -- read --x"), 0);
	ck_assert_str_eq(args.rest[0], "node");
	ck_assert_str_eq(args.rest[1], "--json");
	ck_assert_str_eq(args.rest[2], "x.js");
	ck_assert_ptr_null(args.rest[3]);
	ck_assert_uint_eq(args.count, 2);
	ck_assert_str_eq(args.operands[1], "--x");
	ck_assert(!args.json);
	ck_assert_str_eq(args_value(&args, "--plugin"), "node");
	ck_assert_int_eq(args_duration(&args, "--timeout", &ms, &error), 0);
	ck_assert_uint_eq(ms, 120000);
	ck_assert_int_eq(parse("tool call --timeout soon --plugin a -- b"), 0);
	ck_assert_int_eq(args_duration(&args, "--timeout", &ms, &error), -1);
	ck_assert_int_eq(error.code, ERR_USAGE);
	ck_assert_int_eq(parse("tool call --json x y"), 0);
	ck_assert_ptr_null(args.rest);
	ck_assert_int_eq(args_duration(&args, "--timeout", &ms, &error), 0);
	refuses("tool call x --plugin", "--plugin needs a value", "usage: ash tool call");
}
END_TEST

START_TEST(options_stand_anywhere)
{
	static const char *const lines[] = {
	    "-s /s --json agent run x --task do",  "agent run x --task=do --json -s /s",
	    "agent --json run --task do -s/s x",   "--socket=/s agent run -t do --json -- x",
	    "agent run --json -tdo --socket /s x",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		ck_assert_msg(parse(lines[i]) == 0, "%s: %s", lines[i], error.why);
		ck_assert_str_eq(args.command->words, "agent run");
		ck_assert_str_eq(args.socket, "/s");
		ck_assert(args.json);
		ck_assert_uint_eq(args.count, 1);
		ck_assert_str_eq(args.operands[0], "x");
		ck_assert_str_eq(args_value(&args, "--task"), "do");
		ck_assert(!args_flag(&args, "--detach"));
	}
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
	ck_assert_int_eq(parse("agent run -- --task"), 0);
	ck_assert_str_eq(args.operands[0], "--task");
	ck_assert_ptr_null(args_value(&args, "--task"));
	/* A lone dash is an operand. */
	ck_assert_int_eq(parse("agent run -"), 0);
	ck_assert_str_eq(args.operands[0], "-");
}
END_TEST

START_TEST(letters_may_be_joined)
{
	ck_assert_int_eq(parse("agent run x -dqt do"), 0);
	ck_assert(args_flag(&args, "--detach"));
	ck_assert(args.quiet);
	ck_assert_str_eq(args_value(&args, "--task"), "do");
}
END_TEST

START_TEST(an_empty_value_is_a_value)
{
	ck_assert_int_eq(parse("agent run x --task="), 0);
	ck_assert_str_eq(args_value(&args, "--task"), "");
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
	refuses("", "no command", "ash help");
	refuses("agent", "one more word", "ash help agent");
	refuses("agnet list", "'agnet'", "'agent'");
	refuses("agent lst", "'agent lst'", "'agent list'");
	refuses("agent run", "NAME is missing", "usage: ash agent run NAME");
	refuses("agent run a b", "'b'", "usage:");
	refuses("agent run a --taks x", "'--taks'", "'--task'");
	refuses("agent run a --task", "--task needs a value", "usage:");
	refuses("agent run a --detach=1", "takes no value", "usage:");
	refuses("agent run a -x", "'-x'", "usage:");
	refuses("--task x agent run", "'--task'", "follow its name");
	refuses("status -t", "'-t'", "usage:");
	refuses("-s", "--socket needs a value", "");
}
END_TEST

START_TEST(json_is_known_when_the_rest_is_wrong)
{
	ck_assert_int_eq(parse("--json agent run a --nonsense"), -1);
	ck_assert(args.json);
}
END_TEST

START_TEST(help_needs_no_operands)
{
	ck_assert_int_eq(parse("agent run --help"), 0);
	ck_assert(args.help);
	ck_assert_int_eq(parse("agent -h"), 0);
	ck_assert_str_eq(args.operands[0], "agent");
	ck_assert_int_eq(parse("--version"), 0);
	ck_assert(args.version);
}
END_TEST

START_TEST(a_command_that_begins_another)
{
	ck_assert_int_eq(parse("record --json verify"), 0);
	ck_assert_str_eq(args.command->words, "record verify");
	ck_assert_int_eq(parse("record"), 0);
	ck_assert_str_eq(args.command->words, "record");
	ck_assert_int_eq(parse("record --all verify"), 0);
	ck_assert_str_eq(args.command->words, "record");
	ck_assert_str_eq(args.operands[0], "verify");
}
END_TEST

START_TEST(commands_to_come_take_anything)
{
	ck_assert_int_eq(parse("audit verify --head abc -f --json"), 0);
	ck_assert(args.command->later);
	ck_assert(args.json);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    a_command_of_others_ends_at_two_dashes,
	    options_stand_anywhere,
	    two_dashes_end_the_options,
	    letters_may_be_joined,
	    an_empty_value_is_a_value,
	    what_is_wrong_is_said,
	    json_is_known_when_the_rest_is_wrong,
	    help_needs_no_operands,
	    commands_to_come_take_anything,
	    a_command_that_begins_another,
	};

	return suite_run("ash args", tests, ARRAY_LEN(tests));
}
