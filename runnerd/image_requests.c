/* What operators ask of images, through control. */
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/log.h"
#include "image_store.h"
#include "session.h"
#include "store.h"

/* --- rows ----------------------------------------------------------------------------------------
 */

struct sizes {
	const struct image *of;
	uint64_t own_bytes;
	const struct images *images;
};

struct sharing {
	const struct image *of;
	const uint8_t *diff;
	bool shared;
};

static bool
shares(const struct image *image, void *arg)
{
	struct sharing *sharing = arg;

	if (!memcmp(image->head.digest, sharing->of->head.digest, DIGEST_BYTES))
		return true;
	for (uint32_t i = 0; i < image->head.layers && !sharing->shared; i++)
		sharing->shared = !memcmp(image->layers[i].diff, sharing->diff, DIGEST_BYTES);
	return !sharing->shared;
}

static void
image_row(const struct runnerd *r, const struct image *image, struct msg *record)
{
	struct msg_image_row *row = &record->image_row;

	msg_init(record, MSG_IMAGE_ROW);
	memcpy(row->digest, image->head.digest, DIGEST_BYTES);
	row->digest_len = DIGEST_BYTES;
	row->layers = image->head.layers;
	strcpy(row->architecture, image->head.architecture);
	strcpy(row->os, image->head.os);
	row->created_at_ms = image->head.created_at_ms;
	row->added_at_ms = image->head.added_at_ms;
	image_used(r, image, NULL, &row->sessions);
	for (uint32_t i = 0; i < image->head.layers; i++) {
		struct sharing sharing = {.of = image, .diff = image->layers[i].diff};

		image_each(r->images, shares, &sharing);
		row->bytes += image->layers[i].bytes;
		row->entries += image->layers[i].entries;
		row->own_bytes += sharing.shared ? 0 : image->layers[i].bytes;
	}
}

static int
add_text(struct rows *rows, enum image_text kind, const char *text)
{
	struct msg record;

	msg_init(&record, MSG_IMAGE_TEXT);
	record.image_text.kind = (uint8_t)kind;
	snprintf(record.image_text.text, sizeof(record.image_text.text), "%s", text);
	return rows_add(rows, &record);
}

static int
add_list(struct rows *rows, enum image_text kind, const struct strings *list)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < list->count; i++)
		rc = add_text(rows, kind, list->items[i]);
	return rc;
}

static int
add_users(const struct runnerd *r, struct rows *rows, const struct image *image)
{
	char digest[IMAGE_DIGEST_LEN + 1] = "sha256:";
	int rc = 0;

	image_hex(image->head.digest, digest + strlen(digest));
	for (size_t i = 0; !rc && i < store_count(r->store); i++) {
		const struct agent *agent = store_at(r->store, i);

		if (agent->plan->image_digest && !strcmp(agent->plan->image_digest, digest))
			rc = add_text(rows, IMAGE_TEXT_USER, agent->head.name);
	}
	return rc;
}

static int
add_image(const struct runnerd *r, struct rows *rows, const struct image *image)
{
	struct msg record;
	int rc;

	image_row(r, image, &record);
	rc = rows_add(rows, &record);
	if (!rc)
		rc = add_list(rows, IMAGE_TEXT_REFERENCE, &image->references);
	return rc ? rc : add_users(r, rows, image);
}

static int
add_details(struct rows *rows, const struct image *image)
{
	struct msg record;
	int rc;

	msg_init(&record, MSG_IMAGE_HEAD);
	record.image_head = image->head;
	rc = rows_add(rows, &record);
	for (uint32_t i = 0; !rc && i < image->head.layers; i++) {
		msg_init(&record, MSG_IMAGE_LAYER);
		record.image_layer = image->layers[i];
		rc = rows_add(rows, &record);
	}
	if (!rc)
		rc = add_list(rows, IMAGE_TEXT_ENV, &image->env);
	if (!rc)
		rc = add_list(rows, IMAGE_TEXT_ENTRYPOINT, &image->entrypoint);
	return rc ? rc : add_list(rows, IMAGE_TEXT_CMD, &image->cmd);
}

/* rows is used up; rc: what went wrong while it was filled. */
static void
reply_rows(struct channel *channel, uint32_t id, struct rows *rows, int rc)
{
	struct error error = ERROR_INIT;
	struct msg msg;

	msg_init(&msg, MSG_ROWS);
	msg.id = id;
	msg.rows.count = rows ? rows_count(rows) : 0;
	if (!rows)
		rc = -ENOMEM;
	if (!rc)
		rc = rows_seal(rows);
	else if (rows)
		rows_free(rows);
	if (rc < 0) {
		error_errno(&error, -rc, "making the answer");
		channel_reply_error(channel, id, &error);
		return;
	}
	msg_add_fd(&msg, rc);
	channel_send(channel, &msg);
}

/* --- which one -----------------------------------------------------------------------------------
 */

struct search {
	const char *ref;
	size_t found;
	char hex[IMAGE_HEX + 1];
};

static bool
is_meant(const struct image *image, const char *ref)
{
	const char *prefix = strncmp(ref, "sha256:", 7) == 0 ? ref + 7 : ref;
	char hex[IMAGE_HEX + 1];

	for (size_t i = 0; i < image->references.count; i++)
		if (!strcmp(image->references.items[i], ref))
			return true;
	image_hex(image->head.digest, hex);
	return prefix[0] && !strncmp(hex, prefix, strlen(prefix));
}

static bool
look(const struct image *image, void *arg)
{
	struct search *search = arg;

	if (is_meant(image, search->ref)) {
		search->found++;
		image_hex(image->head.digest, search->hex);
	}
	return true;
}

/* A path without its scheme is meant, too, as an operator types it. */
static struct image *
find(const struct runnerd *r, const char *ref, struct error *error)
{
	struct search search = {.ref = ref};
	struct image *image;

	image_each(r->images, look, &search);
	if (search.found == 1) {
		image = image_read(r->images, search.hex);
		if (image)
			return image;
		error_errno(error, errno, "reading the image's record");
		return NULL;
	}
	if (search.found)
		error_why(error, ERR_NOT_FOUND, "'%.100s' is the beginning of several images", ref);
	else
		error_why(error, ERR_NOT_FOUND, "no such image: %.100s", ref);
	error_hint(error, "'ash image list' shows them");
	return NULL;
}

/* --- list and show -------------------------------------------------------------------------------
 */

struct listing {
	struct runnerd *r;
	struct rows *rows;
	int rc;
};

static bool
list_one(const struct image *image, void *arg)
{
	struct listing *listing = arg;

	listing->rc = add_image(listing->r, listing->rows, image);
	return !listing->rc;
}

void
images_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct listing listing = {.r = r, .rows = rows_new("images")};
	struct error error = ERROR_INIT;
	struct image *image;

	if (!msg->image_query.ref[0]) {
		if (listing.rows)
			image_each(r->images, list_one, &listing);
		reply_rows(channel, msg->id, listing.rows, listing.rc);
		return;
	}
	image = find(r, msg->image_query.ref, &error);
	if (!image) {
		if (listing.rows)
			rows_free(listing.rows);
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	if (listing.rows && list_one(image, &listing))
		listing.rc = add_details(listing.rows, image);
	image_free(image);
	reply_rows(channel, msg->id, listing.rows, listing.rc);
}

/* --- add -----------------------------------------------------------------------------------------
 */

struct asked {
	struct runnerd *r;
	uint32_t control, id;
	uint32_t uid, pid, login_uid;
	char reference[PATH_LEN_MAX + 1];
};

/* control writes its own line; this one stands whoever speaks for control. */
static void
audit_image(struct runnerd *r, const char *action, const char *what, uint32_t uid, uint32_t pid,
	    uint32_t login_uid, const struct error *error)
{
	struct msg_audit line = {
	    .by_operator = true, .uid = uid, .pid = pid, .login_uid = login_uid, .allowed = !error};
	char text[ERROR_TEXT_MAX + 1];

	snprintf(line.action, sizeof(line.action), "%s", action);
	snprintf(line.detail, sizeof(line.detail), "%.*s", REASON_MAX,
		 error ? error_text(error, text) : what);
	audit_send(r->audit, &line);
}

static void
added(void *arg, const char *digest, const struct error *error)
{
	struct asked *asked = arg;
	struct runnerd *r = asked->r;
	struct error gone = ERROR_INIT;
	struct rows *rows;
	struct image *image;

	audit_image(r, "image.add", digest, asked->uid, asked->pid, asked->login_uid, error);
	if (!error)
		log_info("image %s is in the store as %s", asked->reference, digest);
	if (!r->control || r->controls != asked->control) {
		free(asked);
		return;
	}
	image = error ? NULL : image_open(r, digest, &gone);
	if (!image) {
		channel_reply_error(r->control, asked->id, error ? error : &gone);
	} else {
		rows = rows_new("image");
		reply_rows(r->control, asked->id, rows, rows ? add_image(r, rows, image) : 0);
	}
	image_free(image);
	free(asked);
}

void
images_add_request(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_image_add *add = &msg->image_add;
	const struct image_request request = {.reference = add->reference,
					      .tag = add->tag,
					      .source = msg->fds[0],
					      .progress = msg->fds[1],
					      .uid = add->uid,
					      .gid = add->gid};
	struct asked *asked = calloc(1, sizeof(*asked));
	struct error error = ERROR_INIT;

	if (asked) {
		*asked = (struct asked){.r = r,
					.control = r->controls,
					.id = msg->id,
					.uid = add->uid,
					.pid = add->pid,
					.login_uid = add->login_uid};
		memcpy(asked->reference, add->reference, sizeof(asked->reference));
	} else {
		error_errno(&error, ENOMEM, "bringing an image in");
	}
	if (asked && image_add(r, &request, added, asked, &error) == 0)
		return;
	free(asked);
	error_what(&error, "image %s", add->reference);
	audit_image(r, "image.add", "", add->uid, add->pid, add->login_uid, &error);
	channel_reply_error(channel, msg->id, &error);
}

/* --- remove --------------------------------------------------------------------------------------
 */

/* Something may be about to name it, or its layers. */
static int
check_quiet(const struct runnerd *r, struct error *error)
{
	if (!r->images->first && !r->installs)
		return 0;
	error_why(error, ERR_CONFLICT, "an image or an agent is being installed");
	return error_hint(error, "try again when that is done");
}

static int
remove_record(const struct images *images, const struct image *image)
{
	char hex[IMAGE_HEX + 1];

	image_hex(image->head.digest, hex);
	if (unlinkat(images->manifests, hex, 0) < 0)
		return -errno;
	return fsync(images->manifests) < 0 ? -errno : 0;
}

static int
remove_image(struct runnerd *r, const struct image *image, struct error *error)
{
	char user[AGENT_NAME_MAX + 1];
	uint32_t sessions;
	int rc;

	if (check_quiet(r, error) < 0)
		return -1;
	if (image_used(r, image, user, &sessions)) {
		error_why(error, ERR_CONFLICT, "%s uses it%s", user,
			  sessions ? ", in a session that is live" : "");
		return error_hint(error, "'ash image list' shows which agents do");
	}
	rc = remove_record(r->images, image);
	CRASH_POINT("image.gone");
	return rc < 0 ? error_errno(error, -rc, "removing its record") : 0;
}

void
images_remove(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_image_remove *asked = &msg->image_remove;
	struct rows *rows = rows_new("image");
	struct error error = ERROR_INIT;
	struct image *image = find(r, asked->ref, &error);
	int rc = image && rows ? add_image(r, rows, image) : -ENOMEM;
	bool done = image && !rc && remove_image(r, image, &error) == 0;

	if (image && rc < 0)
		error_errno(&error, -rc, "making the answer");
	if (!done)
		error_what(&error, "cannot remove %.100s", asked->ref);
	audit_image(r, "image.remove", asked->ref, asked->uid, asked->pid, asked->login_uid,
		    done ? NULL : &error);
	image_free(image);
	if (done) {
		images_drop_layers(r->images);
		reply_rows(channel, msg->id, rows, 0);
		return;
	}
	if (rows)
		rows_free(rows);
	channel_reply_error(channel, msg->id, &error);
}

/* --- gc ------------------------------------------------------------------------------------------
 */

static bool
collect_one(const struct image *image, void *arg)
{
	struct listing *listing = arg;

	if (image_used(listing->r, image, NULL, NULL))
		return true;
	listing->rc = add_image(listing->r, listing->rows, image);
	if (!listing->rc)
		listing->rc = remove_record(listing->r->images, image);
	return !listing->rc;
}

void
images_collect(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_images_gc *asked = &msg->images_gc;
	struct listing listing = {.r = r, .rows = rows_new("images")};
	struct error error = ERROR_INIT;
	bool quiet = check_quiet(r, &error) == 0;

	audit_image(r, "image.gc", "", asked->uid, asked->pid, asked->login_uid,
		    quiet ? NULL : &error);
	if (!quiet) {
		if (listing.rows)
			rows_free(listing.rows);
		error_what(&error, "collecting images");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	if (listing.rows)
		image_each(r->images, collect_one, &listing);
	images_drop_layers(r->images);
	reply_rows(channel, msg->id, listing.rows, listing.rc);
}
