#include "splice.h"

void
splice_put(struct splice *splice, struct span old, const char *text, size_t length)
{
	int at = splice->count++;

	for (; at > 0 && splice->edits[at - 1].old.at > old.at; at--)
		splice->edits[at] = splice->edits[at - 1];
	splice->edits[at].old = old;
	splice->edits[at].new = (struct span){text, length};
}

static struct iovec
piece(const char *at, size_t length)
{
	return (struct iovec){(void *)(uintptr_t)at, length};
}

int
splice_pieces(const struct splice *splice, struct span whole, struct iovec pieces[SPLICE_PIECES])
{
	const char *at = whole.at, *end = whole.at + whole.length;
	int count = 0;

	for (int i = 0; i < splice->count; i++) {
		struct span old = splice->edits[i].old, new = splice->edits[i].new;

		pieces[count++] = piece(at, (size_t)(old.at - at));
		pieces[count++] = piece(new.at, new.length);
		at = old.at + old.length;
	}
	pieces[count++] = piece(at, (size_t)(end - at));
	pieces[count++] = piece("\n", 1);
	return count;
}
