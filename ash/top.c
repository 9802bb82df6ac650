/*
 * ash top. Two processes: the one that was called keeps the terminal's settings and waits, the
 * other draws. Whatever ends the second, a signal or a bug, the first gives the terminal back.
 */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/notice.h"
#include "output.h"
#include "terminal.h"
#include "top_draw.h"

enum {
	TICK_MS = 1000, /* ages are drawn in seconds */
	FRAME_MS = 100, /* at most ten frames a second, however much happens */
	ESCAPE_MS = 25,
	PAGE_ROWS = 10,
};

struct top {
	struct ash *ash;
	struct stream stream;
	struct top_model model;
	struct top_screen screen;
	int signals;
	uint32_t action_id;
	uint64_t drawn_ms;
	bool stale; /* something came since */
	bool quits;
	int signal; /* that ends it; 0 */
};

/* --- keys --------------------------------------------------------------------------------------
 */

static void
note(struct top *top, const char *text)
{
	snprintf(top->screen.note, sizeof(top->screen.note), "%s", text);
}

static void
ask_first(struct top *top, enum top_action action)
{
	const struct top_session *session = top_session_at(&top->screen);
	const struct ask *ask = top_ask_at(&top->screen);

	if (action == TOP_CANCEL && !session) {
		note(top, "Move to a session first: c cancels it.");
		return;
	}
	/* On a session: its first call. */
	for (size_t i = 0; action != TOP_CANCEL && !ask && session && i < top->model.asks.count;
	     i++)
		if (uuid_equal(&top->model.asks.all[i].row.session, &session->id))
			ask = &top->model.asks.all[i];
	if (action != TOP_CANCEL && !ask) {
		note(top, "Move to a call that waits first: a approves it, d denies it.");
		return;
	}
	top->screen.page = TOP_CONFIRM;
	top->screen.action = action;
	top->screen.subject = action == TOP_CANCEL ? session->id : ask->row.ask;
}

static void
act(struct top *top)
{
	static const enum msg_type types[] = {
	    [TOP_APPROVE] = MSG_OP_APPROVE, [TOP_DENY] = MSG_OP_DENY, [TOP_CANCEL] = MSG_OP_CANCEL};
	struct error ignored = ERROR_INIT;
	char id[UUID_TEXT_LEN + 1];
	struct msg request;

	uuid_format(&top->screen.subject, id);
	msg_init(&request, types[top->screen.action]);
	if (top->screen.action == TOP_APPROVE)
		memcpy(request.op_approve.ref, id, sizeof(id));
	else if (top->screen.action == TOP_DENY)
		memcpy(request.op_deny.ref, id, sizeof(id));
	else
		memcpy(request.op_cancel.ref, id, sizeof(id));
	if (!stream_is_up(&top->stream) ||
	    connection_send(&top->ash->connection, &request, &ignored) < 0) {
		note(top, "agentd is away: nothing was done.");
		return;
	}
	top->action_id = request.id;
	note(top, "Asked agentd.");
}

/* Another ash, on the same terminal, with its own pager. */
static void
show_log(struct top *top)
{
	const struct top_session *session = top_session_at(&top->screen);
	char id[UUID_TEXT_LEN + 1];
	sigset_t none;
	pid_t pid;

	if (!session) {
		note(top, "Move to a session first: l shows its log.");
		return;
	}
	uuid_format(&session->id, id);
	def_prog_mode();
	endwin();
	pid = fork();
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setenv("LESS", "RX", 0); /* stays also where all fits */
		execl("/proc/self/exe", "ash", "-s", top->ash->socket, "session", "logs", id, NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	reset_prog_mode();
	clearok(stdscr, TRUE);
}

static void
key_of_table(struct top *top, int key)
{
	switch (key) {
	case 'q':
		top->quits = true;
		break;
	case KEY_UP:
	case 'k':
		top_move(&top->screen, -1);
		break;
	case KEY_DOWN:
	case 'j':
		top_move(&top->screen, 1);
		break;
	case KEY_PPAGE:
		top_move(&top->screen, -PAGE_ROWS);
		break;
	case KEY_NPAGE:
		top_move(&top->screen, PAGE_ROWS);
		break;
	case 's':
		top_model_sort(&top->model, (top->model.order + 1) % TOP_ORDERS);
		break;
	case 'a':
		ask_first(top, TOP_APPROVE);
		break;
	case 'd':
		ask_first(top, TOP_DENY);
		break;
	case 'c':
		ask_first(top, TOP_CANCEL);
		break;
	case 'l':
	case '\n':
	case '\r':
	case KEY_ENTER:
		show_log(top);
		break;
	case 'h':
	case '?':
		top->screen.page = TOP_HELP;
		break;
	default:
		break;
	}
}

static void
take_key(struct top *top, int key)
{
	enum top_page page = top->screen.page;
	bool hidden;

	if (key == KEY_RESIZE)
		return; /* nobody pressed it */
	hidden = COLS < TOP_WIDTH_LEAST || LINES < TOP_HEIGHT_LEAST;

	*top->screen.note = '\0';
	top->screen.page = TOP_TABLE;
	if (hidden) /* nothing is decided that is not seen */
		top->quits |= key == 'q';
	else if (page == TOP_TABLE)
		key_of_table(top, key);
	else if (page == TOP_CONFIRM && key == 'y' &&
		 (top->screen.action == TOP_CANCEL ||
		  top_ask_find(&top->model, &top->screen.subject)))
		act(top);
}

/* --- what comes --------------------------------------------------------------------------------
 */

static void
take_action_answer(struct top *top, const struct msg *msg)
{
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];

	top->action_id = 0;
	if (msg->type == MSG_ERROR) {
		msg_to_error(msg, &error);
		snprintf(top->screen.note, sizeof(top->screen.note), "%.*s", TOP_NOTE_MAX,
			 error_text(&error, text));
	} else {
		note(top, "Done.");
	}
}

static int
take_news(struct top *top, int news, struct msg *msg, struct error *error)
{
	int r = 0;

	if (news == STREAM_UP)
		return top_model_refresh(&top->model, error) < 0 && error->code != ERR_UNREACHABLE
			   ? -1
			   : 0;
	if (news != STREAM_MESSAGE)
		return 0;
	if (msg->id && msg->id == top->action_id)
		take_action_answer(top, msg);
	else
		r = top_model_take(&top->model, msg, error);
	msg_close_fds(msg);
	return r < 0 && error->code != ERR_UNREACHABLE ? -1 : 0;
}

static void
take_signals(struct top *top)
{
	struct signalfd_siginfo signal;
	struct winsize size;

	while (read(top->signals, &signal, sizeof(signal)) == sizeof(signal)) {
		if (signal.ssi_signo != SIGWINCH) {
			top->signal = (int)signal.ssi_signo;
			top->quits = true;
		} else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row &&
			   size.ws_col) {
			resizeterm(size.ws_row, size.ws_col);
			clearok(stdscr, TRUE);
		}
	}
}

static int
turn(struct top *top, struct error *error)
{
	int patience = stream_patience(&top->stream), most = top->stale ? FRAME_MS : TICK_MS;
	int key, news;
	struct pollfd fds[] = {
	    {.fd = stream_fd(&top->stream), .events = POLLIN},
	    {.fd = STDIN_FILENO, .events = POLLIN},
	    {.fd = top->signals, .events = POLLIN},
	};
	struct msg msg;

	if (poll(fds, ARRAY_LEN(fds), patience < most ? patience : most) < 0 && errno != EINTR)
		return error_errno(error, errno, "waiting for agentd");
	if (fds[2].revents)
		take_signals(top);
	if (fds[1].revents & (POLLHUP | POLLERR))
		top->quits = true; /* the terminal is gone */
	while (!top->quits && (key = getch()) != ERR) {
		take_key(top, key);
		top->drawn_ms = 0;
	}
	while ((news = stream_next(&top->stream, &msg, error)) > 0)
		if (take_news(top, news, &msg, error) < 0)
			return -1;
	if (news < 0)
		return -1;
	if (stream_is_up(&top->stream))
		top_model_tick(&top->model, error);
	top->stale = clock_ms() - top->drawn_ms < FRAME_MS;
	if (top->stale)
		return 0;
	top->drawn_ms = clock_ms();
	top_draw(&top->screen);
	return 0;
}

/* --- the process that draws ----------------------------------------------------------------------
 */

static int
catch_signals(struct error *error)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&signals, numbers[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_errno(error, errno, "waiting for signals") : fd;
}

static bool
begin_screen(const struct ash *ash)
{
	bool color = ash->style.color;

	initscr();
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	leaveok(stdscr, TRUE);
	curs_set(0);
	color = color && has_colors() && start_color() == OK && use_default_colors() == OK;
	if (color) {
		init_pair(1, COLOR_GREEN, -1);
		init_pair(2, COLOR_RED, -1);
		init_pair(3, COLOR_YELLOW, -1);
	}
	return color;
}

static int
draw_until_quit(struct ash *ash, struct error *error)
{
	struct top top = {.ash = ash};
	int r = top_model_init(&top.model, ash, error);

	top.signals = r == 0 ? catch_signals(error) : -1;
	if (top.signals < 0)
		return -1;
	stream_init(&top.stream, ash, true);
	top.screen = (struct top_screen){
	    .model = &top.model, .stream = &top.stream, .color = begin_screen(ash)};
	top_draw(&top.screen);
	while (r == 0 && !top.quits)
		r = turn(&top, error);
	endwin();
	top_model_free(&top.model);
	close_fd(&top.signals);
	return r < 0 ? -1 : top.signal ? EXIT_SIGNAL_BASE + top.signal : 0;
}

/* --- the process that keeps the terminal
 * ------------------------------------------------------------ */

/* Signals that would end it go to the other, whose end ends it. */
static int
await(pid_t child, const sigset_t *signals)
{
	int fd = signalfd(-1, signals, SFD_CLOEXEC), status = 0;
	struct signalfd_siginfo signal;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (fd < 0 || read(fd, &signal, sizeof(signal)) != sizeof(signal))
			continue;
		if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGHUP)
			kill(child, (int)signal.ssi_signo);
	}
	close_fd(&fd);
	return status;
}

static int
attend(struct ash *ash, struct error *error)
{
	struct termios before;
	sigset_t signals, old;
	pid_t parent = getpid(), child;
	int status;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return error_errno(error, errno, "looking at the terminal");
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &old);
	child = fork();
	if (child < 0)
		return error_errno(error, errno, "starting the process that draws");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		sigprocmask(SIG_SETMASK, &old, NULL);
		if (getppid() != parent)
			_exit(EXIT_SIGNAL_BASE + SIGTERM);
		return draw_until_quit(ash, error);
	}
	status = await(child, &signals);
	if (!WIFSIGNALED(status))
		exit(WEXITSTATUS(status)); /* it said what there is to say */
	terminal_give_back(&before);
	error_why(error, ERR_FAILED, "the process that draws was ended by SIG%s",
		  sigabbrev_np(WTERMSIG(status)));
	return error_hint(error, "the terminal is as it was before");
}

int
top_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *term = getenv("TERM");

	(void)args;
	if (ash->json) {
		error_why(error, ERR_USAGE, "top is a screen and no JSON");
		return error_hint(error, "'ash --json events' and 'ash --json status' are");
	}
	if (!ash->out_tty || !isatty(STDIN_FILENO)) {
		error_why(error, ERR_USAGE, "top needs a terminal");
		return error_hint(error, "'ash status' and 'ash events' do not");
	}
	if (!terminal_known()) {
		error_why(error, ERR_FAILED, "the terminal '%s' is not known here",
			  term ? term : "");
		return error_hint(error, "set TERM to one that 'infocmp' knows, such as xterm");
	}
	/* Who may not, or where nobody is, hears it before the screen changes. */
	if (connection_open(&ash->connection, ash->socket, error) < 0)
		return -1;
	connection_close(&ash->connection);
	return attend(ash, error);
}
