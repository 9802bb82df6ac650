#include "confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "cleanup.h"
#include "log.h"

enum {
	CAP_SLOTS = 64,    /* bits of the two words of capability version 3 */
	FD_SCAN_MAX = 256, /* no confined process holds more when it confines itself */
};

/* Landlock's interface is younger than the headers of Debian 12 in part. */
enum { LANDLOCK_VERSION_FLAG = 1, LANDLOCK_PATH_BENEATH = 1 };
struct landlock_rights {
	uint64_t fs;     /* since version 1 */
	uint64_t net;    /* since version 4 */
	uint64_t scoped; /* since version 6 */
};

const int confine_base_syscalls[] = {
    /* descriptors */
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_lseek,
    SYS_close,
    SYS_close_range,
    SYS_fcntl,
    SYS_fstat,
    SYS_newfstatat, /* what glibc makes of fstat */
    SYS_poll,
    SYS_ppoll,
    /* channels: sockets are given, never made */
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendto,
    SYS_recvfrom,
    SYS_shutdown,
    SYS_getsockname, /* has a keeper's channel a name? */
    SYS_getpeername,
    /* rows and records */
    SYS_memfd_create,
    SYS_ftruncate,
    /* the loop */
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_wait,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_signalfd4,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
    /* time: where the vDSO has no clock to read */
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_gettimeofday,
    /* memory; confine_program refuses PROT_EXEC */
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_futex,
    SYS_getrandom,
    SYS_sysinfo, /* qsort asks how much memory there is */
    /* itself, and its end */
    SYS_getpid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_exit,
    SYS_exit_group,
#ifdef __SANITIZE_ADDRESS__
    /* what the sanitizers' runtime does while it runs and when it reports */
    SYS_openat,
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_readlink,
    SYS_readlinkat,
    SYS_access,
    SYS_sigaltstack,
    SYS_rt_sigaction,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getrlimit,
    SYS_prlimit64,
    SYS_tgkill,
    SYS_ioctl,
    SYS_pipe,
#endif
};
const size_t confine_base_count = ARRAY_LEN(confine_base_syscalls);

#ifdef __SANITIZE_ADDRESS__
/* The leak checker clones a tracer at exit, which no confined process may do. */
static bool leak_check_off;
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int
__lsan_is_turned_off(void)
{
	return leak_check_off;
}
#endif

int
close_from(int first)
{
	if (close_range((unsigned)first, ~0U, 0) < 0)
		return -errno;
	log_closed_from(first);
	return 0;
}

/* --- capabilities -------------------------------------------------------------------------- */

struct cap_sets {
	uint64_t permitted, effective, inheritable;
};

static int
cap_read(struct cap_sets *sets)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct half[2];

	if (syscall(SYS_capget, &head, half) < 0)
		return -errno;
	sets->permitted = half[0].permitted | (uint64_t)half[1].permitted << 32;
	sets->effective = half[0].effective | (uint64_t)half[1].effective << 32;
	sets->inheritable = half[0].inheritable | (uint64_t)half[1].inheritable << 32;
	return 0;
}

static int
cap_write(uint64_t keep, uint64_t inheritable)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct half[2] = {
	    {.permitted = (uint32_t)keep,
	     .effective = (uint32_t)keep,
	     .inheritable = (uint32_t)inheritable},
	    {.permitted = (uint32_t)(keep >> 32),
	     .effective = (uint32_t)(keep >> 32),
	     .inheritable = (uint32_t)(inheritable >> 32)},
	};

	return syscall(SYS_capset, &head, half) < 0 ? -errno : 0;
}

/* Ends with EINVAL at the first number that this kernel does not know. */
int
confine_bounding(uint64_t keep)
{
	int cap, held;

	for (cap = 0; cap < CAP_SLOTS; cap++) {
		held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (held < 0)
			return cap ? 0 : -errno;
		if (!held || keep & UINT64_C(1) << cap)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
	return 0;
}

static bool
bounding_within(uint64_t keep)
{
	int cap, held;

	for (cap = 0; cap < CAP_SLOTS; cap++) {
		held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (held < 0)
			break;
		if (held && !(keep & UINT64_C(1) << cap))
			return false;
	}
	return true;
}

static bool
ambient_empty(void)
{
	int cap, held;

	for (cap = 0; cap < CAP_SLOTS; cap++) {
		held = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0);
		if (held < 0)
			break;
		if (held)
			return false;
	}
	return true;
}

int
confine_securebits(void)
{
	unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
			     SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
			     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == (int)bits ? 0 : -EPERM;
}

int
confine_caps(uint64_t keep)
{
	struct cap_sets sets = {0};
	int rc;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	rc = cap_write(keep, 0);
	if (rc < 0)
		return rc;
	rc = cap_read(&sets);
	if (rc < 0)
		return rc;
	if (sets.permitted != keep || sets.effective != keep || sets.inheritable)
		return -EPERM;
	return ambient_empty() ? 0 : -EPERM;
}

int
confine_ambient(uint64_t caps)
{
	struct cap_sets sets;
	int cap, rc = cap_read(&sets);

	if (rc == 0)
		rc = cap_write(sets.permitted, caps);
	for (cap = 0; rc == 0 && cap < CAP_SLOTS; cap++)
		if (caps & UINT64_C(1) << cap &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			rc = -errno;
	return rc;
}

/* --- the steps of confine, in their order ------------------------------------------------------
 */

static int
drop_groups(const struct confinement *c, struct error *error)
{
	(void)c;
	if (setgroups(0, NULL) < 0)
		return error_errno(error, errno, "setgroups cannot empty the supplementary groups");
	if (getgroups(0, NULL) != 0)
		return error_why(error, ERR_FAILED,
				 "supplementary groups are left after setgroups");
	return 0;
}

/* A directory descriptor from outside is a way out of a root made by chroot. */
static int
refuse_directories(const struct stat *root, struct error *error)
{
	struct stat st;
	int fd;

	for (fd = 0; fd < FD_SCAN_MAX; fd++) {
		if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (st.st_dev != root->st_dev || st.st_ino != root->st_ino)
			return error_why(error, ERR_FAILED,
					 "descriptor %d is a directory outside the private root",
					 fd);
	}
	return 0;
}

static int
enter_root(const struct confinement *c, struct error *error)
{
	struct stat want, got;

	if (c->root_fd < 0)
		return 0;
	if (fstat(c->root_fd, &want) < 0)
		return error_errno(error, errno, "fstat of the private root");
	if (fchdir(c->root_fd) < 0)
		return error_errno(error, errno, "fchdir to the private root");
	if (chroot(".") < 0)
		return error_errno(error, errno, "chroot to the private root");
	if (chdir("/") < 0)
		return error_errno(error, errno, "chdir to the private root");
	close(c->root_fd);
	if (stat("/", &got) < 0 || got.st_dev != want.st_dev || got.st_ino != want.st_ino)
		return error_why(error, ERR_FAILED, "chroot did not change the root");
	return refuse_directories(&want, error);
}

static int
drop_bounding(const struct confinement *c, struct error *error)
{
	int rc = confine_bounding(c->keep_caps);

	if (rc < 0)
		return error_errno(error, -rc, "prctl PR_CAPBSET_DROP");
	if (!bounding_within(c->keep_caps))
		return error_why(error, ERR_FAILED, "the bounding set did not shrink");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return error_errno(error, errno, "prctl PR_CAP_AMBIENT_CLEAR_ALL");
	return 0;
}

/* A process that keeps capabilities starts others as root, which NOROOT would strip. */
static int
lock_securebits(const struct confinement *c, struct error *error)
{
	int rc = c->keep_caps ? 0 : confine_securebits();

	if (rc < 0)
		return error_errno(error, -rc, "prctl PR_SET_SECUREBITS");
	return 0;
}

static int
change_ids(const struct confinement *c, struct error *error)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (setresgid(c->gid, c->gid, c->gid) < 0)
		return error_errno(error, errno, "setresgid to %u", c->gid);
	if (setresuid(c->uid, c->uid, c->uid) < 0)
		return error_errno(error, errno, "setresuid to %u", c->uid);
	if (getresgid(&rgid, &egid, &sgid) < 0 || rgid != c->gid || egid != c->gid ||
	    sgid != c->gid)
		return error_why(error, ERR_FAILED, "setresgid did not hold");
	if (getresuid(&ruid, &euid, &suid) < 0 || ruid != c->uid || euid != c->uid ||
	    suid != c->uid)
		return error_why(error, ERR_FAILED, "setresuid did not hold");
	return 0;
}

static int
drop_caps(const struct confinement *c, struct error *error)
{
	int rc = confine_caps(c->keep_caps);

	if (rc < 0)
		return error_errno(error, -rc, "capset cannot leave exactly the capabilities %#llx",
				   (unsigned long long)c->keep_caps);
	return 0;
}

static int
forbid_gains(const struct confinement *c, struct error *error)
{
	(void)c;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(error, errno, "prctl PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(error, errno, "prctl PR_SET_DUMPABLE");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return error_why(error, ERR_FAILED, "no_new_privs or PR_SET_DUMPABLE did not hold");
	return 0;
}

/* Never above what there is: CAP_SYS_RESOURCE may be missing. */
static int
limit(int resource, const char *name, rlim_t most, struct error *error)
{
	struct rlimit old, new;

	if (getrlimit((__rlimit_resource_t)resource, &old) < 0)
		return error_errno(error, errno, "getrlimit %s", name);
	new.rlim_max = old.rlim_max < most ? old.rlim_max : most;
	new.rlim_cur = new.rlim_max;
	if (setrlimit((__rlimit_resource_t)resource, &new) < 0)
		return error_errno(error, errno, "setrlimit %s", name);
	return 0;
}

/* What is told counts too, where that goes to a file: a log that has grown past the limit, or any
 * log of who may write nothing, would end who writes to it (SIGXFSZ). */
static bool
tells_to_file(void)
{
	struct stat told;

	return fstat(STDERR_FILENO, &told) == 0 && S_ISREG(told.st_mode);
}

static int
set_limits(const struct confinement *c, struct error *error)
{
	if (limit(RLIMIT_CORE, "RLIMIT_CORE", 0, error) < 0)
		return -1;
	if (c->open_files && limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", c->open_files, error) < 0)
		return -1;
	if (c->file_bytes != UINT64_MAX && !tells_to_file() &&
	    limit(RLIMIT_FSIZE, "RLIMIT_FSIZE", c->file_bytes, error) < 0)
		return -1;
	if (c->no_processes && limit(RLIMIT_NPROC, "RLIMIT_NPROC", 0, error) < 0)
		return -1;
	return 0;
}

/* The filesystem rights of a Landlock version: 13 in the first; refer, truncate and ioctl came
 * with versions 2, 3 and 5. */
static uint64_t
landlock_fs_rights(long version)
{
	unsigned bits = 13;

	bits += version >= 2;
	bits += version >= 3;
	bits += version >= 5;
	return (UINT64_C(1) << bits) - 1;
}

/* What a store of flat files needs: not to execute, not to make anything else. */
static int
landlock_allow_files(int ruleset, uint64_t known, struct error *error)
{
	enum { WRITE_FILE = 1, READ_FILE, READ_DIR, REMOVE_FILE = 5, MAKE_REG = 8, TRUNCATE = 14 };
	struct {
		uint64_t rights;
		int32_t parent;
	} __attribute__((packed))
	rule = {.rights = known & (UINT64_C(1) << WRITE_FILE | UINT64_C(1) << READ_FILE |
				   UINT64_C(1) << READ_DIR | UINT64_C(1) << REMOVE_FILE |
				   UINT64_C(1) << MAKE_REG | UINT64_C(1) << TRUNCATE)};
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	rule.parent = root;
	if (root < 0 ||
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0) < 0)
		return error_errno(error, errno, "landlock_add_rule");
	return 0;
}

static int
landlock_everything(const struct confinement *c, struct error *error)
{
	struct landlock_rights rights = {0};
	_cleanup_close_ int ruleset = -1;
	size_t size = sizeof(rights.fs);
	long version;

	if (!c->landlock)
		return 0;
	version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
	if (version < 1) {
		error_errno(error, version < 0 ? errno : ENOSYS, "Landlock is not available");
		return error_hint(error, "boot a kernel with CONFIG_SECURITY_LANDLOCK and "
					 "landlock in the lsm= list (Debian 12's is one)");
	}
	rights.fs = landlock_fs_rights(version);
	if (version >= 4) {
		rights.net = c->landlock_connect ? 1 : 3; /* TCP bind 1, connect 2 */
		size = sizeof(rights.fs) + sizeof(rights.net);
	}
	if (version >= 6) {
		rights.scoped = 3; /* abstract sockets and signals */
		size = sizeof(rights);
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &rights, size, 0);
	if (ruleset < 0)
		return error_errno(error, errno, "landlock_create_ruleset");
	if (c->landlock_files && landlock_allow_files(ruleset, rights.fs, error) < 0)
		return -1;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_errno(error, errno, "landlock_restrict_self");
	return 0;
}

int
confine_load(int program_fd)
{
	struct sock_fprog program = {0};
	struct sock_filter *filters;
	struct stat st;
	int rc = 0;

	if (fstat(program_fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || (size_t)st.st_size % sizeof(*filters) ||
	    (size_t)st.st_size / sizeof(*filters) > BPF_MAXINSNS)
		return -EINVAL;
	filters = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, program_fd, 0);
	if (filters == MAP_FAILED)
		return -errno;
	program.len = (unsigned short)((size_t)st.st_size / sizeof(*filters));
	program.filter = filters;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		rc = -errno;
	munmap(filters, (size_t)st.st_size);
	return rc;
}

static int
load_filter(const struct confinement *c, struct error *error)
{
	int rc;

	if (c->program_fd < 0)
		return 0;
	rc = confine_load(c->program_fd);
	close(c->program_fd);
	if (rc < 0) {
		error_errno(error, -rc, "seccomp cannot load the filter");
		return error_hint(error, "the kernel needs CONFIG_SECCOMP_FILTER");
	}
	return 0;
}

typedef int step_fn(const struct confinement *c, struct error *error);

int
confine_prebuilt(const struct confinement *confinement, struct error *error)
{
	static step_fn *const steps[] = {
	    drop_groups, enter_root,   drop_bounding, lock_securebits,     change_ids,
	    drop_caps,   forbid_gains, set_limits,    landlock_everything, load_filter,
	};

	if (confinement->syscalls)
		return error_why(error, ERR_FAILED,
				 "confine_prebuilt was given a list instead of a program");
	tzset(); /* else the first localtime or gmtime would open /etc/localtime */
#ifdef __SANITIZE_ADDRESS__
	leak_check_off = true;
#endif
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i](confinement, error) < 0)
			return error_what(error, "confining the process");
	return 0;
}
