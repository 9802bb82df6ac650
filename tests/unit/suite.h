/* What the unit tests of common share: one runner of Check, and a count of open descriptors. */
#ifndef SCARAB_TESTS_SUITE_H
#define SCARAB_TESTS_SUITE_H

#include <check.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>

/* Runs these tests as one suite and prints Check's summary; the exit status of main(). */
static inline int
suite_run(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *all = tcase_create(name);
	SRunner *runner = srunner_create(suite);

	for (size_t i = 0; i < count; i++)
		_tcase_add_test(all, tests[i], 0, 0, 0, 1);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* How many descriptors below 512 are open. */
static inline int
open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 512; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

#endif
