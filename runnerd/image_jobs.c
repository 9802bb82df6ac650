/*
 * Bringing an image in: first an unpack that finds it, then one for each layer that is not in the
 * store, as many at once as there are processors, then, where its user has a name, one that looks
 * for that. Everything is written below work/, and takes its place by a rename; the record comes
 * last, so that whoever dies leaves the image or none.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "child.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/crash.h"
#include "common/io.h"
#include "common/log.h"
#include "fs.h"
#include "image_jobs.h"
#include "image_store.h"
#include "policy.h"
#include "proof.h"
#include "trash.h"

enum {
	WORK_NAME_MAX = 32,
	OPAQUE_MAX = 65536,     /* directories of one layer that hide what is below */
	FREE_BYTES = 64 << 20,  /* stays, as unpack has it */
	PROGRESS_MAX = 1 << 20, /* of one layer: one for each MiB that is read */
	RUNS_MAX = 8,
	STAGED_NAME_MAX = 16,
};

struct unpack_run {
	struct unpack_run *next;
	struct image_job *job;
	struct channel *channel;
	pid_t pid;
	enum msg_type order;
	uint32_t layer; /* of UNPACK_LAYER */
	uint32_t opaque, progress;
	bool answered;
};

struct image_job {
	struct image_job *next;
	struct images *images;
	image_fn *fn;
	void *arg;
	char reference[PATH_LEN_MAX + 1], tag[IMAGE_TAG_MAX + 1];
	char name[WORK_NAME_MAX]; /* below work/ */
	int work;                 /* that directory */
	int source, progress;
	uint32_t uid, gid;
	struct image *image;
	struct {
		int fd; /* -1: not told */
		uint64_t offset;
	} blobs[IMAGE_LAYERS_MAX];
	uint32_t next_layer, blobs_told;
	uint64_t total_bytes; /* of the layers that are to be unpacked, as they come */
	struct unpack_run *runs;
	bool ending;
};

static void go_on(struct image_job *job);

/* --- the end -------------------------------------------------------------------------------------
 */

static void
run_free(struct unpack_run *run)
{
	struct unpack_run **at = &run->job->runs;

	while (*at && *at != run)
		at = &(*at)->next;
	if (*at)
		*at = run->next;
	channel_free(run->channel);
	child_end(&run->pid);
	free(run);
}

static void
job_free(struct image_job *job)
{
	struct image_job **at = &job->images->first;

	while (*at && *at != job)
		at = &(*at)->next;
	if (*at)
		*at = job->next;
	while (job->runs)
		run_free(job->runs);
	for (size_t i = 0; i < IMAGE_LAYERS_MAX; i++)
		close_fd(&job->blobs[i].fd);
	close_fd(&job->source);
	close_fd(&job->progress);
	close_fd(&job->work);
	image_free(job->image);
	free(job);
}

static void
drop_work(const struct image_job *job)
{
	char moved[TRASH_NAME_MAX];

	if (trash_put(job->images->work, job->images->work, job->name, moved) == 0)
		trash_delete_aside(job->images->work, moved);
}

/* error NULL: it is in the store. The job is gone when it returns. */
static void
job_end(struct image_job *job, const struct error *error)
{
	struct images *images = job->images;
	char digest[IMAGE_DIGEST_LEN + 1] = "sha256:", hex[IMAGE_HEX + 1];
	struct error why = ERROR_INIT;
	image_fn *fn = job->fn;
	void *arg = job->arg;

	if (error) {
		why = *error;
		error_what(&why, "image %s%s%s", job->reference, job->tag[0] ? ":" : "", job->tag);
	} else {
		image_hex(job->image->head.digest, hex);
		strcat(digest, hex);
	}
	while (job->runs)
		run_free(job->runs);
	drop_work(job);
	job_free(job);
	if (error)
		images_drop_layers(images);
	fn(arg, error ? "" : digest, error ? &why : NULL);
}

void
image_jobs_free(struct images *images)
{
	while (images->first)
		job_free(images->first);
}

/* --- the record ----------------------------------------------------------------------------------
 */

static void
finish(struct image_job *job)
{
	struct error error = ERROR_INIT;
	int rc;

	if (image_check_sums(job->image, &error) < 0 ||
	    image_join(job->images, &job->image, job->reference, job->tag, &error) < 0) {
		job_end(job, &error);
		return;
	}
	CRASH_POINT("image.record");
	rc = image_write(job->images, job->image);
	CRASH_POINT("image.recorded");
	if (rc < 0)
		error_errno(&error, -rc, "writing the image's record");
	job_end(job, rc < 0 ? &error : NULL);
}

/* --- a process -----------------------------------------------------------------------------------
 */

static void run_message(struct channel *channel, struct msg *msg, void *arg);
static void run_closed(struct channel *channel, const struct error *error, void *arg);

static const struct channel_ops run_ops = {
    .message = run_message,
    .closed = run_closed,
};

/* Sends the order, whose descriptors are taken over. 0 or -errno. */
static int
run_start(struct image_job *job, struct msg *order, uint32_t layer)
{
	struct unpack_run *run = calloc(1, sizeof(*run));
	int fd = -ENOMEM, rc;

	if (run) {
		*run = (struct unpack_run){
		    .next = job->runs, .job = job, .order = order->type, .layer = layer};
		job->runs = run;
		fd = child_start(job->images->binary, "unpack", &run->pid);
	}
	if (fd >= 0)
		run->channel = channel_new(job->images->r->loop, fd, CH_IMAGE, SIDE_A, ROLE_RUNNERD,
					   ROLE_UNPACK, &run_ops, run);
	if (fd < 0 || !run->channel) {
		msg_close_fds(order);
		if (run)
			run_free(run);
		return fd < 0 ? fd : -ENOMEM;
	}
	rc = channel_send(run->channel, order);
	if (rc < 0)
		run_free(run);
	return rc;
}

static int
keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* --- finding it ----------------------------------------------------------------------------------
 */

static int
start_reader(struct image_job *job, bool is_archive)
{
	struct msg order;

	msg_init(&order, MSG_UNPACK_READ);
	order.unpack_read.is_archive = is_archive;
	memcpy(order.unpack_read.tag, job->tag, sizeof(job->tag));
	order.unpack_read.uid = job->uid;
	order.unpack_read.gid = job->gid;
	order.unpack_read.max_bytes = IMAGE_BYTES_MAX;
	msg_add_fd(&order, keep(is_archive ? job->images->r->at.empty : job->source));
	msg_add_fd(&order, keep(job->images->reader_program));
	if (is_archive) {
		msg_add_fd(&order, keep(job->source));
		msg_add_fd(&order,
			   openat(job->work, "spool",
				  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	}
	return run_start(job, &order, 0);
}

static void
take_blob(struct image_job *job, struct msg *msg)
{
	uint32_t layer = msg->unpack_blob.layer;
	int fd = msg_take_fd(msg, 0);
	struct stat st;

	if (layer >= IMAGE_LAYERS_MAX || job->image || job->blobs[layer].fd >= 0 ||
	    fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return;
	}
	job->blobs[layer].fd = fd;
	job->blobs[layer].offset = msg->unpack_blob.offset;
	job->blobs_told++;
}

static struct image *
read_found(int fd)
{
	struct rows_reader *rows = rows_open(fd);
	struct image *image = rows ? image_new() : NULL;
	struct msg record;
	int rc = image ? 1 : -errno;

	while (rc == 1) {
		rc = rows_next(rows, &record);
		if (rc == 1)
			rc = image_take(image, &record) < 0 ? -EBADMSG : 1;
	}
	if (rows)
		rows_close(rows);
	if (rc == 0 && image_complete(image) && !image->references.count)
		return image;
	image_free(image);
	return NULL;
}

static bool
is_repeated(const struct image *image, uint32_t layer)
{
	for (uint32_t i = 0; i < layer; i++)
		if (!memcmp(image->layers[i].diff, image->layers[layer].diff, DIGEST_BYTES))
			return true;
	return false;
}

/* What will be unpacked, and whether there is room for at least that. */
static int
plan_layers(struct image_job *job, struct error *error)
{
	struct image *image = job->image;
	struct statvfs fs;

	for (uint32_t i = 0; i < image->head.layers; i++) {
		struct msg_image_layer *layer = &image->layers[i];

		if (job->blobs[i].fd < 0)
			return error_why(error, ERR_FAILED, "its layer %u did not come", i);
		layer->bytes = layer->entries = 0;
		if (is_repeated(image, i) || image_layer_known(job->images, layer))
			close_fd(&job->blobs[i].fd);
		else
			job->total_bytes += layer->size;
	}
	if (fstatvfs(job->work, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < job->total_bytes + FREE_BYTES) {
		error_why(error, ERR_FAILED, "its layers of %llu bytes have no room in the store",
			  (unsigned long long)job->total_bytes);
		return error_hint(error, "'ash image gc' removes what no agent uses");
	}
	return 0;
}

static void
found(struct image_job *job, struct msg *msg)
{
	struct error error = ERROR_INIT;

	if (!job->image)
		job->image = read_found(msg->fds[0]);
	if (!job->image || job->blobs_told != job->image->head.layers) {
		error_why(&error, ERR_FAILED, "what was found is out of bounds");
		job_end(job, &error);
		return;
	}
	if (plan_layers(job, &error) < 0)
		job_end(job, &error);
	else
		go_on(job);
}

/* --- layers --------------------------------------------------------------------------------------
 */

static unsigned
processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return count < 1 ? 1 : count > RUNS_MAX ? RUNS_MAX : (unsigned)count;
}

static unsigned
running(const struct image_job *job)
{
	unsigned count = 0;

	for (const struct unpack_run *run = job->runs; run; run = run->next)
		count += !run->answered;
	return count;
}

static void
staged_name(uint32_t layer, char name[STAGED_NAME_MAX])
{
	snprintf(name, STAGED_NAME_MAX, "layer%u", layer);
}

/* work/NAME/layerN/root, empty. */
static int
make_root(const struct image_job *job, uint32_t layer)
{
	_cleanup_close_ int dir = -1;
	char name[STAGED_NAME_MAX];

	staged_name(layer, name);
	dir = dir_make(job->work, name, 0700, 0, 0);
	return dir < 0 ? dir : dir_make(dir, "root", 0755, 0, 0);
}

static int
start_layer(struct image_job *job, uint32_t index)
{
	const struct msg_image_layer *layer = &job->image->layers[index];
	int root = make_root(job, index);
	struct msg order;

	if (root < 0)
		return root;
	msg_init(&order, MSG_UNPACK_LAYER);
	order.unpack_layer.layer = index;
	memcpy(order.unpack_layer.diff, layer->diff, DIGEST_BYTES);
	order.unpack_layer.diff_len = DIGEST_BYTES;
	memcpy(order.unpack_layer.blob, layer->blob, DIGEST_BYTES);
	order.unpack_layer.blob_len = layer->blob_len;
	order.unpack_layer.offset = job->blobs[index].offset;
	order.unpack_layer.size = layer->size;
	order.unpack_layer.max_bytes = IMAGE_BYTES_MAX;
	order.unpack_layer.max_entries = IMAGE_ENTRIES_MAX;
	order.unpack_layer.total_bytes = job->total_bytes;
	msg_add_fd(&order, root);
	msg_add_fd(&order, keep(job->images->writer_program));
	msg_add_fd(&order, steal_fd(&job->blobs[index].fd));
	return run_start(job, &order, index);
}

/* The operator's ash is not waited for: what draws slowly misses a piece. */
static int
pass_progress(struct unpack_run *run, const struct msg *told)
{
	const struct image_job *job = run->job;
	uint8_t raw[PROTO_HEADER_BYTES + 64];
	struct msg msg;
	ssize_t length;

	if (++run->progress > PROGRESS_MAX)
		return -EINVAL;
	msg_init(&msg, MSG_UNPACK_PROGRESS);
	msg.unpack_progress.layer = run->layer;
	msg.unpack_progress.bytes = told->unpack_progress.bytes;
	msg.unpack_progress.total_bytes = job->total_bytes;
	length = msg_encode(&msg, raw, sizeof(raw));
	if (length > 0 && job->progress >= 0)
		msg_send_raw(job->progress, raw, (size_t)length, NULL, 0);
	return 0;
}

/* The only thing that a layer needs and unpack may not do. The directory lies below the root that
 * it was given: it has no other. */
static int
mark_opaque(struct unpack_run *run, struct msg *msg)
{
	struct stat st, work;
	struct msg answer;
	int fd = msg->fds[0], rc = fd_check(fd, S_IFDIR, O_RDONLY);

	if (!rc && (fstat(fd, &st) < 0 || fstat(run->job->work, &work) < 0))
		rc = -errno;
	if (!rc && (st.st_dev != work.st_dev || ++run->opaque > OPAQUE_MAX))
		rc = -EINVAL;
	if (!rc && fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
		rc = -errno;
	if (rc < 0)
		return rc;
	msg_init(&answer, MSG_UNPACK_MARKED);
	return channel_send(run->channel, &answer);
}

static int
note_size(const struct image_job *job, uint32_t index)
{
	uint8_t raw[PROTO_MESSAGE_MAX];
	_cleanup_close_ int dir = -1;
	char name[STAGED_NAME_MAX];
	struct msg record;
	ssize_t length;

	msg_init(&record, MSG_IMAGE_LAYER);
	record.image_layer = job->image->layers[index];
	length = msg_encode(&record, raw, sizeof(raw));
	staged_name(index, name);
	dir = openat(job->work, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || length < 0)
		return dir < 0 ? -errno : (int)length;
	return write_file_durable(dir, "size", raw, (size_t)length, 0600);
}

/* Another job may have brought the same layer meanwhile. */
static int
place_layer(const struct image_job *job, uint32_t index)
{
	char name[STAGED_NAME_MAX], hex[IMAGE_HEX + 1];
	int rc = note_size(job, index);

	if (rc < 0)
		return rc;
	staged_name(index, name);
	image_hex(job->image->layers[index].diff, hex);
	CRASH_POINT("image.layer");
	if (renameat2(job->work, name, job->images->layers, hex, RENAME_NOREPLACE) < 0 &&
	    errno != EEXIST)
		return -errno;
	CRASH_POINT("image.placed");
	return sync_dir(job->images->layers);
}

static void
layer_done(struct unpack_run *run, const struct msg_unpack_done *done)
{
	struct image_job *job = run->job;
	struct msg_image_layer *layer = job->image ? &job->image->layers[run->layer] : NULL;
	struct error error = ERROR_INIT;
	int rc = -EBADMSG;

	if (layer && done->bytes <= IMAGE_BYTES_MAX && done->entries <= IMAGE_ENTRIES_MAX) {
		layer->bytes = done->bytes;
		layer->entries = done->entries;
		rc = place_layer(job, run->layer);
	}
	if (rc < 0) {
		error_errno(&error, -rc, "putting a layer into the store");
		job_end(job, &error);
		return;
	}
	go_on(job);
}

/* --- its user ------------------------------------------------------------------------------------
 */

/* A regular file of the image, or nothing to read. */
static int
open_text(const struct image_job *job, const char *path)
{
	_cleanup_close_ int fd = image_open_path(job->images->r, job->image, path);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return memfd_sealed("none", "", 0);
	return reopen_readable(fd);
}

static int
start_user(struct image_job *job)
{
	struct msg order;

	msg_init(&order, MSG_UNPACK_USER);
	memcpy(order.unpack_user.user, job->image->head.user, sizeof(job->image->head.user));
	msg_add_fd(&order, keep(job->images->r->at.empty));
	msg_add_fd(&order, keep(job->images->reader_program));
	msg_add_fd(&order, open_text(job, "etc/passwd"));
	msg_add_fd(&order, open_text(job, "etc/group"));
	return run_start(job, &order, 0);
}

static void
user_found(struct image_job *job, const struct msg_unpack_ids *ids)
{
	struct error error = ERROR_INIT;

	if (!job->image || ids->uid >= ID_RANGE || ids->gid >= ID_RANGE) {
		error_why(&error, ERR_FAILED, "its user's ids are out of bounds");
		job_end(job, &error);
		return;
	}
	job->image->head.uid = ids->uid;
	job->image->head.gid = ids->gid;
	finish(job);
}

/* --- one thing after the other -------------------------------------------------------------------
 */

static void
go_on(struct image_job *job)
{
	struct error error = ERROR_INIT;
	uint32_t layers = job->image->head.layers;
	int rc = 0;

	while (!rc && job->next_layer < layers && running(job) < processors()) {
		if (job->blobs[job->next_layer].fd >= 0)
			rc = start_layer(job, job->next_layer);
		job->next_layer++;
	}
	if (!rc && (job->next_layer < layers || running(job)))
		return;
	if (!rc && !job->image->head.user[0]) {
		finish(job);
		return;
	}
	if (!rc)
		rc = start_user(job);
	if (rc < 0) {
		error_errno(&error, -rc, "starting unpack");
		job_end(job, &error);
	}
}

/* Each is answered by its own: who writes a layer must not end the job before the others are
 * written, nor who only reads have a directory marked. */
static bool
is_in_turn(const struct unpack_run *run, enum msg_type answer)
{
	static const struct {
		enum msg_type answer, order;
	} turns[] = {
	    {MSG_UNPACK_BLOB, MSG_UNPACK_READ},      {MSG_UNPACK_FOUND, MSG_UNPACK_READ},
	    {MSG_UNPACK_PROGRESS, MSG_UNPACK_LAYER}, {MSG_UNPACK_OPAQUE, MSG_UNPACK_LAYER},
	    {MSG_UNPACK_DONE, MSG_UNPACK_LAYER},     {MSG_UNPACK_IDS, MSG_UNPACK_USER},
	};

	for (size_t i = 0; i < ARRAY_LEN(turns); i++)
		if (turns[i].answer == answer)
			return turns[i].order == run->order && !run->answered;
	return true;
}

static void
run_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct unpack_run *run = arg;
	struct image_job *job = run->job;
	struct error error = ERROR_INIT;
	int rc;

	(void)channel;
	if (!is_in_turn(run, msg->type)) {
		error_why(&error, ERR_FAILED, "unpack answered what it was not asked");
		job_end(job, &error);
		return;
	}
	switch (msg->type) {
	case MSG_UNPACK_BLOB:
		take_blob(job, msg);
		return;
	case MSG_UNPACK_PROGRESS:
	case MSG_UNPACK_OPAQUE:
		rc = msg->type == MSG_UNPACK_OPAQUE ? mark_opaque(run, msg)
						    : pass_progress(run, msg);
		if (rc < 0) {
			error_errno(&error, -rc, "reading a layer");
			job_end(job, &error);
		}
		return;
	default:
		break;
	}
	if (run->answered)
		return;
	run->answered = true;
	CRASH_POINT("image.answered");
	if (msg->type == MSG_UNPACK_FOUND) {
		found(job, msg);
	} else if (msg->type == MSG_UNPACK_DONE) {
		layer_done(run, &msg->unpack_done);
	} else if (msg->type == MSG_UNPACK_IDS) {
		user_found(job, &msg->unpack_ids);
	} else {
		msg_to_error(msg, &error);
		job_end(job, &error);
	}
}

static void
run_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct unpack_run *run = arg;
	struct error died = ERROR_INIT;

	(void)channel;
	run->channel = NULL;
	if (run->answered) {
		run_free(run);
		return;
	}
	if (error)
		died = *error;
	else
		error_why(&died, ERR_FAILED,
			  "unpack died: it was killed, or needed more memory or "
			  "time than an image may");
	job_end(run->job, &died);
}

/* --- the beginning -------------------------------------------------------------------------------
 */

static int
prove(struct runnerd *r, const struct image_request *request, bool *is_archive, struct error *error)
{
	static const char scheme[] = "oci:";
	struct stat st;

	if (!request->judged && policy_image(request->reference, r->config, error) < 0)
		return -1;
	if (fstat(request->source, &st) < 0)
		return error_errno(error, errno, "looking at the image");
	*is_archive = S_ISREG(st.st_mode);
	if (strncmp(request->reference, scheme, strlen(scheme)) != 0)
		return fd_check(request->source, S_IFDIR, O_RDONLY) < 0
			   ? error_why(error, ERR_INVALID, "what came is no directory")
			   : 0;
	return proof_image_source(request->reference + strlen(scheme), request->source, r->config,
				  error);
}

static unsigned
count_jobs(const struct images *images)
{
	unsigned count = 0;

	for (const struct image_job *job = images->first; job; job = job->next)
		count++;
	return count;
}

static struct image_job *
job_new(struct runnerd *r, const struct image_request *request)
{
	struct image_job *job = calloc(1, sizeof(*job));
	struct images *images = r->images;

	if (!job)
		return NULL;
	*job = (struct image_job){.next = images->first,
				  .images = images,
				  .work = -1,
				  .source = keep(request->source),
				  .progress = request->progress >= 0 ? keep(request->progress) : -1,
				  .uid = request->uid,
				  .gid = request->gid};
	for (size_t i = 0; i < IMAGE_LAYERS_MAX; i++)
		job->blobs[i].fd = -1;
	snprintf(job->reference, sizeof(job->reference), "%s", request->reference);
	snprintf(job->tag, sizeof(job->tag), "%s", request->tag);
	snprintf(job->name, sizeof(job->name), "add%llu", (unsigned long long)++images->serial);
	images->first = job;
	return job;
}

int
image_add(struct runnerd *r, const struct image_request *request, image_fn *fn, void *arg,
	  struct error *error)
{
	struct image_job *job;
	bool is_archive = false;
	int rc;

	if (prove(r, request, &is_archive, error) < 0)
		return -1;
	if (count_jobs(r->images) >= IMAGE_JOBS_MAX)
		return error_why(error, ERR_CONFLICT, "%d images are being brought in already",
				 IMAGE_JOBS_MAX);
	job = job_new(r, request);
	if (!job)
		return error_errno(error, ENOMEM, "bringing an image in");
	job->work = dir_make(r->images->work, job->name, 0700, 0, 0);
	rc = job->work < 0 ? job->work : start_reader(job, is_archive);
	CRASH_POINT("image.begun");
	if (rc < 0) {
		drop_work(job);
		job_free(job);
		return error_errno(error, -rc, "starting unpack");
	}
	job->fn = fn;
	job->arg = arg;
	return 0;
}
