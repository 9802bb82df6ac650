// with: runnerd/mechanism.c runnerd/cgroup*.c runnerd/fs.c runnerd/quota.c runnerd/nf_tables.c
/* A host that lacks something: sessions are refused, and the error names it and the remedy. */
#include "runnerd/mechanism.h"

#include <string.h>

#include "common/cleanup.h"
#include "suite.h"

static const char *const nothing[] = {NULL};
static char other_name[] = "landlock";

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
	char missing[MECHANISMS_TEXT_MAX + 1];
	struct error error = ERROR_INIT;

	ck_assert_int_eq(mechanisms_check(all, &none, nothing, missing, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "the host lacks cgroup-v2"));
	ck_assert_ptr_nonnull(strstr(error.why, "no cgroup2 is mounted"));
	ck_assert_ptr_nonnull(strstr(error.hint, "mount cgroup2"));
	mechanisms_free(all);
}
END_TEST

START_TEST(root_may_accept_it_by_name)
{
	struct mechanisms *all = probe_without_cgroups();
	char v2[] = "cgroup-v2", kill[] = "cgroup-kill", memory[] = "memory", pids[] = "pids";
	char *four[] = {v2, kill, memory, pids}, *wrong[] = {v2, other_name};
	const struct strings accepted = {.items = four, .count = ARRAY_LEN(four)};
	const struct strings misspelt = {.items = wrong, .count = ARRAY_LEN(wrong)};
	char missing[MECHANISMS_TEXT_MAX + 1];
	struct error error = ERROR_INIT;

	ck_assert_int_eq(mechanisms_check(all, &misspelt, nothing, missing, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "cgroup-kill"));
	ck_assert_int_eq(mechanisms_check(all, &accepted, nothing, missing, &error), 0);
	ck_assert_str_eq(missing, "cgroup-v2, cgroup-kill, memory, pids");
	mechanisms_free(all);
}
END_TEST

/* What not every session needs is asked for by the one that does. */
START_TEST(who_wants_it_needs_it)
{
	struct mechanisms *all = probe_without_cgroups();
	char v2[] = "cgroup-v2", kill[] = "cgroup-kill", memory[] = "memory", pids[] = "pids";
	char *four[] = {v2, kill, memory, pids};
	const struct strings accepted = {.items = four, .count = ARRAY_LEN(four)};
	const char *const wanted[] = {"cpu", NULL};
	char missing[MECHANISMS_TEXT_MAX + 1];
	struct error error = ERROR_INIT;

	ck_assert_int_eq(mechanisms_check(all, &accepted, wanted, missing, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "the host lacks cpu"));
	ck_assert_ptr_nonnull(strstr(error.hint, "resources.cpus"));
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
	    who_wants_it_needs_it,
	    every_row_has_a_remedy,
	};

	return suite_run("mechanism", tests, ARRAY_LEN(tests));
}
