#include "image_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "common/cleanup.h"
#include "mounts.h"
#include "session.h"

enum { STRING_MAX = 255 /* of fsconfig(2) */ };

/* --- the mount ------------------------------------------------------------------------------- */

struct layers {
	int fds[IMAGE_LAYERS_MAX]; /* the topmost first */
	size_t count;
};

static void
layers_close(struct layers *layers)
{
	while (layers->count)
		close(layers->fds[--layers->count]);
}

static int
layers_open(const struct runnerd *r, const struct image *image, struct layers *layers)
{
	size_t count = image->head.layers;

	if (count == 0 || count > IMAGE_LAYERS_MAX)
		return -EINVAL;
	while (count) {
		int fd = image_layer_open(r, image, --count);

		if (fd < 0)
			return fd;
		layers->fds[layers->count++] = fd;
	}
	return 0;
}

/* One by one since Linux 6.8. */
static int
name_each(int context, const struct layers *layers)
{
	char path[32];

	for (size_t i = 0; i < layers->count; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", layers->fds[i]);
		if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", path, 0) < 0)
			return i ? -EIO : -ENOTSUP;
	}
	return 0;
}

static int
name_together(int context, const struct layers *layers)
{
	char paths[STRING_MAX + 1] = "";
	size_t length = 0;

	for (size_t i = 0; i < layers->count && length < sizeof(paths); i++)
		length += (size_t)snprintf(paths + length, sizeof(paths) - length,
					   "%s/proc/self/fd/%d", i ? ":" : "", layers->fds[i]);
	if (length >= sizeof(paths))
		return -ENOTSUP;
	return fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", paths, 0) < 0 ? -errno : 0;
}

static int
overlay(const struct layers *layers)
{
	_cleanup_close_ int context = fsopen("overlay", FSOPEN_CLOEXEC);
	int fd, rc = context < 0 ? -errno : name_each(context, layers);

	if (rc == -ENOTSUP)
		rc = name_together(context, layers);
	if (rc < 0)
		return rc;
	if (fsconfig(context, FSCONFIG_SET_STRING, "source", "image", 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(context, FSMOUNT_CLOEXEC,
		     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return fd < 0 ? -errno : fd;
}

int
image_view_mount(const struct runnerd *r, const struct image *image)
{
	_cleanup_(layers_close) struct layers layers = {.count = 0};
	int rc = layers_open(r, image, &layers);

	if (rc < 0)
		return rc;
	return layers.count == 1 ? mount_detached(layers.fds[0], MOUNT_VIEW) : overlay(&layers);
}

/* --- IMAGE_VIEW ------------------------------------------------------------------------------- */

struct asked {
	struct runnerd *r;
	uint32_t control, id; /* which control process asked, and in which request */
};

static int
fill_answer(const struct runnerd *r, const char *digest, struct msg *msg, struct error *error)
{
	struct image *image = image_open(r, digest, error);
	int mount;

	if (!image)
		return -1;
	snprintf(msg->image_viewed.digest, sizeof(msg->image_viewed.digest), "%s", digest);
	mount = image_view_mount(r, image);
	image_free(image);
	if (mount >= 0)
		msg_add_fd(msg, mount);
	else if (mount != -ENOTSUP)
		return error_errno(error, -mount, "showing the image %s", digest);
	return 0;
}

static void
answer(void *arg, const char *digest, const struct error *error)
{
	struct asked *asked = arg;
	struct runnerd *r = asked->r;
	struct error failure = ERROR_INIT;
	struct msg msg;

	msg_init(&msg, MSG_IMAGE_VIEWED);
	msg.id = asked->id;
	if (!r->control || r->controls != asked->control) {
		free(asked);
		return;
	}
	if (!error && fill_answer(r, digest, &msg, &failure) < 0)
		error = &failure;
	if (error)
		channel_reply_error(r->control, asked->id, error);
	else
		channel_send(r->control, &msg);
	free(asked);
}

void
image_view_request(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_image_view *wanted = &msg->image_view;
	const struct image_request request = {.reference = wanted->reference,
					      .tag = wanted->tag,
					      .source = msg->fds[0],
					      .progress = msg->fds[1],
					      .uid = wanted->uid,
					      .gid = wanted->gid};
	struct asked *asked = calloc(1, sizeof(*asked));
	struct error error = ERROR_INIT;

	if (asked) {
		*asked = (struct asked){.r = r, .control = r->controls, .id = msg->id};
		if (image_add(r, &request, answer, asked, &error) == 0)
			return;
		free(asked);
	} else {
		error_errno(&error, ENOMEM, "bringing the image");
	}
	channel_reply_error(channel, msg->id, &error);
}
