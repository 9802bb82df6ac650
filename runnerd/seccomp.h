/*
 * The system calls of an agent: two allowlists (CONTRACT 6), compiled once when runnerd starts and
 * loaded by every agent last before its exec. What no rule names is ENOSYS, so that libc and
 * programs fall back as on an older kernel; this covers the calls that this libseccomp has no name
 * for. What is known to be dangerous is EPERM. A foreign architecture, x32 among them, is killed.
 *
 * Used by runnerd alone; needs libseccomp.
 */
#ifndef SCARAB_RUNNERD_SECCOMP_H
#define SCARAB_RUNNERD_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/manifest.h"

/* A sealed memfd of struct sock_filter, for confine_load, after each rule was tried on it: with
 * rules that overlap, the order in which libseccomp writes them decides. -1 with error. */
int profile_program(enum seccomp_profile profile, struct error *error);

/* --- the rules, for the compiler and for tests -------------------------------------------------
 */

enum { CONDITIONS_MAX = 2 };

enum seccomp_test {
	TEST_EQUAL, /* the low 32 bits, which are all that the kernel reads of an int, under mask */
	TEST_ABOVE, /* all 64 bits */
	TEST_NONE,  /* always: what holds when no other rule of the call does */
};

struct seccomp_condition {
	enum seccomp_test test;
	unsigned argument;
	uint32_t mask, value;
};

struct seccomp_rule {
	const char *name;
	unsigned profiles; /* bits 1 << PROFILE_X */
	int error;         /* 0: allowed */
	unsigned count;
	struct seccomp_condition conditions[CONDITIONS_MAX];
};

extern const struct seccomp_rule seccomp_rules[];
extern const size_t seccomp_rule_count;

/* What a compiled program answers, by interpreting it: SECCOMP_RET_…; steps (or NULL) counts the
 * instructions run. What the interpreter does not know kills. */
uint32_t program_verdict(const struct sock_filter *program, size_t length,
			 const struct seccomp_data *seen, size_t *steps);

#endif
