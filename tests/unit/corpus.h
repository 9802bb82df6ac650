/*
 * Walks tests/corpus/KIND: good-*.yaml must be read; bad-*.yaml must be refused with the error that
 * its first line names, "# expect: LINE:COLUMN: why | hint", or NAME.yaml.expect where the bytes
 * leave no room for a comment.
 */
#ifndef SCARAB_TESTS_CORPUS_H
#define SCARAB_TESTS_CORPUS_H

#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/io.h"

enum { CORPUS_FILE_MAX = 2 << 20 };

/* Reads the text; false with error. */
typedef bool corpus_reader(const char *text, size_t length, const char *file, struct error *error);

static inline char *
corpus_text(const char *path, size_t *length)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;

	ck_assert_msg(fd >= 0, "%s cannot be opened", path);
	ck_assert_int_eq(read_file(fd, CORPUS_FILE_MAX, &text, length), 0);
	return text;
}

static inline void
corpus_expected(const char *path, const char *text, char *expected, size_t size)
{
	static const char mark[] = "# expect: ";
	_cleanup_free_ char *beside = NULL;
	char sidecar[512];
	size_t length;

	if (strncmp(text, mark, sizeof(mark) - 1) == 0) {
		text += sizeof(mark) - 1;
	} else {
		snprintf(sidecar, sizeof(sidecar), "%s.expect", path);
		text = beside = corpus_text(sidecar, &length);
	}
	snprintf(expected, size, "%s:%.*s", path, (int)strcspn(text, "\n"), text);
}

static inline void
corpus_bad(const char *path, corpus_reader *reader)
{
	size_t length;
	_cleanup_free_ char *text = corpus_text(path, &length);
	struct error error = ERROR_INIT;
	char expected[1024], got[sizeof(error.why) + sizeof(error.hint) + 4];

	corpus_expected(path, text, expected, sizeof(expected));
	ck_assert_msg(!reader(text, length, path, &error), "%s was not refused", path);
	snprintf(got, sizeof(got), "%s%s%s", error.why, *error.hint ? " | " : "", error.hint);
	ck_assert_str_eq(got, expected);
	ck_assert_int_eq(error.code, ERR_INVALID);
}

static inline void
corpus_good(const char *path, corpus_reader *reader)
{
	size_t length;
	_cleanup_free_ char *text = corpus_text(path, &length);
	struct error error = ERROR_INIT;

	ck_assert_msg(reader(text, length, path, &error), "%s", error.why);
}

static inline void
corpus_walk(const char *pattern, size_t least, void (*each)(const char *, corpus_reader *),
	    corpus_reader *reader)
{
	glob_t files;

	ck_assert_int_eq(glob(pattern, 0, NULL, &files), 0);
	ck_assert_uint_ge(files.gl_pathc, least);
	for (size_t i = 0; i < files.gl_pathc; i++)
		each(files.gl_pathv[i], reader);
	globfree(&files);
}

#endif
