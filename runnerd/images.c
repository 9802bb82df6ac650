#include "images.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/keeper_calls.h"
#include "common/log.h"
#include "fs.h"
#include "image_jobs.h"
#include "image_store.h"
#include "install.h"
#include "session.h"
#include "store.h"
#include "trash.h"

/* --- open and close ------------------------------------------------------------------------------
 */

static int
open_store(struct images *images, struct error *error)
{
	_cleanup_close_ int all = dir_make(images->r->at.state, "images", 0755, 0, 0);

	images->store = all < 0 ? all : dir_make(all, "store", 0700, 0, 0);
	if (images->store < 0)
		return error_errno(error, -images->store, "making the store of images");
	images->layers = dir_make(images->store, "layers", 0700, 0, 0);
	images->manifests = dir_make(images->store, "manifests", 0700, 0, 0);
	images->work = dir_make(images->store, "work", 0700, 0, 0);
	if (images->layers < 0 || images->manifests < 0 || images->work < 0)
		return error_errno(error, errno, "making the store of images");
	return 0;
}

static int
open_program(struct images *images, struct error *error)
{
	_cleanup_close_ int dir =
	    open(images->r->config->libexec_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	images->binary = openat(dir, "unpack", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (images->binary < 0)
		return error_errno(error, errno, "cannot open unpack of libexec_dir");
	images->reader_program =
	    confine_program(unpack_reader_syscalls, unpack_reader_syscall_count, error);
	if (images->reader_program < 0)
		return -1;
	images->writer_program =
	    confine_program(unpack_writer_syscalls, unpack_writer_syscall_count, error);
	return images->writer_program < 0 ? -1 : 0;
}

struct images *
images_open(struct runnerd *r, struct error *error)
{
	struct images *images = calloc(1, sizeof(*images));

	if (!images) {
		error_errno(error, ENOMEM, "images");
		return NULL;
	}
	*images = (struct images){.r = r,
				  .binary = -1,
				  .reader_program = -1,
				  .writer_program = -1,
				  .store = -1,
				  .layers = -1,
				  .manifests = -1,
				  .work = -1};
	if (open_store(images, error) == 0 && open_program(images, error) == 0)
		return images;
	images_close(images);
	return NULL;
}

void
images_close(struct images *images)
{
	if (!images)
		return;
	image_jobs_free(images);
	close_fd(&images->binary);
	close_fd(&images->reader_program);
	close_fd(&images->writer_program);
	close_fd(&images->store);
	close_fd(&images->layers);
	close_fd(&images->manifests);
	close_fd(&images->work);
	free(images);
}

/* --- who uses it ---------------------------------------------------------------------------------
 */

static bool
names_image(const struct agent *agent, const char *digest)
{
	return agent && agent->plan->image_digest && !strcmp(agent->plan->image_digest, digest);
}

bool
image_used(const struct runnerd *r, const struct image *image, char *user, uint32_t *sessions)
{
	char digest[IMAGE_DIGEST_LEN + 1] = "sha256:";
	const char *found = NULL;
	uint32_t live = 0;

	image_hex(image->head.digest, digest + strlen(digest));
	for (size_t i = 0; !found && i < store_count(r->store); i++)
		if (names_image(store_at(r->store, i), digest))
			found = store_at(r->store, i)->head.name;
	for (const struct session *s = r->sessions->first; s; s = s->next)
		if (s->phase != PHASE_ENDED && !strcmp(s->image_digest, digest)) {
			live++;
			found = found ? found : s->agent_name;
		}
	if (!found)
		found = installs_use_image(r, digest);
	if (user)
		snprintf(user, AGENT_NAME_MAX + 1, "%s", found ? found : "");
	if (sessions)
		*sessions = live;
	return found != NULL;
}

/* --- what is left --------------------------------------------------------------------------------
 */

static void
discard(const struct images *images, int from, const char *name)
{
	char moved[TRASH_NAME_MAX];

	if (trash_put(images->work, from, name, moved) == 0)
		trash_delete_aside(images->work, moved);
}

/* Everything but what trash_put made, which is being deleted. */
static void
empty_work(const struct images *images)
{
	int fd = openat(images->work, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			discard(images, images->work, entry->d_name);
	trash_each(images->work, trash_delete_aside);
}

struct wanted {
	const char *hex;
	bool found, unreadable;
};

static bool
has_layer(const struct image *image, void *arg)
{
	struct wanted *wanted = arg;
	char hex[IMAGE_HEX + 1];

	for (uint32_t i = 0; i < image->head.layers && !wanted->found; i++) {
		image_hex(image->layers[i].diff, hex);
		wanted->found = !strcmp(hex, wanted->hex);
	}
	return !wanted->found;
}

/* Of one that cannot be read nobody knows what it needs. */
static bool
all_readable(const struct images *images)
{
	int fd = openat(images->manifests, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool readable = dir != NULL;

	while (readable && (entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			struct image *image = image_read(images, entry->d_name);

			readable = image != NULL;
			if (!image)
				log_error("the record of the image %s cannot be read: no layer is "
					  "deleted",
					  entry->d_name);
			image_free(image);
		}
	return readable;
}

void
images_drop_layers(struct images *images)
{
	int fd = openat(images->layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (images->first || !dir || !all_readable(images))
		return;
	while ((entry = readdir(dir))) {
		struct wanted wanted = {.hex = entry->d_name};

		if (entry->d_name[0] == '.')
			continue;
		image_each(images, has_layer, &wanted);
		if (!wanted.found)
			discard(images, images->layers, entry->d_name);
	}
}

/* What a record's writer left that died before it was whole. */
static void
drop_halves(const struct images *images)
{
	int fd = openat(images->manifests, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strspn(entry->d_name, "0123456789abcdef") != IMAGE_HEX)
			unlinkat(images->manifests, entry->d_name, 0);
}

void
images_sweep(struct runnerd *r)
{
	empty_work(r->images);
	drop_halves(r->images);
	images_drop_layers(r->images);
}
