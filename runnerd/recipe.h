/*
 * The recipe of a sandbox as a session's steps write it: messages to the session's builder. The
 * first failure sticks; the agent step looks at it before it seals. Owners are ids inside the
 * agent's range.
 */
#ifndef SCARAB_RUNNERD_RECIPE_H
#define SCARAB_RUNNERD_RECIPE_H

#include "cgroup.h"
#include "common/channel.h"
#include "facts.h"
#include "mounts.h"

struct recipe {
	struct channel *builder; /* borrowed from the session */
	uint32_t base_uid;
	uint32_t uid, gid; /* the agent's ids inside (id_map.h) */
	int failure;       /* 0 or -errno */
	/* Not NULL: nothing is built, its mounts are told as facts (`ash explain`). What a manifest
	 * names is not opened then: who asks may not be allowed to. */
	struct facts *facts;
};

/* place: 0 the agent, else a plugin's number and one. The entry is borrowed. */
void recipe_begin(struct recipe *recipe, const char *name, unsigned place, const char *hostname,
		  const struct cgroup_entry *entry);
void recipe_dir(struct recipe *recipe, const char *path, uint32_t mode, uint32_t owner);
/* Owned by the sandbox's root. */
void recipe_file(struct recipe *recipe, const char *path, uint32_t mode, const char *text,
		 size_t length);
/* The same from a sealed memfd, which is taken over. */
void recipe_file_of(struct recipe *recipe, const char *path, uint32_t mode, int memfd);
void recipe_link(struct recipe *recipe, const char *path, const char *target);
/* In the agent's home, as its own; what is there already stays. */
void recipe_home_link(struct recipe *recipe, const char *path, const char *target);
struct recipe_tmpfs {
	const char *path;
	uint32_t mode, owner, inodes;
	uint64_t bytes;
	bool noexec;
};
void recipe_tmpfs(struct recipe *recipe, const struct recipe_tmpfs *tmpfs);
/* The detached mount is taken over. */
void recipe_mount(struct recipe *recipe, const char *path, int mount, bool directory);
/* The file system with the layers of overlays, detached, taken over; before any overlay. */
void recipe_layers(struct recipe *recipe, int mount);
/* Layers of an image, the topmost first: count detached mounts, taken over, that lie above the
 * lower of the next overlay. */
void recipe_lowers(struct recipe *recipe, int *mounts, size_t count);
/* An overlay of that layer upon lower, a detached mount that is taken over. Path "/": an image,
 * which must come first. */
void recipe_overlay(struct recipe *recipe, const char *path, const char *layer, int lower);
/* The builder sends a copy of the mount at path, for the sandbox of that place. */
void recipe_share(struct recipe *recipe, const char *path, unsigned place);
/* A view of what is behind source (borrowed; not looked at while explaining) at path. name: the
 * source's. 0 or -errno. */
int recipe_view(struct recipe *recipe, int source, const char *name, const char *path,
		enum mount_use use, bool directory);
/* While explaining: a mount that the caller's build would have made. */
void recipe_explain(struct recipe *recipe, const char *path, const char *source, const char *type,
		    uint64_t attributes);
void recipe_proc(struct recipe *recipe, const char *path);
void recipe_devpts(struct recipe *recipe, const char *path);
/* The EXEC_SPEC memfd is taken over; the programs are borrowed. */
void recipe_seal(struct recipe *recipe, int spec, int agent_program, int init_program);

#endif
