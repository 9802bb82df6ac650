#include "recipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/manifest.h"
#include "sandbox/attributes.h"

enum {
	ROOT_BYTES = 16 << 20, /* the root's own tmpfs: directories, /etc, mission.json */
	ROOT_INODES = 8192,
};

/* --- telling instead of building ---------------------------------------------------------------
 */

static void
tell_flags(struct facts *facts, uint64_t attributes)
{
	static const struct {
		uint64_t attribute;
		const char *word;
	} words[] = {
	    {MOUNT_ATTR_NOSUID, "nosuid"},
	    {MOUNT_ATTR_NODEV, "nodev"},
	    {MOUNT_ATTR_NOEXEC, "noexec"},
	};

	fact_item(facts, "flags", attributes & MOUNT_ATTR_RDONLY ? "ro" : "rw");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (attributes & words[i].attribute)
			fact_item(facts, "flags", words[i].word);
}

static void
tell_mount(struct facts *facts, const char *path, const char *source, const char *type,
	   uint64_t attributes, uint64_t bytes)
{
	facts_entry(facts, "mounts");
	fact_text(facts, "target", path);
	fact_text(facts, "source", source);
	fact_text(facts, "type", type);
	tell_flags(facts, attributes);
	fact_bytes(facts, "size_bytes", bytes);
}

/* What a message of the recipe comes to; views and what has no type of its own are told by who
 * knows their source. */
static void
tell(struct facts *facts, const struct msg *msg)
{
	const struct msg_sandbox_tmpfs *tmpfs = &msg->sandbox_tmpfs;

	switch ((unsigned)msg->type) {
	case MSG_SANDBOX_BEGIN:
		tell_mount(facts, "/", "tmpfs", "tmpfs", ROOT_ATTRIBUTES | ROOT_ATTRIBUTES_SEALED,
			   msg->sandbox_begin.root_bytes);
		break;
	case MSG_SANDBOX_TMPFS:
		tell_mount(facts, tmpfs->path, "tmpfs", "tmpfs",
			   TMPFS_ATTRIBUTES | (tmpfs->noexec ? TMPFS_ATTRIBUTES_NOEXEC : 0),
			   tmpfs->size_bytes);
		break;
	case MSG_SANDBOX_PROC:
		tell_mount(facts, msg->sandbox_proc.path, "proc", "proc", PROC_ATTRIBUTES, ABSENT);
		break;
	case MSG_SANDBOX_DEVPTS:
		tell_mount(facts, msg->sandbox_devpts.path, "devpts", "devpts", DEVPTS_ATTRIBUTES,
			   ABSENT);
		break;
	default:
		break;
	}
}

void
recipe_explain(struct recipe *recipe, const char *path, const char *source, const char *type,
	       uint64_t attributes)
{
	tell_mount(recipe->facts, path, source, type, attributes, ABSENT);
}

/* --- building ----------------------------------------------------------------------------------
 */

static void
emit(struct recipe *recipe, struct msg *msg)
{
	int rc;

	if (recipe->facts) {
		tell(recipe->facts, msg);
		msg_close_fds(msg);
		return;
	}
	if (recipe->failure) {
		msg_close_fds(msg);
		return;
	}
	rc = channel_send(recipe->builder, msg);
	if (rc < 0)
		recipe->failure = rc;
}

static void
set_path(struct recipe *recipe, char *to, const char *path)
{
	if (snprintf(to, PATH_LEN_MAX + 1, "%s", path) > PATH_LEN_MAX)
		recipe->failure = -ENAMETOOLONG;
}

static void
add_fd(struct recipe *recipe, struct msg *msg, int fd)
{
	if (fd < 0)
		recipe->failure = fd;
	else if (!msg_add_fd(msg, fd))
		recipe->failure = -E2BIG;
}

static int
copy_of(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

void
recipe_begin(struct recipe *recipe, const char *name, unsigned place, const char *hostname,
	     const struct cgroup_entry *entry)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_BEGIN);
	snprintf(msg.sandbox_begin.name, sizeof(msg.sandbox_begin.name), "%s", name);
	snprintf(msg.sandbox_begin.hostname, sizeof(msg.sandbox_begin.hostname), "%s", hostname);
	msg.sandbox_begin.place = (uint8_t)place;
	msg.sandbox_begin.base_uid = recipe->base_uid;
	msg.sandbox_begin.uid = recipe->uid;
	msg.sandbox_begin.gid = recipe->gid;
	msg.sandbox_begin.root_bytes = ROOT_BYTES;
	msg.sandbox_begin.root_inodes = ROOT_INODES;
	for (unsigned i = 0; i < entry->count; i++)
		add_fd(recipe, &msg, copy_of(entry->fds[i]));
	emit(recipe, &msg);
}

void
recipe_dir(struct recipe *recipe, const char *path, uint32_t mode, uint32_t owner)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_DIR);
	set_path(recipe, msg.sandbox_dir.path, path);
	msg.sandbox_dir.mode = mode;
	msg.sandbox_dir.uid = msg.sandbox_dir.gid = recipe->base_uid + owner;
	emit(recipe, &msg);
}

void
recipe_file(struct recipe *recipe, const char *path, uint32_t mode, const char *text, size_t length)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_FILE);
	set_path(recipe, msg.sandbox_file.path, path);
	msg.sandbox_file.mode = mode;
	msg.sandbox_file.uid = msg.sandbox_file.gid = recipe->base_uid;
	if (length <= sizeof(msg.sandbox_file.content)) {
		memcpy(msg.sandbox_file.content, text, length);
		msg.sandbox_file.content_len = (uint32_t)length;
	} else {
		add_fd(recipe, &msg, memfd_sealed("file", text, length));
	}
	emit(recipe, &msg);
}

void
recipe_file_of(struct recipe *recipe, const char *path, uint32_t mode, int memfd)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_FILE);
	set_path(recipe, msg.sandbox_file.path, path);
	msg.sandbox_file.mode = mode;
	msg.sandbox_file.uid = msg.sandbox_file.gid = recipe->base_uid;
	add_fd(recipe, &msg, memfd);
	emit(recipe, &msg);
}

void
recipe_link(struct recipe *recipe, const char *path, const char *target)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_LINK);
	set_path(recipe, msg.sandbox_link.path, path);
	set_path(recipe, msg.sandbox_link.target, target);
	emit(recipe, &msg);
}

void
recipe_home_link(struct recipe *recipe, const char *path, const char *target)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_HOME_LINK);
	set_path(recipe, msg.sandbox_home_link.path, path);
	set_path(recipe, msg.sandbox_home_link.target, target);
	msg.sandbox_home_link.uid = msg.sandbox_home_link.gid = recipe->base_uid + AGENT_UID;
	emit(recipe, &msg);
}

void
recipe_tmpfs(struct recipe *recipe, const struct recipe_tmpfs *tmpfs)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_TMPFS);
	set_path(recipe, msg.sandbox_tmpfs.path, tmpfs->path);
	msg.sandbox_tmpfs.mode = tmpfs->mode;
	msg.sandbox_tmpfs.uid = msg.sandbox_tmpfs.gid = recipe->base_uid + tmpfs->owner;
	msg.sandbox_tmpfs.size_bytes = tmpfs->bytes;
	msg.sandbox_tmpfs.inodes = tmpfs->inodes;
	msg.sandbox_tmpfs.noexec = tmpfs->noexec;
	emit(recipe, &msg);
}

void
recipe_mount(struct recipe *recipe, const char *path, int mount, bool directory)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_MOUNT);
	set_path(recipe, msg.sandbox_mount.path, path);
	msg.sandbox_mount.directory = directory;
	add_fd(recipe, &msg, mount);
	emit(recipe, &msg);
}

int
recipe_view(struct recipe *recipe, int source, const char *name, const char *path,
	    enum mount_use use, bool directory)
{
	int mount;

	if (recipe->facts) {
		recipe_explain(recipe, path, name, "bind", mount_attributes(use));
		return 0;
	}
	mount = mount_detached(source, use);
	if (mount < 0)
		return mount;
	recipe_mount(recipe, path, mount, directory);
	return 0;
}

void
recipe_layers(struct recipe *recipe, int mount)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_LAYERS);
	add_fd(recipe, &msg, mount);
	emit(recipe, &msg);
}

void
recipe_lowers(struct recipe *recipe, int *mounts, size_t count)
{
	struct msg msg;

	while (count) {
		msg_init(&msg, MSG_SANDBOX_LOWER);
		for (; count && msg.nfds < PROTO_FDS_MAX; count--)
			add_fd(recipe, &msg, steal_fd(mounts++));
		emit(recipe, &msg);
	}
}

void
recipe_overlay(struct recipe *recipe, const char *path, const char *layer, int lower)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_OVERLAY);
	set_path(recipe, msg.sandbox_overlay.path, path);
	snprintf(msg.sandbox_overlay.layer, sizeof(msg.sandbox_overlay.layer), "%s", layer);
	add_fd(recipe, &msg, lower);
	emit(recipe, &msg);
}

void
recipe_share(struct recipe *recipe, const char *path, unsigned place)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_SHARE);
	set_path(recipe, msg.sandbox_share.path, path);
	msg.sandbox_share.place = (uint8_t)place;
	emit(recipe, &msg);
}

void
recipe_proc(struct recipe *recipe, const char *path)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_PROC);
	set_path(recipe, msg.sandbox_proc.path, path);
	emit(recipe, &msg);
}

void
recipe_devpts(struct recipe *recipe, const char *path)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_DEVPTS);
	set_path(recipe, msg.sandbox_devpts.path, path);
	emit(recipe, &msg);
}

void
recipe_seal(struct recipe *recipe, int spec, int agent_program, int init_program)
{
	struct msg msg;

	msg_init(&msg, MSG_SANDBOX_SEAL);
	add_fd(recipe, &msg, spec);
	add_fd(recipe, &msg, copy_of(agent_program));
	add_fd(recipe, &msg, copy_of(init_program));
	emit(recipe, &msg);
}
