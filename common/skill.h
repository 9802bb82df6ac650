/*
 * The front matter of a skill's SKILL.md: YAML between two lines of ---, at the top of the file.
 * Links libyaml: unprivileged processes only (ash, control, tests).
 */
#ifndef SCARAB_SKILL_H
#define SCARAB_SKILL_H

#include "error.h"
#include "manifest.h"

/* Every rule: name (1 to 64 of a-z, 0-9 and -, the directory's own), description (1 to 1024
 * characters), no keys but license, compatibility, metadata and allowed-tools beside them. text is
 * the file's beginning, SKILL_HEAD_BYTES of it at most. 0, or -1 with FILE:LINE:COLUMN
 * (ERR_INVALID); file is for that message only. */
int skill_check(const char *text, size_t length, const char *file, const char *directory,
		struct error *error);

/* What an agent is told, as far as it can be made out: a bad name is the directory's, a description
 * that is too long is cut, anything else is nobody's concern. Fills skill (heap); without a
 * description the skill is left out. *warning (heap, NULL: none) is one line that says what is
 * wrong. 0 or -ENOMEM. */
int skill_load(const char *text, size_t length, const char *file, const char *directory,
	       struct manifest_skill *skill, char **warning);

#endif
