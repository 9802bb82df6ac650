// with: secretd/chain.c secretd/writer.c
/* audit.log as a chain: what is written is whole, what was cut or changed is found and said. */
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
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
	writer = writer_new(loop, copy, ignore_full, NULL, &error);
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
	_cleanup_free_ char *line = chain_line(&chain, ROLE_CONTROL, 1000, &made, &length);
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
	size_t length;

	for (int byte = 1; byte < 256; byte++) {
		_cleanup_free_ char *line = NULL;

		memset(made.detail, byte, sizeof(made.detail) - 1);
		memset(made.action, byte, sizeof(made.action) - 1);
		memset(made.agent, byte, sizeof(made.agent) - 1);
		line = chain_line(&chain, ROLE_SCHEDD, 1, &made, &length);
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
	bool full = false;
	struct writer *writer =
	    writer_new(loop, open("/dev/full", O_RDWR | O_CLOEXEC), remember_full, &full, &error);
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

int
main(void)
{
	const TTest *const tests[] = {
	    chain_over_restarts, hash_as_documented, torn_anywhere, torn_newline_only,
	    torn_first_line,     changed_last_line,  foreign_lines, long_log,
	    hostile_texts,       full_disk,
	};

	log_open("test_audit", LOG_LEVEL_ERROR, LOG_TO_STDERR);
	if (sodium_init() < 0)
		return 1;
	return suite_run("audit", tests, ARRAY_LEN(tests));
}
