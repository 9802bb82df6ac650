/* Does a man page name every key of a record's table, in a line of .It Cm or .Cm? */
#ifndef SCARAB_TESTS_PAGE_H
#define SCARAB_TESTS_PAGE_H

#include "common/record.h"
#include "tests/unit/corpus.h"

static inline bool
word_in_line(const char *line, size_t length, const char *word)
{
	size_t size = strlen(word);

	for (size_t i = 0; i + size <= length; i++)
		if (line[i - 1] == ' ' && strncmp(line + i, word, size) == 0 &&
		    (i + size == length || line[i + size] == ' '))
			return true;
	return false;
}

static inline bool
page_names(const char *page, const char *key)
{
	for (const char *line = page; *line;) {
		size_t length = strcspn(line, "\n");
		size_t macro = strncmp(line, ".It Cm ", 7) == 0 ? 7
			       : strncmp(line, ".Cm ", 4) == 0  ? 4
								: 0;

		if (macro && word_in_line(line + macro, length - macro, key))
			return true;
		line += length + (line[length] == '\n');
	}
	return false;
}

static inline void
page_names_all(const char *path, const char *page, const struct record *record)
{
	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];

		if (field->hidden)
			continue;
		ck_assert_msg(page_names(page, field->key), "%s does not name %s", path,
			      field->key);
		if (field->record)
			page_names_all(path, page, field->record);
	}
}

static inline void
page_is_complete(const char *path, const struct record *record)
{
	size_t length;
	_cleanup_free_ char *page = corpus_text(path, &length);

	page_names_all(path, page, record);
}

#endif
