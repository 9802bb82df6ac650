#include "mechanism.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "nf_tables.h"
#include "quota.h"

enum { FOUND_MAX = 255, LANDLOCK_VERSION = 1, LANDLOCK_LEAST = 2 };

struct probe {
	const struct cgroups *cgroups;
	const struct error *cgroups_why;
	char found[FOUND_MAX + 1];
};

struct found {
	bool present;
	char text[FOUND_MAX + 1];
};

struct mechanism {
	const char *name, *remedy;
	bool required;
	bool (*probe)(struct probe *probe);
};

static void __attribute__((format(printf, 2, 3))) found(struct probe *probe, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(probe->found, sizeof(probe->found), fmt, ap);
	va_end(ap);
}

/* A call that the kernel has refuses such arguments with anything but ENOSYS. */
static bool
call_exists(struct probe *probe, const char *name, long result)
{
	bool exists = result >= 0 || errno != ENOSYS;

	found(probe, exists ? "%s is there" : "%s: not implemented by this kernel", name);
	return exists;
}

static bool
probe_cgroup(struct probe *probe)
{
	if (!probe->cgroups) {
		found(probe, "%.250s", probe->cgroups_why ? probe->cgroups_why->why : "missing");
		return false;
	}
	found(probe, "%.240s", cgroups_base(probe->cgroups));
	return true;
}

static bool
probe_cgroup_kill(struct probe *probe)
{
	bool can = probe->cgroups && cgroups_can_kill(probe->cgroups);

	found(probe, can ? "cgroup.kill is there" : "no file cgroup.kill in the sessions' group");
	return can;
}

static bool
probe_limit(struct probe *probe, enum controller controller)
{
	if (!probe->cgroups)
		return probe_cgroup(probe);
	found(probe, "%s", probe->cgroups->limits[controller].found);
	return probe->cgroups->limits[controller].in != NULL;
}

static bool
probe_memory(struct probe *probe)
{
	return probe_limit(probe, CONTROLLER_MEMORY);
}

static bool
probe_pids(struct probe *probe)
{
	return probe_limit(probe, CONTROLLER_PIDS);
}

static bool
probe_cpu(struct probe *probe)
{
	return probe_limit(probe, CONTROLLER_CPU);
}

static bool
probe_clone3(struct probe *probe)
{
	return call_exists(probe, "clone3", syscall(SYS_clone3, NULL, 0));
}

static bool
probe_openat2(struct probe *probe)
{
	return call_exists(probe, "openat2", syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0));
}

static bool
probe_mount_api(struct probe *probe)
{
	return call_exists(probe, "open_tree", syscall(SYS_open_tree, -1, "", 0)) &&
	       call_exists(probe, "mount_setattr", syscall(SYS_mount_setattr, -1, "", 0, NULL, 0));
}

static bool
probe_pidfd(struct probe *probe)
{
	return call_exists(probe, "pidfd_open", syscall(SYS_pidfd_open, -1, 0));
}

static bool
probe_close_range(struct probe *probe)
{
	return call_exists(probe, "close_range", syscall(SYS_close_range, ~0U, 0U, 0U));
}

/* A number in a file of /proc, or -1. */
static long long
number_in(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (length <= 0)
		return -1;
	text[length] = '\0';
	return strtoll(text, NULL, 10);
}

static bool
probe_user_namespaces(struct probe *probe)
{
	long long most = number_in("/proc/sys/user/max_user_namespaces");

	if (access("/proc/self/ns/user", F_OK) < 0) {
		found(probe, "the kernel has no user namespaces");
		return false;
	}
	found(probe, "user.max_user_namespaces is %lld", most);
	return most != 0;
}

static bool
probe_namespaces(struct probe *probe)
{
	static const char *const names[] = {"mnt", "pid", "net", "ipc", "uts", "cgroup"};
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (access(path, F_OK) == 0)
			continue;
		found(probe, "the kernel has no %s namespaces", names[i]);
		return false;
	}
	found(probe, "mount, pid, net, ipc, uts and cgroup");
	return true;
}

static bool
probe_seccomp(struct probe *probe)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	bool has = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;

	found(probe, has ? "filters that kill the process" : "%s", strerror(errno));
	return has;
}

static bool
probe_landlock(struct probe *probe)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	if (version < 0)
		found(probe, "%s", strerror(errno));
	else if (version < LANDLOCK_LEAST)
		found(probe, "version %ld lets no file be moved to another directory", version);
	else
		found(probe, "version %ld", version);
	return version >= LANDLOCK_LEAST;
}

static bool
probe_overlay(struct probe *probe)
{
	_cleanup_close_ int fd = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);

	if (fd < 0)
		found(probe, "%s", strerror(errno));
	else
		found(probe, "overlay file systems can be made");
	return fd >= 0;
}

/* For what came with a release of Linux 5 and shows only when something is mounted. */
static bool
since_linux_5(struct probe *probe, int least)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &major, &minor) != 2)
		major = 0;
	found(probe, "Linux %.200s", name.release);
	return major > 5 || (major == 5 && minor >= least);
}

static bool
probe_proc_subset(struct probe *probe)
{
	return since_linux_5(probe, 8);
}

/* mechanisms_probe_disk() looks: it takes a directory. */
static bool
probe_disk(struct probe *probe)
{
	found(probe, "no project quota; layers are bounded in memory");
	return false;
}

static bool
probe_idmapped_layers(struct probe *probe)
{
	return since_linux_5(probe, 19);
}

static bool
probe_capabilities(struct probe *probe)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
	    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	    {CAP_CHOWN, "CAP_CHOWN"},         {CAP_SETUID, "CAP_SETUID"},
	    {CAP_SETGID, "CAP_SETGID"},       {CAP_SETPCAP, "CAP_SETPCAP"},
	    {CAP_KILL, "CAP_KILL"},           {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(needed); i++) {
		if (prctl(PR_CAPBSET_READ, needed[i].cap, 0, 0, 0) == 1)
			continue;
		found(probe, "%s is not in the bounding set", needed[i].name);
		return false;
	}
	found(probe, "all that sandboxes need");
	return true;
}

static bool
probe_nf_tables(struct probe *probe)
{
	bool has = nf_tables_there();

	found(probe, has ? "rules can be asked for" : "no nf_tables in this kernel");
	return has;
}

static const struct mechanism mechanisms[] = {
    {.name = "cgroup-v2",
     .required = true,
     .probe = probe_cgroup,
     .remedy = "mount cgroup2, or name a group that root may write with `cgroup` in agentd.yaml"},
    {.name = "cgroup-kill",
     .required = true,
     .probe = probe_cgroup_kill,
     .remedy = "run Linux 5.14 or later"},
    {.name = "memory",
     .required = true, /* every session has a limit: the manifest's, or that of agentd.yaml */
     .probe = probe_memory,
     .remedy =
	 "give the sessions' cgroup the controller: start scarab-sessions.service, or name in "
	 "`cgroup` a group that has it; boot with cgroup_enable=memory swapaccount=1"},
    {.name = "pids",
     .required = true,
     .probe = probe_pids,
     .remedy =
	 "give the sessions' cgroup the controller: start scarab-sessions.service, or name in "
	 "`cgroup` a group that has it"},
    {.name = "cpu",
     .required = false, /* who asks for cpus or cpu_shares needs it */
     .probe = probe_cpu,
     .remedy =
	 "give the sessions' cgroup the controller: start scarab-sessions.service, or name in "
	 "`cgroup` a group that has it; or remove resources.cpus and cpu_shares"},
    {.name = "clone3",
     .required = true,
     .probe = probe_clone3,
     .remedy = "run Linux 5.7 or later; in a container, allow clone3 in its seccomp profile"},
    {.name = "openat2",
     .required = true,
     .probe = probe_openat2,
     .remedy = "run Linux 5.6 or later; in a container, allow openat2 in its seccomp profile"},
    {.name = "mount-api",
     .required = true,
     .probe = probe_mount_api,
     .remedy = "run Linux 5.12 or later; in a container, allow open_tree and mount_setattr"},
    {.name = "pidfd",
     .required = true,
     .probe = probe_pidfd,
     .remedy = "run Linux 5.3 or later; in a container, allow pidfd_open"},
    {.name = "close-range",
     .required = true,
     .probe = probe_close_range,
     .remedy = "run Linux 5.9 or later; in a container, allow close_range"},
    {.name = "namespaces",
     .required = true,
     .probe = probe_namespaces,
     .remedy = "boot a kernel with all namespaces built in (Debian's is one)"},
    {.name = "user-namespaces",
     .required = true,
     .probe = probe_user_namespaces,
     .remedy = "sysctl -w user.max_user_namespaces=15000"},
    {.name = "proc-subset",
     .required = true,
     .probe = probe_proc_subset,
     .remedy = "run Linux 5.8 or later"},
    {.name = "seccomp",
     .required = true,
     .probe = probe_seccomp,
     .remedy = "boot a kernel with CONFIG_SECCOMP_FILTER"},
    {.name = "capabilities",
     .required = true,
     .probe = probe_capabilities,
     .remedy = "start agentd as root with the capabilities that runnerd(8) lists"},
    {.name = "overlay",
     .required = false, /* homes of mode journal alone need it, and say so */
     .probe = probe_overlay,
     .remedy = "modprobe overlay, or give agents home: {mode: none}"},
    {.name = "idmapped-layers",
     .required = false, /* files of an image dir: appear as nobody's without it */
     .probe = probe_idmapped_layers,
     .remedy = "run Linux 5.19 or later"},
    {.name = "disk",
     .required = false, /* layers are bounded in memory; homes of mode direct ask for it */
     .probe = probe_disk,
     .remedy = "mount the file system of state_dir with prjquota (ext4, xfs)"},
    {.name = "nf-tables",
     .required = false, /* network policy full and wide ranges of ports ask for it */
     .probe = probe_nf_tables,
     .remedy = "modprobe nf_tables and nft_tproxy, or name the hosts and up to 128 ports in a "
	       "network allowlist"},
    {.name = "landlock",
     .required = false,
     .probe = probe_landlock,
     .remedy = "run Linux 5.19 or later with landlock in lsm= on the kernel's command line"},
};

struct mechanisms {
	struct found found[ARRAY_LEN(mechanisms)];
};

struct mechanisms *
mechanisms_probe(const struct cgroups *cgroups, const struct error *why)
{
	struct probe probe = {.cgroups = cgroups, .cgroups_why = why};
	struct mechanisms *all = calloc(1, sizeof(*all));
	size_t i;

	for (i = 0; all && i < ARRAY_LEN(mechanisms); i++) {
		all->found[i].present = mechanisms[i].probe(&probe);
		memcpy(all->found[i].text, probe.found, sizeof(probe.found));
	}
	return all;
}

void
mechanisms_probe_disk(struct mechanisms *all, int dir)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (mechanisms[i].probe != probe_disk || !quota_enforced(dir))
			continue;
		all->found[i].present = true;
		snprintf(all->found[i].text, sizeof(all->found[i].text),
			 "project quotas on the file system of state_dir");
	}
}

void
mechanisms_free(struct mechanisms *all)
{
	free(all);
}

size_t
mechanisms_count(const struct mechanisms *all)
{
	(void)all;
	return ARRAY_LEN(mechanisms);
}

void
mechanism_row(const struct mechanisms *all, size_t index, struct msg *record)
{
	struct msg_mechanism_row *row = &record->mechanism_row;

	msg_init(record, MSG_MECHANISM_ROW);
	snprintf(row->name, sizeof(row->name), "%s", mechanisms[index].name);
	snprintf(row->found, sizeof(row->found), "%s", all->found[index].text);
	snprintf(row->remedy, sizeof(row->remedy), "%s", mechanisms[index].remedy);
	row->present = all->found[index].present;
	row->required = mechanisms[index].required;
}

const char *
mechanism_found(const struct mechanisms *all, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (!strcmp(mechanisms[i].name, name))
			return all->found[i].text;
	return "unknown";
}

bool
mechanism_present(const struct mechanisms *all, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (!strcmp(mechanisms[i].name, name))
			return all->found[i].present;
	return false;
}

static bool
listed(const struct strings *names, const char *name)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		if (!strcmp(names->items[i], name))
			return true;
	return false;
}

bool
mechanism_accepted(const struct strings *degraded, const char *name)
{
	return listed(degraded, name);
}

static bool
known(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (!strcmp(mechanisms[i].name, name))
			return true;
	return false;
}

void
mechanisms_warn(const struct strings *degraded)
{
	size_t i;

	for (i = 0; i < degraded->count; i++)
		if (!known(degraded->items[i]))
			log_warn("degraded: this build has no mechanism %s; ash doctor lists them",
				 degraded->items[i]);
}

static bool
is_wanted(const struct mechanism *mechanism, const char *const wanted[])
{
	if (mechanism->required)
		return true;
	while (*wanted)
		if (!strcmp(*wanted++, mechanism->name))
			return true;
	return false;
}

static void
accept(const char *name, char accepted[MECHANISMS_TEXT_MAX + 1])
{
	size_t length = strlen(accepted);

	snprintf(accepted + length, MECHANISMS_TEXT_MAX + 1 - length, "%s%s", length ? ", " : "",
		 name);
}

int
mechanisms_check(const struct mechanisms *all, const struct strings *degraded,
		 const char *const wanted[], char accepted[MECHANISMS_TEXT_MAX + 1],
		 struct error *error)
{
	size_t i;

	accepted[0] = '\0';
	for (i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (all->found[i].present || !is_wanted(&mechanisms[i], wanted))
			continue;
		if (listed(degraded, mechanisms[i].name)) {
			accept(mechanisms[i].name, accepted);
			continue;
		}
		error_why(error, ERR_FAILED, "the host lacks %s (%s)", mechanisms[i].name,
			  all->found[i].text);
		return error_hint(error, "%s", mechanisms[i].remedy);
	}
	return 0;
}
