/*
 * What AGENT_INSTALL brings, judged: the plan against root's policy and this host, and every path
 * that it names against what the operator opened. Nothing is changed.
 */
#ifndef SCARAB_RUNNERD_INSTALL_CHECK_H
#define SCARAB_RUNNERD_INSTALL_CHECK_H

#include "runnerd.h"
#include "store.h"

/* The message's descriptors; those of context are as many as the plan's sources. */
enum { INSTALL_FD_PLAN, INSTALL_FD_MANIFEST, INSTALL_FD_DIR, INSTALL_FD_CONTEXT };

/* An agent of the message's plan and text that is not stored. NULL with error. */
struct agent *install_read(const struct msg *msg, struct error *error);
/* It is not installed, or may be replaced. 0, or -1 with error. */
int install_check_new(const struct runnerd *r, const struct msg_agent_install *request,
		      const char *name, struct error *error);
/* All of it. The agent's head and what interprets it are filled in. 0, or -1 with error. */
int install_check(struct runnerd *r, const struct msg *msg, struct agent *agent,
		  struct error *error);
/* Of an agent whose image is one of the store, after install_check(): its digest is noted, and what
 * the image must have is looked for. 0, or -1 with error. */
int install_check_image(struct runnerd *r, struct agent *agent, const char *digest,
			struct error *error);

#endif
