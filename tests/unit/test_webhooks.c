// with: schedd/*.c
/* Webhooks as schedd takes them: nothing is stored that secretd did not vouch for, what a sender is
 * told is on the disk, and a listener that lies forges nothing. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "schedd/events.h"
#include "schedd/webhook_body.h"
#include "schedd/webhook_scheme.h"
#include "schedd/webhooks.h"
#include "tests/unit/stage.h"

struct hooks {
	struct stage *stage;
	struct peer listener, secretd;
};

static void
meet_secretd(struct hooks *hooks)
{
	webhooks_introduce_secretd(hooks->stage->schedd.webhooks,
				   peer_open(&hooks->secretd, hooks->stage->loop, CH_SCHEDD_SECRETD,
					     SIDE_B, ROLE_SECRETD, ROLE_SCHEDD));
}

static void
meet_listener(struct hooks *hooks)
{
	webhooks_introduce_listener(hooks->stage->schedd.webhooks,
				    peer_open(&hooks->listener, hooks->stage->loop,
					      CH_SCHEDD_WEBHOOK, SIDE_B, ROLE_WEBHOOK,
					      ROLE_SCHEDD));
}

/* An agent with a webhook of each kind; gitlab is unsigned. */
static void
install_webhooks(struct stage *stage)
{
	static const char *const kinds[] = {"github", "stripe", "generic", "bearer", "gitlab"};
	struct rows *rows = rows_new("triggers");
	struct msg msg;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		msg_init(&msg, MSG_EVENT_TRIGGER);
		snprintf(msg.event_trigger.id, sizeof(msg.event_trigger.id), "webhook-%zu", i + 1);
		msg.event_trigger.kind = TRIGGER_WEBHOOK;
		strcpy(msg.event_trigger.webhook, kinds[i]);
		strcpy(msg.event_trigger.secret, i < 4 ? "key" : "");
		ck_assert_int_eq(rows_add(rows, &msg), 0);
	}
	install(stage, "one", OVERLAP_SKIP);
	msg_init(&msg, MSG_AGENT_EVENTS);
	strcpy(msg.agent_events.agent, "one");
	msg_add_fd(&msg, rows_seal(rows));
	peer_send(&stage->runnerd, &msg);
	end_inventory(stage);
}

static struct hooks
begin_hooks(void)
{
	struct hooks hooks = {.stage = begin()};

	meet_control(hooks.stage);
	meet_runnerd(hooks.stage);
	install_webhooks(hooks.stage);
	return hooks;
}

static void
finish_hooks(struct hooks *hooks)
{
	peer_free(&hooks->listener);
	peer_free(&hooks->secretd);
	finish(hooks->stage);
}

static void
request(struct hooks *hooks, const char *kind, const char *id, const char *body, uint32_t number)
{
	char signature[HEADER_MAX];
	struct msg msg;

	memset(signature, 'a', 64);
	signature[64] = '\0';
	signature[0] = (char)('0' + strlen(body) % 10); /* another body, another signature */
	ask(MSG_WEBHOOK_DELIVERY, &msg, number);
	strcpy(msg.webhook_delivery.agent, "one");
	strcpy(msg.webhook_delivery.hook, kind);
	strcpy(msg.webhook_delivery.github_delivery, id);
	strcpy(msg.webhook_delivery.github_event, "push");
	strcpy(msg.webhook_delivery.hub_signature, signature);
	strcpy(msg.webhook_delivery.idempotency_key, id);
	strcpy(msg.webhook_delivery.authorization, "Bearer token");
	msg_add_fd(&msg, memfd_sealed("body", body, strlen(body)));
	peer_send(&hooks->listener, &msg);
}

/* secretd is asked, and says so. */
static void
vouch(struct hooks *hooks, bool valid)
{
	struct msg msg;
	uint32_t id;

	expect(&hooks->secretd, MSG_SIGNATURE_QUERY, &msg);
	ck_assert_str_eq(msg.signature_query.agent, "one");
	ck_assert_str_eq(msg.signature_query.secret, "key");
	msg_close_fds(&msg);
	id = msg.id;
	ask(MSG_SIGNATURE, &msg, id);
	msg.signature.valid = valid;
	peer_send(&hooks->secretd, &msg);
}

static unsigned
status(struct hooks *hooks, uint32_t number)
{
	struct msg msg;

	expect(&hooks->listener, MSG_WEBHOOK_ANSWER, &msg);
	ck_assert_uint_eq(msg.id, number);
	return msg.webhook_answer.status;
}

static int
count_one(const struct event *event, void *arg)
{
	(void)event;
	++*(unsigned *)arg;
	return 0;
}

static unsigned
events(struct hooks *hooks)
{
	struct event_filter filter = {.source = "", .id = ""};
	struct error error = ERROR_INIT;
	unsigned count = 0;

	ck_assert_int_eq(events_table_each(events_table_of(hooks->stage->schedd.events), &filter,
					   count_one, &count, &error),
			 0);
	return count;
}

/* --- what is stored -------------------------------------------------------------------------- */

START_TEST(nothing_is_stored_before_secretd_vouches_for_it)
{
	struct hooks hooks = begin_hooks();

	meet_listener(&hooks);
	request(&hooks, "github", "a", "{}", 1);
	ck_assert_uint_eq(status(&hooks, 1), 503); /* nobody to ask */
	meet_secretd(&hooks);
	request(&hooks, "github", "a", "{}", 2);
	settle(hooks.stage->loop);
	ck_assert_uint_eq(events(&hooks), 0);
	vouch(&hooks, false);
	ck_assert_uint_eq(status(&hooks, 2), 401);
	ck_assert_uint_eq(events(&hooks), 0);
	request(&hooks, "github", "a", "{}", 3);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 3), 202);
	ck_assert_uint_eq(events(&hooks), 1);
	finish_hooks(&hooks);
}
END_TEST

/* The bytes that secretd saw are those that are stored: it is one sealed memfd. */
START_TEST(the_listener_cannot_change_a_body_afterwards)
{
	struct hooks hooks = begin_hooks();
	struct stat body, asked;
	struct msg msg;
	int fd;

	meet_listener(&hooks);
	meet_secretd(&hooks);
	ask(MSG_WEBHOOK_DELIVERY, &msg, 1);
	strcpy(msg.webhook_delivery.agent, "one");
	strcpy(msg.webhook_delivery.hook, "bearer");
	strcpy(msg.webhook_delivery.authorization, "Bearer token");
	fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(write(fd, "{}", 2), 2);
	msg_add_fd(&msg, fcntl(fd, F_DUPFD_CLOEXEC, 0));
	peer_send(&hooks.listener, &msg);
	expect(&hooks.secretd, MSG_SIGNATURE_QUERY, &msg);
	ck_assert_str_eq(msg.signature_query.token, "token");
	ck_assert_int_eq(fstat(fd, &body), 0);
	ck_assert_int_eq(fstat(msg.fds[0], &asked), 0);
	ck_assert_uint_eq(body.st_ino, asked.st_ino);
	msg_close_fds(&msg);
	ask(MSG_SIGNATURE, &msg, msg.id);
	msg.signature.valid = true;
	peer_send(&hooks.secretd, &msg);
	ck_assert_uint_eq(status(&hooks, 1), 413); /* not sealed: it could still change */
	ck_assert_uint_eq(events(&hooks), 0);
	close(fd);
	finish_hooks(&hooks);
}
END_TEST

START_TEST(an_answer_to_no_question_is_nothing)
{
	struct hooks hooks = begin_hooks();
	struct msg msg;

	meet_listener(&hooks);
	meet_secretd(&hooks);
	request(&hooks, "github", "a", "{}", 1);
	expect(&hooks.secretd, MSG_SIGNATURE_QUERY, &msg);
	msg_close_fds(&msg);
	ask(MSG_SIGNATURE, &msg, msg.id + 1);
	msg.signature.valid = true;
	peer_send(&hooks.secretd, &msg);
	expect_nothing(&hooks.listener);
	ck_assert_uint_eq(events(&hooks), 0);
	/* And a listener that says what secretd would is at its end. */
	ask(MSG_SIGNATURE, &msg, 1);
	ck_assert_int_lt(channel_send(hooks.listener.channel, &msg), 0);
	finish_hooks(&hooks);
}
END_TEST

START_TEST(a_delivery_is_stored_once)
{
	struct hooks hooks = begin_hooks();

	meet_listener(&hooks);
	meet_secretd(&hooks);
	request(&hooks, "github", "a", "{}", 1);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 1), 202);
	request(&hooks, "github", "a", "{}", 2);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 2), 200);
	/* Its name is not signed: what was signed does not count under another one. */
	request(&hooks, "github", "b", "{}", 3);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 3), 409);
	request(&hooks, "github", "a", "{\"n\": 1}", 4);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 4), 409);
	request(&hooks, "github", "c", "{\"n\": 1}", 5);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 5), 202);
	/* A token says nothing of a body. */
	request(&hooks, "bearer", "x", "{}", 6);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 6), 202);
	request(&hooks, "bearer", "y", "{}", 7);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 7), 202);
	ck_assert_uint_eq(events(&hooks), 4);
	finish_hooks(&hooks);
}
END_TEST

/* An event is pruned when it is old, or when others are many; who signed it is known all the same.
 */
START_TEST(a_replay_is_known_when_its_event_is_gone)
{
	struct hooks hooks = begin_hooks();
	struct error error = ERROR_INIT;

	meet_listener(&hooks);
	meet_secretd(&hooks);
	request(&hooks, "github", "a", "{}", 1);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 1), 202);
	ck_assert_int_eq(
	    events_table_prune(events_table_of(hooks.stage->schedd.events), INT64_MAX, &error), 0);
	ck_assert_uint_eq(events(&hooks), 0);
	request(&hooks, "github", "b", "{}", 2);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 2), 409);
	finish_hooks(&hooks);
}
END_TEST

/* SECONDS.BODY with its signature, sent as a body that was signed alone. */
START_TEST(a_time_is_not_taken_for_a_body)
{
	struct hooks hooks = begin_hooks();

	meet_listener(&hooks);
	meet_secretd(&hooks);
	request(&hooks, "generic", "a", "1614265330.{}", 1);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 1), 401);
	request(&hooks, "github", "b", "msg.1614265330.{}", 2);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 2), 401);
	request(&hooks, "generic", "c", "{\"at\":1614265330.5}", 3);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 3), 202);
	ck_assert_uint_eq(events(&hooks), 1);
	finish_hooks(&hooks);
}
END_TEST

static int
copy_type(const struct event *event, void *arg)
{
	snprintf(arg, EVENT_TYPE_MAX, "%s %s", event->type, event->source);
	return 1;
}

START_TEST(what_nobody_signed_says_so)
{
	struct hooks hooks = begin_hooks();
	struct event_filter filter = {.source = "", .id = ""};
	struct error error = ERROR_INIT;
	char text[EVENT_TYPE_MAX];

	meet_listener(&hooks);
	request(&hooks, "gitlab", "a", "{\"object_kind\": \"push\"}", 1);
	ck_assert_uint_eq(status(&hooks, 1), 202);
	events_table_each(events_table_of(hooks.stage->schedd.events), &filter, copy_type, text,
			  &error);
	ck_assert_str_eq(text, "unsigned.gitlab.push /webhooks/one/gitlab");
	finish_hooks(&hooks);
}
END_TEST

START_TEST(paths_that_no_agent_has)
{
	struct hooks hooks = begin_hooks();
	struct msg msg;

	meet_listener(&hooks);
	ask(MSG_WEBHOOK_DELIVERY, &msg, 1);
	strcpy(msg.webhook_delivery.agent, "two");
	strcpy(msg.webhook_delivery.hook, "github");
	msg_add_fd(&msg, memfd_sealed("body", "{}", 2));
	peer_send(&hooks.listener, &msg);
	ck_assert_uint_eq(status(&hooks, 1), 404);
	ask(MSG_WEBHOOK_DELIVERY, &msg, 2);
	strcpy(msg.webhook_delivery.hook, "github");
	msg_add_fd(&msg, memfd_sealed("body", "{}", 2));
	peer_send(&hooks.listener, &msg);
	ck_assert_uint_eq(status(&hooks, 2), 404);
	finish_hooks(&hooks);
}
END_TEST

/* --- deaths and floods -------------------------------------------------------------------------
 */

START_TEST(what_a_dead_listener_told_is_stored)
{
	struct hooks hooks = begin_hooks();

	meet_listener(&hooks);
	meet_secretd(&hooks);
	request(&hooks, "github", "a", "{}", 1);
	settle(hooks.stage->loop);
	peer_free(&hooks.listener);
	settle(hooks.stage->loop);
	meet_listener(&hooks);
	vouch(&hooks, true);
	expect_nothing(&hooks.listener); /* the new one asked nothing */
	ck_assert_uint_eq(events(&hooks), 1);
	request(&hooks, "github", "a", "{}", 1);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 1), 200);
	finish_hooks(&hooks);
}
END_TEST

START_TEST(who_waits_for_a_dead_secretd_is_told)
{
	struct hooks hooks = begin_hooks();

	meet_listener(&hooks);
	meet_secretd(&hooks);
	request(&hooks, "github", "a", "{}", 1);
	settle(hooks.stage->loop);
	peer_free(&hooks.secretd);
	ck_assert_uint_eq(status(&hooks, 1), 503);
	meet_secretd(&hooks);
	request(&hooks, "github", "a", "{}", 2);
	vouch(&hooks, true);
	ck_assert_uint_eq(status(&hooks, 2), 202);
	finish_hooks(&hooks);
}
END_TEST

START_TEST(secretd_is_asked_little_at_once)
{
	struct hooks hooks = begin_hooks();
	unsigned asked = 0;
	struct kept *kept;
	char id[16];

	meet_listener(&hooks);
	meet_secretd(&hooks);
	for (uint32_t i = 1; i <= 40; i++) {
		snprintf(id, sizeof(id), "%u", i);
		request(&hooks, "bearer", id, "{}", i);
	}
	settle(hooks.stage->loop);
	for (kept = hooks.secretd.first; kept; kept = kept->next)
		asked++;
	ck_assert_uint_eq(asked, WEBHOOKS_VERIFYING_MAX);
	for (uint32_t i = 1; i <= 40; i++) {
		vouch(&hooks, true);
		ck_assert_uint_eq(status(&hooks, i), 202);
	}
	finish_hooks(&hooks);
}
END_TEST

/* --- schemes -----------------------------------------------------------------------------------
 */

enum { NOW = 1614265330 };

static const struct {
	const char *stripe;
	unsigned signatures; /* 0: refused */
} stripe[] = {
#define MAC "5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"
    {"t=1614265330,v1=" MAC, 1},
    {"t=1614265330,v1=" MAC ",v0=" MAC, 1},
    {"t=1614265030,v1=" MAC ",v1=" MAC, 2},
    {"v1=" MAC ",t=1614265630", 1},
    {"t=1614265029,v1=" MAC, 0}, /* 301 s ago */
    {"t=1614265631,v1=" MAC, 0},
    {"t=,v1=" MAC, 0},
    {"t=-1614265330,v1=" MAC, 0},
    {"t=99999999999999999999,v1=" MAC, 0},
    {"v1=" MAC, 0},
    {"t=1614265330", 0},
    {"t=1614265330,v1=" MAC "00", 0},
    {"t=1614265330,v1=g257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd", 0},
    {",,=,t,v1", 0},
    {"", 0},
};

START_TEST(stripe_signs_a_time)
{
	for (size_t i = 0; i < ARRAY_LEN(stripe); i++) {
		struct msg_webhook_delivery delivery = {.agent = "one"};
		struct msg_signature_query query = {.agent = ""};
		struct error error = ERROR_INIT;
		int rc;

		strcpy(delivery.stripe_signature, stripe[i].stripe);
		rc = webhook_question(WEBHOOK_STRIPE, &delivery, NOW, &query, &error);
		ck_assert_msg((rc == 0) == (stripe[i].signatures > 0), "%s", stripe[i].stripe);
		if (rc == 0) {
			ck_assert_uint_eq(query.signatures_len,
					  stripe[i].signatures * SIGNATURE_BYTES);
			ck_assert_uint_eq(query.signatures[0], 0x52);
			ck_assert_uint_eq(strlen(query.prefix), 11);
		}
	}
}
END_TEST

static const struct {
	const char *id, *time, *signature;
	unsigned signatures;
} standard[] = {
#define SIG "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", SIG, 1},
    {"m", "1614265330", "v1a,x " SIG " v2,y " SIG, 2},
    {"m", "1614265330", "", 0},
    {"m", "1614265330", "v1,", 0},
    {"m", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE", 0},
    {"m", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=", 0},
    {"m", "1614265330", "v1,*0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 0},
    {"", "1614265330", SIG, 0},
    {"m", "1614265000", SIG, 0},
    {"m", "", SIG, 0},
    {"m", "1614265330", SIG " " SIG " " SIG " " SIG " " SIG " " SIG, 4},
};

START_TEST(standard_webhooks_sign_a_name_and_a_time)
{
	for (size_t i = 0; i < ARRAY_LEN(standard); i++) {
		struct msg_webhook_delivery delivery = {.agent = "one"};
		struct msg_signature_query query = {.agent = ""};
		struct error error = ERROR_INIT;
		char prefix[64];
		int rc;

		/* GitLab's way without a signature is a token, which is not there either. */
		strcpy(delivery.webhook_id, standard[i].id);
		strcpy(delivery.webhook_timestamp, standard[i].time);
		strcpy(delivery.webhook_signature, standard[i].signature);
		rc = webhook_question(WEBHOOK_GITLAB, &delivery, NOW, &query, &error);
		ck_assert_msg((rc == 0) == (standard[i].signatures > 0), "%s",
			      standard[i].signature);
		if (rc < 0)
			continue;
		snprintf(prefix, sizeof(prefix), "%s.%s.", standard[i].id, standard[i].time);
		ck_assert_str_eq(query.prefix, prefix);
		ck_assert(query.encoded);
		ck_assert_uint_eq(query.signatures_len, standard[i].signatures * SIGNATURE_BYTES);
		ck_assert_uint_eq(query.signatures[0], 0x83);
		ck_assert_uint_eq(query.signatures[31], 0xe1);
	}
}
END_TEST

START_TEST(types_say_which_kind_they_are)
{
	static const struct {
		enum webhook_kind kind;
		const char *header, *body, *type;
	} names[] = {
	    {WEBHOOK_GITHUB, "push", "{}", "github.push"},
	    {WEBHOOK_GITHUB, "", "{}", "github.delivery"},
	    {WEBHOOK_GITHUB, "a b\"c..", "{}", "github.a_b_c.."},
	    {WEBHOOK_STRIPE, "github.push", "{\"type\": \"invoice.paid\"}", "stripe.invoice.paid"},
	    {WEBHOOK_STRIPE, "", "{\"type\": 1}", "stripe.delivery"},
	    {WEBHOOK_GENERIC, "github.push", "{\"type\": \"x\"}", "generic.github.push"},
	    {WEBHOOK_BEARER, "", "{\"type\": \"Deploy Now\"}", "bearer.deploy_now"},
	    {WEBHOOK_GITLAB, "Push Hook", "[]", "gitlab.push_hook"},
	    {WEBHOOK_GITLAB, "Push Hook", "{\"object_kind\": \"push\"}", "gitlab.push"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct msg_webhook_delivery delivery = {.agent = "one"};
		char type[EVENT_TYPE_MAX + 1], id[EVENT_NAME_MAX + 1];
		struct span data;

		strcpy(delivery.github_event, names[i].header);
		strcpy(delivery.gitlab_event, names[i].header);
		strcpy(delivery.event_type, names[i].header);
		ck_assert_ptr_null(
		    scan((struct span){names[i].body, strlen(names[i].body)}, &data));
		ck_assert(webhook_name(names[i].kind, &delivery, data, type, id));
		ck_assert_str_eq(type, names[i].type);
		ck_assert_str_eq(id, "");
	}
}
END_TEST

START_TEST(bodies_become_data)
{
	static const struct {
		const char *type, *body, *data;
	} bodies[] = {
	    {"application/json", " {\"a\": 9007199254740993} ", "{\"a\": 9007199254740993}"},
	    {"", "[1]", "[1]"},
	    {"application/json; charset=utf-8", "nothing", NULL},
	    {"application/ld+json", "{", NULL},
	    {"text/plain", "Hello, \"World\"!\n", "\"Hello, \\\"World\\\"!\\n\""},
	    {"application/x-www-form-urlencoded", "payload=%7B%22a%22%3A+1%7d&x=2", "{\"a\": 1}"},
	    {"application/x-www-form-urlencoded", "payload=%7", NULL},
	    {"application/x-www-form-urlencoded", "payload=hello", NULL},
	    {"application/x-www-form-urlencoded", "a=b", "\"a=b\""},
	    {"text/plain", "\xff", NULL},
	    {"", "", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		_cleanup_free_ char *held = NULL;
		struct error error = ERROR_INIT;
		struct span data;
		int rc = webhook_body(bodies[i].type,
				      (struct span){bodies[i].body, strlen(bodies[i].body)}, &data,
				      &held, &error);

		ck_assert_msg((rc == 0) == (bodies[i].data != NULL), "%s", bodies[i].body);
		if (rc == 0)
			ck_assert(span_equal(
			    data, (struct span){bodies[i].data, strlen(bodies[i].data)}));
	}
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    nothing_is_stored_before_secretd_vouches_for_it,
	    the_listener_cannot_change_a_body_afterwards,
	    an_answer_to_no_question_is_nothing,
	    a_delivery_is_stored_once,
	    a_replay_is_known_when_its_event_is_gone,
	    a_time_is_not_taken_for_a_body,
	    what_nobody_signed_says_so,
	    paths_that_no_agent_has,
	    what_a_dead_listener_told_is_stored,
	    who_waits_for_a_dead_secretd_is_told,
	    secretd_is_asked_little_at_once,
	    stripe_signs_a_time,
	    standard_webhooks_sign_a_name_and_a_time,
	    types_say_which_kind_they_are,
	    bodies_become_data,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
