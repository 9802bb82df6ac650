/*
 * unpack: what parses an image's bytes, in a process of its own for each of three orders. The story
 * of its privileges: root of runnerd's capabilities, it receives the order and enters the root that
 * came with it. Who finds the image goes on as the operator who brings it, in the layout or in an
 * empty directory; who looks for a user goes on as nobody; who writes a layer stays root in the
 * tree that it writes, with what owning its files takes and no other capability. All may then call
 * no more than the filter lists, which makes no process, no socket and no mount. It dies with
 * runnerd.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "digest.h"
#include "find.h"
#include "layer.h"
#include "runnerd/child.h"
#include "user.h"

#define CAP(name) (UINT64_C(1) << CAP_##name)

enum {
	FD_ROOT,
	FD_PROGRAM,
	FD_SOURCE,
	FD_OTHER, /* of UNPACK_READ the spool, of UNPACK_USER the groups */
	GREET_WAIT_MS = 5000,
	ACK_WAIT_MS = 60000,
	NOBODY = 65534,
	MEMORY_MAX = 512 << 20, /* zstd's window may have 128 MiB */
	CPU_SECONDS = 1800,
};

static const uint64_t writer_capabilities =
    CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID);

/* --- confinement ---------------------------------------------------------------------------------
 */

static int
bound(int resource, rlim_t most, struct error *error)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return error_errno(error, errno, "getrlimit");
	limit.rlim_max = limit.rlim_max < most ? limit.rlim_max : most;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &limit) < 0
		   ? error_errno(error, errno, "setrlimit")
		   : 0;
}

static int
drop(struct msg *msg, uid_t uid, gid_t gid, uint64_t capabilities, struct error *error)
{
	struct confinement to = CONFINEMENT_INIT;

	umask(0);
	if (bound(RLIMIT_CPU, CPU_SECONDS, error) < 0)
		return -1;
#ifndef __SANITIZE_ADDRESS__ /* its shadow is address space */
	if (bound(RLIMIT_AS, MEMORY_MAX, error) < 0)
		return -1;
#endif
	to.root_fd = msg_take_fd(msg, FD_ROOT);
	to.program_fd = msg_take_fd(msg, FD_PROGRAM);
	to.uid = uid;
	to.gid = gid;
	to.keep_caps = capabilities;
	to.no_processes = true;
	if (confine_prebuilt(&to, error) < 0)
		return -1;
	return 0;
}

/* --- UNPACK_READ ---------------------------------------------------------------------------------
 */

static int
open_source(const struct msg_unpack_read *asked, int archive, int spool, struct source *source,
	    struct error *error)
{
	int root;

	if (asked->is_archive)
		return source_of_archive(source, archive, spool, asked->max_bytes, error);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_errno(error, errno, "opening the layout");
	source_of_layout(source, root);
	return 0;
}

static int
send_blobs(struct found *found, struct error *error)
{
	struct msg msg;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < found->head.layers; i++) {
		msg_init(&msg, MSG_UNPACK_BLOB);
		msg.unpack_blob.layer = i;
		msg.unpack_blob.offset = found->layers[i].bytes.offset;
		msg_add_fd(&msg, steal_fd(&found->layers[i].bytes.fd));
		rc = msg_send(CHILD_FD_CHANNEL, CH_IMAGE, SIDE_B, IN_OPEN, &msg);
		msg_close_fds(&msg);
	}
	return rc < 0 ? error_errno(error, -rc, "answering runnerd") : 0;
}

static int
read_image(struct msg *msg, struct msg *answer, struct error *error)
{
	static struct found found;
	_cleanup_(source_close) struct source source = SOURCE_INIT;
	const struct msg_unpack_read asked = msg->unpack_read;
	int archive = asked.is_archive ? msg_take_fd(msg, FD_SOURCE) : -1;
	int spool = asked.is_archive ? msg_take_fd(msg, FD_OTHER) : -1, rows = -1;

	if (drop(msg, asked.uid, asked.gid, 0, error) < 0 ||
	    open_source(&asked, archive, spool, &source, error) < 0)
		return -1;
	if (find_image(&source, asked.tag, &found, error) == 0 && send_blobs(&found, error) == 0) {
		rows = found_seal(&found);
		if (rows < 0)
			error_errno(error, -rows, "answering runnerd");
	}
	msg_init(answer, MSG_UNPACK_FOUND);
	answer->unpack_found.layers = found.head.layers;
	found_close(&found);
	if (rows < 0)
		return -1;
	msg_add_fd(answer, rows);
	return 0;
}

/* --- UNPACK_LAYER --------------------------------------------------------------------------------
 */

static int
ask_opaque(void *arg, int dir, struct error *error)
{
	struct msg msg;
	int rc;

	(void)arg;
	msg_init(&msg, MSG_UNPACK_OPAQUE);
	msg_add_fd(&msg, fcntl(dir, F_DUPFD_CLOEXEC, 3));
	rc = msg_send(CHILD_FD_CHANNEL, CH_IMAGE, SIDE_B, IN_OPEN, &msg);
	msg_close_fds(&msg);
	if (rc == 0)
		rc = msg_recv(CHILD_FD_CHANNEL, CH_IMAGE, SIDE_B, IN_OPEN, &msg, ACK_WAIT_MS);
	if (rc == 1 && msg.type == MSG_UNPACK_MARKED)
		return 0;
	return error_errno(error, rc < 0 ? -rc : ECONNRESET, "marking an opaque directory");
}

static void
tell_progress(void *arg, const struct msg_unpack_progress *read)
{
	struct msg msg;

	(void)arg;
	msg_init(&msg, MSG_UNPACK_PROGRESS);
	msg.unpack_progress = *read;
	msg_send(CHILD_FD_CHANNEL, CH_IMAGE, SIDE_B, IN_OPEN, &msg);
}

static int
write_layer(struct msg *msg, struct msg *answer, struct error *error)
{
	const struct msg_unpack_layer asked = msg->unpack_layer;
	_cleanup_close_ int blob = msg_take_fd(msg, FD_SOURCE), root = -1;
	struct layer_order order = {
	    .asked = &asked, .blob = blob, .progress = tell_progress, .opaque = ask_opaque};

	if (drop(msg, 0, 0, writer_capabilities, error) < 0)
		return -1;
	root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_errno(error, errno, "opening the tree");
	order.root = root;
	msg_init(answer, MSG_UNPACK_DONE);
	return layer_unpack(&order, &answer->unpack_done, error);
}

/* --- UNPACK_USER ---------------------------------------------------------------------------------
 */

static int
look_up_user(struct msg *msg, struct msg *answer, struct error *error)
{
	const struct msg_unpack_user asked = msg->unpack_user;
	_cleanup_close_ int passwd = msg_take_fd(msg, FD_SOURCE);
	_cleanup_close_ int group = msg_take_fd(msg, FD_OTHER);

	if (drop(msg, NOBODY, NOBODY, 0, error) < 0)
		return -1;
	msg_init(answer, MSG_UNPACK_IDS);
	return user_find(asked.user, passwd, group, &answer->unpack_ids.uid,
			 &answer->unpack_ids.gid, error);
}

/* --- the order -----------------------------------------------------------------------------------
 */

typedef int order_fn(struct msg *msg, struct msg *answer, struct error *error);

static const struct {
	enum msg_type type;
	order_fn *carry_out;
} orders[] = {
    {MSG_UNPACK_READ, read_image},
    {MSG_UNPACK_LAYER, write_layer},
    {MSG_UNPACK_USER, look_up_user},
};

static int
receive(struct msg *msg, struct error *error)
{
	int rc =
	    msg_greet(CHILD_FD_CHANNEL, CH_IMAGE, SIDE_B, ROLE_UNPACK, ROLE_RUNNERD, GREET_WAIT_MS);

	if (rc < 0)
		return error_errno(error, -rc, "greeting runnerd");
	rc = msg_recv(CHILD_FD_CHANNEL, CH_IMAGE, SIDE_B, IN_OPEN, msg, GREET_WAIT_MS);
	return rc <= 0 ? error_errno(error, rc < 0 ? -rc : ECONNRESET, "waiting for the order") : 0;
}

static int
serve(struct msg *answer, struct error *error)
{
	struct msg msg;
	int rc = -1;

	/* Names are UTF-8; and the libraries read what they need while there are files. */
	if (!setlocale(LC_CTYPE, "C.UTF-8") || digest_prepare() < 0)
		return error_why(error, ERR_FAILED, "the libraries cannot be prepared");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return error_errno(error, errno, "prctl PR_SET_PDEATHSIG");
	if (receive(&msg, error) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		if (orders[i].type == msg.type)
			rc = orders[i].carry_out(&msg, answer, error);
	msg_close_fds(&msg);
	return rc;
}

int
main(void)
{
	struct error error = ERROR_INIT;
	struct msg answer;
	int rc;

	log_open("unpack", LOG_LEVEL_INFO, log_target_auto());
	rc = serve(&answer, &error);
	if (rc < 0)
		msg_from_error(&answer, 0, &error);
	msg_send(CHILD_FD_CHANNEL, CH_IMAGE, SIDE_B, IN_OPEN, &answer);
	return rc < 0;
}
