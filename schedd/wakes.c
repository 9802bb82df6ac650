#include "wakes.h"

#include <stddef.h>

/* Two heaps become one: the later root is the first child of the earlier. */
static struct wake *
meld(struct wake *a, struct wake *b)
{
	struct wake *later;

	if (!a || !b)
		return a ? a : b;
	later = b->at_ms < a->at_ms ? a : b;
	a = later == a ? b : a;
	later->next = a->child;
	if (a->child)
		a->child->before = later;
	later->before = a;
	a->child = later;
	return a;
}

/* The children of one that goes: pairs from left to right, then all of them from right to left. */
static struct wake *
meld_children(struct wake *child)
{
	struct wake *pairs = NULL, *whole = NULL;

	while (child) {
		struct wake *a = child, *b = a->next;

		child = b ? b->next : NULL;
		a->next = a->before = NULL;
		if (b)
			b->next = b->before = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct wake *next = pairs->next;

		pairs->next = NULL;
		whole = meld(whole, pairs);
		pairs = next;
	}
	return whole;
}

void
wakes_add(struct wakes *wakes, struct wake *wake, int64_t at_ms)
{
	*wake = (struct wake){.at_ms = at_ms, .waits = true};
	wakes->first = meld(wakes->first, wake);
}

void
wakes_remove(struct wakes *wakes, struct wake *wake)
{
	struct wake *children;

	if (!wake->waits)
		return;
	children = meld_children(wake->child);
	if (wake == wakes->first) {
		wakes->first = children;
	} else {
		if (wake->before->child == wake)
			wake->before->child = wake->next;
		else
			wake->before->next = wake->next;
		if (wake->next)
			wake->next->before = wake->before;
		wakes->first = meld(wakes->first, children);
	}
	*wake = (struct wake){.waits = false};
}
