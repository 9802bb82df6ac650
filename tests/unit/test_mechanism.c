// with: runnerd/mechanism.c runnerd/cgroup.c runnerd/fs.c
/* A host that lacks something: sessions are refused, and the error names it and the remedy. */
#include "runnerd/mechanism.h"

#include <string.h>

#include "common/cleanup.h"
#include "suite.h"

/* No cgroup v2, as far as the probes can see. */
static struct mechanisms *
probe_without_cgroups(void)
{
	struct error why = ERROR_INIT;
	struct mechanisms *all;

	error_why(&why, ERR_FAILED, "no cgroup2 is mounted");
	all = mechanisms_probe(NULL, &why);
	ck_assert_ptr_nonnull(all);
	return all;
}

START_TEST(a_missing_one_refuses)
{
	struct mechanisms *all = probe_without_cgroups();
	const struct strings none = {.count = 0};
	struct error error = ERROR_INIT;

	ck_assert_int_eq(mechanisms_check(all, &none, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "the host lacks cgroup-v2"));
	ck_assert_ptr_nonnull(strstr(error.why, "no cgroup2 is mounted"));
	ck_assert_ptr_nonnull(strstr(error.hint, "mount cgroup2"));
	mechanisms_free(all);
}
END_TEST

START_TEST(root_may_accept_it_by_name)
{
	struct mechanisms *all = probe_without_cgroups();
	char v2[] = "cgroup-v2", kill[] = "cgroup-kill", other[] = "landlock";
	char *both[] = {v2, kill}, *wrong[] = {v2, other};
	const struct strings accepted = {.items = both, .count = ARRAY_LEN(both)};
	const struct strings misspelt = {.items = wrong, .count = ARRAY_LEN(wrong)};
	struct error error = ERROR_INIT;

	ck_assert_int_eq(mechanisms_check(all, &misspelt, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "cgroup-kill"));
	ck_assert_int_eq(mechanisms_check(all, &accepted, &error), 0);
	mechanisms_free(all);
}
END_TEST

START_TEST(every_row_has_a_remedy)
{
	struct mechanisms *all = probe_without_cgroups();
	struct msg row;
	size_t i;

	for (i = 0; i < mechanisms_count(all); i++) {
		mechanism_row(all, i, &row);
		ck_assert_uint_gt(strlen(row.mechanism_row.name), 0);
		ck_assert_uint_gt(strlen(row.mechanism_row.remedy), 0);
		ck_assert_uint_gt(strlen(row.mechanism_row.found), 0);
		if (strcmp(row.mechanism_row.name, "cgroup-v2") == 0)
			ck_assert(!row.mechanism_row.present && row.mechanism_row.required);
	}
	mechanisms_free(all);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_missing_one_refuses,
	    root_may_accept_it_by_name,
	    every_row_has_a_remedy,
	};

	return suite_run("mechanism", tests, ARRAY_LEN(tests));
}
