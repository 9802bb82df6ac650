#include "scrape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/metrics.h"
#include "requests.h"

enum status {
	OK = 200,
	BAD_REQUEST = 400,
	NOT_FOUND = 404,
	NOT_ALLOWED = 405,
	TOO_LARGE = 431,
	UNAVAILABLE = 503
};

struct scrape {
	TAILQ_ENTRY(scrape) entry;
	struct scrapes *scrapes;
	struct loop_source *watch, *deadline;
	struct request *request; /* under way; NULL */
	int fd;
	uid_t uid;
	bool openmetrics;
	char head[SCRAPE_HEAD_MAX + 1];
	size_t got;
	char *answer; /* NULL: it is still read, or asked for */
	size_t length, written;
};

struct scrapes {
	struct control *control;
	struct listener *listener;
	TAILQ_HEAD(scrape_list, scrape) all;
};

static void
drop(struct scrape *scrape)
{
	struct scrapes *scrapes = scrape->scrapes;

	if (scrape->request)
		request_abandon(scrape->request);
	TAILQ_REMOVE(&scrapes->all, scrape, entry);
	loop_remove(scrape->watch);
	loop_remove(scrape->deadline);
	close_fd(&scrape->fd);
	listener_left(scrapes->listener, scrape->uid);
	free(scrape->answer);
	free(scrape);
}

/* --- the answer ------------------------------------------------------------------------------- */

/* May drop it. */
static void
push(struct scrape *scrape)
{
	while (scrape->written < scrape->length) {
		ssize_t n = send(scrape->fd, scrape->answer + scrape->written,
				 scrape->length - scrape->written, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_set_events(scrape->watch, EPOLLOUT);
			return;
		}
		if (n < 0)
			break;
		scrape->written += (size_t)n;
	}
	shutdown(scrape->fd, SHUT_RDWR);
	drop(scrape);
}

static const char *
phrase(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {
	    {OK, "OK"},
	    {BAD_REQUEST, "Bad Request"},
	    {NOT_FOUND, "Not Found"},
	    {NOT_ALLOWED, "Method Not Allowed"},
	    {TOO_LARGE, "Request Header Fields Too Large"},
	};

	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Service Unavailable";
}

static const char *
content_type(const struct scrape *scrape, unsigned status)
{
	if (status != OK)
		return "text/plain; charset=utf-8";
	return scrape->openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				   : "text/plain; version=0.0.4; charset=utf-8";
}

/* May drop it. */
static void
answer(struct scrape *scrape, unsigned status, const char *body, size_t length)
{
	int head = asprintf(&scrape->answer,
			    "HTTP/1.0 %u %s\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n"
			    "Connection: close\r\n\r\n",
			    status, phrase(status), content_type(scrape, status),
			    status == NOT_ALLOWED ? "Allow: GET\r\n" : "", length);
	char *whole = head < 0 ? NULL : realloc(scrape->answer, (size_t)head + length);

	if (head < 0)
		scrape->answer = NULL;
	if (!whole) {
		drop(scrape);
		return;
	}
	scrape->answer = whole;
	memcpy(whole + head, body, length);
	scrape->length = (size_t)head + length;
	push(scrape);
}

static void
refuse(struct scrape *scrape, unsigned status, const char *why)
{
	answer(scrape, status, why, strlen(why));
}

static void
collected(struct msg *rows, void *arg)
{
	struct scrape *scrape = arg;
	struct error error = ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	size_t length = 0;

	scrape->request = NULL;
	if (rows)
		text = metrics_text(rows->fds[0],
				    scrape->openmetrics ? METRICS_OPENMETRICS : METRICS_PROMETHEUS,
				    &length, &error);
	if (text)
		answer(scrape, OK, text, length);
	else
		refuse(scrape, UNAVAILABLE, "the metrics cannot be collected now\n");
}

/* --- the request ------------------------------------------------------------------------------ */

unsigned
scrape_request(const char *head, bool *openmetrics)
{
	static const char method[] = "GET ", path[] = "/metrics";
	const char *target = head + sizeof(method) - 1;
	size_t line = strcspn(head, "\r\n");

	*openmetrics = strcasestr(head + line, "application/openmetrics-text") != NULL;
	if (strncmp(head, method, sizeof(method) - 1) != 0)
		return memchr(head, ' ', line) ? NOT_ALLOWED : BAD_REQUEST;
	if (strncmp(target, path, sizeof(path) - 1) != 0)
		return NOT_FOUND;
	target += sizeof(path) - 1;
	target += *target == '?' ? strcspn(target, " \r\n") : 0;
	if (*target != ' ')
		return *target == '\r' || *target == '\n' ? BAD_REQUEST : NOT_FOUND;
	return strncmp(target, " HTTP/1.", 8) == 0 ? OK : BAD_REQUEST;
}

static void
ask(struct scrape *scrape)
{
	unsigned status = scrape_request(scrape->head, &scrape->openmetrics);

	loop_set_events(scrape->watch, 0);
	if (status != OK) {
		refuse(scrape, status, "GET /metrics is all that is here\n");
		return;
	}
	scrape->request =
	    request_inside(scrape->scrapes->control, MSG_OP_METRICS, collected, scrape);
	if (!scrape->request)
		refuse(scrape, UNAVAILABLE, "too much is asked for at once\n");
	else
		request_begin(scrape->request);
}

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct scrape *scrape = arg;
	ssize_t n;

	(void)source;
	if (scrape->answer) {
		push(scrape);
		return;
	}
	if (scrape->request) { /* only its end is told now */
		drop(scrape);
		return;
	}
	(void)events;
	n = read(scrape->fd, scrape->head + scrape->got, SCRAPE_HEAD_MAX - scrape->got);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(scrape);
		return;
	}
	scrape->got += (size_t)n;
	scrape->head[scrape->got] = '\0';
	if (memchr(scrape->head, '\0', scrape->got))
		refuse(scrape, BAD_REQUEST, "a request is text\n");
	else if (strstr(scrape->head, "\r\n\r\n") || strstr(scrape->head, "\n\n"))
		ask(scrape);
	else if (scrape->got == SCRAPE_HEAD_MAX)
		refuse(scrape, TOO_LARGE, "the request is too large\n");
}

/* Who reads or writes slowly keeps nobody else out. */
static void
expired(struct loop_source *timer, void *arg)
{
	(void)timer;
	drop(arg);
}

/* --- connections ------------------------------------------------------------------------------ */

static bool
arrived(int fd, const struct ucred *peer, void *arg)
{
	struct scrapes *scrapes = arg;
	_cleanup_close_ int connection = fd;
	struct scrape *scrape = calloc(1, sizeof(*scrape));

	if (!scrape)
		return false;
	scrape->scrapes = scrapes;
	scrape->uid = peer->uid;
	scrape->watch = loop_add_io(scrapes->control->loop, fd, EPOLLIN, ready, scrape);
	scrape->deadline = loop_add_timer(scrapes->control->loop, expired, scrape);
	if (!scrape->watch || !scrape->deadline) {
		loop_remove(scrape->watch);
		loop_remove(scrape->deadline);
		free(scrape);
		return false;
	}
	scrape->fd = steal_fd(&connection);
	TAILQ_INSERT_TAIL(&scrapes->all, scrape, entry);
	loop_arm_in(scrape->deadline, SCRAPE_WITHIN_MS);
	return true;
}

struct scrapes *
scrapes_new(struct control *control, int fd)
{
	static const struct listener_bounds bounds = {
	    .connections = SCRAPES_MAX,
	    .per_uid = SCRAPES_PER_UID,
	};
	struct scrapes *scrapes = calloc(1, sizeof(*scrapes));

	if (!scrapes) {
		close(fd);
		return NULL;
	}
	scrapes->control = control;
	TAILQ_INIT(&scrapes->all);
	scrapes->listener = listener_new(control->loop, fd, &bounds, arrived, scrapes);
	if (scrapes->listener)
		return scrapes;
	free(scrapes);
	return NULL;
}

void
scrapes_free(struct scrapes *scrapes)
{
	struct scrape *scrape;

	if (!scrapes)
		return;
	while ((scrape = TAILQ_FIRST(&scrapes->all)))
		drop(scrape);
	listener_free(scrapes->listener);
	free(scrapes);
}
