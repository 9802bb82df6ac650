#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/proto.h"
#include "driver.h"

static void
tell(struct session *s, struct msg *msg)
{
	send_message(s->builder, CH_BUILDER, IN_OPEN, msg, "the recipe");
}

static int
host_tree(const char *path, bool device)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
						    (device ? 0U : MOUNT_ATTR_NODEV)};
	int fd =
	    open_tree(AT_FDCWD, path,
		      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (device ? 0U : (unsigned)AT_RECURSIVE));

	if (device)
		attributes.attr_set = MOUNT_ATTR_NOSUID;
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
				    sizeof(attributes)) < 0)
		die(path);
	return fd;
}

static void
add_tree(struct session *s, const char *source, const char *path, bool directory, bool device)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_MOUNT);
	snprintf(msg.sandbox_mount.path, sizeof(msg.sandbox_mount.path), "%s", path);
	msg.sandbox_mount.directory = directory;
	msg_add_fd(&msg, host_tree(source, device));
	tell(s, &msg);
}

static void
add_link(struct session *s, const char *path, const char *target)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_LINK);
	snprintf(msg.sandbox_link.path, sizeof(msg.sandbox_link.path), "%s", path);
	snprintf(msg.sandbox_link.target, sizeof(msg.sandbox_link.target), "%s", target);
	tell(s, &msg);
}

static void
add_tmpfs(struct session *s, const char *path, unsigned mode, uint32_t uid)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_TMPFS);
	snprintf(msg.sandbox_tmpfs.path, sizeof(msg.sandbox_tmpfs.path), "%s", path);
	msg.sandbox_tmpfs.mode = mode;
	msg.sandbox_tmpfs.uid = msg.sandbox_tmpfs.gid = uid;
	msg.sandbox_tmpfs.size_bytes = 1 << 20;
	msg.sandbox_tmpfs.inodes = 128;
	tell(s, &msg);
}

static void
add_file(struct session *s, const char *path, const char *text)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_FILE);
	snprintf(msg.sandbox_file.path, sizeof(msg.sandbox_file.path), "%s", path);
	msg.sandbox_file.mode = 0644;
	msg.sandbox_file.content_len = (uint32_t)strlen(text);
	memcpy(msg.sandbox_file.content, text, strlen(text));
	tell(s, &msg);
}

static void
add_dir(struct session *s, const char *path, unsigned mode, uint32_t uid)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_DIR);
	snprintf(msg.sandbox_dir.path, sizeof(msg.sandbox_dir.path), "%s", path);
	msg.sandbox_dir.mode = mode;
	msg.sandbox_dir.uid = msg.sandbox_dir.gid = uid;
	tell(s, &msg);
}

static void
add_kernel_fs(struct session *s)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_PROC);
	snprintf(msg.sandbox_proc.path, sizeof(msg.sandbox_proc.path), "/proc");
	tell(s, &msg);
	msg_init(&msg, MSG_SANDBOX_DEVPTS);
	snprintf(msg.sandbox_devpts.path, sizeof(msg.sandbox_devpts.path), "/dev/pts");
	tell(s, &msg);
}

static void
begin(struct session *s)
{
	static struct msg msg;
	int rc = msg_greet(s->builder, CH_BUILDER, SIDE_A, ROLE_RUNNERD, ROLE_BUILDER, WAIT_MS);

	errno = -rc;
	if (rc < 0)
		die("greeting the builder");
	mark(s, BUILDER_GREETED);
	msg_init(&msg, MSG_SANDBOX_BEGIN);
	snprintf(msg.sandbox_begin.name, sizeof(msg.sandbox_begin.name), "agent");
	snprintf(msg.sandbox_begin.hostname, sizeof(msg.sandbox_begin.hostname), "driver");
	msg.sandbox_begin.base_uid = BASE_UID;
	msg.sandbox_begin.uid = msg.sandbox_begin.gid = AGENT_UID;
	msg.sandbox_begin.root_bytes = 1 << 20;
	msg.sandbox_begin.root_inodes = 512;
	msg_add_fd(&msg, dup(s->agent));
	tell(s, &msg);
}

static void
add_string(struct rows *rows, const char *text)
{
	static struct msg msg;

	msg_init(&msg, MSG_EXEC_STRING);
	snprintf(msg.exec_string.text, sizeof(msg.exec_string.text), "%s", text);
	if (rows_add(rows, &msg) < 0)
		die("rows_add");
}

static void
seal(struct session *s)
{
	static struct msg msg;
	struct rows *rows = rows_new("exec");
	const char *const *argv = s->trial->argv;

	msg_init(&msg, MSG_EXEC_SPEC);
	snprintf(msg.exec_spec.path, sizeof(msg.exec_spec.path), "%s", argv[0]);
	snprintf(msg.exec_spec.cwd, sizeof(msg.exec_spec.cwd), "/home/agent");
	msg.exec_spec.uid = msg.exec_spec.gid = AGENT_UID;
	msg.exec_spec.open_files = 256;
	while (msg.exec_spec.arguments < 4 && argv[msg.exec_spec.arguments])
		msg.exec_spec.arguments++;
	msg.exec_spec.variables = 1;
	rows_add(rows, &msg);
	for (unsigned i = 0; i < 4 && argv[i]; i++)
		add_string(rows, argv[i]);
	add_string(rows, "PATH=/usr/bin:/bin");
	msg_init(&msg, MSG_SANDBOX_SEAL);
	msg_add_fd(&msg, rows_seal(rows));
	msg_add_fd(&msg, dup(s->host->agent_program));
	msg_add_fd(&msg, dup(s->host->init_program));
	tell(s, &msg);
}

void
recipe(struct session *s)
{
	static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
	static const char *const links[] = {"bin", "sbin", "lib", "lib64"};
	char path[PATH_LEN_MAX], target[64];

	begin(s);
	add_tree(s, "/usr", "/usr", true, false);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		snprintf(path, sizeof(path), "/%s", links[i]);
		snprintf(target, sizeof(target), "usr/%s", links[i]);
		add_link(s, path, target);
	}
	add_file(s, "/etc/passwd", "agent:x:1000:1000::/home/agent:/bin/sh\n");
	add_tmpfs(s, "/dev", 0755, 0);
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		snprintf(path, sizeof(path), "/dev/%s", devices[i]);
		add_tree(s, path, path, false, true);
	}
	add_link(s, "/dev/stdout", "/proc/self/fd/1");
	add_kernel_fs(s);
	add_tmpfs(s, "/tmp", 01777, BASE_UID);
	add_tmpfs(s, "/home/agent", 0700, BASE_UID + AGENT_UID);
	add_dir(s, "/run/credentials", 0500, BASE_UID + AGENT_UID);
	snprintf(path, sizeof(path), "%s/tests/peek", s->host->build);
	add_tree(s, path, "/opt/peek", false, false);
	if (s->trial->bad_path)
		add_dir(s, s->trial->bad_path, 0755, 0);
	seal(s);
}
