#include "cgroup_limits.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

enum {
	VALUE_MAX = 48,
	/* Keeper and builder, and what of a log that lies on a tmpfs is theirs: three segments. */
	/* The keeper, the broker: 128 MiB of buffers, 64 of definitions (runnerd/broker), and the
	 * egress process: 16 MiB of names, connections and their first bytes (runnerd/egress). */
	RUNTIME_MEMORY_BYTES = 320 << 20,
	/* Keeper, broker; for each sandbox a builder and, until it is in its own leaf, its first
	 * process. */
	RUNTIME_PIDS = 8 + 2 * (1 + SERVERS_MAX),
	CPU_PERIOD_US = 100000, /* the kernel's default */
	CPU_QUOTA_LEAST_US =
	    1000, /* the kernel's least: min_cfs_quota_period, kernel/sched/core.c */
	SHARES_DEFAULT = 1024,
	WEIGHT_DEFAULT = 100,
	WEIGHT_MOST = 10000,
};

/* Writes the value; false: this session has none. */
typedef bool value_fn(const struct cgroup_limits *limits, char text[VALUE_MAX]);

static bool
number(uint64_t value, char text[VALUE_MAX])
{
	snprintf(text, VALUE_MAX, "%llu", (unsigned long long)value);
	return value != ABSENT;
}

static bool
memory(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	return number(limits->memory_bytes, text);
}

static bool
memory_zero(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	snprintf(text, VALUE_MAX, "0");
	return limits->memory_bytes != ABSENT;
}

static bool
memory_one(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	snprintf(text, VALUE_MAX, "1");
	return limits->memory_bytes != ABSENT;
}

static bool
runtime_memory(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	snprintf(text, VALUE_MAX, "%d", RUNTIME_MEMORY_BYTES);
	return limits->memory_bytes != ABSENT;
}

static bool
pids(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	return number(limits->pids, text);
}

static bool
runtime_pids(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	snprintf(text, VALUE_MAX, "%d", RUNTIME_PIDS);
	return limits->pids != ABSENT;
}

static bool
shares(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	return number(limits->cpu_shares, text);
}

/* The kernel's own relation of the two, cpu_weight_write_u64() in kernel/sched/core.c: weight 100
 * is 1024 shares, and in proportion. So a host's version changes nothing but at the ends. */
static bool
weight(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	uint64_t value = limits->cpu_shares;

	if (value == ABSENT)
		return false;
	value = (value * WEIGHT_DEFAULT + SHARES_DEFAULT / 2) / SHARES_DEFAULT;
	if (value < 1)
		value = 1;
	return number(value > WEIGHT_MOST ? WEIGHT_MOST : value, text);
}

static uint64_t
quota_us(const struct cgroup_limits *limits)
{
	uint64_t quota = limits->cpus_milli * (CPU_PERIOD_US / 1000);

	return quota < CPU_QUOTA_LEAST_US ? CPU_QUOTA_LEAST_US : quota;
}

static bool
quota(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	return limits->cpus_milli != ABSENT && number(quota_us(limits), text);
}

static bool
period(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	snprintf(text, VALUE_MAX, "%d", CPU_PERIOD_US);
	return limits->cpus_milli != ABSENT;
}

static bool
quota_and_period(const struct cgroup_limits *limits, char text[VALUE_MAX])
{
	snprintf(text, VALUE_MAX, "%llu %d", (unsigned long long)quota_us(limits), CPU_PERIOD_US);
	return limits->cpus_milli != ABSENT;
}

struct setting {
	enum controller controller;
	bool unified;
	enum cgroup_part part;
	const char *file;
	value_fn *value;
	bool unless_absent; /* a kernel that never swaps has no such file */
};

#define V1(NAME, where, name, how)                                                                 \
	{                                                                                          \
		.controller = CONTROLLER_##NAME, .part = PART_##where, .file = (name),             \
		.value = (how)                                                                     \
	}
#define V2(NAME, where, name, how)                                                                 \
	{                                                                                          \
		.controller = CONTROLLER_##NAME, .unified = true, .part = PART_##where,            \
		.file = (name), .value = (how)                                                     \
	}
#define V1_SWAP(where, name, how)                                                                  \
	{                                                                                          \
		.controller = CONTROLLER_MEMORY, .part = PART_##where, .file = (name),             \
		.value = (how), .unless_absent = true                                              \
	}
#define V2_SWAP(where, name, how)                                                                  \
	{                                                                                          \
		.controller = CONTROLLER_MEMORY, .unified = true, .part = PART_##where,            \
		.file = (name), .value = (how), .unless_absent = true                              \
	}

/* In the order of writing: memory.memsw.limit_in_bytes may not be below memory.limit_in_bytes. */
static const struct setting settings[] = {
    V2(MEMORY, AGENT, "memory.max", memory),
    V2_SWAP(AGENT, "memory.swap.max", memory_zero),
    V2(MEMORY, AGENT, "memory.oom.group", memory_one),
    V2(MEMORY, RUNTIME, "memory.max", runtime_memory),
    V2_SWAP(RUNTIME, "memory.swap.max", memory_zero),
    V2(PIDS, AGENT, "pids.max", pids),
    V2(PIDS, RUNTIME, "pids.max", runtime_pids),
    V2(CPU, SESSION, "cpu.weight", weight),
    V2(CPU, AGENT, "cpu.max", quota_and_period),
    V1(MEMORY, AGENT, "memory.limit_in_bytes", memory),
    V1_SWAP(AGENT, "memory.memsw.limit_in_bytes", memory),
    V1(MEMORY, AGENT, "memory.swappiness", memory_zero),
    V1(MEMORY, RUNTIME, "memory.limit_in_bytes", runtime_memory),
    V1_SWAP(RUNTIME, "memory.memsw.limit_in_bytes", runtime_memory),
    V1(PIDS, AGENT, "pids.max", pids),
    V1(PIDS, RUNTIME, "pids.max", runtime_pids),
    V1(CPU, SESSION, "cpu.shares", shares),
    V1(CPU, AGENT, "cpu.cfs_period_us", period),
    V1(CPU, AGENT, "cpu.cfs_quota_us", quota),
};

bool
limits_concern(enum controller controller, enum cgroup_part part,
	       const struct cgroup_limits *limits)
{
	char text[VALUE_MAX];

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (settings[i].controller == controller && settings[i].part == part &&
		    settings[i].value(limits, text))
			return true;
	return false;
}

int
limits_write(const struct hierarchy *hierarchy, enum cgroup_part part, int dir,
	     const struct cgroup_limits *limits, struct error *error)
{
	char text[VALUE_MAX];
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *setting = &settings[i];

		if (setting->unified != hierarchy->unified || setting->part != part ||
		    !(hierarchy->controllers & (1U << setting->controller)) ||
		    !setting->value(limits, text))
			continue;
		rc = group_write(dir, setting->file, text);
		if (rc < 0 && !(rc == -ENOENT && setting->unless_absent))
			return error_errno(error, -rc, "writing %s to %s of the session's cgroup",
					   text, setting->file);
	}
	return 0;
}
