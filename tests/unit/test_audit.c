// with: secretd/chain.c secretd/writer.c secretd/sources.c
/* audit.log as a chain: what is written is whole, what was cut or changed is found and said. */
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "secretd/writer.h"
#include "tests/unit/suite.h"

enum { LOG_BYTES_MAX = 1 << 20 };

static void
ignore_full(bool full, void *arg)
{
	(void)full;
	(void)arg;
}

static void
ignore_durable(void *arg)
{
	(void)arg;
}

static const struct writer_ops quiet_ops = {.full = ignore_full, .durable = ignore_durable};

static struct msg_audit
entry(const char *action)
{
	struct msg_audit made = {.allowed = true, .by_operator = true, .uid = 0, .pid = 7};

	snprintf(made.action, sizeof(made.action), "%s", action);
	made.login_uid = UINT32_MAX;
	return made;
}

static int
new_log(void)
{
	int fd = memfd_create("audit.log", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void
stop_loop(struct loop_source *source, void *arg)
{
	(void)source;
	loop_stop(arg, 0);
}

/* One life of secretd: writes count entries to the log (borrowed), makes them durable. */
static void
live(int fd, unsigned count)
{
	struct error error = ERROR_INIT;
	struct loop *loop = loop_new();
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct writer *writer;
	struct loop_source *end;

	lseek(copy, 0, SEEK_END); /* what O_APPEND does for the real one */
	writer = writer_new(loop, copy, &quiet_ops, NULL, &error);
	ck_assert_ptr_nonnull(writer);
	for (unsigned i = 0; i < count; i++) {
		struct msg_audit made = entry("test.entry");

		writer_add(writer, ROLE_CONTROL, &made);
	}
	end = loop_add_timer(loop, stop_loop, loop);
	loop_arm_in(end, 1);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert(!writer_pending(writer));
	writer_free(writer);
	loop_remove(end);
	loop_free(loop);
}

static char *
text_of(int fd)
{
	static char text[LOG_BYTES_MAX];
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(length, 0);
	text[length] = '\0';
	return text;
}

/* Follows the chain; lines that are no entries are counted in *strange. Returns how often a new
 * chain begins. */
static unsigned
follow(int fd, uint64_t *last_seq, unsigned *strange)
{
	uint8_t prev[CHAIN_HASH_BYTES];
	struct chain at = {0}, next;
	unsigned begins = 0;
	char *rest = text_of(fd), *line;

	*strange = 0;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (!rest)
			break;
		if (!chain_check(line, strlen(line), &next, prev)) {
			++*strange;
			continue;
		}
		if (!at.seq || memcmp(prev, at.head, sizeof(prev)) != 0)
			begins++;
		else
			ck_assert_uint_eq(next.seq, at.seq + 1);
		at = next;
	}
	*last_seq = at.seq;
	return begins;
}

static void
assert_log(int fd, unsigned begins, uint64_t seq, unsigned strange)
{
	unsigned found_strange, found_begins;
	uint64_t found_seq;

	found_begins = follow(fd, &found_seq, &found_strange);
	ck_assert_uint_eq(found_begins, begins);
	ck_assert_uint_eq(found_seq, seq);
	ck_assert_uint_eq(found_strange, strange);
}

START_TEST(chain_over_restarts)
{
	int fd = new_log();

	live(fd, 3);
	live(fd, 0);
	live(fd, 2);
	assert_log(fd, 1, 5, 0);
	ck_assert_ptr_nonnull(strstr(text_of(fd), "{\"seq\":1,\"time\":\""));
	ck_assert_ptr_nonnull(strstr(text_of(fd), "\"uid\":0,\"pid\":7,\"login_uid\":null"));
	close(fd);
}
END_TEST

/* The definition of secretd(8), computed beside the code that writes it. */
START_TEST(hash_as_documented)
{
	uint8_t prev[CHAIN_HASH_BYTES] = {0}, hash[CHAIN_HASH_BYTES];
	char bytes[CHAIN_LINE_MAX], hex[2 * CHAIN_HASH_BYTES + 1];
	struct msg_audit made = entry("agent.install");
	struct chain chain = {0};
	size_t length, body;
	_cleanup_free_ char *line = chain_line(&chain, ROLE_CONTROL, 1000, &made, NULL, &length);
	char *cut = strstr(line, ",\"hash\":\"");

	ck_assert_ptr_nonnull(cut);
	body = (size_t)(cut - line);
	memcpy(bytes, prev, sizeof(prev));
	memcpy(bytes + sizeof(prev), line, body);
	bytes[sizeof(prev) + body] = '}';
	crypto_hash_sha256(hash, (const uint8_t *)bytes, sizeof(prev) + body + 1);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	ck_assert_ptr_nonnull(strstr(cut, hex));
	ck_assert_mem_eq(hash, chain.head, sizeof(hash));
	ck_assert_ptr_nonnull(strstr(line, "\"time\":\"1970-01-01T00:00:01.000Z\""));
}
END_TEST

/* Cut anywhere inside the last line, the log goes on with the entry before it and says so. */
START_TEST(torn_anywhere)
{
	int fd = new_log();
	off_t whole, two;

	live(fd, 2);
	two = lseek(fd, 0, SEEK_END);
	live(fd, 1);
	whole = lseek(fd, 0, SEEK_END);
	for (off_t cut = whole - 2; cut > two; cut -= 37) {
		ck_assert_int_eq(ftruncate(fd, cut), 0);
		live(fd, 1);
		assert_log(fd, 1, 4, 1);
		ck_assert_ptr_nonnull(strstr(text_of(fd), "\"action\":\"audit.torn\""));
		ck_assert_int_eq(ftruncate(fd, two), 0);
		live(fd, 1);
		whole = lseek(fd, 0, SEEK_END);
	}
	close(fd);
}
END_TEST

START_TEST(torn_newline_only)
{
	int fd = new_log();

	live(fd, 2);
	ck_assert_int_eq(ftruncate(fd, lseek(fd, 0, SEEK_END) - 1), 0);
	live(fd, 1);
	assert_log(fd, 1, 4, 0);
	ck_assert_ptr_nonnull(strstr(text_of(fd), "\"action\":\"audit.torn\""));
	close(fd);
}
END_TEST

START_TEST(torn_first_line)
{
	int fd = new_log();

	ck_assert_int_eq(write(fd, "{\"seq\":1,", 9), 9);
	live(fd, 1);
	assert_log(fd, 1, 2, 1);
	close(fd);
}
END_TEST

/* A changed or foreign last line never goes on silently. */
START_TEST(changed_last_line)
{
	int fd = new_log();
	char *text;

	live(fd, 2);
	text = text_of(fd);
	text = strstr(strchr(text, '\n'), "\"uid\":0");
	ck_assert_int_eq(pwrite(fd, "\"uid\":9", 7, text - text_of(fd)), 7);
	live(fd, 1);
	assert_log(fd, 2, 2, 1);
	ck_assert_ptr_nonnull(strstr(text_of(fd), "\"action\":\"audit.chain-broken\""));
	close(fd);
}
END_TEST

START_TEST(foreign_lines)
{
	static const char *const lines[] = {"\n", "x\n", "{}\n", "\n\n", "\"}\n", "{\"seq\":0,\n"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		int fd = new_log();

		ck_assert_int_gt(write(fd, lines[i], strlen(lines[i])), 0);
		live(fd, 1);
		ck_assert_ptr_nonnull(strstr(text_of(fd), "\"action\":\"audit.chain-broken\""));
		live(fd, 1);
		close(fd);
	}
}
END_TEST

/* The end is found without reading the rest. */
START_TEST(long_log)
{
	int fd = new_log();

	live(fd, 1000);
	live(fd, 1);
	assert_log(fd, 1, 1001, 0);
	close(fd);
}
END_TEST

/* The longest entry of the worst bytes is one line of valid UTF-8 within the bound. */
START_TEST(hostile_texts)
{
	struct msg_audit made = entry("x");
	uint8_t prev[CHAIN_HASH_BYTES];
	struct chain chain = {0}, link;
	uint8_t key[CHAIN_KEY_BYTES] = {1};
	size_t length;

	made.generation = made.sequence = made.version = UINT64_MAX;
	for (int byte = 1; byte < 256; byte++) {
		_cleanup_free_ char *line = NULL;

		memset(made.detail, byte, sizeof(made.detail) - 1);
		memset(made.action, byte, sizeof(made.action) - 1);
		memset(made.agent, byte, sizeof(made.agent) - 1);
		memset(made.secret, byte, sizeof(made.secret) - 1);
		memset(made.purpose, byte, sizeof(made.purpose) - 1);
		line = chain_line(&chain, ROLE_SCHEDD, 1, &made, key, &length);
		ck_assert_ptr_nonnull(line);
		ck_assert_uint_le(length, CHAIN_LINE_MAX);
		ck_assert(utf8_valid((const uint8_t *)line, length));
		ck_assert_ptr_eq(strchr(line, '\n'), line + length - 1);
		ck_assert(chain_check(line, length - 1, &link, prev));
	}
}
END_TEST

static void
remember_full(bool full, void *arg)
{
	*(bool *)arg = full;
}

/* A full disk: lines wait, the writer asks for back-pressure, memory stays bounded. */
START_TEST(full_disk)
{
	struct error error = ERROR_INIT;
	struct loop *loop = loop_new();
	struct msg_audit made = entry("test.entry");
	static const struct writer_ops ops = {.full = remember_full, .durable = ignore_durable};
	bool full = false;
	struct writer *writer =
	    writer_new(loop, open("/dev/full", O_RDWR | O_CLOEXEC), &ops, &full, &error);
	struct loop_source *end = loop_add_timer(loop, stop_loop, loop);

	ck_assert_ptr_nonnull(writer);
	writer_add(writer, ROLE_CONTROL, &made);
	loop_arm_in(end, 1);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert(writer_pending(writer));
	ck_assert(!full);
	for (unsigned i = 0; i < WRITER_PENDING_MAX && !full; i++)
		writer_add(writer, ROLE_CONTROL, &made);
	ck_assert(full);
	writer_free(writer);
	loop_remove(end);
	loop_free(loop);
}
END_TEST

/* --- verifying -------------------------------------------------------------------------------- */

struct bytes {
	size_t length;
	char text[16384];
};

static struct bytes
copy_log(int fd)
{
	struct bytes copy = {0};
	ssize_t length = pread(fd, copy.text, sizeof(copy.text), 0);

	ck_assert_int_gt(length, 0);
	ck_assert_uint_lt((size_t)length, sizeof(copy.text));
	copy.length = (size_t)length;
	return copy;
}

static struct chain_walk
walk_bytes(const struct bytes *log, const uint8_t *head)
{
	struct chain_walk walk = {.seeks = head != NULL};
	_cleanup_close_ int fd = new_log();

	if (head)
		memcpy(walk.sought, head, CHAIN_HASH_BYTES);
	ck_assert_int_eq(write(fd, log->text, log->length), (ssize_t)log->length);
	ck_assert_int_eq(chain_walk_file(&walk, fd), 0);
	return walk;
}

/* Every bit of every byte, newlines included: always found, in the line where it is. */
START_TEST(every_bit)
{
	_cleanup_close_ int fd = new_log();
	struct bytes log;
	uint64_t line = 1;

	live(fd, 5);
	log = copy_log(fd);
	ck_assert_uint_eq(walk_bytes(&log, NULL).problem_line, 0);
	for (size_t at = 0; at < log.length; at++) {
		bool newline = log.text[at] == '\n';

		for (unsigned bit = 0; bit < 8; bit++) {
			struct chain_walk walk;

			log.text[at] ^= (char)(1 << bit);
			walk = walk_bytes(&log, NULL);
			ck_assert_uint_ge(walk.problem_line, 1);
			ck_assert_uint_eq(walk.problem_line, line);
			log.text[at] ^= (char)(1 << bit);
		}
		line += newline;
	}
}
END_TEST

/* Cut at any byte: found by itself, but at the end of a line, which only a head tells. */
START_TEST(every_truncation)
{
	_cleanup_close_ int fd = new_log();
	struct chain_walk whole, walk;
	struct bytes log, cut;

	live(fd, 5);
	log = copy_log(fd);
	whole = walk_bytes(&log, NULL);
	for (size_t length = 0; length < log.length; length++) {
		cut = log;
		cut.length = length;
		walk = walk_bytes(&cut, whole.at.head);
		ck_assert_uint_eq(walk.found, 0);
		if (length > 0 && log.text[length - 1] != '\n')
			ck_assert_uint_gt(walk.problem_line, 0);
		else
			ck_assert_uint_eq(walk.problem_line, 0);
		walk = walk_bytes(&log, walk.at.head);
		if (length > 0 && log.text[length - 1] == '\n')
			ck_assert_uint_gt(walk.found, 0); /* an older head is in the longer log */
	}
}
END_TEST

static void
line_at(const struct bytes *log, size_t number, size_t *from, size_t *length)
{
	const char *at = log->text;

	for (; number > 0; number--)
		at = strchr(at, '\n') + 1;
	*from = (size_t)(at - log->text);
	*length = (size_t)(strchr(at, '\n') + 1 - at);
}

static struct bytes
replaced(const struct bytes *log, size_t at, size_t removed, const char *added, size_t length)
{
	struct bytes made = {.length = log->length - removed + length};

	memcpy(made.text, log->text, at);
	memcpy(made.text + at, added, length);
	memcpy(made.text + at + length, log->text + at + removed, log->length - at - removed);
	return made;
}

/* A line that is removed, doubled, moved or taken from another log. */
START_TEST(every_line)
{
	_cleanup_close_ int fd = new_log(), other_fd = new_log();
	struct bytes log, other, made;
	size_t from, length, last;

	live(fd, 5);
	live(other_fd, 7);
	log = copy_log(fd);
	other = copy_log(other_fd);
	for (size_t i = 0; i < 5; i++) {
		line_at(&log, i, &from, &length);
		made = replaced(&log, from, length, "", 0);
		if (i < 4)
			ck_assert_uint_eq(walk_bytes(&made, NULL).problem_line, i + 1);
		made = replaced(&log, from, 0, log.text + from, length);
		ck_assert_uint_eq(walk_bytes(&made, NULL).problem_line, i + 2);
		made = replaced(&log, from, 0, "x\n", 2);
		ck_assert_uint_eq(walk_bytes(&made, NULL).problem_line, i + 1);
		line_at(&log, 4, &last, &length);
		made = replaced(&log, from, 0, log.text + last, length);
		ck_assert_uint_ge(walk_bytes(&made, NULL).problem_line, i == 4 ? 6 : i + 1);
		line_at(&other, i, &from, &length);
		last = length;
		line_at(&log, i, &from, &length);
		made = replaced(&log, from, length, strchr(other.text, '\n') + 1, last);
		ck_assert_uint_ge(walk_bytes(&made, NULL).problem_line, 1);
	}
}
END_TEST

/* What crashed secretds leave is in order, and told. */
START_TEST(torn_is_no_problem)
{
	_cleanup_close_ int fd = new_log();
	struct chain_walk walk;
	struct bytes log;

	live(fd, 2);
	ck_assert_int_eq(ftruncate(fd, lseek(fd, 0, SEEK_END) - 30), 0);
	live(fd, 2);
	log = copy_log(fd);
	walk = walk_bytes(&log, NULL);
	ck_assert_uint_eq(walk.problem_line, 0);
	ck_assert_uint_eq(walk.torn, 1);
	ck_assert_uint_eq(walk.entries, 4);
}
END_TEST

/* Who changes an entry and computes every hash anew has no key for the MACs. */
START_TEST(macs)
{
	uint8_t key[CHAIN_KEY_BYTES] = {7}, other[CHAIN_KEY_BYTES] = {8};
	struct msg_audit made = entry("secret.hand");
	struct chain chain = {0};
	size_t length;
	_cleanup_free_ char *plain = chain_line(&chain, ROLE_SECRETD, 1, &made, NULL, &length);

	ck_assert_int_eq(chain_mac_check(key, plain, length - 1), CHAIN_MAC_NONE);
	for (unsigned i = 0; i < 3; i++) {
		_cleanup_free_ char *line =
		    chain_line(&chain, ROLE_SECRETD, 1, &made, key, &length);

		ck_assert_int_eq(chain_mac_check(key, line, length - 1), CHAIN_MAC_RIGHT);
		ck_assert_int_eq(chain_mac_check(other, line, length - 1), CHAIN_MAC_WRONG);
		for (size_t at = 0; at < length - 1; at++) {
			line[at] ^= 1;
			ck_assert_int_ne(chain_mac_check(key, line, length - 1), CHAIN_MAC_RIGHT);
			line[at] ^= 1;
		}
	}
}
END_TEST

/* --- entries that are sent again ---------------------------------------------------------------
 */

static struct writer *
open_writer(struct loop *loop, int fd, const struct writer_ops *ops, void *arg)
{
	struct error error = ERROR_INIT;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct writer *writer;

	lseek(copy, 0, SEEK_END);
	writer = writer_new(loop, copy, ops, arg, &error);
	ck_assert_ptr_nonnull(writer);
	return writer;
}

static void
add_from(struct writer *writer, enum role role, uint64_t generation, uint64_t sequence)
{
	struct msg_audit made = entry("test.entry");

	made.generation = generation;
	made.sequence = sequence;
	writer_add(writer, role, &made);
}

static void
run_shortly(struct loop *loop)
{
	struct loop_source *end = loop_add_timer(loop, stop_loop, loop);

	loop_arm_in(end, 1);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_remove(end);
}

START_TEST(sent_again)
{
	_cleanup_close_ int fd = new_log();
	struct loop *loop = loop_new();
	struct writer *writer = open_writer(loop, fd, &quiet_ops, NULL);
	uint64_t seq;
	unsigned strange;

	for (uint64_t i = 1; i <= 3; i++) {
		add_from(writer, ROLE_CONTROL, 99, i);
		add_from(writer, ROLE_RUNNERD, UINT64_MAX, i);
	}
	add_from(writer, ROLE_CONTROL, 99, 2);
	run_shortly(loop);
	writer_free(writer); /* killed before it could acknowledge */
	writer = open_writer(loop, fd, &quiet_ops, NULL);
	ck_assert_uint_eq(writer_source(writer, ROLE_RUNNERD).generation, UINT64_MAX);
	for (uint64_t i = 1; i <= 4; i++) {
		add_from(writer, ROLE_CONTROL, 99, i);
		add_from(writer, ROLE_RUNNERD, UINT64_MAX, i);
	}
	add_from(writer, ROLE_CONTROL, 100, 1); /* another control */
	add_from(writer, ROLE_SCHEDD, 99, 1);
	run_shortly(loop);
	writer_free(writer);
	ck_assert_uint_eq(follow(fd, &seq, &strange), 1);
	ck_assert_uint_eq(seq, 10);
	ck_assert_uint_eq(strange, 0);
	loop_free(loop);
}
END_TEST

/* --- another file -------------------------------------------------------------------------------
 */

START_TEST(next_file)
{
	_cleanup_close_ int fd = new_log(), second = new_log();
	struct loop *loop = loop_new();
	struct writer *writer = open_writer(loop, fd, &quiet_ops, NULL);
	struct chain_walk walk = {0}, alone = {.from_middle = true};

	for (uint64_t i = 1; i <= 3; i++)
		add_from(writer, ROLE_CONTROL, 0xabcdef, i);
	writer_next(writer, fcntl(second, F_DUPFD_CLOEXEC, 0));
	run_shortly(loop);
	run_shortly(loop);
	writer_free(writer);
	ck_assert_int_eq(chain_walk_file(&walk, fd), 0);
	ck_assert_int_eq(chain_walk_file(&walk, second), 0);
	ck_assert_uint_eq(walk.problem_line, 0);
	ck_assert_uint_eq(walk.entries, 4);
	/* what the daemons said is known without the first file */
	writer = open_writer(loop, second, &quiet_ops, NULL);
	ck_assert_uint_eq(writer_source(writer, ROLE_CONTROL).generation, 0xabcdef);
	ck_assert_uint_eq(writer_source(writer, ROLE_CONTROL).sequence, 3);
	writer_free(writer);
	ck_assert_int_eq(chain_walk_file(&alone, second), 0);
	ck_assert_uint_eq(alone.problem_line, 0);
	memset(&walk, 0, sizeof(walk));
	ck_assert_int_eq(chain_walk_file(&walk, second), 0);
	ck_assert_uint_eq(walk.problem_line, 1); /* the first file is missing */
	loop_free(loop);
}
END_TEST

/* A disk that is full in the middle of a line: what comes later completes it. */
START_TEST(full_in_a_line)
{
	_cleanup_close_ int fd = new_log();
	struct loop *loop = loop_new();
	struct writer *writer;
	struct rlimit before, small = {.rlim_cur = 1000};
	uint64_t seq;
	unsigned strange;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small.rlim_max = before.rlim_max;
	writer = open_writer(loop, fd, &quiet_ops, NULL);
	for (uint64_t i = 1; i <= 5; i++)
		add_from(writer, ROLE_CONTROL, 1, i);
	setrlimit(RLIMIT_FSIZE, &small);
	run_shortly(loop);
	ck_assert(writer_pending(writer));
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 1000);
	setrlimit(RLIMIT_FSIZE, &before);
	while (writer_pending(writer))
		run_shortly(loop);
	writer_free(writer);
	ck_assert_uint_eq(follow(fd, &seq, &strange), 1);
	ck_assert_uint_eq(seq, 5);
	ck_assert_uint_eq(strange, 0);
	loop_free(loop);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    every_bit,
	    every_truncation,
	    every_line,
	    torn_is_no_problem,
	    macs,
	    sent_again,
	    next_file,
	    full_in_a_line,
	    chain_over_restarts,
	    hash_as_documented,
	    torn_anywhere,
	    torn_newline_only,
	    torn_first_line,
	    changed_last_line,
	    foreign_lines,
	    long_log,
	    hostile_texts,
	    full_disk,
	};

	log_open("test_audit", LOG_LEVEL_ERROR, LOG_TO_STDERR);
	if (sodium_init() < 0)
		return 1;
	return suite_run("audit", tests, ARRAY_LEN(tests));
}
