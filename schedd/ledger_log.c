/* The ledger's log (SQLite's WAL) and when it is on the disk; see ledger.h. */
#include "ledger_sql.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

/* --- commits that wait for no disk --------------------------------------------------------- */

static int
committed(void *arg, sqlite3 *db, const char *schema, int pages)
{
	struct ledger *ledger = arg;

	(void)db;
	(void)schema;
	ledger->log_pages = (unsigned)pages;
	if (ledger->asked)
		ledger->committed(ledger->committed_arg);
	ledger->asked = false;
	return SQLITE_OK;
}

/* SQLite's own checkpoints, which a commit would wait for, go with its hook. */
int
ledger_commit_beside(struct ledger *ledger, ledger_committed_fn *fn, void *arg, struct error *error)
{
	if (sqlite3_exec(ledger->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL) != SQLITE_OK)
		return ledger_error(ledger, error);
	ledger->durability = RELAXED;
	ledger->committed = fn;
	ledger->committed_arg = arg;
	sqlite3_wal_hook(ledger->db, committed, ledger);
	return 0;
}

void
ledger_doubt(struct ledger *ledger, const struct error *why)
{
	ledger->doubted = why;
}

int
ledger_trusted(const struct ledger *ledger, struct error *error)
{
	if (!ledger->doubted)
		return 0;
	if (error)
		*error = *ledger->doubted;
	return -1;
}

unsigned
ledger_log_pages(const struct ledger *ledger)
{
	return ledger->log_pages;
}

int
ledger_log_open(const struct ledger *ledger, struct error *error)
{
	const char *path = sqlite3_filename_wal(sqlite3_db_filename(ledger->db, "main"));
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		error_errno(error, errno, "opening the log of the ledger %s", ledger->name);
	return fd;
}

int
ledger_checkpoint(struct ledger *ledger, bool whole, struct error *error)
{
	int pages = 0, brought = 0;
	int rc = sqlite3_wal_checkpoint_v2(
	    ledger->db, "main", whole ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
	    &pages, &brought);

	if (rc != SQLITE_OK)
		return ledger_error(ledger, error);
	if (pages == brought)
		ledger->log_pages = 0;
	return 0;
}

/* --- what the disk has of it ----------------------------------------------------------------
 */

/* The file's layout is https://www.sqlite.org/fileformat2.html#the_write_ahead_log. */
enum { LOG_HEADER = 32, PAGE_HEADER = 24, LOG_MAGIC = 0x377f0682, PAGE_BYTES_MAX = 65536 };

struct sum {
	bool big_endian;
	uint32_t a, b;
};

static uint32_t
big_endian(const uint8_t *bytes)
{
	uint32_t word;

	memcpy(&word, bytes, sizeof(word));
	return be32toh(word);
}

static void
add(struct sum *sum, const uint8_t *bytes, size_t length)
{
	uint32_t words[2];

	for (size_t at = 0; at < length; at += sizeof(words)) {
		memcpy(words, bytes + at, sizeof(words));
		sum->a += (sum->big_endian ? be32toh(words[0]) : le32toh(words[0])) + sum->b;
		sum->b += (sum->big_endian ? be32toh(words[1]) : le32toh(words[1])) + sum->a;
	}
}

static bool
sum_is(const struct sum *sum, const uint8_t *bytes)
{
	return sum->a == big_endian(bytes) && sum->b == big_endian(bytes + 4);
}

static bool
page_holds(int fd, unsigned index, const uint8_t *log, struct sum *sum)
{
	uint8_t page[PAGE_HEADER + PAGE_BYTES_MAX];
	size_t size = big_endian(log + 8), length = PAGE_HEADER + size;

	if (size > PAGE_BYTES_MAX ||
	    pread(fd, page, length, (off_t)(LOG_HEADER + index * length)) != (ssize_t)length ||
	    memcmp(page + 8, log + 16, 8) != 0)
		return false;
	add(sum, page, 8);
	add(sum, page + PAGE_HEADER, size);
	return sum_is(sum, page + 16);
}

bool
ledger_log_holds(const struct ledger *ledger, int fd)
{
	uint8_t log[LOG_HEADER];
	struct sum sum = {0};
	uint32_t magic;

	if (ledger->log_pages == 0)
		return true;
	if (pread(fd, log, sizeof(log), 0) != sizeof(log))
		return false;
	magic = big_endian(log);
	if ((magic & ~1U) != LOG_MAGIC)
		return false;
	sum.big_endian = magic & 1;
	add(&sum, log, 24);
	if (!sum_is(&sum, log + 24))
		return false;
	for (unsigned i = 0; i < ledger->log_pages; i++)
		if (!page_holds(fd, i, log, &sum))
			return false;
	return true;
}

void
ledger_abandon(struct ledger *ledger)
{
	sqlite3_db_config(ledger->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}
