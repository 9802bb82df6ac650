/*
 * Bit flips, truncations and numbers of hostile sizes over a module of WebAssembly, deterministic:
 * the same seed, the same cases. Nothing may crash or read beyond its memory; a refusal has a
 * reason.
 *
 * fuzz_wasm [CASES [SEED]]
 */
// with: ash/wasm_module.c
#include <sys/mman.h>
#include <unistd.h>

#include "ash/wasm_module.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 100000, EDITS_MAX = 5, SIZE_MAX_ = 1 << 16 };

/* A command: types, two imports, a function, its memory, three exports, code. */
static const char seed_module[] =
    "\0asm\1\0\0\0"
    "\1\10\2\140\0\0\140\1\177\0"
    "\2\105\2\026wasi_snapshot_preview1\11proc_exit\0\1\026wasi_snapshot_preview1\7fd_read\0\1"
    "\3\2\1\0"
    "\5\3\1\0\2"
    "\7\41\3\6memory\2\0\6_start\0\2\13_initialize\0\2"
    "\12\4\1\2\0\13";

static size_t
edit(uint8_t *bytes, size_t size)
{
	static const uint8_t numbers[][5] = {{0xff, 0xff, 0xff, 0xff, 0x0f},
					     {0xff, 0xff, 0xff, 0xff, 0x7f},
					     {0x80, 0x80, 0x80, 0x80, 0x00},
					     {0x80, 0x80, 0x04},
					     {0xff, 0x7f}};
	size_t at = pick(size), length;

	switch (pick(4)) {
	case 0:
		bytes[at] ^= (uint8_t)(1U << pick(8));
		return size;
	case 1:
		return pick(8) ? size : at + 1;
	case 2:
		bytes[at] = (uint8_t)pick(20);
		return size;
	default:
		length = sizeof(numbers[0]) < size - at ? sizeof(numbers[0]) : size - at;
		memcpy(bytes + at, numbers[pick(ARRAY_LEN(numbers))], length);
		return size;
	}
}

/* Some are followed by all that fits: names and lists may really be long. */
static bool
try_one(void)
{
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
	static uint8_t bytes[SIZE_MAX_];
	size_t size = sizeof(seed_module) - 1;
	struct error error = ERROR_INIT;
	int rc;

	memset(bytes, (int)pick(128), sizeof(bytes));
	memcpy(bytes, seed_module, size);
	if (!pick(16))
		size = sizeof(bytes);
	for (size_t left = pick(EDITS_MAX); left > 0; left--)
		size = edit(bytes, size < sizeof(seed_module) ? size : sizeof(seed_module) - 1);
	if (fd < 0 || write_all(fd, bytes, size) < 0)
		exit(1);
	rc = wasm_module_check(fd, &error);
	if (rc < 0 && !error.why[0]) {
		printf("refused without a reason\n");
		exit(1);
	}
	return rc == 0;
}

int
main(int argc, char **argv)
{
	size_t cases = fuzz_begin(argc, argv, CASES, CASES), accepted = 0;

	for (size_t i = 0; i < cases; i++)
		accepted += try_one();
	printf("%zu modules, %zu accepted\n", cases, accepted);
	return accepted > 0 && accepted < cases ? 0 : 1;
}
