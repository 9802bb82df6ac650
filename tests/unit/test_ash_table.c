// with: ash/table.c ash/text.c
/* Tables fit the width; names stay whole; text is made safe. */
#include <stdio.h>
#include <string.h>

#include "ash/table.h"
#include "ash/text.h"
#include "common/cleanup.h"
#include "suite.h"

static const struct column columns[] = {
    {"NAME", CUT_NEVER, 0, false},
    {"COUNT", CUT_NEVER, 0, true},
    {"INSTALL-DIR", CUT_LEFT, 16, false},
    {"SINCE", CUT_NEVER, 0, false},
};

static char *
print(size_t width, bool utf8, const char *name, const char *dir)
{
	struct table_style style = {.width = width, .utf8 = utf8};
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	table_cell(table, name, NULL, COLOR_GOOD);
	table_cell(table, "7", NULL, COLOR_NONE);
	table_cell(table, dir, NULL, COLOR_NONE);
	table_cell(table, "2026-11-21 10:02", "2026-11-21", COLOR_NONE);
	ck_assert_int_eq(table_print(table, stream, &style), 0);
	fclose(stream);
	table_free(table);
	return text;
}

static size_t
widest(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *line;
	size_t most = 0;

	while ((line = strsep(&rest, "\n")))
		if (text_width(line) > most)
			most = text_width(line);
	return most;
}

START_TEST(wide_enough)
{
	_cleanup_free_ char *text = print(80, true, "changes", "/srv/agents/changes");

	ck_assert_str_eq(text, "NAME     COUNT  INSTALL-DIR          SINCE\n"
			       "changes      7  /srv/agents/changes  2026-11-21 10:02\n");
}
END_TEST

START_TEST(paths_are_cut_from_the_left)
{
	_cleanup_free_ char *text = print(
	    60, true, "changes", "/a/very/long/path/that/does/not/fit/by/any/means/agents/changes");

	ck_assert_uint_le(widest(text), 60);
	ck_assert_ptr_nonnull(strstr(text, "…"));
	ck_assert_ptr_nonnull(strstr(text, "agents/changes  2026-11-21 10:02\n"));
}
END_TEST

START_TEST(short_forms_come_before_hard_cuts)
{
	_cleanup_free_ char *text =
	    print(44, false, "changes", "/a/very/long/path/that/does/not/fit/agents/changes");

	ck_assert_uint_le(widest(text), 44);
	ck_assert_ptr_nonnull(strstr(text, "~"));
	ck_assert_ptr_null(strstr(text, "10:02"));
	ck_assert_ptr_nonnull(strstr(text, "2026-11-21\n"));
}
END_TEST

START_TEST(names_are_never_cut)
{
	const char *name = "a-name-of-sixty-three-characters-which-is-all-that-is-allowed-1";
	_cleanup_free_ char *text = print(40, true, name, "/srv/agents/changes");

	ck_assert_int_eq(strncmp(strchr(text, '\n') + 1, name, strlen(name)), 0);
}
END_TEST

START_TEST(every_width_down_to_the_least_fits)
{
	for (size_t width = 36; width < 120; width++) {
		_cleanup_free_ char *text =
		    print(width, true, "changes", "/srv/with/ümläuts/and/more/of/it/changes");

		ck_assert_uint_le(widest(text), width);
	}
}
END_TEST

START_TEST(empty_cells_are_dashes)
{
	_cleanup_free_ char *text = print(80, true, "", NULL);

	ck_assert_int_eq(strchr(text, '\n')[1], '-');
}
END_TEST

START_TEST(escapes_do_not_reach_the_terminal)
{
	char control[] = "a\033[31mb\nc\177d\302\233e\377f";

	text_clean_here(control);
	ck_assert_str_eq(control, "a?[31mb?c?d\?\?e?f");
	char good[] = "größer — 三";
	text_clean_here(good);
	ck_assert_str_eq(good, "größer — 三");
}
END_TEST

START_TEST(what_is_not_seen_is_shown)
{
	static const struct {
		const char *text, *shown;
	} texts[] = {
	    {"rm \u202etxt.\u202c", "rm \?\?\?txt.\?\?\?"}, /* turned around */
	    {"a\u200bb\u00adc", "a\?\?\?b\?\?c"},
	    {"ok\U000e0069\U000e0001", "ok\?\?\?\?\?\?\?\?"}, /* tags: ASCII that no one sees */
	    {"x\ufe0f\U000e0101", "x\?\?\?\?\?\?\?"},
	    {"\ufeff\u2066\u2029", "\?\?\?\?\?\?\?\?\?"},
	    {"é “quoted” 🙂 日本 עברית", "é “quoted” 🙂 日本 עברית"},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		_cleanup_free_ char *clean = text_clean(texts[i].text);

		ck_assert_str_eq(clean, texts[i].shown);
	}
}
END_TEST

START_TEST(cutting_counts_characters)
{
	_cleanup_free_ char *left = text_cut("äöüßx", 3, true, "…");
	_cleanup_free_ char *right = text_cut("äöüßx", 3, false, "…");
	_cleanup_free_ char *whole = text_cut("äöü", 3, false, "…");
	_cleanup_free_ char *none = text_cut("abc", 0, false, "…");

	ck_assert_str_eq(left, "…ßx");
	ck_assert_str_eq(right, "äö…");
	ck_assert_str_eq(whole, "äöü");
	ck_assert_str_eq(none, "");
}
END_TEST

START_TEST(the_nearest_word)
{
	static const char *const words[] = {"agent", "session", "status", "shutdown"};

	ck_assert_str_eq(text_nearest("agnet", words, 4), "agent");
	ck_assert_str_eq(text_nearest("sess", words, 4), "session");
	ck_assert_str_eq(text_nearest("stats", words, 4), "status");
	ck_assert_ptr_null(text_nearest("kubernetes", words, 4));
	ck_assert_ptr_null(text_nearest("x", words, 4));
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    wide_enough,
	    paths_are_cut_from_the_left,
	    short_forms_come_before_hard_cuts,
	    names_are_never_cut,
	    every_width_down_to_the_least_fits,
	    empty_cells_are_dashes,
	    escapes_do_not_reach_the_terminal,
	    what_is_not_seen_is_shown,
	    cutting_counts_characters,
	    the_nearest_word,
	};

	return suite_run("ash table", tests, ARRAY_LEN(tests));
}
