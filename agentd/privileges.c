/* What agentd keeps of root, and why: the bounding set of everything that it starts. */
#include <linux/capability.h>
#include <sys/prctl.h>

#include "agentd.h"
#include "common/cleanup.h"
#include "common/confine.h"

static const struct {
	int number;
	const char *name, *use;
} kept[] = {
    {CAP_CHOWN, "CAP_CHOWN", "directories of daemons and homes of agents"},
    {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "files of agents and daemons"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "context that only root may read"},
    {CAP_FOWNER, "CAP_FOWNER", "modes of files of agents"},
    {CAP_FSETID, "CAP_FSETID", "modes of files of agents"},
    {CAP_KILL, "CAP_KILL", "ending processes of other users"},
    {CAP_SETGID, "CAP_SETGID", "groups of daemons and agents"},
    {CAP_SETUID, "CAP_SETUID", "users of daemons and agents"},
    {CAP_SETPCAP, "CAP_SETPCAP", "emptying bounding sets"},
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "namespaces and mounts of sandboxes"},
    {CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "private roots of daemons"},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", "networks of sandboxes"},
    {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", "ports of sandboxes"},
    {CAP_MKNOD, "CAP_MKNOD", "devices of sandboxes"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "namespaces of sandboxes, opened for reading"},
};

int
privileges_drop(struct error *error)
{
	struct confinement c = CONFINEMENT_INIT;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		c.keep_caps |= UINT64_C(1) << kept[i].number;
		if (prctl(PR_CAPBSET_READ, kept[i].number, 0, 0, 0) == 1)
			continue;
		error_why(error, ERR_PERMISSION, "%s is missing, needed for %s", kept[i].name,
			  kept[i].use);
		return error_hint(error, "let the unit, container or parent process keep it");
	}
	return confine(&c, error);
}
