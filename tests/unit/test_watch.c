// with: schedd/*.c
/* Path triggers: what comes out of a watch becomes one event, whatever it is called and however
 * much there is; a watch that ends is asked for again. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "schedd/triggers_watch.h"
#include "tests/unit/stage.h"

/* After proto.h, which has an IN_OPEN of its own. */
#include <sys/inotify.h>

#define MASK (IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)

static char inbox[sizeof(dir) + 16];

static void
end_watching(struct stage *stage)
{
	char command[sizeof(inbox) + 16];

	finish(stage);
	snprintf(command, sizeof(command), "rm -rf %s", inbox);
	ck_assert_int_eq(system(command), 0);
}

static void
tell_path(struct stage *stage, const char *where)
{
	struct rows *rows = rows_new("triggers");
	struct msg row, msg;

	msg_init(&row, MSG_EVENT_TRIGGER);
	row.event_trigger.kind = TRIGGER_PATH;
	strcpy(row.event_trigger.id, "path-1");
	strcpy(row.event_trigger.path, where);
	ck_assert_int_eq(rows_add(rows, &row), 0);
	msg_init(&msg, MSG_AGENT_EVENTS);
	strcpy(msg.agent_events.agent, "one");
	msg_add_fd(&msg, rows_seal(rows));
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
}

static void
expect_asked(struct stage *stage)
{
	struct msg msg;

	expect(&stage->runnerd, MSG_WATCH_OPEN, &msg);
	ck_assert_str_eq(msg.watch_open.agent, "one");
	ck_assert_str_eq(msg.watch_open.id, "path-1");
}

static void
give_watch_of(struct stage *stage, const char *where, const char *name, bool waiting,
	      uint64_t changed_at_ms)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct msg msg;

	ck_assert_int_ge(inotify_add_watch(fd, where, MASK), 0);
	msg_init(&msg, MSG_WATCH);
	strcpy(msg.watch.agent, "one");
	strcpy(msg.watch.id, "path-1");
	strcpy(msg.watch.name, name);
	msg.watch.waiting = waiting;
	msg.watch.changed_at_ms = changed_at_ms;
	msg_add_fd(&msg, fd);
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
}

static void
give_watch(struct stage *stage, const char *where, const char *name, bool waiting)
{
	give_watch_of(stage, where, name, waiting, 1);
}

static struct stage *
begin_again(void)
{
	struct stage *stage = begin();

	meet_control(stage);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	tell_path(stage, inbox);
	end_inventory(stage);
	expect_asked(stage);
	return stage;
}

static struct stage *
begin_watching(void)
{
	snprintf(inbox, sizeof(inbox), "%s/inbox", dir);
	ck_assert_int_eq(mkdir(inbox, 0700), 0);
	return begin_again();
}

static void
put_file(const char *name)
{
	char where[sizeof(inbox) + 300];
	int fd;

	snprintf(where, sizeof(where), "%s/%s", inbox, name);
	fd = open(where, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* The session that was fired has these words in its event. */
static void
expect_fired(struct stage *stage, const char *const words[], size_t count)
{
	const uint8_t *bytes;
	size_t length;
	struct msg msg;

	expect(&stage->runnerd, MSG_PREPARE, &msg);
	ck_assert_str_eq(msg.prepare.trigger_kind, "path");
	ck_assert_str_eq(msg.prepare.trigger_id, "path-1");
	ck_assert_uint_eq(msg.nfds, 1);
	ck_assert_int_eq(memfd_map(msg.fds[0], EVENT_JSON_MAX, &bytes, &length), 0);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(memmem(bytes, length, words[i], strlen(words[i])) != NULL,
			      "%s is not in %.*s", words[i], (int)length, bytes);
	munmap((void *)bytes, length);
	msg_close_fds(&msg);
}

#define EXPECT_FIRED(stage, ...)                                                                   \
	expect_fired(stage, (const char *const[]){__VA_ARGS__},                                    \
		     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

START_TEST(what_changes_together_fires_once)
{
	struct stage *stage = begin_watching();

	give_watch(stage, inbox, "", false);
	put_file("a");
	put_file("b");
	put_file("not\xffutf8");
	put_file("with \"quotes\"\n");
	EXPECT_FIRED(stage, "\"type\":\"path.changed\"", "\"source\":\"/paths/one/path-1\"",
		     "{\"name\":\"a\",\"what\":\"create\"}", "{\"name\":\"b\",",
		     "{\"name_bytes\":\"bm90/3V0Zjg=\"", "{\"name\":\"with \\\"quotes\\\"\\n\"",
		     "\"more\":false,\"unseen\":false");
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 0);
	end_watching(stage);
}
END_TEST

START_TEST(of_too_many_names_it_says_that_there_are_more)
{
	struct stage *stage = begin_watching();
	char name[16];

	give_watch(stage, inbox, "", false);
	for (int i = 0; i < 3 * WATCH_CHANGES_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put_file(name);
	}
	EXPECT_FIRED(stage, "\"name\":\"0\"", "\"name\":\"99\"", "\"more\":true");
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 0);
	end_watching(stage);
}
END_TEST

START_TEST(of_a_file_only_its_name_counts)
{
	struct stage *stage = begin_watching();

	give_watch(stage, inbox, "that", false);
	put_file("other");
	put_file("that");
	EXPECT_FIRED(stage, "\"changes\":[{\"name\":\"that\",\"what\":\"create\"}]");
	end_watching(stage);
}
END_TEST

START_TEST(a_directory_that_is_taken_away_is_awaited)
{
	struct stage *stage = begin_watching();
	char other[sizeof(inbox)];

	give_watch(stage, inbox, "", false);
	ck_assert_int_eq(rmdir(inbox), 0);
	expect_asked(stage);
	give_watch(stage, dir, "inbox", true);
	snprintf(other, sizeof(other), "%s/other", dir);
	ck_assert_int_eq(mkdir(other, 0700), 0);
	ck_assert_int_eq(rmdir(other), 0);
	expect_nothing(&stage->runnerd);
	ck_assert_int_eq(mkdir(inbox, 0700), 0);
	expect_asked(stage);
	give_watch(stage, inbox, "", false);
	EXPECT_FIRED(stage, "\"changes\":[]", "\"unseen\":true");
	end_watching(stage);
}
END_TEST

START_TEST(what_changed_while_schedd_was_away_fires_once)
{
	struct stage *stage = begin_watching();

	give_watch(stage, inbox, "", false);
	finish(stage);
	/* Nothing has changed. */
	stage = begin_again();
	give_watch_of(stage, inbox, "", false, realtime_ms() - 60000);
	expect_nothing(&stage->runnerd);
	finish(stage);
	stage = begin_again();
	give_watch_of(stage, inbox, "", false, realtime_ms() + 60000);
	EXPECT_FIRED(stage, "\"changes\":[]", "\"unseen\":true");
	expect_nothing(&stage->runnerd);
	end_watching(stage);
}
END_TEST

START_TEST(the_same_told_again_is_watched_on)
{
	struct stage *stage = begin_watching();
	struct msg msg;

	give_watch(stage, inbox, "", false);
	put_file("a");
	peer_free(&stage->runnerd);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	tell_path(stage, inbox);
	end_inventory(stage);
	EXPECT_FIRED(stage, "\"name\":\"a\"");
	expect_nothing(&stage->runnerd);
	tell_path(stage, "/elsewhere");
	expect_asked(stage);
	msg_init(&msg, MSG_AGENT_EVENTS);
	strcpy(msg.agent_events.agent, "one");
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
	give_watch(stage, inbox, "", false); /* of a trigger that is gone */
	put_file("b");
	expect_nothing(&stage->runnerd);
	end_watching(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    what_changes_together_fires_once,
	    of_too_many_names_it_says_that_there_are_more,
	    of_a_file_only_its_name_counts,
	    a_directory_that_is_taken_away_is_awaited,
	    what_changed_while_schedd_was_away_fires_once,
	    the_same_told_again_is_watched_on,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
