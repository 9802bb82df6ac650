// with: ash/wasm_module.c
/* Which modules of WebAssembly may be agents, and what is said of the others; which engine runs
 * them. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ash/wasm_module.h"
#include "common/cleanup.h"
#include "common/engine.h"
#include "common/io.h"
#include "common/limits.h"
#include "tests/unit/suite.h"

#define HEAD "\0asm\1\0\0\0"
#define WASI "\026wasi_snapshot_preview1"
/* Exports memory 0 and, as the function 0, what is named. */
#define START "\7\23\2\6memory\2\0\6_start\0\0"
#define REACTOR "\7\30\2\6memory\2\0\13_initialize\0\0"
#define NO_MEMORY "\7\12\1\6_start\0\0"
/* One function of WASI; one that has a section before it, which is skipped. */
#define IMPORTS "\2\44\1" WASI "\11proc_exit\0\0"
#define TYPES "\1\5\1\140\1\177\0"

static const struct {
	const char *bytes;
	size_t length;
	const char *why; /* NULL: it is a command */
} modules[] = {
#define CASE(text, why_)                                                                           \
	{                                                                                          \
		text, sizeof(text) - 1, why_                                                       \
	}
    CASE(HEAD START, NULL),
    CASE(HEAD TYPES IMPORTS START, NULL),
    CASE(HEAD START IMPORTS, NULL),
    CASE("", "no module"),
    CASE("\0as", "no module"),
    CASE("\177ELF\2\1\1\0\0\0", "no module"),
    CASE("\0asm\15\0\1\0", "component"),
    CASE("\0asm\15\0\0\0", "version 13"),
    CASE(HEAD, "no function _start"),
    CASE(HEAD NO_MEMORY, "no memory"),
    CASE(HEAD REACTOR, "library"),
    /* A function where memory should be, and the other way round. */
    CASE(HEAD "\7\23\2\6memory\0\0\6_start\0\0", "no memory"),
    CASE(HEAD "\7\23\2\6memory\2\0\6_start\2\0", "no function _start"),
    CASE(HEAD START "\2\23\1\15wasi_unstable\1x\0\0", "first draft"),
    CASE(HEAD START "\2\13\1\3env\3foo\0\0", "function foo from env"),
    CASE(HEAD START "\2\17\1\3env\6memory\2\0\1", "memory memory from env"),
    CASE(HEAD START "\2\12\1\3env\1g\3\177\0", "global g from env"),
    CASE(HEAD START "\2\45\1" WASI "\12path_mkfoo\0\0", "path_mkfoo"),
    CASE(HEAD START "\2\44\1" WASI "\11proc_exit\2\0", "memory proc_exit"),
    /* A name with a NUL is no name of WASI. */
    CASE(HEAD START "\2\45\1" WASI "\12proc_exit\0\0\0", "proc_exit?"),
    CASE(HEAD START "\2\45\1" WASI "\12\33[31mxxxxx\0\0", "?[31mxxxxx"),
    /* Lengths and numbers that lead out. */
    CASE(HEAD START "\2\177", "damaged"),
    CASE(HEAD START "\2\377\377\377\377\17\1", "damaged"),
    CASE(HEAD START "\2\377\377\377\377\377\17", "damaged"),
    CASE(HEAD START "\2\3\1\377\377", "damaged"),
    CASE(HEAD START "\2\5\377\377\377\377\17", "damaged"),
    CASE(HEAD START "\2\2\1\3", "damaged"),
    CASE(HEAD START "\7\5\377\377\377\377\17", "damaged"),
    CASE(HEAD START "\7\2\1\3", "damaged"),
    CASE(HEAD START "\7\4\1\0\11\0", "damaged"),
    CASE(HEAD START "\177\0", "unknown kind"),
};

START_TEST(a_module_is_judged_by_what_it_imports_and_exports)
{
	_cleanup_close_ int fd = memfd_create("module", MFD_CLOEXEC);
	struct error error = ERROR_INIT;
	int rc;

	ck_assert_int_eq(write_all(fd, modules[_i].bytes, modules[_i].length), 0);
	rc = wasm_module_check(fd, &error);
	ck_assert_msg((rc == 0) == !modules[_i].why, "%d: %s", _i, error.why);
	if (modules[_i].why) {
		ck_assert_int_eq(error.code, ERR_INVALID);
		ck_assert_msg(strstr(error.why, modules[_i].why), "%d: %s", _i, error.why);
	}
}
END_TEST

START_TEST(every_cut_of_a_module_is_refused)
{
	static const char whole[] = HEAD TYPES IMPORTS START;

	for (size_t length = 0; length + 1 < sizeof(whole); length++) {
		_cleanup_close_ int fd = memfd_create("module", MFD_CLOEXEC);
		struct error error = ERROR_INIT;

		ck_assert_int_eq(write_all(fd, whole, length), 0);
		ck_assert_int_eq(wasm_module_check(fd, &error), -1);
		ck_assert_int_ne(error.why[0], '\0');
	}
}
END_TEST

START_TEST(a_name_beyond_all_bounds_is_passed_over)
{
	enum { LENGTH = 1 << 16 };
	static uint8_t name[LENGTH];
	/* An export of that name, then those of a command. */
	static const uint8_t head[] = {0, 'a',  's',  'm', 1, 0,    0,    0,
				       7, 0xa6, 0x80, 4,   3, 0x80, 0x80, 4};
	static const char rest[] = "\0\0\6memory\2\0\6_start\0\0";
	_cleanup_close_ int fd = memfd_create("module", MFD_CLOEXEC);
	struct error error = ERROR_INIT;
	uint8_t section[sizeof(head)];
	size_t body = 1 + 3 + LENGTH + sizeof(rest) - 1;

	memcpy(section, head, sizeof(head));
	section[9] = (uint8_t)(0x80 | (body & 0x7f));
	section[10] = (uint8_t)(0x80 | (body >> 7 & 0x7f));
	section[11] = (uint8_t)(body >> 14);
	memset(name, 'x', sizeof(name));
	ck_assert_int_eq(write_all(fd, section, sizeof(section)), 0);
	ck_assert_int_eq(write_all(fd, name, sizeof(name)), 0);
	ck_assert_int_eq(write_all(fd, rest, sizeof(rest) - 1), 0);
	ck_assert_msg(wasm_module_check(fd, &error) == 0, "%s", error.why);
}
END_TEST

START_TEST(every_engine_is_whole_and_found_by_name_and_program)
{
	const struct engine *engine;
	size_t count = 0;

	for (; (engine = engine_at(count)); count++) {
		ck_assert_ptr_eq(engine_named(engine->name), engine);
		ck_assert_uint_le(strlen(engine->name), ENGINE_NAME_MAX);
		ck_assert_ptr_nonnull(engine->arguments);
		ck_assert_ptr_nonnull(engine->dir);
		ck_assert_ptr_nonnull(engine->program.package);
		for (size_t i = 0; engine->program.places[i]; i++)
			ck_assert_ptr_eq(engine_of_program(engine->program.places[i]), engine);
	}
	ck_assert_uint_gt(count, 0);
	ck_assert_ptr_null(engine_named("none"));
	ck_assert_ptr_eq(engine_of_program("/opt/strange"), engine_at(0));
	ck_assert_ptr_eq(runtime_interpreter(RUNTIME_WASM), &engine_at(0)->program);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("wasm");
	TCase *all = tcase_create("wasm");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(all, a_module_is_judged_by_what_it_imports_and_exports, 0,
			    ARRAY_LEN(modules));
	tcase_add_test(all, every_cut_of_a_module_is_refused);
	tcase_add_test(all, a_name_beyond_all_bounds_is_passed_over);
	tcase_add_test(all, every_engine_is_whole_and_found_by_name_and_program);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
