// with: schedd/*.c
/* Updates of tzdata in a directory of the test's own: noticed however they are written, and what is
 * to come comes by the new rules. */
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test_clock.h"

static char zones[sizeof(dir) + 16];

static void
shell(const char *format, const char *argument)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && ", zones);
	snprintf(command + strlen(command), sizeof(command) - strlen(command), format, argument);
	ck_assert_int_eq(system(command), 0);
}

/* The zone Own/City is Berlin's, Own/Link a link to it; of each an agent that is to fire at noon.
 */
static struct stage *
begin_in_city(const char *zone)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct error error = ERROR_INIT;
	struct msg msg;
	int fd;

	snprintf(zones, sizeof(zones), "%s/zones", dir);
	ck_assert_int_eq(mkdir(zones, 0700), 0);
	shell("mkdir Own Else%s", "");
	shell("cp /usr/share/zoneinfo/%s Own/City", "Europe/Berlin");
	shell("ln -s ../Own/City Else/Link%s", "");
	fd = open(zones, O_PATH | O_DIRECTORY | O_CLOEXEC);
	stage->loop = loop_new();
	ck_assert_int_eq(schedd_init(&stage->schedd, stage->loop,
				     config_read(NULL, 0, "defaults", &error),
				     ledger_open(path, path, &error), fd, &error),
			 0);
	clock_ms = INT64_C(1811894400000); /* 2027-06-02 00:00 UTC */
	schedule_set_clock(stage->schedd.schedule, &test_clock);
	ck_assert_int_eq(schedule_watch_zones(stage->schedd.schedule, zones, &error), 0);
	msg_init(&msg, MSG_AGENT_DEF);
	strcpy(msg.agent_def.agent, "one");
	ck_assert_ptr_nonnull(queue_define(stage->schedd.queue, &msg.agent_def));
	schedule_define(stage->schedd.schedule, "one", 1);
	msg_init(&msg, MSG_TRIGGER_DEF);
	strcpy(msg.trigger_def.agent, "one");
	strcpy(msg.trigger_def.cron, "0 12 * * *");
	strcpy(msg.trigger_def.timezone, zone);
	msg.trigger_def.kind = TRIGGER_CRON;
	msg.trigger_def.every_ms = msg.trigger_def.at_ms = msg.trigger_def.missed_within_ms =
	    ABSENT;
	schedule_add(stage->schedd.schedule, &msg.trigger_def);
	stage->schedd.known = true;
	schedule_known(stage->schedd.schedule);
	return stage;
}

static void
end_in_city(struct stage *stage)
{
	char command[sizeof(zones) + 16];

	schedd_release(&stage->schedd);
	loop_free(stage->loop);
	free(stage);
	snprintf(command, sizeof(command), "rm -r %s", zones);
	ck_assert_int_eq(system(command), 0);
}

/* At this hour, UTC; waits for it for at most eight seconds. */
static void
expect_noon(struct stage *stage, int hour)
{
	uint64_t until = boottime_ns() + UINT64_C(8000000000);
	int64_t noon = clock_ms + INT64_C(3600000) * hour;

	while (armed_ms != noon && boottime_ns() < until)
		settle(stage->loop);
	ck_assert_msg(armed_ms == noon, "%lld hours after midnight, %d were expected",
		      (long long)((armed_ms - clock_ms) / 3600000), hour);
}

START_TEST(one_that_is_renamed_over_is_noticed)
{
	struct stage *stage = begin_in_city("Own/City");

	expect_noon(stage, 10);
	shell("cp /usr/share/zoneinfo/%s Own/City.new && mv Own/City.new Own/City", "Asia/Tokyo");
	expect_noon(stage, 3);
	/* And again: the new file is watched. */
	shell("cp /usr/share/zoneinfo/%s Own/City.new && mv Own/City.new Own/City", "Etc/UTC");
	expect_noon(stage, 12);
	end_in_city(stage);
}
END_TEST

START_TEST(one_that_is_written_into_is_noticed)
{
	struct stage *stage = begin_in_city("Own/City");

	shell("cat /usr/share/zoneinfo/%s >Own/City", "Asia/Tokyo");
	expect_noon(stage, 3);
	end_in_city(stage);
}
END_TEST

START_TEST(one_behind_a_link_is_noticed)
{
	struct stage *stage = begin_in_city("Else/Link");

	expect_noon(stage, 10);
	shell("cp /usr/share/zoneinfo/%s Own/City.new && mv Own/City.new Own/City", "Asia/Tokyo");
	expect_noon(stage, 3);
	end_in_city(stage);
}
END_TEST

START_TEST(one_that_goes_stays_what_it_was_and_comes_back)
{
	struct stage *stage = begin_in_city("Own/City");

	log_set_level(LOG_LEVEL_ERROR);
	shell("rm Own/City%s", "");
	schedule_reread_zones(stage->schedd.schedule);
	expect_noon(stage, 10);
	shell("echo no zone >Own/City%s", "");
	schedule_reread_zones(stage->schedd.schedule);
	expect_noon(stage, 10);
	shell("cp /usr/share/zoneinfo/%s Own/City.new && mv Own/City.new Own/City", "Asia/Tokyo");
	expect_noon(stage, 3);
	end_in_city(stage);
}
END_TEST

/* What is due already is not put off. */
START_TEST(what_is_due_fires)
{
	struct stage *stage = begin_in_city("Own/City");

	expect_noon(stage, 10);
	clock_ms = armed_ms;
	shell("cp /usr/share/zoneinfo/%s Own/City.new && mv Own/City.new Own/City", "Etc/UTC");
	schedule_reread_zones(stage->schedd.schedule);
	ck_assert(armed_ms == clock_ms);
	schedule_ring(stage->schedd.schedule, false);
	expect_noon(stage, 2);
	end_in_city(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    one_that_is_renamed_over_is_noticed,
	    one_that_is_written_into_is_noticed,
	    one_behind_a_link_is_noticed,
	    one_that_goes_stays_what_it_was_and_comes_back,
	    what_is_due_fires,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
