/*
 * liar_driver SOCKET MANIFEST INSTALL_DIR OPENED
 *
 * An operator's client that opens one directory and says that it is whatever the manifest and
 * INSTALL_DIR name: every descriptor of its OP_INSTALL is OPENED's. Prints what agentd says to it,
 * "installed" or "CODE TEXT". No ash would send this.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/proto.h"

enum { ANSWER_MS = 60000 };
static const char head[] = "---\nname: x\ndescription: A skill.\n---\n";

static int
complain(const char *what)
{
	perror(what);
	return 1;
}

static int
connected(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return steal_fd(&fd);
}

static int
heads_of(size_t count)
{
	struct rows *rows = rows_new("heads");
	struct msg record;

	msg_init(&record, MSG_SKILL_HEAD);
	memcpy(record.skill_head.text, head, sizeof(head) - 1);
	record.skill_head.text_len = sizeof(head) - 1;
	while (rows && count-- > 0)
		rows_add(rows, &record);
	return rows ? rows_seal(rows) : -1;
}

/* What the manifest asks to be proved, by descriptors of another directory. */
static void
add_proofs(const struct manifest *manifest, int opened, struct msg *request)
{
	size_t count = 1 + manifest->context.count + manifest->skills.count +
		       (manifest_image_dir(manifest) ? 1 : 0);

	while (count-- > 0)
		msg_add_fd(request, fcntl(opened, F_DUPFD_CLOEXEC, 3));
	if (manifest->skills.count)
		msg_add_fd(request, heads_of(manifest->skills.count));
}

static int
fill(const char *path, const char *install_dir, int opened, struct msg *request)
{
	struct error error = ERROR_INIT;
	struct manifest *manifest;
	_cleanup_free_ char *text = NULL;
	size_t length;

	if (read_file_at(AT_FDCWD, path, MANIFEST_BYTES_MAX, &text, &length) < 0)
		return -1;
	manifest = manifest_read(text, length, path, NULL, &error);
	if (!manifest) {
		fprintf(stderr, "%s\n", error.why);
		return -1;
	}
	msg_init(request, MSG_OP_INSTALL);
	request->op_install.replace = true;
	snprintf(request->op_install.manifest_path, sizeof(request->op_install.manifest_path), "%s",
		 path);
	snprintf(request->op_install.install_dir, sizeof(request->op_install.install_dir), "%s",
		 install_dir);
	msg_add_fd(request, memfd_sealed("manifest", text, length));
	add_proofs(manifest, opened, request);
	manifest_free(manifest);
	return 0;
}

static int
ask(int fd, struct msg *msg)
{
	int rc = msg_greet(fd, CH_OPERATOR, SIDE_A, ROLE_ASH, ROLE_CONTROL, ANSWER_MS);

	if (!rc)
		rc = msg_send(fd, CH_OPERATOR, SIDE_A, IN_OPEN, msg);
	msg_close_fds(msg);
	if (!rc)
		rc = msg_recv(fd, CH_OPERATOR, SIDE_A, IN_OPEN, msg, ANSWER_MS);
	return rc;
}

int
main(int argc, char **argv)
{
	_cleanup_close_ int fd = -1, opened = -1;
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];
	struct msg msg;

	if (argc != 5)
		return 2;
	opened = open(argv[4], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = connected(argv[1]);
	if (opened < 0 || fd < 0)
		return complain(opened < 0 ? argv[4] : argv[1]);
	if (fill(argv[2], argv[3], opened, &msg) < 0)
		return complain(argv[2]);
	if (ask(fd, &msg) != 1)
		return complain("asking agentd");
	if (msg.type == MSG_ERROR) {
		msg_to_error(&msg, &error);
		printf("%d %s (%s)\n", error.code, error_text(&error, text), error.hint);
	} else {
		puts("installed");
	}
	msg_close_fds(&msg);
	return 0;
}
