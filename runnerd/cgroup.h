/*
 * One session's cgroups. On v2 BASE/ID with the leaves `runtime` (keeper, builder) and `agent`:
 * membership, kill, the news that a group is empty, and limits where v2 has the controllers. Where
 * a controller is on v1, the same leaves are in its hierarchy too, and processes enter them by
 * themselves before they do anything (struct cgroup_entry).
 *
 * runnerd alone makes and writes them; nothing inside a sandbox has a file of theirs.
 */
#ifndef SCARAB_RUNNERD_CGROUP_H
#define SCARAB_RUNNERD_CGROUP_H

#include "cgroup_host.h"
#include "common/proto.h"

/* What a session may use; ABSENT: as much as there is. */
struct cgroup_limits {
	uint64_t memory_bytes; /* of the agent's leaf, file cache and tmpfs included; no swap */
	uint64_t pids;         /* processes and threads of the agent's leaf */
	uint64_t cpus_milli;   /* CPU time in thousandths of a CPU */
	uint64_t cpu_shares;   /* of the whole session beside others: 1024 is as much as any */
};

/* What a new process is put into: the v2 leaf by clone3, then the `tasks` file of each v1 leaf, to
 * which it writes "0" itself while it has one thread: that alone takes no lock of all processes
 * (Linux 5.5, cgroup_procs_write_start()), where writing its pid waits for RCU. */
struct cgroup_entry {
	unsigned count;
	int fds[HIERARCHIES_MAX]; /* the first is v2's */
};

struct session_cgroup {
	char *paths[HIERARCHIES_MAX]; /* below the root of each hierarchy; they survive a new base.
				       * NULL: the session has no group there */
	int dir, runtime, agent;      /* v2 directories */
	int events;                   /* cgroup.events of dir: EPOLLPRI when it fills or empties */
};
#define SESSION_CGROUP_INIT                                                                        \
	{                                                                                          \
		.dir = -1, .runtime = -1, .agent = -1, .events = -1                                \
	}

/* The paths that a session of this name with such limits has; before anything is made, for the
 * journal. 0 or -ENOMEM. */
int cgroup_name(const struct cgroups *cgroups, const char *name, const struct cgroup_limits *limits,
		struct session_cgroup *cgroup);
/* The v1 paths, by controller; false: there is none. And back, for what an earlier runnerd made:
 * v2 is the path in the journal's first record. 0 or -ENOMEM. */
bool cgroup_to_journal(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
		       struct msg_journal_groups *groups);
int cgroup_from_journal(const struct cgroups *cgroups, const char *v2,
			const struct msg_journal_groups *groups, struct session_cgroup *cgroup);

/* Makes the named groups with their leaves, and writes the limits. A limit whose controller this
 * host lacks is left out: mechanisms_check() has asked root. 0, or -1 with error. */
int cgroup_create(struct cgroups *cgroups, const struct cgroup_limits *limits,
		  struct session_cgroup *cgroup, struct error *error);
/* Opens what is left of the named groups; 0 also when nothing is. */
int cgroup_find(struct cgroups *cgroups, struct session_cgroup *cgroup);
/* How to enter a leaf. The caller closes the descriptors. 0 or -errno. */
int cgroup_enter_runtime(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
			 struct cgroup_entry *entry);
int cgroup_enter_agent(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
		       struct cgroup_entry *entry);
/* Makes one more leaf, of a plugin, with the limits of the agent's. name: plugin-NAME. 0, or -1
 * with error. */
int cgroup_enter_plugin(const struct cgroups *cgroups, const struct cgroup_limits *limits,
			const struct session_cgroup *cgroup, const char *name,
			struct cgroup_entry *entry, struct error *error);
void cgroup_entry_close(struct cgroup_entry *entry);

/* For the keeper, which closes them as its own: [0] the file in whose line "oom_kill N" the kernel
 * counts whom it killed in the agent's leaf; [1] on v1 an eventfd that tells of the next one, where
 * v2 kills the leaf as a whole by itself (memory.oom.group). -1: there is none. 0 or -errno. */
int cgroup_watch_oom(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
		     int fds[2]);
/* What the whole session, plugins and runtime included, has used of CPUs, and what the agent's leaf
 * has of memory now; -1: not known. */
struct cgroup_sample {
	int64_t cpu_us, memory_bytes;
};
struct cgroup_sample cgroup_sampled(const struct cgroups *cgroups,
				    const struct session_cgroup *cgroup);
/* What the agent's leaf has used; -1 where it is not known. */
struct cgroup_use {
	int64_t cpu_ms, peak_memory_bytes;
};
struct cgroup_use cgroup_used(const struct cgroups *cgroups, const struct session_cgroup *cgroup);

/* SIGKILL to everything in the directory's subtree. -1: nothing to do. 0 or -errno. */
int cgroup_kill(int dir);
/* The same to everything but the keeper's leaf; true while something of it is left. */
bool cgroup_kill_sandboxes(const struct session_cgroup *cgroup);
/* Does a process live in it? False for a group that is not there. */
bool cgroup_populated(const struct session_cgroup *cgroup);
/* rmdir of leaves and groups; everything is closed. 0, -EBUSY while something lives in it. */
int cgroup_remove(const struct cgroups *cgroups, struct session_cgroup *cgroup);
/* Closes the descriptors and forgets the paths. */
void cgroup_close(struct session_cgroup *cgroup);

#endif
