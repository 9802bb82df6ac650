#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "attributes.h"
#include "builder_seed.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "init.h"
#include "namespaces.h"

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* Of the new user namespace: what init needs until the agent runs. */
static const uint64_t init_caps = CAP(KILL) | CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP);

enum { INIT_FDS_HIGH = 96 /* above every fixed descriptor and the builder's own */ };

/* An image's overlay stays as it is: what is written to it ends with the session. */
static int
pivot(int root, bool writable)
{
	struct mount_attr attributes = {.attr_set = ROOT_ATTRIBUTES_SEALED};

	if (!writable &&
	    mount_setattr(root, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return -errno;
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

int
seed_enter_root(struct seed *seed, struct error *error)
{
	const char *name = seed->begin->hostname;
	int rc;

	if (sethostname(name, strlen(name)) < 0)
		return error_errno(error, errno, "sethostname %s", name);
	rc = pivot(seed->root, seed->image);
	if (rc < 0)
		return error_errno(error, -rc, "entering the new root (mount_setattr, pivot_root)");
	return 0;
}

/* --- giving up -------------------------------------------------------------------------------- */

/* What is counted per user (inotify instances, pending signals, further namespaces) is counted for
 * the namespace's owner too. As root's, one agent could use up what root's programs and all other
 * sessions need. The capabilities stay: some kernels let nobody else make user namespaces. */
static int
become_owner(uint32_t base, struct error *error)
{
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
		return error_errno(error, errno, "PR_SET_SECUREBITS");
	if (setresuid((uid_t)-1, base, (uid_t)-1) < 0)
		return error_errno(error, errno, "setresuid to the namespace's owner");
	return 0;
}

/* From here on nothing inside owns any other namespace. */
static int
enter_user_namespace(const struct seed *seed, struct error *error)
{
	struct msg msg;
	int rc;

	if (become_owner(seed->begin->base_uid, error) < 0)
		return -1;
	if (unshare(NAMESPACES_LAST) < 0) {
		error_errno(error, errno, "unshare(CLONE_NEWUSER)");
		return error_hint(error, "user namespaces must be allowed: "
					 "sysctl user.max_user_namespaces");
	}
	msg_init(&msg, MSG_SEED_UNSHARED);
	rc = msg_send(seed->gate, CH_INIT, SIDE_B, IN_SETUP, &msg);
	if (rc < 0)
		return error_errno(error, -rc, "asking for the id maps");
	rc = msg_recv(seed->gate, CH_INIT, SIDE_B, IN_SETUP, &msg, -1);
	if (rc == 0)
		_exit(0);
	return rc < 0 ? error_errno(error, -rc, "waiting for the id maps") : 0;
}

/* A kernel without keyrings has nothing to part from. */
static int
part_keyring(struct error *error)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return error_errno(error, errno, "keyctl(KEYCTL_JOIN_SESSION_KEYRING)");
	return 0;
}

/* What base is inside: root, unless the agent has changed places with it (runnerd/id_map.h). */
static uint32_t
inner(uint32_t agent)
{
	return agent == 0 ? AGENT_UID : 0;
}

static int
become_inner_root(const struct msg_sandbox_begin *begin, struct error *error)
{
	uid_t uid = inner(begin->uid);
	gid_t gid = inner(begin->gid);

	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return error_errno(error, errno, "becoming root of the user namespace");
	return part_keyring(error);
}

/* Who is not called root inside keeps its capabilities through an exec only so. */
static int
keep_through_exec(const struct msg_sandbox_begin *begin)
{
	return inner(begin->uid) == 0 ? 0 : confine_ambient(init_caps);
}

int
seed_drop(struct seed *seed, struct error *error)
{
	int rc;

	if (enter_user_namespace(seed, error) < 0 || become_inner_root(seed->begin, error) < 0)
		return error_what(error, "entering the user namespace");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(error, errno, "no_new_privs");
	rc = confine_bounding(init_caps);
	if (rc == 0)
		rc = confine_caps(init_caps);
	if (rc == 0)
		rc = keep_through_exec(seed->begin);
	return rc < 0 ? error_errno(error, -rc, "dropping the capabilities of init") : 0;
}

/* Every source is moved out of the way before the first fixed number is taken. */
static int
fix_descriptors(const struct seed *seed, int *init)
{
	int fixed[INIT_FD_END] = {
	    [0] = seed->fds->stdio[0],
	    [1] = seed->fds->stdio[1],
	    [2] = seed->fds->stdio[2],
	    [INIT_FD_KEEPER] = seed->gate,
	    [INIT_FD_SPEC] = seed->sealed[SEAL_SPEC],
	    [INIT_FD_AGENT_PROGRAM] = seed->sealed[SEAL_AGENT_PROGRAM],
	    [INIT_FD_OWN_PROGRAM] = seed->sealed[SEAL_OWN_PROGRAM],
	};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		fixed[i] = fcntl(fixed[i], F_DUPFD_CLOEXEC, INIT_FDS_HIGH);
		if (fixed[i] < 0)
			return -1;
	}
	*init = fcntl(seed->fds->init, F_DUPFD_CLOEXEC, INIT_FDS_HIGH);
	if (*init < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (dup2(fixed[i], (int)i) < 0)
			return -1;
	return close_range(INIT_FD_END, ~0U, CLOSE_RANGE_CLOEXEC);
}

int
seed_become_init(struct seed *seed, struct error *error)
{
	static char name[] = "init";
	char *argv[] = {name, NULL}, *envp[] = {NULL};
	int init;

	if (fix_descriptors(seed, &init) < 0)
		return error_errno(error, errno, "arranging the descriptors of init");
	seed->gate = INIT_FD_KEEPER;
	execveat(init, "", argv, envp, AT_EMPTY_PATH);
	return error_errno(error, errno, "execveat of init");
}
