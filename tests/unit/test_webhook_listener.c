// with: schedd/webhook/clients.c schedd/webhook/deliver.c schedd/webhook/http.c
// with: schedd/webhook/rate.c schedd/webhook/request.c
/* The listener's bounds, without a network: rates, bodies, and what becomes of requests when schedd
 * does not answer. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "schedd/webhook/listener.h"
#include "tests/unit/suite.h"

enum { SECOND = 1000000000 };

static struct in6_addr
address(const char *text)
{
	struct in6_addr a;

	ck_assert_int_eq(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

/* --- rates ------------------------------------------------------------------------------------ */

static unsigned
taken(struct rates *rates, const char *from, unsigned asked, uint64_t now)
{
	struct in6_addr a = address(from);
	unsigned count = 0;

	while (asked-- > 0)
		count += rates_take(rates, &a, now);
	return count;
}

START_TEST(an_address_has_a_burst_and_a_rate)
{
	struct rates *rates = rates_new();
	const uint64_t now = (uint64_t)1000 * SECOND;

	ck_assert_uint_eq(taken(rates, "::ffff:10.0.0.1", 1000, now), RATE_ADDRESS_BURST);
	ck_assert_uint_eq(taken(rates, "::ffff:10.0.0.1", 10, now), 0);
	ck_assert_uint_eq(taken(rates, "::ffff:10.0.0.1", 1000, now + SECOND), RATE_ADDRESS);
	ck_assert_uint_eq(taken(rates, "::ffff:10.0.0.1", 1000, now + SECOND + SECOND / 2),
			  RATE_ADDRESS / 2);
	ck_assert_uint_eq(taken(rates, "::ffff:10.0.0.1", 1000, now + (uint64_t)3600 * SECOND),
			  RATE_ADDRESS_BURST);
	rates_free(rates);
}
END_TEST

START_TEST(one_customer_of_ipv6_is_one)
{
	struct rates *rates = rates_new();
	const uint64_t now = (uint64_t)1000 * SECOND;

	ck_assert_uint_eq(taken(rates, "2001:db8:0:1::1", 1000, now), RATE_ADDRESS_BURST);
	ck_assert_uint_eq(taken(rates, "2001:db8:0:1:ffff::2", 1000, now), 0);
	rates_free(rates);
}
END_TEST

/* Whatever the table's key is, not more than all may. */
START_TEST(all_together_have_a_rate_too)
{
	struct rates *rates = rates_new();
	const uint64_t now = (uint64_t)1000 * SECOND;
	unsigned count = 0;
	char text[32];

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "::ffff:10.0.%u.%u", i / 250, i % 250 + 1);
		count += taken(rates, text, 10, now);
	}
	ck_assert_uint_eq(count, RATE_ALL_BURST);
	ck_assert_uint_eq(taken(rates, "::ffff:192.0.2.1", 10, now), 0);
	ck_assert_uint_ge(taken(rates, "::ffff:192.0.2.1", 10, now + SECOND / 10), 10);
	rates_free(rates);
}
END_TEST

/* --- bodies ------------------------------------------------------------------------------------
 */

struct desk {
	struct listener l;
	struct client clients[64];
};

static struct desk *
begin(void)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	ck_assert_ptr_nonnull(desk);
	desk->l.loop = loop_new();
	desk->l.timer = loop_add_timer(desk->l.loop, clients_expired, &desk->l);
	for (unsigned phase = 0; phase < PHASES; phase++)
		TAILQ_INIT(&desk->l.clients[phase]);
	for (size_t i = 0; i < ARRAY_LEN(desk->clients); i++) {
		struct client *client = &desk->clients[i];

		client->fd = -1;
		client->phase = PHASES;
		client_enter(&desk->l, client, RECEIVING);
		ck_assert_ptr_nonnull(request_new(&desk->l, client));
	}
	return desk;
}

static void
finish(struct desk *desk)
{
	for (size_t i = 0; i < ARRAY_LEN(desk->clients); i++)
		request_free(&desk->l, desk->clients[i].request);
	ck_assert_uint_eq(desk->l.bodies, 0);
	ck_assert_uint_eq(desk->l.under_way, 0);
	channel_free(desk->l.schedd);
	loop_remove(desk->l.timer);
	loop_free(desk->l.loop);
	free(desk);
}

static void
fill(struct desk *desk, size_t which, size_t bytes)
{
	static char chunk[64 << 10];
	struct request *request = desk->clients[which].request;

	for (size_t left = bytes; left > 0;) {
		size_t part = left < sizeof(chunk) ? left : sizeof(chunk);

		request_append(&desk->l, request, chunk, part);
		left -= part;
	}
}

START_TEST(a_body_has_a_bound)
{
	struct desk *desk = begin();

	fill(desk, 0, EVENT_DATA_MAX);
	ck_assert_uint_eq(desk->clients[0].request->answer.status, 0);
	ck_assert_uint_eq(desk->clients[0].request->length, EVENT_DATA_MAX);
	fill(desk, 0, 1);
	ck_assert_uint_eq(desk->clients[0].request->answer.status, 413);
	ck_assert_uint_eq(desk->l.bodies, 0); /* nothing is held of it */
	fill(desk, 0, 100);
	ck_assert_uint_eq(desk->clients[0].request->discarded, 100);
	finish(desk);
}
END_TEST

START_TEST(all_bodies_have_one_and_the_oldest_goes_first)
{
	struct desk *desk = begin();
	const size_t fit = BODIES_MAX / EVENT_DATA_MAX;

	for (size_t i = 0; i < fit; i++)
		fill(desk, i, EVENT_DATA_MAX);
	ck_assert_uint_eq(desk->l.bodies, BODIES_MAX);
	ck_assert(!desk->clients[0].dropped);
	fill(desk, fit, 1);
	ck_assert(desk->clients[0].dropped);
	ck_assert(!desk->clients[1].dropped);
	ck_assert_uint_le(desk->l.bodies, BODIES_MAX);
	ck_assert_uint_eq(desk->clients[fit].request->length, 1);
	/* What waits for schedd is not let go. */
	for (size_t i = 0; i < fit + 1; i++)
		client_enter(&desk->l, &desk->clients[i], WAITING);
	fill(desk, fit + 1, EVENT_DATA_MAX);
	ck_assert_uint_eq(desk->clients[fit + 1].request->answer.status, 503);
	ck_assert(!desk->clients[1].dropped);
	finish(desk);
}
END_TEST

/* --- schedd ------------------------------------------------------------------------------------
 */

static unsigned
delivered(struct desk *desk, size_t which)
{
	deliver(&desk->l, desk->clients[which].request);
	return desk->clients[which].request->answer.status;
}

static int
introduce(struct desk *desk)
{
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	deliver_introduced(&desk->l, ends[1]);
	return ends[0];
}

static void
stop_loop(struct loop_source *timer, void *arg)
{
	(void)timer;
	loop_stop(arg, 0);
}

static void
run_until_open(struct desk *desk)
{
	struct loop_source *timer = loop_add_timer(desk->l.loop, stop_loop, desk->l.loop);

	while (desk->l.schedd && channel_phase(desk->l.schedd) != IN_OPEN) {
		loop_arm_in(timer, 1);
		loop_run(desk->l.loop);
	}
	loop_remove(timer);
}

static void
expect_delivery(int schedd, uint32_t id)
{
	struct msg msg;

	ck_assert_int_eq(msg_recv(schedd, CH_SCHEDD_WEBHOOK, SIDE_A, IN_OPEN, &msg, 8000), 1);
	ck_assert_int_eq(msg.type, MSG_WEBHOOK_DELIVERY);
	ck_assert_uint_eq(msg.id, id);
	msg_close_fds(&msg);
}

START_TEST(without_schedd_nobody_waits)
{
	struct desk *desk = begin();
	_cleanup_close_ int schedd = -1;

	ck_assert_uint_eq(delivered(desk, 0), 503);
	schedd = introduce(desk);
	ck_assert_uint_eq(delivered(desk, 1), 503); /* not greeted yet */
	finish(desk);
}
END_TEST

START_TEST(few_wait_for_schedd_and_all_are_told_when_it_dies)
{
	struct desk *desk = begin();
	_cleanup_close_ int schedd = introduce(desk);

	ck_assert_int_eq(
	    msg_greet(schedd, CH_SCHEDD_WEBHOOK, SIDE_A, ROLE_SCHEDD, ROLE_WEBHOOK, 8000), 0);
	run_until_open(desk);
	ck_assert_uint_eq(ARRAY_LEN(desk->clients), DELIVERIES_MAX);
	for (uint32_t i = 0; i < DELIVERIES_MAX; i++)
		ck_assert_uint_eq(delivered(desk, i), 0);
	for (uint32_t i = 0; i < DELIVERIES_MAX; i++)
		expect_delivery(schedd, i + 1);
	ck_assert_uint_eq(desk->l.under_way, DELIVERIES_MAX);
	close(schedd);
	schedd = introduce(desk);
	ck_assert_uint_eq(desk->l.under_way, 0);
	for (size_t i = 0; i < DELIVERIES_MAX; i++)
		ck_assert_uint_eq(desk->clients[i].request->answer.status, 503);
	finish(desk);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    an_address_has_a_burst_and_a_rate,
	    one_customer_of_ipv6_is_one,
	    all_together_have_a_rate_too,
	    a_body_has_a_bound,
	    all_bodies_have_one_and_the_oldest_goes_first,
	    without_schedd_nobody_waits,
	    few_wait_for_schedd_and_all_are_told_when_it_dies,
	};

	return suite_run("webhook-listener", tests, ARRAY_LEN(tests));
}
