/*
 * The seed: the first process of a sandbox before it becomes init. Root, alone in new namespaces;
 * it reads the recipe from runnerd, builds every mount below a root of its own, enters its user
 * namespace last and executes init.
 */
#ifndef SCARAB_SANDBOX_BUILDER_SEED_H
#define SCARAB_SANDBOX_BUILDER_SEED_H

#include <sys/stat.h>

#include "builder.h"
#include "runnerd/overlay.h"

/* The descriptors of SANDBOX_SEAL, in their order. */
enum { SEAL_SPEC, SEAL_AGENT_PROGRAM, SEAL_OWN_PROGRAM, SEAL_FDS };

struct seed {
	const struct builder *fds;
	int gate;   /* CH_INIT, side B */
	int root;   /* the new root, attached */
	int layers; /* of SANDBOX_LAYERS, attached outside of the root; -1: none came */
	int lowers[OVERLAY_LOWERS_MAX]; /* of SANDBOX_LOWER, attached outside too */
	size_t lower_count;
	bool image; /* the root is an overlay upon an image, which is this session's own */
	int sealed[SEAL_FDS]; /* what SANDBOX_SEAL brought */
	dev_t root_device;
	struct msg *first; /* SANDBOX_BEGIN, its descriptors open until the cgroups are entered */
	const struct msg_sandbox_begin *begin; /* what it says */
};

/* Never returns. An operation that fails is reported on the gate. */
_Noreturn void seed_main(struct seed *seed);

/* What one message of the recipe asks for: 0, or -1 with error (the reason alone). */
int seed_dir(struct seed *seed, const struct msg *msg, struct error *error);
int seed_file(struct seed *seed, const struct msg *msg, struct error *error);
int seed_link(struct seed *seed, const struct msg *msg, struct error *error);
int seed_home_link(struct seed *seed, const struct msg *msg, struct error *error);
int seed_tmpfs(struct seed *seed, const struct msg *msg, struct error *error);
int seed_mount(struct seed *seed, const struct msg *msg, struct error *error);
int seed_share(struct seed *seed, const struct msg *msg, struct error *error);
int seed_proc(struct seed *seed, const struct msg *msg, struct error *error);
int seed_devpts(struct seed *seed, const struct msg *msg, struct error *error);
int seed_layers(struct seed *seed, const struct msg *msg, struct error *error);
int seed_lower(struct seed *seed, const struct msg *msg, struct error *error);
int seed_overlay(struct seed *seed, const struct msg *msg, struct error *error);

/* Attaches the mount (borrowed) at path. */
int seed_attach(const struct seed *seed, int mount, const char *path, bool directory,
		struct error *error);
/* Upon an image: what it has at path and is not of this type (S_IFDIR, S_IFREG; 0: whatever it is)
 * goes out of the way, out of the session's own layer. 0, or -1 with error. */
int seed_clear(const struct seed *seed, const char *path, mode_t type, struct error *error);

/* Mounts and attaches the root. 0, or -1 with error. */
int seed_make_root(struct seed *seed, struct error *error);
/* Host name, root read-only, pivot. 0, or -1 with error. */
int seed_enter_root(struct seed *seed, struct error *error);
/* The user namespace, its maps, and everything that is given up before init runs. */
int seed_drop(struct seed *seed, struct error *error);
/* Returns only when it failed: -1 with error. */
int seed_become_init(struct seed *seed, struct error *error);

#endif
