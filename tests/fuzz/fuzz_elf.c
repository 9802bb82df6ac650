/*
 * Bit flips, truncations and words of hostile sizes over a program of this host, and over its cache
 * of libraries, deterministic: the same seed and files, the same cases. Nothing may crash or read
 * beyond its memory; a refusal has a reason.
 *
 * fuzz_elf [CASES [SEED]]
 */
// with: ash/elf_needs.c ash/ldcache.c
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ash/elf_needs.h"
#include "ash/ldcache.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 20000, EDITS_MAX = 6, FILE_MAX = 4 << 20, HEAD_BYTES = 1024 };

static const char program[] = "/proc/self/exe", libraries[] = "/etc/ld.so.cache";

/* Where the dynamic section lies: there, in the head and among the names edits tell most. */
static size_t
place(size_t size)
{
	return pick(3) ? pick(size < HEAD_BYTES ? size : HEAD_BYTES) : pick(size);
}

static size_t
edit(uint8_t *bytes, size_t size)
{
	static const uint64_t words[] = {0,          1,         UINT64_MAX, INT64_MAX,
					 UINT32_MAX, INT32_MAX, 1 << 20};
	size_t at = place(size), length = 1U << pick(4);

	switch (pick(4)) {
	case 0:
		bytes[at] ^= (uint8_t)(1U << pick(8));
		return size;
	case 1:
		return pick(8) ? size : at + 1;
	default:
		at &= ~(length - 1);
		if (size - at >= length)
			memcpy(bytes + at, &words[pick(ARRAY_LEN(words))], length);
		return size;
	}
}

static bool
try_program(int fd)
{
	struct error error = ERROR_INIT;
	struct elf elf;
	int rc = elf_read(fd, &elf, &error);

	if (rc < 0 && !error.why[0]) {
		printf("refused without a reason\n");
		exit(1);
	}
	elf_free(&elf);
	return rc == 0;
}

static bool
try_cache(int fd)
{
	struct ldcache cache;
	size_t at = 0, found = 0;

	ldcache_read(fd, &cache);
	while (ldcache_next(&cache, "libc.so.6", &at))
		found++;
	ldcache_free(&cache);
	return found > 0;
}

static bool
try_one(const char *source, size_t source_size, bool cache)
{
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
	_cleanup_free_ uint8_t *bytes = malloc(source_size);
	size_t size = source_size;

	if (!bytes || fd < 0)
		exit(1);
	memcpy(bytes, source, size);
	for (size_t left = 1 + pick(EDITS_MAX); left > 0; left--)
		size = edit(bytes, size);
	if (write_all(fd, bytes, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		exit(1);
	return cache ? try_cache(fd) : try_program(fd);
}

int
main(int argc, char **argv)
{
	size_t cases = fuzz_begin(argc, argv, CASES, CASES), accepted = 0;
	const char *const sources[] = {program, libraries};
	char *bytes[2] = {NULL};
	size_t sizes[2] = {0};

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		_cleanup_fclose_ FILE *file = fopen(sources[i], "re");

		if (!file || read_file(fileno(file), FILE_MAX, &bytes[i], &sizes[i]) < 0) {
			printf("%s cannot be read\n", sources[i]);
			return 77;
		}
	}
	for (size_t i = 0; i < cases; i++)
		accepted += try_one(bytes[i & 1], sizes[i & 1], i & 1);
	for (size_t i = 0; i < ARRAY_LEN(bytes); i++)
		free(bytes[i]);
	printf("%zu files, %zu accepted\n", cases, accepted);
	return 0;
}
