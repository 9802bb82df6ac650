/*
 * Manifest files as ash reads them: text, the checks that need no agentd, warnings.
 */
#ifndef ASH_DOCUMENT_H
#define ASH_DOCUMENT_H

#include "common/manifest.h"

struct document {
	const char *path; /* as the operator wrote it; borrowed */
	char *text;
	size_t length;
	struct manifest *manifest;
	char *warnings; /* lines, or NULL */
};

/* Reads and checks the form. -1 with error; the document is then empty. */
int document_read(const char *path, struct document *document, struct error *error);
void document_free(struct document *document);
/* Calls warn for each argument that is a path which will not exist inside. */
typedef void document_warn_fn(const char *text, void *arg);
void document_check_paths(const struct document *document, const char *install_dir,
			  document_warn_fn *warn, void *arg);
/* Calls warn for each line of warnings. */
void document_each_warning(const struct document *document, document_warn_fn *warn, void *arg);

#endif
