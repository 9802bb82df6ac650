/*
 * The skills of a manifest as ash finds them, with the operator's own rights.
 */
#ifndef ASH_SKILLS_H
#define ASH_SKILLS_H

#include "common/proto.h"
#include "document.h"

/* Adds to OP_INSTALL a descriptor of each skill's directory and the heads of their SKILL.md. What
 * an agent can do without is a warning. 0, or -1 with error. */
int skills_prove(const struct manifest *manifest, const char *install_dir, struct msg *request,
		 document_warn_fn *warn, void *arg, struct error *error);
/* Their heads alone, as the last descriptor of OP_INSTALL (*heads; -1 without skills), and what a
 * plan knows of them into manifest->skill_index. */
int skills_load(struct manifest *manifest, const char *install_dir, int *heads,
		document_warn_fn *warn, void *arg, struct error *error);
/* Every rule of SKILL.md for those that are there; those that are not give a warning. 0, or -1 with
 * FILE:LINE:COLUMN (ERR_INVALID). */
int skills_validate(const struct document *document, const char *install_dir,
		    document_warn_fn *warn, void *arg, struct error *error);

#endif
