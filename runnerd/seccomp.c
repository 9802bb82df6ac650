#include "runnerd/seccomp.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/confine.h"

enum { BINARY_TREE = 2 /* SCMP_FLTATR_CTL_OPTIMIZE */ };

static void
cleanup_seccomp(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

/* libseccomp has no rule for the rest: argument 0 is tested last, and this test always holds. */
static struct scmp_arg_cmp
comparison(const struct seccomp_condition *condition)
{
	switch (condition->test) {
	case TEST_EQUAL:
		return SCMP_CMP(condition->argument, SCMP_CMP_MASKED_EQ, condition->mask,
				condition->value);
	case TEST_ABOVE:
		return SCMP_CMP(condition->argument, SCMP_CMP_GT, condition->value);
	case TEST_NONE:
	default:
		return SCMP_A0(SCMP_CMP_GE, 0);
	}
}

static uint32_t
action_of(const struct seccomp_rule *rule)
{
	return rule->error ? SCMP_ACT_ERRNO((uint32_t)rule->error) : SCMP_ACT_ALLOW;
}

static int
add_rule(scmp_filter_ctx filter, const struct seccomp_rule *rule, struct error *error)
{
	struct scmp_arg_cmp compare[CONDITIONS_MAX] = {0};
	int number = seccomp_syscall_resolve_name(rule->name);
	int rc;

	if (number == __NR_SCMP_ERROR)
		return error_why(error, ERR_FAILED, "libseccomp does not know the call %s",
				 rule->name);
	if (number < 0)
		return 0; /* not a call of this architecture */
	for (unsigned i = 0; i < rule->count; i++)
		compare[i] = comparison(&rule->conditions[i]);
	rc = seccomp_rule_add_array(filter, action_of(rule), number, rule->count, compare);
	return rc < 0 ? error_errno(error, -rc, "seccomp rule for %s", rule->name) : 0;
}

static int
add_rules(scmp_filter_ctx filter, enum seccomp_profile profile, struct error *error)
{
	for (size_t i = 0; i < seccomp_rule_count; i++)
		if (seccomp_rules[i].profiles & 1U << profile &&
		    add_rule(filter, &seccomp_rules[i], error) < 0)
			return -1;
	return 0;
}

static int
compile(enum seccomp_profile profile, struct error *error)
{
	_cleanup_(cleanup_seccomp) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int rc;

	if (!filter)
		return error_why(error, ERR_FAILED, "seccomp_init failed");
	rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE);
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc < 0)
		return error_errno(error, -rc, "seccomp_attr_set");
	if (add_rules(filter, profile, error) < 0)
		return -1;
	return confine_export(filter, error);
}

/* --- does the program say what the rules say? --------------------------------------------------
 */

/* A call that this rule decides; background: what the bits are that it does not look at. */
static struct seccomp_data
sample(const struct seccomp_rule *rule, int number, uint64_t background)
{
	struct seccomp_data seen = {.nr = number, .arch = seccomp_arch_native()};
	const struct seccomp_condition *condition;
	__u64 *argument;

	for (size_t i = 0; i < ARRAY_LEN(seen.args); i++)
		seen.args[i] = background;
	for (unsigned i = 0; i < rule->count; i++) {
		condition = &rule->conditions[i];
		argument = &seen.args[condition->argument];
		if (condition->test == TEST_EQUAL)
			*argument = (background & ~(uint64_t)condition->mask) | condition->value;
		else
			*argument = (uint64_t)condition->value + 1;
	}
	return seen;
}

/* "Otherwise" has no sample of its own. */
static bool
is_checked(const struct seccomp_rule *rule, enum seccomp_profile profile)
{
	return rule->profiles & 1U << profile &&
	       (rule->count == 0 || rule->conditions[0].test != TEST_NONE) &&
	       seccomp_syscall_resolve_name(rule->name) >= 0;
}

static int
check_rules(enum seccomp_profile profile, const struct sock_filter *program, size_t length,
	    struct error *error)
{
	const struct seccomp_rule *rule;
	struct seccomp_data clear, set;
	int number;

	for (size_t i = 0; i < seccomp_rule_count; i++) {
		rule = &seccomp_rules[i];
		if (!is_checked(rule, profile))
			continue;
		number = seccomp_syscall_resolve_name(rule->name);
		clear = sample(rule, number, 0);
		set = sample(rule, number, UINT64_MAX);
		if (program_verdict(program, length, &clear, NULL) != action_of(rule) ||
		    program_verdict(program, length, &set, NULL) != action_of(rule))
			return error_why(error, ERR_FAILED,
					 "this libseccomp compiles the rule for %s to another one",
					 rule->name);
	}
	return 0;
}

static int
check_program(enum seccomp_profile profile, int fd, struct error *error)
{
	struct sock_filter *program;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "fstat of the program");
	program = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (program == MAP_FAILED)
		return error_errno(error, errno, "mmap of the program");
	rc = check_rules(profile, program, (size_t)st.st_size / sizeof(*program), error);
	munmap(program, (size_t)st.st_size);
	return rc;
}

int
profile_program(enum seccomp_profile profile, struct error *error)
{
	_cleanup_close_ int fd = compile(profile, error);

	if (fd < 0 || check_program(profile, fd, error) < 0)
		return error_what(error, "the agents' %s filter", profile_name(profile));
	return steal_fd(&fd);
}
