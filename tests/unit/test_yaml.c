#include <string.h>

#include "common/plain.h"
#include "common/yaml_tree.h"
#include "tests/unit/corpus.h"
#include "tests/unit/suite.h"

static struct yaml_node *
parse(const char *text, struct error *error)
{
	return yaml_parse(text, strlen(text), "f", error);
}

static void
refused(const char *text, const char *why)
{
	struct error error = ERROR_INIT;

	ck_assert_ptr_null(parse(text, &error));
	ck_assert_str_eq(error.why, why);
	ck_assert_int_eq(error.code, ERR_INVALID);
}

START_TEST(a_tree_with_places)
{
	struct error error = ERROR_INIT;
	struct yaml_node *tree = parse("a: 1\nb:\n  - \"x\"\n  - {c: ~}\n", &error);
	const struct yaml_node *node;

	ck_assert_ptr_nonnull(tree);
	ck_assert_int_eq(tree->kind, NODE_MAP);
	ck_assert_uint_eq(tree->count, 2);
	node = yaml_get(tree, "a", 1);
	ck_assert_str_eq(node->text, "1");
	ck_assert(node->plain);
	ck_assert_uint_eq(node->line, 1);
	ck_assert_uint_eq(node->column, 4);
	node = yaml_find(tree, "b[0]");
	ck_assert_str_eq(node->text, "x");
	ck_assert(!node->plain);
	node = yaml_find(tree, "b[1].c");
	ck_assert(yaml_is_null(node));
	ck_assert_uint_eq(node->key_line, 4);
	ck_assert_uint_eq(node->key_column, 6);
	ck_assert_ptr_eq(yaml_find(tree, "b[7].c"), yaml_get(tree, "b", 1));
	ck_assert_ptr_eq(yaml_find(tree, "z.y"), tree);
	ck_assert_ptr_null(yaml_get(node, "a", 1));
	ck_assert_ptr_null(yaml_get(NULL, "a", 1));
	yaml_tree_free(tree);
}
END_TEST

START_TEST(nothing_is_an_empty_mapping)
{
	static const char *const texts[] = {"", "# comment\n", "---\n", "~\n", "\n\n"};
	struct error error = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct yaml_node *tree = parse(texts[i], &error);

		ck_assert_ptr_nonnull(tree);
		ck_assert_int_eq(tree->kind, NODE_MAP);
		ck_assert_uint_eq(tree->count, 0);
		yaml_tree_free(tree);
	}
	yaml_tree_free(NULL);
}
END_TEST

START_TEST(columns_count_characters)
{
	refused("a: \"\xc3\xa9\xe2\x82\xac\" b\n", "f:1:9: did not find expected key");
	refused("\xc3\xa9: \xff\n", "f:1:4: the text is not valid UTF-8");
	refused("a: b\r\nc: *x\n", "f:2:4: aliases (*name) are not allowed");
}
END_TEST

START_TEST(what_is_refused)
{
	refused("a: &x b", "f:1:4: anchors (&name) are not allowed");
	refused("a: !!int 1", "f:1:4: tags (!name) are not allowed");
	refused("<<: {a: b}", "f:1:1: merge keys (<<) are not allowed");
	refused("a: 1\n--- \nb: 2", "f:2:1: a second document is not allowed");
	refused("{a: 1, b: 2, a: 3}", "f:1:14: duplicate key \"a\"");
	refused("a: [1", "f:2:1: did not find expected ',' or ']'");
	refused("[a]: b", "f:1:1: a key must be text");
}
END_TEST

START_TEST(quoted_arrows_are_a_key)
{
	struct error error = ERROR_INIT;
	struct yaml_node *tree = parse("\"<<\": a", &error);

	ck_assert_ptr_nonnull(tree);
	yaml_tree_free(tree);
}
END_TEST

static char *
repeated(const char *before, const char *unit, size_t count, const char *after)
{
	size_t size = strlen(unit);
	char *text = malloc(strlen(before) + size * count + strlen(after) + 1);
	char *end = stpcpy(text, before);

	for (size_t i = 0; i < count; i++)
		end = stpcpy(end, unit);
	strcpy(end, after);
	return text;
}

START_TEST(depth_is_bounded)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ char *just = repeated("", "[", 32, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	_cleanup_free_ char *over = repeated("", "[", 33, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	_cleanup_free_ char *absurd = repeated("", "[", 500000, "");
	struct yaml_node *tree = parse(just, &error);

	ck_assert_ptr_nonnull(tree);
	yaml_tree_free(tree);
	refused(over, "f:1:33: nested deeper than 32 levels");
	refused(absurd, "f:1:33: nested deeper than 32 levels");
}
END_TEST

START_TEST(nodes_are_bounded)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ char *just = repeated("[", "a,", 19999, "]");
	_cleanup_free_ char *over = repeated("[", "a,", 20000, "]");
	struct yaml_node *tree = parse(just, &error);

	ck_assert_ptr_nonnull(tree);
	ck_assert_uint_eq(tree->count, 19999);
	yaml_tree_free(tree);
	refused(over, "f:1:40000: more than 20000 values and keys");
}
END_TEST

START_TEST(values_are_bounded)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ char *just = repeated("a: ", "b", YAML_SCALAR_MAX, "");
	_cleanup_free_ char *over = repeated("a: ", "b", YAML_SCALAR_MAX + 1, "");
	struct yaml_node *tree = parse(just, &error);

	ck_assert_ptr_nonnull(tree);
	yaml_tree_free(tree);
	refused(over, "f:1:4: a value longer than 64 KiB");
}
END_TEST

START_TEST(files_are_bounded)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ char *just = repeated("", "#\n", YAML_BYTES_MAX / 2, "");
	_cleanup_free_ char *over = repeated("", "#\n", YAML_BYTES_MAX / 2, "#");
	struct yaml_node *tree = parse(just, &error);

	ck_assert_ptr_nonnull(tree);
	yaml_tree_free(tree);
	refused(over, "f:524289:1: the file is bigger than 1 MiB");
}
END_TEST

START_TEST(many_keys_take_no_quadratic_time)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ char *text = malloc(10000 * 12);
	char *end = text;
	struct yaml_node *tree;

	for (int i = 0; i < 9998; i++)
		end += sprintf(end, "k%d: 1\n", i);
	tree = parse(text, &error);
	ck_assert_ptr_nonnull(tree);
	yaml_tree_free(tree);
	strcpy(end, "k0: 2\n");
	refused(text, "f:9999:1: duplicate key \"k0\"");
}
END_TEST

START_TEST(a_long_file_name_leaves_room_for_the_reason)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ char *name = repeated("", "n", 4095, "");

	ck_assert_ptr_null(yaml_parse("*a", 2, name, &error));
	ck_assert_ptr_nonnull(strstr(error.why, ":1:1: aliases (*name) are not allowed"));
}
END_TEST

START_TEST(errors_repeat_nothing_that_a_terminal_obeys)
{
	static const struct {
		const char *text, *plain;
	} cases[] = {
	    {"", ""},
	    {"a \xc3\xa9 \xe2\x82\xac", "a \xc3\xa9 \xe2\x82\xac"},
	    {"\x1b[31m\n\x7f", "?[31m??"},
	    {"a\xc2\x9b"
	     "b",
	     "a??b"},
	    {"\xff\xe2\x82", "???"},
	    {"\xc2", "?"},
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		strcpy(text, cases[i].text);
		plain_text(text);
		ck_assert_str_eq(text, cases[i].plain);
	}
	refused("{\"\\e[1m\": 1, \"\\e[1m\": 2}", "f:1:14: duplicate key \"?[1m\"");
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_tree_with_places,
	    nothing_is_an_empty_mapping,
	    columns_count_characters,
	    what_is_refused,
	    quoted_arrows_are_a_key,
	    depth_is_bounded,
	    nodes_are_bounded,
	    values_are_bounded,
	    files_are_bounded,
	    many_keys_take_no_quadratic_time,
	    a_long_file_name_leaves_room_for_the_reason,
	    errors_repeat_nothing_that_a_terminal_obeys,
	};

	return suite_run("yaml", tests, ARRAY_LEN(tests));
}
