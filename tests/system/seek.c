/*
 * seek NEEDLES PLACE…: where the secrets are. NEEDLES: a folder with a file for each, whose name is
 * its name. A place is a file, a folder (everything below it), or a number: the memory, arguments
 * and environment of that process. Every finding is a line PLACE NAME SPELLING; looked for are the
 * bytes as they are, base64 (either alphabet, every alignment) and hexadecimal digits. Exits 1 when
 * anything was found, 2 when a place could not be looked at. Knows nothing of the runtime.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NEEDLES_MAX = 1024,
	SECRET_MAX = 32768,
	NEEDLE_MAX = 2 * SECRET_MAX,
	WINDOW = 8, /* no needle is shorter */
	PIECE = 1 << 20,
	BITS = 1 << 16,
};

struct needle {
	char name[64];
	const char *spelling;
	uint8_t *bytes;
	size_t length;
	unsigned window;
};

static struct needle needles[NEEDLES_MAX];
static size_t needle_count, longest;
static uint64_t bitmap[BITS / 64];
static int status;

/* --- needles ------------------------------------------------------------------------------------
 */

static unsigned
window_of(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return (unsigned)(word * UINT64_C(0x9e3779b97f4a7c15) >> 48);
}

static void
add(const char *name, const char *spelling, const uint8_t *bytes, size_t length)
{
	struct needle *needle = &needles[needle_count];

	if (needle_count == NEEDLES_MAX || length < WINDOW) {
		fprintf(stderr, "seek: %s cannot be looked for as %s\n", name, spelling);
		exit(2);
	}
	needle_count++;
	snprintf(needle->name, sizeof(needle->name), "%s", name);
	needle->spelling = spelling;
	needle->bytes = malloc(length);
	memcpy(needle->bytes, bytes, length);
	needle->length = length;
	needle->window = window_of(bytes);
	bitmap[needle->window / 64] |= UINT64_C(1) << needle->window % 64;
	if (length > longest)
		longest = length;
}

static void
add_hex(const char *name, const uint8_t *value, size_t length)
{
	static char text[NEEDLE_MAX + 1];

	for (int upper = 0; upper < 2; upper++) {
		for (size_t i = 0; i < length; i++)
			sprintf(text + 2 * i, upper ? "%02X" : "%02x", value[i]);
		add(name, upper ? "HEX" : "hex", (uint8_t *)text, 2 * length);
	}
}

/* The characters of which every bit is the secret's, with shift bytes before it in its group. */
static void
add_base64(const char *name, const uint8_t *value, size_t length, unsigned shift, const char *last)
{
	static uint8_t text[NEEDLE_MAX];
	size_t count = 0;

	for (size_t bit = (8 * shift + 5) / 6 * 6; bit + 6 <= 8 * (shift + length); bit += 6) {
		unsigned six = 0;

		for (size_t i = bit; i < bit + 6; i++)
			six = six << 1 | (value[i / 8 - shift] >> (7 - i % 8) & 1U);
		text[count++] = (uint8_t)(six < 26   ? 'A' + six
					  : six < 52 ? 'a' + six - 26
					  : six < 62 ? '0' + six - 52
						     : (unsigned)last[six - 62]);
	}
	add(name, "base64", text, count);
}

static void
add_secret(const char *name, const uint8_t *value, size_t length)
{
	add(name, "bytes", value, length);
	add_hex(name, value, length);
	for (unsigned shift = 0; shift < 3; shift++) {
		add_base64(name, value, length, shift, "+/");
		add_base64(name, value, length, shift, "-_");
	}
}

static int
read_secret(const char *path, const struct stat *st, int type, struct FTW *where)
{
	static uint8_t value[SECRET_MAX + 1];
	FILE *stream;
	size_t length;

	(void)st;
	if (type != FTW_F)
		return 0;
	stream = fopen(path, "re");
	length = stream ? fread(value, 1, sizeof(value), stream) : 0;
	if (length == 0 || length > SECRET_MAX) {
		fprintf(stderr, "seek: %s is no secret\n", path);
		exit(2);
	}
	fclose(stream);
	add_secret(path + where->base, value, length);
	return 0;
}

/* --- looking ------------------------------------------------------------------------------------
 */

static void
compare(const char *place, const uint8_t *at, size_t left)
{
	unsigned window = window_of(at);

	for (size_t i = 0; i < needle_count; i++)
		if (needles[i].window == window && needles[i].length <= left &&
		    memcmp(needles[i].bytes, at, needles[i].length) == 0) {
			printf("%s %s %s\n", place, needles[i].name, needles[i].spelling);
			status |= 1;
		}
}

static void
look(const char *place, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i + WINDOW <= length; i++) {
		unsigned window = window_of(bytes + i);

		if (bitmap[window / 64] >> window % 64 & 1)
			compare(place, bytes + i, length - i);
	}
}

/* From one offset to another; what may begin a needle at a piece's end is looked at again. */
static void
look_at(const char *place, int fd, uint64_t from, uint64_t end)
{
	static uint8_t piece[PIECE + NEEDLE_MAX];
	size_t held = 0;
	ssize_t n;

	while (from < end) {
		size_t want = end - from < PIECE ? (size_t)(end - from) : PIECE;

		n = pread(fd, piece + held, want, (off_t)from);
		if (n <= 0)
			break;
		from += (uint64_t)n;
		held += (size_t)n;
		look(place, piece, held);
		if (held >= longest) {
			memmove(piece, piece + held - longest + 1, longest - 1);
			held = longest - 1;
		}
	}
}

static void
look_at_file(const char *place, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		if (errno != ENOENT) {
			perror(path);
			status |= 2;
		}
		return;
	}
	look_at(place, fd, 0, UINT64_MAX >> 1);
	close(fd);
}

static int
look_at_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)where;
	if (type == FTW_F && S_ISREG(st->st_mode))
		look_at_file(path, path);
	return 0;
}

static void
look_at_memory(const char *pid)
{
	char path[64], line[512], place[600];
	int fd;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	while (fd >= 0 && maps && fgets(line, sizeof(line), maps)) {
		char *next;
		uint64_t from = strtoull(line, &next, 16), end = strtoull(next + 1, NULL, 16);

		if (strstr(line, "[v")) /* the kernel's own: vvar, vdso, vsyscall */
			continue;
		snprintf(place, sizeof(place), "%s:memory:%.*s", pid, (int)strcspn(line, " \n"),
			 line);
		look_at(place, fd, from, end);
	}
	if (fd < 0 || !maps) {
		fprintf(stderr, "seek: the memory of %s cannot be read\n", pid);
		status |= 2;
	}
	if (maps)
		fclose(maps);
	close(fd);
}

static void
look_at_process(const char *pid)
{
	static const char *const files[] = {"cmdline", "environ"};
	char path[64];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", pid, files[i]);
		look_at_file(path, path);
	}
	look_at_memory(pid);
}

int
main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: seek NEEDLES PLACE...\n");
		return 2;
	}
	nftw(argv[1], read_secret, 16, FTW_PHYS);
	for (int i = 2; i < argc; i++) {
		if (strspn(argv[i], "0123456789") == strlen(argv[i]))
			look_at_process(argv[i]);
		else if (nftw(argv[i], look_at_entry, 16, FTW_PHYS) < 0)
			status |= 2;
	}
	return status & 2 ? 2 : status;
}
