/* OP_IMAGE_VIEW. */
#include <string.h>

#include "requests.h"

/* It takes as long as there is something to unpack. Asked twice it brings nothing twice, but the
 * descriptors are gone with the first. */
void
request_image_view(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_ONCE,
	    .expected = MSG_IMAGE_VIEWED,
	    .then = request_forward,
	};
	const struct msg_op_image_view *asked = &request->msg.op_image_view;
	struct msg msg;

	msg_init(&msg, MSG_IMAGE_VIEW);
	memcpy(msg.image_view.reference, asked->reference, sizeof(asked->reference));
	memcpy(msg.image_view.tag, asked->tag, sizeof(asked->tag));
	msg.image_view.uid = request->peer.uid;
	msg.image_view.gid = request->peer.gid;
	msg.image_view.pid = request->peer.pid;
	msg.image_view.login_uid = request->peer.login_uid;
	for (unsigned i = 0; i < request->msg.nfds; i++)
		msg_add_fd(&msg, msg_take_fd(&request->msg, i));
	request_call(request, &call, &msg);
}
