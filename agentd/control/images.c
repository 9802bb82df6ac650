/* OP_IMAGE_*: images of the store. Nothing of an image is read here: its descriptors pass through.
 */
#include <string.h>

#include "requests.h"

/* The answer takes as long as unpacking does. */
static void
ask_once(struct request *request, struct msg *msg)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_ONCE,
	    .expected = MSG_ROWS,
	    .wait_ms = 0,
	    .then = request_forward,
	};

	request_call(request, &call, msg);
}

void
request_image_add(struct request *request)
{
	const struct msg_op_image_add *asked = &request->msg.op_image_add;
	struct msg msg;

	snprintf(request->detail, sizeof(request->detail), "%.1000s", asked->reference);
	msg_init(&msg, MSG_IMAGE_ADD);
	memcpy(msg.image_add.reference, asked->reference, sizeof(asked->reference));
	memcpy(msg.image_add.tag, asked->tag, sizeof(asked->tag));
	msg.image_add.uid = request->peer.uid;
	msg.image_add.gid = request->peer.gid;
	msg.image_add.pid = request->peer.pid;
	msg.image_add.login_uid = request->peer.login_uid;
	for (unsigned i = 0; i < request->msg.nfds; i++)
		msg_add_fd(&msg, msg_take_fd(&request->msg, i));
	ask_once(request, &msg);
}

void
request_images(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_IMAGE_QUERY);
	memcpy(msg.image_query.ref, request->msg.op_images.ref, sizeof(msg.image_query.ref));
	request_ask(request, UP_RUNNERD, &msg, MSG_ROWS, request_forward);
}

void
request_image_remove(struct request *request)
{
	const struct msg_op_image_remove *asked = &request->msg.op_image_remove;
	struct msg msg;

	snprintf(request->detail, sizeof(request->detail), "%.1000s", asked->ref);
	msg_init(&msg, MSG_IMAGE_REMOVE);
	memcpy(msg.image_remove.ref, asked->ref, sizeof(asked->ref));
	msg.image_remove.uid = request->peer.uid;
	msg.image_remove.pid = request->peer.pid;
	msg.image_remove.login_uid = request->peer.login_uid;
	ask_once(request, &msg);
}

void
request_images_gc(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_IMAGES_GC);
	msg.images_gc.uid = request->peer.uid;
	msg.images_gc.pid = request->peer.pid;
	msg.images_gc.login_uid = request->peer.login_uid;
	ask_once(request, &msg);
}
