/* identity: who the agent is inside, and its home. */
#include <stdarg.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runnerd/agent_files.h"
#include "runnerd/disk.h"
#include "runnerd/fs.h"
#include "runnerd/home/layout.h"
#include "runnerd/homes.h"
#include "runnerd/layers.h"
#include "runnerd/mounts.h"
#include "runnerd/overlay.h"
#include "runnerd/quota.h"
#include "steps.h"

enum { ETC_FILE_MAX = 1024 };

static void __attribute__((format(printf, 3, 4)))
etc_file(struct session *s, const char *path, const char *fmt, ...)
{
	char text[ETC_FILE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	recipe_file(&s->recipe, path, 0444, text, strlen(text));
}

/* Stable for an agent on this host, and nothing about either: two rounds of FNV-1a. */
static void
machine_id(const struct session *s, char *text)
{
	uint64_t half[2] = {UINT64_C(0xcbf29ce484222325), UINT64_C(0x84222325cbf29ce4)};
	const char *at;
	int i;

	for (i = 0; i < 2; i++) {
		half[i] = (half[i] ^ s->base_uid) * UINT64_C(0x100000001b3);
		for (at = s->agent_name; *at; at++)
			half[i] = (half[i] ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
	}
	snprintf(text, 33, "%016llx%016llx", (unsigned long long)half[0],
		 (unsigned long long)half[1]);
}

void
identity_etc(struct session *s, uint32_t uid, const char *home)
{
	const struct recipe *ids = &s->recipe;
	char id[33], plugin[64] = "", agent[128];
	bool is_root = ids->uid == 0;

	snprintf(agent, sizeof(agent), "agent:x:%u:%u:agent:%s:/bin/sh\n", ids->uid, ids->gid,
		 home);
	if (uid != AGENT_UID)
		snprintf(plugin, sizeof(plugin), "plugin:x:%u:%u:plugin:%s:/bin/sh\n", uid, uid,
			 home);

	machine_id(s, id);
	etc_file(s, "/etc/passwd",
		 "%sroot:x:0:0:root:/:/usr/sbin/nologin\n%s"
		 "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n%s",
		 is_root ? agent : "", is_root ? "" : agent, plugin);
	etc_file(s, "/etc/group", "root:x:0:\ntty:x:5:\nagent:x:%u:\nnogroup:x:65534:\n", ids->gid);
	etc_file(s, "/etc/hosts",
		 "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t%s\n",
		 s->agent_name);
	etc_file(s, "/etc/hostname", "%s\n", s->agent_name);
	etc_file(s, "/etc/machine-id", "%s\n", id);
	etc_file(s, "/etc/nsswitch.conf",
		 "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
		 "networks: files\nprotocols: files\nservices: files\n");
}

static void
home_tmpfs(struct session *s)
{
	const struct recipe_tmpfs home = {.path = "/home/agent",
					  .mode = 0700,
					  .owner = AGENT_UID,
					  .bytes = s->effective.disk,
					  .inodes = layers_inodes(s->effective.disk)};
	char path[PATH_LEN_MAX + 1];
	size_t i;

	recipe_tmpfs(&s->recipe, &home);
	for (i = 0; i < agent_home_file_count; i++) {
		snprintf(path, sizeof(path), "/home/agent/%s", agent_home_files[i].name);
		recipe_file(&s->recipe, path, 0444, agent_home_files[i].text,
			    strlen(agent_home_files[i].text));
	}
}

static int
no_home(struct session *s, struct error *error)
{
	home_tmpfs(s);
	s->home_lock = memfd_sealed("no-home", "", 0);
	return s->home_lock < 0 ? error_errno(error, -s->home_lock, "memfd_create") : 0;
}

/* A home is the project's from its beginning, so that all of it is counted. */
static int
enter_project(struct session *s, const struct home *home, struct error *error)
{
	int rc = 0;

	if (disk_means(s->r) == DISK_QUOTA && dir_is_empty(home->tree))
		rc = quota_enter(home->tree, s->base_uid);
	return rc < 0 ? error_errno(error, -rc, "entering the home into its disk quota") : 0;
}

static int
limit_direct(struct session *s, const struct home *home, struct error *error)
{
	int rc;

	if (disk_means(s->r) != DISK_QUOTA)
		return 0;
	if (!quota_holds(home->tree, s->base_uid)) {
		error_why(error, ERR_FAILED,
			  "the home of %s is older than the disk quota: its files are not counted",
			  s->agent_name);
		return error_hint(error,
				  "chattr -R -p %u +P on STATE_DIR/homes/%s/home counts them",
				  s->base_uid, s->agent_name);
	}
	rc = quota_allow(home->tree, s->base_uid, s->effective.disk,
			 layers_inodes(s->effective.disk));
	return rc < 0 ? error_errno(error, -rc, "setting the disk quota") : 0;
}

static int
direct_home(struct session *s, const struct home *home, struct error *error)
{
	int mount, rc = home_note_direct(home);

	if (rc < 0)
		return error_errno(error, -rc, "noting that the home is written directly");
	if (limit_direct(s, home, error) < 0)
		return -1;
	mount = mount_detached(home->tree, MOUNT_HOME);
	if (mount < 0)
		return error_errno(error, -mount, "open_tree of the home");
	recipe_mount(&s->recipe, "/home/agent", mount, true);
	return 0;
}

/* The layer in memory, which the sandbox mounts upon a view of the home. */
static int
memory_home(struct session *s, const struct home *home, struct error *error)
{
	int layers = session_layers(s, error), lower;

	if (layers < 0 || home_layer_in_memory(home, &s->id, layers, error) < 0)
		return -1;
	s->home_in_memory = true;
	lower = mount_detached(home->tree, MOUNT_LOWER);
	if (lower < 0)
		return error_errno(error, -lower, "open_tree of the home");
	recipe_overlay(&s->recipe, "/home/agent", HOME_LAYER, lower);
	return 0;
}

static int
disk_home(struct session *s, const struct home *home, struct error *error)
{
	const struct home_limit limit = {.project = s->base_uid,
					 .bytes = disk_of_home(&s->effective)};
	int mount =
	    home_layer_mount(home, &s->id, disk_means(s->r) == DISK_QUOTA ? &limit : NULL, error);

	if (mount < 0)
		return -1;
	recipe_mount(&s->recipe, "/home/agent", mount, true);
	return 0;
}

static int
journal_home(struct session *s, const struct home *home, struct error *error)
{
	return disk_means(s->r) == DISK_MEMORY ? memory_home(s, home, error)
					       : disk_home(s, home, error);
}

/* Written below a session's layer: they are the home's from the beginning, not a session's change.
 * An agent does its work without them. */
static void
greet_agent(const struct session *s, const struct home *home)
{
	int rc = agent_files_write(home->tree, s->base_uid + AGENT_UID);

	if (rc < 0)
		log_session(LOG_LEVEL_WARNING, &s->id, "writing AGENTS.md into a new home: %s",
			    strerror(-rc));
}

static int
lasting_home(struct session *s, struct error *error)
{
	_cleanup_(home_close) struct home home = HOME_INIT;
	int rc = home_open(s->r->at.homes, s->agent_name, s->base_uid, &home, error);

	if (rc < 0 || enter_project(s, &home, error) < 0)
		return -1;
	greet_agent(s, &home);
	rc = s->effective.home == HOME_DIRECT ? direct_home(s, &home, error)
					      : journal_home(s, &home, error);
	s->home_lock = steal_fd(&home.lock);
	return rc;
}

int
identity_build(struct session *s, struct error *error)
{
	identity_etc(s, AGENT_UID, AGENT_HOME);
	return s->effective.home == HOME_NONE ? no_home(s, error) : lasting_home(s, error);
}

int
identity_explain(struct session *s, struct error *error)
{
	char tree[PATH_LEN_MAX + 1];

	(void)error;
	identity_etc(s, AGENT_UID, AGENT_HOME);
	snprintf(tree, sizeof(tree), "%.3900s/homes/%s/%s", s->r->config->state_dir, s->agent_name,
		 HOME_TREE);
	if (s->effective.home == HOME_NONE)
		home_tmpfs(s);
	else if (s->effective.home == HOME_DIRECT)
		recipe_explain(&s->recipe, "/home/agent", tree, "bind",
			       mount_attributes(MOUNT_HOME));
	else
		recipe_explain(&s->recipe, "/home/agent", tree, "overlay", OVERLAY_ATTRIBUTES);
	return 0;
}

/* The keeper's copy of the lock went with the keeper. */
int
identity_undo(struct session *s)
{
	close_fd(&s->home_lock);
	return home_settle_session(s);
}
