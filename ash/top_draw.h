/*
 * The screen of `ash top`. Everything that agents, plugins and manifests wrote is cleaned before it
 * is shown. A frame is drawn as a whole and sent as what differs from the one before.
 */
#ifndef ASH_TOP_DRAW_H
#define ASH_TOP_DRAW_H

#include "stream.h"
#include "top_model.h"

enum {
	TOP_WIDTH_LEAST = 60,
	TOP_HEIGHT_LEAST = 10,
	TOP_NOTE_MAX = 255,
};

enum top_page { TOP_TABLE, TOP_HELP, TOP_CONFIRM };

enum top_action { TOP_NO_ACTION, TOP_APPROVE, TOP_DENY, TOP_CANCEL };

struct top_screen {
	struct top_model *model;
	const struct stream *stream;
	bool color;
	enum top_page page;
	/* The row that the cursor is on, sessions first, then calls; kept on what it was on. */
	size_t cursor, first;
	bool on_ask;
	struct uuid on;
	/* What waits for a yes. */
	enum top_action action;
	struct uuid subject;
	char note[TOP_NOTE_MAX + 1]; /* the last line, in place of the keys */
};

void top_draw(struct top_screen *screen);
/* What the cursor is on; NULL: something else. */
const struct top_session *top_session_at(const struct top_screen *screen);
const struct ask *top_ask_at(const struct top_screen *screen);
/* By its id; NULL: it waits no more. */
const struct ask *top_ask_find(const struct top_model *model, const struct uuid *id);
void top_move(struct top_screen *screen, int by);

#endif
