#include "disk.h"

#include <string.h>

#include "mechanism.h"

enum disk_means
disk_means(const struct runnerd *r)
{
	if (mechanism_present(r->mechanisms, DISK_MECHANISM))
		return DISK_QUOTA;
	return mechanism_accepted(&r->config->degraded, DISK_MECHANISM) ? DISK_FREE : DISK_MEMORY;
}

int
disk_check(const struct runnerd *r, const struct manifest *plan, struct error *error)
{
	struct effective e;

	policy_effective(plan, r->config, &e);
	if (e.home != HOME_DIRECT || plan->resources.disk == ABSENT || disk_means(r) != DISK_MEMORY)
		return 0;
	error_why(error, ERR_INVALID,
		  "spec.resources.disk of a home of mode direct cannot be enforced: the host lacks "
		  "%s (%s)",
		  DISK_MECHANISM, mechanism_found(r->mechanisms, DISK_MECHANISM));
	return error_hint(error, "mount the file system of state_dir with prjquota, use home mode "
				 "journal, or let root list disk in degraded of agentd.yaml");
}

uint64_t
disk_of_home(const struct effective *e)
{
	return e->home_max_bytes && e->home_max_bytes < e->disk ? e->home_max_bytes : e->disk;
}
