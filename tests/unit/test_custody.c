// with: secretd/catalog.c secretd/chain.c secretd/files.c secretd/hand.c secretd/head.c
// with: secretd/index.c secretd/keying.c secretd/keys.c secretd/macs.c secretd/operators.c
// with: secretd/requests.c secretd/sealed.c secretd/signature.c secretd/sources.c
// with: secretd/spellings.c secretd/store.c secretd/writer.c
/* Who may have which secret, how it gets there, and whose webhook it is. */
#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/glob.h"
#include "common/io.h"
#include "common/redact.h"
#include "secretd/hand.h"
#include "secretd/signature.h"
#include "secretd/spellings.h"
#include "tests/unit/peer.h"
#include "tests/unit/suite.h"

static char path[] = "/tmp/scarab-custody-XXXXXX";

struct scene {
	struct loop *loop;
	struct secretd s;
	struct peer runnerd, schedd;
	int dir, log;
};

static void
not_full(bool full, void *arg)
{
	(void)full;
	(void)arg;
}

static void
written(void *arg)
{
	(void)arg;
}

static const struct writer_ops log_ops = {.full = not_full, .durable = written};

static void
set_value(struct scene *scene, const char *name, const char *value)
{
	struct error error = ERROR_INIT;
	uint64_t version;

	memcpy(store_value(scene->s.store), value, strlen(value));
	ck_assert_int_eq(store_set(scene->s.store, name, strlen(value), &version, &error), 0);
}

static struct scene *
begin(void)
{
	static const struct wrap terms = {.passphrase = false};
	struct scene *scene = calloc(1, sizeof(*scene));
	struct error error = ERROR_INIT;
	uint8_t kek[KEY_BYTES] = "a key";

	ck_assert_int_ge(sodium_init(), 0);
	strcpy(path, "/tmp/scarab-custody-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	scene->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scene->loop = scene->s.loop = loop_new();
	scene->log = memfd_create("audit.log", MFD_CLOEXEC);
	scene->s.writer =
	    writer_new(scene->loop, fcntl(scene->log, F_DUPFD_CLOEXEC, 3), &log_ops, NULL, &error);
	scene->s.store = store_new(scene->dir, &error);
	scene->s.spellings = spellings_new();
	ck_assert_ptr_nonnull(scene->s.store);
	ck_assert_int_eq(store_make(scene->s.store, &terms, kek, &error), 0);
	set_value(scene, "key", "the value of the key");
	runnerd_introduced(&scene->s, peer_open(&scene->runnerd, scene->loop, CH_RUNNERD_SECRETD,
						SIDE_A, ROLE_RUNNERD, ROLE_SECRETD));
	schedd_introduced(&scene->s, peer_open(&scene->schedd, scene->loop, CH_SCHEDD_SECRETD,
					       SIDE_A, ROLE_SCHEDD, ROLE_SECRETD));
	settle(scene->loop);
	return scene;
}

static void
finish(struct scene *scene)
{
	static const char *const files[] = {"key", "catalog", "head", "key@1", "key@2", "key@3"};

	peer_free(&scene->runnerd);
	peer_free(&scene->schedd);
	channel_free(scene->s.runnerd);
	channel_free(scene->s.schedd);
	plans_free(&scene->s);
	store_free(scene->s.store);
	spellings_free(scene->s.spellings);
	writer_free(scene->s.writer);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlinkat(scene->dir, files[i], 0);
	ck_assert_int_eq(rmdir(path), 0);
	close(scene->dir);
	close(scene->log);
	loop_free(scene->loop);
	free(scene);
}

static struct grant
grant_of(const char *agent, const char *server, uint8_t digest)
{
	struct grant grant = {.granted_at_ms = 1};

	snprintf(grant.agent, sizeof(grant.agent), "%s", agent);
	snprintf(grant.for_server, sizeof(grant.for_server), "%s", server);
	memset(grant.digest, digest, sizeof(grant.digest));
	return grant;
}

static void
give(struct scene *scene, const struct grant *grant)
{
	struct error error = ERROR_INIT;

	ck_assert_msg(store_grant(scene->s.store, "key", grant, &error) == 0, "%s", error.why);
}

static struct msg_secret_hand
wish(const char *agent, const char *server, uint8_t digest)
{
	struct msg_secret_hand hand = {.digest_len = PLAN_DIGEST_BYTES, .secret = "key"};

	snprintf(hand.agent, sizeof(hand.agent), "%s", agent);
	snprintf(hand.for_server, sizeof(hand.for_server), "%s", server);
	memset(hand.digest, digest, sizeof(hand.digest));
	return hand;
}

/* --- may it?
 * ----------------------------------------------------------------------------------------- */

static bool
may(struct scene *scene, struct msg_secret_hand hand, uint64_t now_ms, const char *hint)
{
	struct error error = ERROR_INIT;
	bool allowed = hand_decide(scene->s.store, &hand, now_ms, &error) != NULL;

	if (!allowed && hint)
		ck_assert_str_eq(error.hint, hint);
	return allowed;
}

START_TEST(a_grant_is_for_one_agent_one_server_and_one_definition)
{
	static const char hint[] = "ash secret grant key --agent a";
	struct scene *scene = begin();
	struct grant grant = grant_of("a", "", 7);

	ck_assert(!may(scene, wish("a", "", 7), 1000, hint));
	give(scene, &grant);
	ck_assert(may(scene, wish("a", "", 7), 1000, NULL));
	ck_assert(!may(scene, wish("a", "", 8), 1000, hint));
	ck_assert(!may(scene, wish("b", "", 7), 1000, "ash secret grant key --agent b"));
	ck_assert(!may(scene, wish("a", "fs", 7), 1000, "ash secret grant key --agent a --for fs"));
	grant = grant_of("a", "fs", 7);
	give(scene, &grant);
	ck_assert(may(scene, wish("a", "fs", 7), 1000, NULL));
	finish(scene);
}
END_TEST

START_TEST(a_grant_ends_by_time_and_by_use)
{
	struct scene *scene = begin();
	struct grant grant = grant_of("a", "", 7);
	struct msg_secret_hand hand = wish("a", "", 7);

	grant.until_at_ms = 5000;
	give(scene, &grant);
	ck_assert(may(scene, hand, 4999, NULL));
	ck_assert(!may(scene, hand, 5000, NULL));
	grant.until_at_ms = 0;
	grant.max_uses = 3;
	grant.uses = 2;
	give(scene, &grant);
	ck_assert(may(scene, hand, 1000, NULL));
	/* The manifest's own bound narrows, and never widens. */
	hand.max_uses = 2;
	ck_assert(!may(scene, hand, 1000, NULL));
	hand.max_uses = 9;
	ck_assert(may(scene, hand, 1000, NULL));
	grant.uses = 3;
	give(scene, &grant);
	ck_assert(!may(scene, hand, 1000, NULL));
	/* A newer value for a session that has it is no further use. */
	hand.replace = true;
	ck_assert(may(scene, hand, 1000, NULL));
	finish(scene);
}
END_TEST

/* --- handing over
 * -------------------------------------------------------------------------------------- */

static int
scratch(int flags)
{
	return open("/tmp", O_TMPFILE | O_CLOEXEC | flags, 0600);
}

/* runnerd asks; what came is the answer. */
static struct msg
ask(struct scene *scene, struct msg_secret_hand hand, int fd)
{
	struct msg msg, answer;

	msg_init(&msg, MSG_SECRET_HAND);
	msg.id = 77;
	msg.secret_hand = hand;
	ck_assert(msg_add_fd(&msg, fd));
	peer_send(&scene->runnerd, &msg);
	ck_assert(peer_next(&scene->runnerd, &answer));
	ck_assert_uint_eq(answer.id, 77);
	return answer;
}

START_TEST(the_value_is_in_the_file_when_the_answer_comes)
{
	static const char value[] = "the value of the key";
	struct scene *scene = begin();
	struct grant grant = grant_of("a", "", 7);
	int fd = scratch(O_RDWR);
	char file[64], text[64] = "";
	struct msg answer;
	int writer;

	ck_assert_int_ge(fd, 0);
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	writer = open(file, O_WRONLY | O_CLOEXEC);
	/* What an earlier try left is written over. */
	ck_assert_int_eq(pwrite_all(fd, "something much longer than the value itself", 43, 0), 0);
	give(scene, &grant);
	answer = ask(scene, wish("a", "", 7), writer);
	ck_assert_int_eq(answer.type, MSG_SECRET_HANDED);
	ck_assert_uint_eq(answer.secret_handed.version, 1);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), sizeof(value) - 1);
	ck_assert_str_eq(text, value);
	close(fd);
	finish(scene);
}
END_TEST

START_TEST(only_a_plain_file_opened_for_writing_is_written)
{
	struct scene *scene = begin();
	struct grant grant = grant_of("a", "", 7);
	int ends[2];

	give(scene, &grant);
	ck_assert_int_eq(ask(scene, wish("a", "", 7), scratch(O_RDWR)).type, MSG_ERROR);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(ask(scene, wish("a", "", 7), ends[1]).type, MSG_ERROR);
	close(ends[0]);
	ck_assert_int_eq(ask(scene, wish("b", "", 7), scratch(O_WRONLY)).type, MSG_ERROR);
	finish(scene);
}
END_TEST

START_TEST(fingerprints_hide_what_was_handed_over_and_no_other_agent_gets_them)
{
	struct scene *scene = begin();
	struct grant grant = grant_of("a", "", 7);
	char text[] = "it says: the value of the key, and the newer value!";
	struct redact_set *set;
	struct msg msg, answer;

	give(scene, &grant);
	set_value(scene, "key", "the newer value!");
	for (int i = 0; i < 2; i++) {
		msg_init(&msg, MSG_SECRET_PRINTS_QUERY);
		strcpy(msg.secret_prints_query.agent, i ? "a" : "b");
		msg.secret_prints_query.digest_len = PLAN_DIGEST_BYTES;
		memset(msg.secret_prints_query.digest, 7, PLAN_DIGEST_BYTES);
		msg.secret_prints_query.secrets_len = 5;
		memcpy(msg.secret_prints_query.secrets, "key\0", 5);
		peer_send(&scene->runnerd, &msg);
		ck_assert(peer_next(&scene->runnerd, &answer));
		ck_assert_int_eq(answer.type, i ? MSG_SECRET_PRINTS : MSG_ERROR);
	}
	ck_assert_int_eq(redact_set_open(answer.fds[0], &set), 0);
	ck_assert_int_eq(redact_text(set, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "it says: [redacted:key], and [redacted:key]");
	redact_set_free(set);
	msg_close_fds(&answer);
	finish(scene);
}
END_TEST

/* --- what is installed
 * ----------------------------------------------------------------------------------- */

static void
tell(struct scene *scene, enum msg_type type, const char *agent, uint8_t digest)
{
	struct msg msg;

	msg_init(&msg, type);
	if (type == MSG_PLAN_DIGEST) {
		strcpy(msg.plan_digest.agent, agent);
		msg.plan_digest.digest_len = PLAN_DIGEST_BYTES;
		memset(msg.plan_digest.digest, digest, PLAN_DIGEST_BYTES);
	} else if (type == MSG_PLAN_GONE) {
		strcpy(msg.plan_gone.agent, agent);
	}
	peer_send(&scene->runnerd, &msg);
	settle(scene->loop);
}

START_TEST(a_grant_follows_what_is_installed)
{
	struct scene *scene = begin();
	struct grant grant = grant_of("a", "", 7);
	struct error error = ERROR_INIT;
	uint8_t digest[PLAN_DIGEST_BYTES];

	ck_assert_int_eq(plan_digest_of(&scene->s, "a", digest, &error), -1);
	ck_assert_int_eq(error.code, ERR_UNREACHABLE);
	tell(scene, MSG_PLAN_DIGEST, "a", 7);
	tell(scene, MSG_PLANS_END, "", 0);
	ck_assert_int_eq(plan_digest_of(&scene->s, "b", digest, &error), -1);
	ck_assert_int_eq(error.code, ERR_NOT_FOUND);
	ck_assert_int_eq(plan_digest_of(&scene->s, "a", digest, &error), 0);
	ck_assert_uint_eq(digest[31], 7);
	ck_assert_int_eq(grant_state(&scene->s, &grant), GRANT_HOLDS);
	tell(scene, MSG_PLAN_DIGEST, "a", 8);
	ck_assert_int_eq(grant_state(&scene->s, &grant), GRANT_LAPSED);
	give(scene, &grant);
	tell(scene, MSG_PLAN_GONE, "a", 0);
	ck_assert_uint_eq(store_index(scene->s.store)->grants, 0);
	finish(scene);
}
END_TEST

/* --- webhooks
 * ---------------------------------------------------------------------------------------------- */

/* The vectors that GitHub's documentation and Standard Webhooks' libraries give for testing. */
static const char github_key[] = "It's a Secret to Everybody", github_body[] = "Hello, World!";
static const char github_signature[] =
    "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
static const char standard_key[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
static const char standard_body[] = "{\"test\": 2432232314}";
static const char standard_prefix[] = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.";
static const char standard_signature[] = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

static struct msg_signature_query
query_of(const char *agent, const char *signature)
{
	struct msg_signature_query query = {.secret = "key", .signatures_len = SIGNATURE_BYTES};

	strcpy(query.agent, agent);
	ck_assert_int_eq(sodium_hex2bin(query.signatures, SIGNATURE_BYTES, signature,
					strlen(signature), NULL, NULL, NULL),
			 0);
	return query;
}

/* 1: valid, 0: not, -1: no answer. */
static int
asked(struct scene *scene, const struct msg_signature_query *query, const char *body)
{
	struct error error = ERROR_INIT;
	bool valid = true;
	int rc =
	    signature_check(&scene->s, query, (const uint8_t *)body, strlen(body), &valid, &error);

	ck_assert(rc == 0 || (!valid && error.why[0] != '\0'));
	return rc < 0 ? -1 : valid;
}

static struct scene *
begin_webhook(const char *value)
{
	struct scene *scene = begin();
	struct grant grant = grant_of("a", "", 7);

	set_value(scene, "key", value);
	give(scene, &grant);
	tell(scene, MSG_PLAN_DIGEST, "a", 7);
	return scene;
}

START_TEST(a_signature_is_checked_as_github_makes_it)
{
	struct scene *scene = begin_webhook("It's a Secret to Everybody\n");
	struct msg_signature_query query = query_of("a", github_signature);

	ck_assert_int_eq(asked(scene, &query, github_body), 1);
	ck_assert_int_eq(asked(scene, &query, "Hello, World"), 0);
	query.signatures[31] ^= 1;
	ck_assert_int_eq(asked(scene, &query, github_body), 0);
	query.signatures_len = 0;
	ck_assert_int_eq(asked(scene, &query, github_body), 0);
	query = query_of("a", github_signature);
	query.signatures_len--; /* a part of one is none */
	ck_assert_int_eq(asked(scene, &query, github_body), 0);
	set_value(scene, "key", "It's a Secret to Everybod");
	query.signatures_len++;
	ck_assert_int_eq(asked(scene, &query, github_body), 0);
	finish(scene);
}
END_TEST

START_TEST(a_signature_is_checked_as_standard_webhooks_make_it)
{
	struct scene *scene = begin_webhook(standard_key);
	struct msg_signature_query query = query_of("a", github_signature);

	ck_assert_int_eq(sodium_base642bin(query.signatures, SIGNATURE_BYTES, standard_signature,
					   strlen(standard_signature), NULL, NULL, NULL,
					   sodium_base64_VARIANT_ORIGINAL),
			 0);
	strcpy(query.prefix, standard_prefix);
	ck_assert_int_eq(asked(scene, &query, standard_body), 0); /* the key is not those letters */
	query.encoded = true;
	ck_assert_int_eq(asked(scene, &query, standard_body), 1);
	set_value(scene, "key", standard_key + strlen("whsec_"));
	ck_assert_int_eq(asked(scene, &query, standard_body), 1);
	query.prefix[0] = 'M';
	ck_assert_int_eq(asked(scene, &query, standard_body), 0);
	query.prefix[0] = 'm';
	/* One of several, while a sender changes its key. */
	memcpy(query.signatures + SIGNATURE_BYTES, query.signatures, SIGNATURE_BYTES);
	query.signatures[0] ^= 1;
	query.signatures_len = 2 * SIGNATURE_BYTES;
	ck_assert_int_eq(asked(scene, &query, standard_body), 1);
	finish(scene);
}
END_TEST

START_TEST(a_token_is_the_secret_and_nothing_else)
{
	struct scene *scene = begin_webhook("a token of some length\n");
	struct msg_signature_query query = {.agent = "a", .secret = "key"};

	strcpy(query.token, "a token of some length");
	ck_assert_int_eq(asked(scene, &query, ""), 1);
	strcpy(query.token, "a token of some lengt");
	ck_assert_int_eq(asked(scene, &query, ""), 0);
	strcpy(query.token, "a token of some length\n");
	ck_assert_int_eq(asked(scene, &query, ""), 0);
	finish(scene);
}
END_TEST

/* HMAC-SHA256 of nothing, with a key of nothing. */
START_TEST(a_key_of_nothing_signs_nothing)
{
	struct scene *scene = begin_webhook("\n\n\n\n\n\n\n\n");
	struct msg_signature_query query =
	    query_of("a", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");

	ck_assert_int_eq(asked(scene, &query, ""), 0);
	finish(scene);
}
END_TEST

START_TEST(only_what_an_operator_granted_checks_a_webhook)
{
	struct scene *scene = begin_webhook("It's a Secret to Everybody");
	struct msg_signature_query query = query_of("b", github_signature);

	ck_assert_int_eq(asked(scene, &query, github_body), -1);
	query = query_of("a", github_signature);
	ck_assert_int_eq(asked(scene, &query, github_body), 1);
	tell(scene, MSG_PLAN_DIGEST, "a", 8); /* installed anew, with another definition */
	ck_assert_int_eq(asked(scene, &query, github_body), -1);
	tell(scene, MSG_PLAN_DIGEST, "a", 7);
	strcpy(query.secret, "other");
	ck_assert_int_eq(asked(scene, &query, github_body), -1);
	finish(scene);
}
END_TEST

static void
send_query(struct scene *scene, const char *secret, int body)
{
	struct msg msg;

	msg_init(&msg, MSG_SIGNATURE_QUERY);
	msg.signature_query = query_of("a", github_signature);
	strcpy(msg.signature_query.secret, secret);
	msg_add_fd(&msg, body);
	peer_send(&scene->schedd, &msg);
}

START_TEST(schedd_learns_whether_it_is_valid_and_not_the_key)
{
	struct scene *scene = begin_webhook(github_key);
	struct msg answer;

	send_query(scene, "key", memfd_sealed("body", github_body, strlen(github_body)));
	ck_assert(peer_next(&scene->schedd, &answer));
	ck_assert_int_eq(answer.type, MSG_SIGNATURE);
	ck_assert(answer.signature.valid);
	finish(scene);
}
END_TEST

START_TEST(what_is_no_question_about_a_signature_gets_no_answer)
{
	static const struct {
		const char *secret;
		size_t length;
		bool sealed;
	} wrong[] = {
	    {"no-such", 13, true},
	    {"key", SIGNED_BODY_MAX + 1, true},
	    {"key", 13, false},
	};
	_cleanup_free_ char *body = calloc(1, SIGNED_BODY_MAX + 1);
	struct scene *scene = begin_webhook(github_key);
	struct msg answer;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		send_query(scene, wrong[i].secret,
			   wrong[i].sealed ? memfd_sealed("body", body, wrong[i].length)
					   : memfd_create("body", MFD_CLOEXEC));
		ck_assert(peer_next(&scene->schedd, &answer));
		ck_assert_int_eq(answer.type, MSG_ERROR);
	}
	finish(scene);
}
END_TEST

/* --- patterns
 * ------------------------------------------------------------------------------------------------
 */

START_TEST(patterns)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {{"*", "", true},           {"*", "abc", true},         {"", "", true},
		     {"", "a", false},          {"a*", "abc", true},        {"*c", "abc", true},
		     {"a*c", "abcbc", true},    {"a?c", "abc", true},       {"a?c", "ac", false},
		     {"[a-c]x", "bx", true},    {"[a-c]x", "dx", false},    {"[!a-c]x", "dx", true},
		     {"[]]", "]", true},        {"[a", "[a", true},         {"abc", "ab", false},
		     {"ab", "abc", false},      {"*.key", "api.key", true}, {"**a**", "xax", true},
		     {"a*b*c", "a1b2c3", false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_msg(glob_match(cases[i].pattern, cases[i].name) == cases[i].matches,
			      "%s against %s", cases[i].pattern, cases[i].name);
}
END_TEST

/* Twelve stars against a name that almost matches: what backtracking would never finish. */
START_TEST(a_pattern_takes_no_time)
{
	char name[1001];

	memset(name, 'a', 1000);
	name[1000] = '\0';
	ck_assert(!glob_match("a*a*a*a*a*a*a*a*a*a*a*a*b", name));
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_grant_is_for_one_agent_one_server_and_one_definition,
	    a_grant_ends_by_time_and_by_use,
	    the_value_is_in_the_file_when_the_answer_comes,
	    only_a_plain_file_opened_for_writing_is_written,
	    fingerprints_hide_what_was_handed_over_and_no_other_agent_gets_them,
	    a_grant_follows_what_is_installed,
	    a_signature_is_checked_as_github_makes_it,
	    a_signature_is_checked_as_standard_webhooks_make_it,
	    a_token_is_the_secret_and_nothing_else,
	    a_key_of_nothing_signs_nothing,
	    only_what_an_operator_granted_checks_a_webhook,
	    schedd_learns_whether_it_is_valid_and_not_the_key,
	    what_is_no_question_about_a_signature_gets_no_answer,
	    patterns,
	    a_pattern_takes_no_time,
	};

	return suite_run("custody", tests, ARRAY_LEN(tests));
}
