// with: runnerd/seccomp.c runnerd/seccomp_rules.c runnerd/seccomp_verdict.c
/*
 * The agent's filters: every rule and its limits run through an interpreter of the compiled
 * program, the whole table against the committed list that tests/system/escape.sh compares with
 * what an agent meets, and a few calls under the loaded filter.
 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "runnerd/seccomp.h"
#include "suite.h"

#define ERRNO(number) (SECCOMP_RET_ERRNO | (number))
#define HIGH (UINT64_C(1) << 32) /* bits that the kernel does not read of an int */

enum {
	LAST_NUMBER = 470,
	X32 = 0x40000000,
	ALLOW = SECCOMP_RET_ALLOW,
};

struct program {
	struct sock_filter *code;
	size_t length;
	int fd;
};

static struct program programs[PROFILE_COUNT];

/* Before the tests, which are processes of their own. */
static int
compile(struct program *p, enum seccomp_profile profile)
{
	struct error error = ERROR_INIT;
	struct stat st;

	p->fd = profile_program(profile, &error);
	if (p->fd < 0 || fstat(p->fd, &st) < 0) {
		fprintf(stderr, "%s: %s\n", error.what, error.why);
		return -1;
	}
	p->length = (size_t)st.st_size / sizeof(*p->code);
	p->code = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, p->fd, 0);
	return p->code == MAP_FAILED ? -1 : 0;
}

static struct seccomp_data
call(long number, uint64_t a0, uint64_t a1, uint64_t a2)
{
	return (struct seccomp_data){.nr = (int)number,
				     .arch = seccomp_arch_native(),
				     .args = {a0, a1, a2, 0, 0, UINT64_MAX}};
}

static uint32_t
verdict(enum seccomp_profile profile, const struct seccomp_data *seen)
{
	return program_verdict(programs[profile].code, programs[profile].length, seen, NULL);
}

/* --- calls that depend on their arguments
 * ---------------------------------------------------------- */

enum { SOCKET_OTHER = AF_MAX + 7 };

static const struct {
	long number;
	uint64_t args[3];
	uint32_t smallest, standard;
} judged[] = {
    {SYS_read, {0}, ALLOW, ALLOW},
    {SYS_mount, {0}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_clone3, {0}, ERRNO(ENOSYS), ERRNO(ENOSYS)},
    {SYS_memfd_create, {0}, ERRNO(ENOSYS), ALLOW},
    {SYS_clone, {SIGCHLD}, ALLOW, ALLOW},
    {SYS_clone, {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FILES}, ALLOW, ALLOW},
    {SYS_clone, {CLONE_NEWUSER | SIGCHLD}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_clone, {CLONE_NEWNS}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_clone, {CLONE_NEWCGROUP}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_clone, {CLONE_NEWUTS}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_clone, {CLONE_NEWIPC}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_clone, {CLONE_NEWPID | CLONE_VM}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_clone, {HIGH | CLONE_NEWNET}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_ioctl, {0, TCGETS}, ALLOW, ALLOW},
    {SYS_ioctl, {0, FIONREAD}, ALLOW, ALLOW},
    {SYS_ioctl, {0, (uint64_t)(int)TIOCGPTN}, ALLOW, ALLOW},
    {SYS_ioctl, {0, TIOCSTI}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_ioctl, {0, HIGH | TIOCSTI}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_ioctl, {0, TIOCLINUX}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_ioctl, {0, HIGH << 31 | TIOCLINUX}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_ioctl, {0, TIOCSETD}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, ALLOW, ALLOW},
    {SYS_socket, {AF_UNIX | HIGH, SOCK_STREAM, 0}, ALLOW, ALLOW},
    {SYS_socket, {AF_INET, SOCK_STREAM, 0}, ERRNO(EAFNOSUPPORT), ALLOW},
    {SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_TCP}, ERRNO(EAFNOSUPPORT), ALLOW},
    {SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_UDP}, ERRNO(EAFNOSUPPORT), ALLOW},
    {SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, ERRNO(EAFNOSUPPORT), ALLOW},
    {SYS_socket, {AF_INET6, SOCK_STREAM, IPPROTO_TCP}, ERRNO(EAFNOSUPPORT), ALLOW},
    {SYS_socket, {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6}, ERRNO(EAFNOSUPPORT), ALLOW},
    {SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}, ERRNO(EAFNOSUPPORT), ALLOW},
    {SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}, ERRNO(EAFNOSUPPORT), ERRNO(EPROTONOSUPPORT)},
    {SYS_socket,
     {AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
     ERRNO(EAFNOSUPPORT),
     ERRNO(EPROTONOSUPPORT)},
    {SYS_socket,
     {AF_INET6, SOCK_STREAM, IPPROTO_DCCP},
     ERRNO(EAFNOSUPPORT),
     ERRNO(EPROTONOSUPPORT)},
    {SYS_socket,
     {AF_NETLINK, SOCK_RAW, NETLINK_GENERIC},
     ERRNO(EAFNOSUPPORT),
     ERRNO(EPROTONOSUPPORT)},
    {SYS_socket, {AF_PACKET, SOCK_RAW, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socket, {HIGH | AF_ALG, 0, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socket, {AF_XDP, SOCK_RAW, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socket, {AF_KEY, SOCK_RAW, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socket, {0, 0, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socket, {SOCKET_OTHER, 0, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0}, ALLOW, ALLOW},
    {SYS_socketpair, {AF_TIPC, SOCK_STREAM, 0}, ERRNO(EAFNOSUPPORT), ERRNO(EAFNOSUPPORT)},
    {SYS_personality, {0xffffffff}, ALLOW, ALLOW},
    {SYS_personality, {UINT64_MAX}, ALLOW, ALLOW},
    {SYS_personality, {0}, ALLOW, ALLOW},
    {SYS_personality, {0x0040000}, ERRNO(EPERM), ALLOW},
    {SYS_personality, {0x0400000}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_mknodat, {0, 0, S_IFIFO | 0600}, ALLOW, ALLOW},
    {SYS_mknodat, {0, 0, S_IFSOCK | 0600}, ALLOW, ALLOW},
    {SYS_mknodat, {0, 0, S_IFCHR | 0600}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_mknodat, {0, 0, S_IFBLK | 0600}, ERRNO(EPERM), ERRNO(EPERM)},
#ifdef SYS_mknod
    {SYS_mknod, {0, S_IFREG | 0600, 0}, ALLOW, ALLOW},
    {SYS_mknod, {0, S_IFCHR | 0600, 0}, ERRNO(EPERM), ERRNO(EPERM)},
    {SYS_mknod, {0, HIGH | S_IFBLK, 0}, ERRNO(EPERM), ERRNO(EPERM)},
#endif
};

START_TEST(arguments)
{
	for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
		struct seccomp_data seen =
		    call(judged[i].number, judged[i].args[0], judged[i].args[1], judged[i].args[2]);

		ck_assert_msg(verdict(PROFILE_SMALLEST, &seen) == judged[i].smallest,
			      "row %zu, call %ld, smallest: %#x", i, judged[i].number,
			      verdict(PROFILE_SMALLEST, &seen));
		ck_assert_msg(verdict(PROFILE_DEFAULT, &seen) == judged[i].standard,
			      "row %zu, call %ld, default: %#x", i, judged[i].number,
			      verdict(PROFILE_DEFAULT, &seen));
	}
}
END_TEST

/* Whatever the other bits: the ioctls above are refused, and flags beside a namespace's do not
 * hide it. */
START_TEST(hidden_bits)
{
	static const uint64_t requests[] = {TIOCSTI, TIOCLINUX, TIOCSETD};

	for (int bit = 0; bit < 64; bit++) {
		uint64_t other = UINT64_C(1) << bit;
		struct seccomp_data seen = call(SYS_clone, CLONE_NEWUSER | other, 0, 0);

		ck_assert_uint_eq(verdict(PROFILE_DEFAULT, &seen), ERRNO(EPERM));
		for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
			seen = call(SYS_ioctl, 0, requests[i] ^ other, 0);
			ck_assert_uint_eq(verdict(PROFILE_DEFAULT, &seen),
					  bit < 32 ? ALLOW : ERRNO(EPERM));
		}
	}
}
END_TEST

START_TEST(whiteouts)
{
	struct seccomp_data seen = call(SYS_renameat2, 0, 0, 0);

	seen.args[4] = 1; /* RENAME_NOREPLACE */
	ck_assert_uint_eq(verdict(PROFILE_DEFAULT, &seen), ALLOW);
	seen.args[4] = 4 | 1; /* RENAME_WHITEOUT */
	ck_assert_uint_eq(verdict(PROFILE_DEFAULT, &seen), ERRNO(EPERM));
}
END_TEST

/* --- the whole table
 * -------------------------------------------------------------------------------- */

START_TEST(unknown_calls)
{
	struct seccomp_data seen = call(0, 0, 0, 0);

	for (int number = LAST_NUMBER; number < 2000; number++) {
		seen.nr = number;
		for (unsigned p = 0; p < PROFILE_COUNT; p++)
			ck_assert_uint_eq(verdict((enum seccomp_profile)p, &seen), ERRNO(ENOSYS));
	}
}
END_TEST

/* On every number: 32-bit code on a 64-bit kernel, x32, and an architecture of another machine. */
START_TEST(foreign_architectures)
{
	static const uint32_t foreign[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_PPC64, 0};
	struct seccomp_data seen = call(0, 0, 0, 0);

	for (int number = 0; number <= LAST_NUMBER; number++) {
		seen.nr = number;
		for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
			seen.arch = foreign[i];
			ck_assert_uint_eq(verdict(PROFILE_DEFAULT, &seen),
					  SECCOMP_RET_KILL_PROCESS);
			ck_assert_uint_eq(verdict(PROFILE_SMALLEST, &seen),
					  SECCOMP_RET_KILL_PROCESS);
		}
	}
#ifdef __x86_64__
	seen.arch = AUDIT_ARCH_X86_64;
	for (int number = 0; number <= 600; number++) {
		seen.nr = X32 | number;
		ck_assert_uint_eq(verdict(PROFILE_DEFAULT, &seen), SECCOMP_RET_KILL_PROCESS);
	}
#endif
}
END_TEST

/* The smallest is a part of the default. */
START_TEST(smaller)
{
	struct seccomp_data seen = call(0, 0, 0, 0);

	for (int number = 0; number <= LAST_NUMBER; number++) {
		seen.nr = number;
		if (verdict(PROFILE_SMALLEST, &seen) == ALLOW)
			ck_assert_uint_eq(verdict(PROFILE_DEFAULT, &seen), ALLOW);
	}
}
END_TEST

static const char *
class_of(uint32_t action)
{
	switch (action) {
	case ALLOW:
		return "kernel";
	case ERRNO(EPERM):
		return "EPERM";
	case ERRNO(ENOSYS):
		return "ENOSYS";
	case ERRNO(EAFNOSUPPORT):
		return "EAFNOSUPPORT";
	default:
		return "?";
	}
}

/* As tests/escape/matrix.c prints what an agent meets: arguments of -1. */
static char *
matrix(enum seccomp_profile profile)
{
	char *text = NULL, *name;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct seccomp_data seen = call(0, UINT64_MAX, UINT64_MAX, UINT64_MAX);

	seen.args[3] = seen.args[4] = UINT64_MAX;
	for (seen.nr = 0; seen.nr <= LAST_NUMBER; seen.nr++) {
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, seen.nr);
		fprintf(out, "%d %s %s\n", seen.nr, class_of(verdict(profile, &seen)),
			name ? name : "-");
		free(name);
	}
	fclose(out);
	return text;
}

/* SCARAB_WRITE_MATRIX=1 in the environment writes the lists anew. */
static void
compare_matrix(enum seccomp_profile profile)
{
	_cleanup_free_ char *now = matrix(profile), *line = NULL;
	char path[64];
	const char *at = now;
	size_t size = 0;
	FILE *list;

	snprintf(path, sizeof(path), "tests/escape/matrix.%s", profile_name(profile));
	if (getenv("SCARAB_WRITE_MATRIX")) {
		list = fopen(path, "we");
		ck_assert_ptr_nonnull(list);
		fputs(now, list);
		fclose(list);
	}
	list = fopen(path, "re");
	ck_assert_msg(list != NULL, "%s is missing", path);
	while (getline(&line, &size, list) > 0) {
		ck_assert_msg(strncmp(at, line, strlen(line)) == 0, "%s says %s, the filter %.40s",
			      path, line, at);
		at += strlen(line);
	}
	ck_assert_str_eq(at, "");
	fclose(list);
}

START_TEST(committed_lists)
{
#ifdef __x86_64__
	compare_matrix(PROFILE_SMALLEST);
	compare_matrix(PROFILE_DEFAULT);
#endif
}
END_TEST

/* A call costs no more than this many instructions; most cost none, by the kernel's bitmap. */
START_TEST(cost)
{
	struct seccomp_data seen = call(0, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	size_t steps, most = 0;

	for (seen.nr = 0; seen.nr <= LAST_NUMBER; seen.nr++) {
		steps = 0;
		program_verdict(programs[PROFILE_DEFAULT].code, programs[PROFILE_DEFAULT].length,
				&seen, &steps);
		most = steps > most ? steps : most;
	}
	printf("smallest %zu, default %zu instructions; a call runs at most %zu\n",
	       programs[PROFILE_SMALLEST].length, programs[PROFILE_DEFAULT].length, most);
	ck_assert_uint_le(programs[PROFILE_DEFAULT].length, 700);
	ck_assert_uint_le(most, 60);
}
END_TEST

/* --- levels of trust, seals, the kernel
 * ---------------------------------------------------------------- */

START_TEST(levels)
{
	ck_assert_str_eq(profile_name(profile_of(TRUST_UNTRUSTED)), "smallest");
	ck_assert_str_eq(profile_name(profile_of(TRUST_SANDBOXED)), "default");
	ck_assert_str_eq(profile_name(profile_of(TRUST_TRUSTED)), "default");
	ck_assert_str_eq(profile_name(profile_of(TRUST_PRIVILEGED)), "default");
}
END_TEST

START_TEST(sealed)
{
	int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

	for (unsigned p = 0; p < PROFILE_COUNT; p++)
		ck_assert_int_eq(fcntl(programs[p].fd, F_GET_SEALS), seals);
}
END_TEST

static int
loaded(const struct program *p)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_load(p->fd) < 0)
		return 1;
	if (unshare(CLONE_NEWUSER) == 0 || errno != EPERM)
		return 2;
	if (syscall(SYS_clone3, NULL, 0) == 0 || errno != ENOSYS)
		return 3;
	if (socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0 || errno != EAFNOSUPPORT)
		return 4;
	if (syscall(SYS_ioctl, 0, HIGH | TIOCSTI, "x") == 0 || errno != EPERM)
		return 5;
	if (socket(AF_UNIX, SOCK_STREAM, 0) < 0)
		return 6;
	/* Nothing that comes after takes it away. */
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER ? 0 : 7;
}

START_TEST(in_the_kernel)
{
	int status;

	for (unsigned p = 0; p < PROFILE_COUNT; p++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(loaded(&programs[p]));
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(status == 0, "%s: status %#x", profile_name((enum seccomp_profile)p),
			      status);
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    arguments,       hidden_bits, whiteouts, unknown_calls, foreign_architectures, smaller,
	    committed_lists, cost,        levels,    sealed,        in_the_kernel,
	};

	for (unsigned p = 0; p < PROFILE_COUNT; p++)
		if (compile(&programs[p], (enum seccomp_profile)p) < 0)
			return EXIT_FAILURE;
	return suite_run("seccomp", tests, ARRAY_LEN(tests));
}
