#include "top_draw.h"

#include <curses.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "common/timefmt.h"
#include "output.h"
#include "text.h"

enum {
	CELL = 512,
	FIRES_SHOWN = 4,
	ID_SHOWN = 13, /* of a session's id: its time */
	STATE_SHOWN = 14,
	AGE_SIZE = 24,
	PAIR_GOOD = 1,
	PAIR_BAD,
	PAIR_WARN,
};

/* --- one line ----------------------------------------------------------------------------------
 */

static attr_t
attribute(const struct top_screen *screen, enum color color)
{
	static const attr_t plain[COLOR_COUNT] = {[COLOR_BOLD] = A_BOLD,
						  [COLOR_DIM] = A_DIM,
						  [COLOR_BAD] = A_BOLD,
						  [COLOR_WARN] = A_BOLD};
	static const short pairs[COLOR_COUNT] = {
	    [COLOR_GOOD] = PAIR_GOOD, [COLOR_BAD] = PAIR_BAD, [COLOR_WARN] = PAIR_WARN};

	if (screen->color && pairs[color])
		return (attr_t)COLOR_PAIR(pairs[color]);
	return plain[color];
}

/* Clean, and no longer than the line has room: a line never wraps. */
static void __attribute__((format(printf, 4, 5)))
put(int y, int x, attr_t how, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *clean = NULL, *cut = NULL;
	int room = COLS - x;
	va_list arguments;
	int r;

	va_start(arguments, fmt);
	r = vasprintf(&text, fmt, arguments);
	va_end(arguments);
	if (r < 0) {
		text = NULL;
		return;
	}
	clean = room > 0 && y < LINES ? text_clean(text) : NULL;
	cut = clean ? text_cut(clean, (size_t)room, false, ">") : NULL;
	if (!cut)
		return;
	attron(how);
	mvaddstr(y, x, cut);
	attroff(how);
}

/* The whole width, so that what is highlighted is a bar. */
static void
bar(int y, attr_t how)
{
	mvchgat(y, 0, -1, how & ~(attr_t)A_COLOR, (short)PAIR_NUMBER(how), NULL);
}

/* --- columns -----------------------------------------------------------------------------------
 */

/* Agents' names get what the other columns leave. */
static int
agent_width(void)
{
	int room = COLS - (ID_SHOWN + 2 + 1 + STATE_SHOWN + 6 + 10 + 6 + 10 + 7);

	return room < 8 ? 8 : room > 40 ? 40 : room;
}

static void
cut_into(char *into, size_t size, const char *text, int width)
{
	_cleanup_free_ char *clean = text_clean(text);
	_cleanup_free_ char *cut = clean ? text_cut(clean, (size_t)width, false, ">") : NULL;

	snprintf(into, size, "%s", cut ? cut : "");
}

static const char *
state_text(const struct top_session *session, char *text, size_t size)
{
	const char *state = session_state_name(session->state);
	const char *step = session->step ? session_step_name(session->step) : NULL;

	if (session->state == STATE_SETUP && step)
		snprintf(text, size, "setup %s", step);
	else if (session->state == STATE_RUNNING && *session->sample.activity)
		snprintf(text, size, "running %s", session->sample.activity);
	else
		snprintf(text, size, "%s", state ? state : "-");
	return text;
}

static void
use_text(const struct top_session *session, char cpu[16], char memory[32], char network[32])
{
	const struct msg_session_sample *sample = &session->sample;
	uint64_t bytes = sample->sent_bytes + sample->received_bytes;

	strcpy(cpu, "-");
	strcpy(memory, "-");
	strcpy(network, "-");
	if (session->cpu_percent >= 0)
		snprintf(cpu, 16, "%.1f", session->cpu_percent);
	if (sample->at_ms && sample->memory_bytes >= 0)
		size_format((uint64_t)sample->memory_bytes, memory);
	if (bytes)
		size_format(bytes, network);
}

/* At most six columns: "42s", "9m05s", "23h59m", "120d". */
static const char *
age_text(uint64_t seconds, char text[AGE_SIZE])
{
	unsigned long long s = seconds;

	if (s < 60)
		snprintf(text, AGE_SIZE, "%llus", s);
	else if (s < 3600)
		snprintf(text, AGE_SIZE, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, AGE_SIZE, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(text, AGE_SIZE, "%llud", s / 86400);
	return text;
}

static void
session_line(const struct top_screen *screen, int y, const struct top_session *session)
{
	char id[UUID_TEXT_LEN + 1], agent[CELL], state[64], state_cut[CELL], cpu[16], memory[32];
	char network[32], age[AGE_SIZE];
	uint64_t now = realtime_ms();
	int width = agent_width();

	cut_into(agent, sizeof(agent), session->agent, width);
	cut_into(state_cut, sizeof(state_cut), state_text(session, state, sizeof(state)),
		 STATE_SHOWN);
	use_text(session, cpu, memory, network);
	age_text(now > session->since_ms ? (now - session->since_ms) / 1000 : 0, age);
	put(y, 0, attribute(screen, session->state == STATE_QUEUED ? COLOR_DIM : COLOR_NONE),
	    "%.*s  %-*s %-*s %5s %9s %5llu %9s %6s", ID_SHOWN, uuid_format(&session->id, id), width,
	    agent, STATE_SHOWN, state_cut, cpu, memory, (unsigned long long)session->sample.calls,
	    network, age);
}

static void
ask_line(const struct top_screen *screen, int y, const struct ask *ask)
{
	char agent[CELL], left[AGE_SIZE];
	uint64_t now = realtime_ms();
	int width = agent_width();

	cut_into(agent, sizeof(agent), ask->row.agent, width);
	age_text(ask->row.expires_at_ms > now ? (ask->row.expires_at_ms - now) / 1000 : 0, left);
	put(y, 0, attribute(screen, COLOR_WARN), "%-13s  %-*s %s %s", left, width, agent,
	    ask->row.name, ask->row.shape);
}

static void
fire_line(int y, const struct msg_trigger_row *row)
{
	char at[32];

	put(y, 0, A_NORMAL, "%s  %s  %s", local_format(row->next_fire_at_ms, at), row->agent,
	    row->expression);
}

/* --- the cursor --------------------------------------------------------------------------------
 */

static size_t
rows(const struct top_screen *screen)
{
	return screen->model->count + screen->model->asks.count;
}

const struct top_session *
top_session_at(const struct top_screen *screen)
{
	return screen->cursor < screen->model->count ? &screen->model->sessions[screen->cursor]
						     : NULL;
}

const struct ask *
top_ask_at(const struct top_screen *screen)
{
	const struct top_model *model = screen->model;
	size_t at = screen->cursor - model->count;

	return screen->cursor >= model->count && at < model->asks.count ? &model->asks.all[at]
									: NULL;
}

const struct ask *
top_ask_find(const struct top_model *model, const struct uuid *id)
{
	for (size_t i = 0; i < model->asks.count; i++)
		if (uuid_equal(&model->asks.all[i].row.ask, id))
			return &model->asks.all[i];
	return NULL;
}

static void
note_cursor(struct top_screen *screen)
{
	const struct top_session *session = top_session_at(screen);
	const struct ask *ask = top_ask_at(screen);

	screen->on_ask = ask != NULL;
	screen->on = ask ? ask->row.ask : session ? session->id : (struct uuid){0};
}

/* On what it was on, wherever that is now; else where it was. */
static void
follow_cursor(struct top_screen *screen)
{
	const struct top_model *model = screen->model;

	for (size_t i = 0; !screen->on_ask && i < model->count; i++)
		if (uuid_equal(&model->sessions[i].id, &screen->on))
			screen->cursor = i;
	for (size_t i = 0; screen->on_ask && i < model->asks.count; i++)
		if (uuid_equal(&model->asks.all[i].row.ask, &screen->on))
			screen->cursor = model->count + i;
	if (screen->cursor >= rows(screen))
		screen->cursor = rows(screen) ? rows(screen) - 1 : 0;
	note_cursor(screen);
}

void
top_move(struct top_screen *screen, int by)
{
	size_t count = rows(screen);

	if (by < 0)
		screen->cursor -= (size_t)-by < screen->cursor ? (size_t)-by : screen->cursor;
	else
		screen->cursor += (size_t)by;
	if (screen->cursor >= count)
		screen->cursor = count ? count - 1 : 0;
	note_cursor(screen);
}

/* --- the table ---------------------------------------------------------------------------------
 */

static unsigned
count_state(const struct top_model *model, bool queued)
{
	unsigned count = 0;

	for (size_t i = 0; i < model->count; i++)
		count += (model->sessions[i].state == STATE_QUEUED) == queued;
	return count;
}

static void
draw_head(const struct top_screen *screen)
{
	static const char *const order[TOP_ORDERS] = {"age", "cpu", "memory", "agent"};
	const struct top_model *model = screen->model;
	uint64_t away = stream_away_ms(screen->stream);
	char at[32], text[32];

	put(0, 0, A_BOLD, "ash top  %u live, %u queued, %zu to decide, by %s",
	    count_state(model, false), count_state(model, true), model->asks.count,
	    order[model->order]);
	local_format(realtime_ms(), at);
	if (COLS >= 80)
		put(0, COLS - 8, A_BOLD, "%s", at + 11);
	if (away)
		put(1, 0, attribute(screen, COLOR_BAD), "agentd is away, for %s; trying again",
		    duration_format(away / 1000 * 1000, text));
	else if (model->last.type)
		put(1, 0, A_DIM, "%s %s", local_format(news_at_ms(&model->last), at) + 11,
		    news_kind(&model->last));
	if (!away && model->last.type) {
		char line[NEWS_TEXT_MAX + 1];

		put(1, 27, A_DIM, "%s", news_text(&model->last, line));
	}
}

static void
draw_title(int y, const char *text)
{
	put(y, 0, A_REVERSE, "%s", text);
	bar(y, A_REVERSE);
}

static void
session_title(int y)
{
	char text[CELL];

	snprintf(text, sizeof(text), "%-13s  %-*s %-*s %5s %9s %5s %9s %6s", "SESSION",
		 agent_width(), "AGENT", STATE_SHOWN, "STATE", "CPU%", "MEMORY", "CALLS", "NETWORK",
		 "AGE");
	draw_title(y, text);
}

struct layout {
	int sessions, asks, fires; /* lines of each, without titles */
};

/* Sessions get what is left; calls that wait come before fires. */
static struct layout
lay_out(const struct top_model *model)
{
	int room = LINES - 4; /* head, news, title, keys */
	struct layout layout = {0};

	if (model->asks.count && room > 4) {
		layout.asks = (int)model->asks.count < room / 3 ? (int)model->asks.count : room / 3;
		room -= layout.asks + 1;
	}
	if (model->fire_count && room > 6) {
		layout.fires =
		    (int)model->fire_count < FIRES_SHOWN ? (int)model->fire_count : FIRES_SHOWN;
		if (layout.fires > room / 3)
			layout.fires = room / 3;
		room -= layout.fires + 1;
	}
	layout.sessions = room;
	return layout;
}

static void
keep_in_sight(struct top_screen *screen, int lines)
{
	size_t shown = lines > 0 ? (size_t)lines : 1;

	if (screen->cursor < screen->model->count && screen->cursor < screen->first)
		screen->first = screen->cursor;
	if (screen->cursor < screen->model->count && screen->cursor >= screen->first + shown)
		screen->first = screen->cursor - shown + 1;
	if (screen->first + shown > screen->model->count)
		screen->first = screen->model->count > shown ? screen->model->count - shown : 0;
}

static void
draw_sessions(struct top_screen *screen, int y, int lines)
{
	const struct top_model *model = screen->model;

	session_title(y++);
	keep_in_sight(screen, lines);
	if (model->count == 0)
		put(y, 0, A_DIM, "No session is live.");
	for (int i = 0; i < lines && screen->first + (size_t)i < model->count; i++) {
		session_line(screen, y + i, &model->sessions[screen->first + (size_t)i]);
		if (screen->first + (size_t)i == screen->cursor)
			bar(y + i, A_REVERSE);
	}
}

static void
draw_asks(const struct top_screen *screen, int y, int lines)
{
	const struct top_model *model = screen->model;
	size_t at = screen->cursor >= model->count ? screen->cursor - model->count : 0;
	size_t first = at >= (size_t)lines ? at - (size_t)lines + 1 : 0;

	if (lines == 0)
		return;
	draw_title(y++, "TO DECIDE: a approve, d deny");
	for (int i = 0; i < lines && first + (size_t)i < model->asks.count; i++) {
		ask_line(screen, y + i, &model->asks.all[first + (size_t)i]);
		if (model->count + first + (size_t)i == screen->cursor)
			bar(y + i, A_REVERSE);
	}
}

static void
draw_fires(const struct top_model *model, int y, int lines)
{
	if (lines == 0)
		return;
	draw_title(y++, "NEXT");
	for (int i = 0; i < lines; i++)
		fire_line(y + i, &model->fires[i]);
}

static void
draw_foot(const struct top_screen *screen)
{
	put(LINES - 1, 0, A_BOLD, "%s",
	    *screen->note
		? screen->note
		: "q quit  arrows move  s sort  a approve  d deny  c cancel  l log  h help");
}

static void
draw_table(struct top_screen *screen)
{
	struct layout layout = lay_out(screen->model);
	int y = 2;

	draw_head(screen);
	draw_sessions(screen, y, layout.sessions);
	y += 1 + layout.sessions;
	draw_asks(screen, y, layout.asks);
	y += layout.asks ? layout.asks + 1 : 0;
	draw_fires(screen->model, y, layout.fires);
	draw_foot(screen);
}

/* --- other pages -------------------------------------------------------------------------------
 */

static void
draw_help(void)
{
	static const char *const lines[] = {
	    "ash top: live sessions, calls to decide, next fires",
	    "",
	    "  arrows, j k, PgUp PgDn   move",
	    "  s                        sort by age, CPU, memory, agent",
	    "  enter, l                 the session's log, in a pager",
	    "  c                        cancel the session, after a question",
	    "  a, d                     approve or deny the call, after it is shown",
	    "  q                        quit",
	    "",
	    "any key: back",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		put((int)i, 0, i ? A_NORMAL : A_BOLD, "%s", lines[i]);
}

/* As many lines as there is room for; what a call asks for must be seen before it is approved. */
static void
draw_arguments(const struct ask *ask, int y, int lines)
{
	const char *text = ask->arguments ? ask->arguments : "(none)";
	size_t length = strlen(text), width = (size_t)COLS;

	for (int i = 0; i < lines && length; i++) {
		size_t size = length < width ? length : width;

		while (size < length && size > 1 && ((unsigned char)text[size] & 0xc0) == 0x80)
			size--; /* not inside a character */
		put(y + i, 0, A_NORMAL, "%.*s", (int)size, text);
		text += size;
		length -= size;
	}
	if (length || ask->length >= ARGUMENTS_MOST)
		put(y + lines, 0, A_BOLD,
		    "There is more of it: %llu bytes. See all: ash pending ID",
		    (unsigned long long)ask->row.argument_bytes);
}

static void
draw_call(const struct top_screen *screen)
{
	const struct ask *ask = top_ask_find(screen->model, &screen->subject);
	char id[UUID_TEXT_LEN + 1];

	if (!ask) {
		put(0, 0, A_BOLD, "The call waits no more. Any key: back");
		return;
	}
	put(0, 0, A_BOLD, "%s this call?", screen->action == TOP_APPROVE ? "Approve" : "Deny");
	put(1, 0, A_NORMAL, "Agent    %s", ask->row.agent);
	put(2, 0, A_NORMAL, "Tool     %s", ask->row.name);
	put(3, 0, A_NORMAL, "Session  %s", uuid_format(&ask->row.session, id));
	put(4, 0, A_NORMAL, "Call     %s", uuid_format(&ask->row.ask, id));
	draw_arguments(ask, 6, LINES - 9);
	put(LINES - 1, 0, A_BOLD, "y yes, any other key no");
}

static void
draw_confirm(const struct top_screen *screen)
{
	char id[UUID_TEXT_LEN + 1];

	if (screen->action != TOP_CANCEL) {
		draw_call(screen);
		return;
	}
	put(0, 0, A_BOLD, "Cancel this session?");
	put(1, 0, A_NORMAL, "Session  %s", uuid_format(&screen->subject, id));
	for (size_t i = 0; i < screen->model->count; i++)
		if (uuid_equal(&screen->model->sessions[i].id, &screen->subject))
			put(2, 0, A_NORMAL, "Agent    %s", screen->model->sessions[i].agent);
	put(LINES - 1, 0, A_BOLD, "y yes, any other key no");
}

void
top_draw(struct top_screen *screen)
{
	follow_cursor(screen);
	erase();
	if (COLS < TOP_WIDTH_LEAST || LINES < TOP_HEIGHT_LEAST)
		put(0, 0, A_NORMAL, "too small: %dx%d, needs %dx%d; q quits", COLS, LINES,
		    TOP_WIDTH_LEAST, TOP_HEIGHT_LEAST);
	else if (screen->page == TOP_HELP)
		draw_help();
	else if (screen->page == TOP_CONFIRM)
		draw_confirm(screen);
	else
		draw_table(screen);
	move(LINES - 1, COLS - 1);
	refresh();
}
