/* image `dir:`: a directory of the host as the root, below a layer of the session's own that takes
 * what is written and goes with the session.
 *
 * The layer is furnished before the image is looked at: a name that is in the upper layer hides
 * what an image has there, be it a link, a file or a device. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runnerd/fs.h"
#include "runnerd/idmap.h"
#include "runnerd/layers.h"
#include "runnerd/mechanism.h"
#include "runnerd/mounts.h"
#include "runnerd/overlay.h"
#include "runnerd/proof.h"
#include "steps.h"

static const char bundle[] = "/etc/ssl/certs/ca-certificates.crt";

/* Directories whatever the image has of these names; what the image has in them is seen, unless
 * something is mounted there. */
static const char *const furniture[] = {
    "dev",           "proc", "run",     "tmp",  "etc",    "etc/ssl",
    "etc/ssl/certs", "sys",  "context", "home", "skills", "home/agent",
};

/* For /run/agentd and /run/credentials; what agents write there is bounded by itself. */
static const struct recipe_tmpfs run = {
    .path = "/run", .mode = 0755, .bytes = 16 << 20, .inodes = 4096, .noexec = true};

static int
furnish(int upper, uint32_t root)
{
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_LEN(furniture); i++) {
		fd = dir_make(upper, furniture[i], 0755, root, root);
		if (fd < 0)
			return fd;
		close(fd);
	}
	return 0;
}

/* Who is root inside owns the root: the agent, where its image says that it is (id_map.h). */
int
image_upper(struct session *s, struct error *error)
{
	_cleanup_close_ int upper = -1;
	uint32_t root = s->base_uid + (s->recipe.uid == 0 ? AGENT_UID : 0);
	int layers = session_layers(s, error), rc;

	if (layers < 0)
		return -1;
	upper = layers_add(layers, "image", 0755, root);
	rc = upper < 0 ? upper : furnish(upper, root);
	return rc < 0 ? error_errno(error, -rc, "making the layer over the image") : 0;
}

/* --- ids ------------------------------------------------------------------------------------- */

int
image_ids(const struct session *s, uint32_t count)
{
	const struct idmap map = {
	    .base = s->base_uid, .count = count, .uid = s->recipe.uid, .gid = s->recipe.gid};

	if (!mechanism_present(s->r->mechanisms, "idmapped-layers"))
		return -EOPNOTSUPP;
	return idmap_open(&map);
}

/* What cannot be mapped appears as nobody's: an agent may do there what everybody may, as in a view
 * that is mapped. */
static int
map_ids(const struct session *s, int lower, int ids, struct error *error)
{
	int rc = ids < 0 ? ids : idmap_mount(lower, ids);

	if (rc == -EINVAL || rc == -EOPNOTSUPP)
		log_session(LOG_LEVEL_INFO, &s->id,
			    "the image's file system maps no ids: its files appear as nobody's");
	else if (rc < 0)
		return error_errno(error, -rc, "mapping the ids of the image");
	return 0;
}

int
image_lower(const struct session *s, int dir, int ids, struct error *error)
{
	_cleanup_close_ int lower = mount_detached(dir, MOUNT_LOWER);

	if (lower < 0)
		return error_errno(error, -lower, "open_tree of the image");
	return map_ids(s, lower, ids, error) < 0 ? -1 : steal_fd(&lower);
}

/* --- the whole ------------------------------------------------------------------------------- */

static int
cover(struct session *s, const char *path, struct error *error)
{
	_cleanup_close_ int dir = -1, ids = -1;
	int lower;

	if (image_upper(s, error) < 0)
		return -1;
	dir = proof_open_image(path, error);
	if (dir < 0)
		return -1;
	ids = image_ids(s, IDMAP_IDS);
	lower = image_lower(s, dir, ids, error);
	if (lower < 0)
		return -1;
	recipe_overlay(&s->recipe, "/", "image", lower);
	return 0;
}

int
image_outfit(struct session *s, struct error *error)
{
	recipe_tmpfs(&s->recipe, &run);
	if (image_etc_view(s, bundle, error) < 0)
		return -1;
	return image_etc_of_agent(s, error);
}

int
image_dir(struct session *s, const char *path, struct error *error)
{
	if (s->recipe.facts)
		recipe_explain(&s->recipe, "/", path, "overlay", OVERLAY_ATTRIBUTES);
	else if (cover(s, path, error) < 0)
		return -1;
	return image_outfit(s, error);
}
