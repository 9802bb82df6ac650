/*
 * The steps of a session in the order of set-up; teardown walks the table backwards. A step acts
 * on one part of a session: it writes its lines of the recipe and makes what they need on the
 * host. undo must bear being called twice and after a crash at any point of build.
 */
#ifndef SCARAB_RUNNERD_STEPS_H
#define SCARAB_RUNNERD_STEPS_H

#include "runnerd/session.h"

/* build: not done yet. session_setup_goes_on() calls resume, and the table goes on from there. */
enum { STEP_WAITS = 1 };

struct step {
	enum session_step id;
	const char *name;
	bool (*need)(const struct session *s); /* NULL: in every session */
	int (*build)(struct session *s, struct error *error);
	int (*resume)(struct session *s, struct error *error);
	/* NULL: nothing outlives the sandbox. 0, or -EAGAIN: not done yet, and
	 * session_end_advance() is called when it may be. */
	int (*undo)(struct session *s);
	/* Writes the recipe while it is explained: nothing of the session is there, nothing may be
	 * made or opened that a manifest names. NULL: build does no more. */
	int (*explain)(struct session *s, struct error *error);
	/* After a restart, for a session that lives: takes up again what build held. */
	int (*adopt)(struct session *s, struct error *error); /* NULL: nothing */
};

extern const struct step session_steps[];
extern const size_t session_step_count;

int image_build(struct session *s, struct error *error);
int image_undo(struct session *s);
int identity_build(struct session *s, struct error *error);
int identity_undo(struct session *s);
int identity_explain(struct session *s, struct error *error);
int credentials_build(struct session *s, struct error *error);
int credentials_undo(struct session *s);
int context_build(struct session *s, struct error *error);
int skills_build(struct session *s, struct error *error);
int network_build(struct session *s, struct error *error);
int network_explain(struct session *s, struct error *error);
int network_undo(struct session *s);
int tools_build(struct session *s, struct error *error);
int tools_resume(struct session *s, struct error *error);
int tools_undo(struct session *s);
int tools_explain(struct session *s, struct error *error);
/* agent.c: the keeper gets all that it keeps. */
int keeper_boot(struct session *s, struct error *error);
/* plugin.c: the whole recipe of a plugin's sandbox. 0, or -1 with error. */
int plugin_recipe(struct session *s, struct recipe *recipe, const struct manifest_server *plan,
		  uint32_t uid, struct error *error);
int plugin_seal(struct session *s, struct recipe *recipe, const struct manifest_server *plan,
		uint32_t uid, struct error *error);
bool plugin_sees(const struct manifest_server *plan, const char *mount);
/* exec_secrets.c: does a value of env_template name a secret? */
bool exec_secret(const char *value);
/* Records of the variables of one sandbox (server empty: the agent's) that hold secrets, behind the
 * strings of its EXEC_SPEC. 0 or -errno. */
int exec_secrets(const struct session *s, const char *server, const struct pairs *templates,
		 struct rows *rows);
#define AGENT_HOME "/home/agent"
#define PLUGIN_HOME "/run/agent/home" /* of a plugin that sees the agent's */

/* Parts of steps that a plugin's sandbox has too. uid: who runs in it, whose home that is. */
void identity_etc(struct session *s, uint32_t uid, const char *home);
int skills_mounts(struct session *s, struct error *error);
int agent_build(struct session *s, struct error *error);
int agent_undo(struct session *s);
int agent_explain(struct session *s, struct error *error);
int agent_adopt(struct session *s, struct error *error);

/* What an image is made of (image_host.c, image_dir.c, image_oci.c). */
int image_host(struct session *s, struct error *error);
int image_dir(struct session *s, const char *path, struct error *error);
int image_oci(struct session *s, struct error *error);
/* Where a container begins, made where its image has nothing there. */
void image_directory(struct session *s);
/* Parts of the latter two, which are trees below a layer of the session's own (image_dir.c): that
 * layer, made and furnished; the ids in which a lower of it shall appear, of the first count,
 * -errno where this host maps none; a lower in them; and what is put into the tree. */
int image_upper(struct session *s, struct error *error);
int image_ids(const struct session *s, uint32_t count);
int image_lower(const struct session *s, int dir, int ids, struct error *error);
int image_outfit(struct session *s, struct error *error);
/* A read-only view of an open file or directory at path. */
int image_view(struct session *s, int source, const char *path, bool directory,
	       struct error *error);
/* A file or directory of the host's /etc, where it exists, and /etc/NAME of the agent's name. */
int image_etc_view(struct session *s, const char *path, struct error *error);
int image_etc_of_agent(struct session *s, struct error *error);

/* The session's layers (runnerd/layers.h), made and put into the recipe at the first call
 * (image.c). Descriptor, borrowed, or -1 with error. */
int session_layers(struct session *s, struct error *error);

/* The agent's environment and command as the sealed memfd of SANDBOX_SEAL (agent_exec.c).
 * Descriptor, or -1 with error. */
int agent_exec_spec(struct session *s, struct error *error);

#endif
