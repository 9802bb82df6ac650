// with: ash/elf_needs.c ash/ldcache.c ash/libraries.c ash/view.c
// with: ash/runtime.c ash/wasm_module.c ash/interpreter.c ash/jail.c ash/packages.c ash/wheels.c
// with: runnerd/package_files.c runnerd/fs.c
/* What ash finds out of what is to be installed: its runtime, and whether it will start. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ash/elf_needs.h"
#include "ash/jail.h"
#include "ash/ldcache.h"
#include "ash/libraries.h"
#include "ash/packages.h"
#include "ash/runtime.h"
#include "common/cleanup.h"
#include "common/runtime.h"
#include "runnerd/package_files.h"
#include "tests/unit/suite.h"

/* --- files of ELF, put together by hand ---------------------------------------------------------
 */

enum { STRINGS = 0x300, DYNAMIC = 0x200, LOADER = 0x1c0, FILE_BYTES = 0x400 };

struct made {
	Elf64_Ehdr head;
	Elf64_Phdr segments[3];
};

static void
make(uint8_t bytes[FILE_BYTES])
{
	static const char loader[] = "/lib/ld-test.so";
	static const char strings[] = "\0libone.so\0$ORIGIN/lib:/opt/lib\0";
	const Elf64_Dyn dynamic[] = {
	    {.d_tag = DT_STRTAB, .d_un.d_ptr = STRINGS},
	    {.d_tag = DT_STRSZ, .d_un.d_val = 0x80},
	    {.d_tag = DT_NEEDED, .d_un.d_val = 1},
	    {.d_tag = DT_RUNPATH, .d_un.d_val = 11},
	    {.d_tag = DT_NULL},
	};
	struct made made = {.head = {.e_type = ET_DYN,
				     .e_machine = EM_X86_64,
				     .e_phoff = offsetof(struct made, segments),
				     .e_phentsize = sizeof(Elf64_Phdr),
				     .e_phnum = 3}};

	memcpy(made.head.e_ident, ELFMAG, SELFMAG);
	made.head.e_ident[EI_CLASS] = ELFCLASS64;
	made.head.e_ident[EI_DATA] = ELFDATA2LSB;
	made.segments[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_filesz = FILE_BYTES};
	made.segments[1] =
	    (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = LOADER, .p_filesz = sizeof(loader)};
	made.segments[2] =
	    (Elf64_Phdr){.p_type = PT_DYNAMIC, .p_offset = DYNAMIC, .p_filesz = sizeof(dynamic)};
	memset(bytes, 0, FILE_BYTES);
	memcpy(bytes, &made, sizeof(made));
	memcpy(bytes + LOADER, loader, sizeof(loader));
	memcpy(bytes + DYNAMIC, dynamic, sizeof(dynamic));
	memcpy(bytes + STRINGS, strings, sizeof(strings));
}

static int
file_of(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	return fd;
}

static int
read_made(const uint8_t *bytes, size_t size, struct elf *elf, struct error *error)
{
	_cleanup_close_ int fd = file_of(bytes, size);

	return elf_read(fd, elf, error);
}

START_TEST(an_elf_file_says_what_it_needs)
{
	uint8_t bytes[FILE_BYTES];
	struct error error = ERROR_INIT;
	struct elf elf;

	make(bytes);
	ck_assert_int_eq(read_made(bytes, sizeof(bytes), &elf, &error), 0);
	ck_assert(elf.native);
	ck_assert_str_eq(elf.loader, "/lib/ld-test.so");
	ck_assert_uint_eq(elf.count, 1);
	ck_assert_str_eq(elf.needed[0], "libone.so");
	ck_assert_str_eq(elf.runpath, "$ORIGIN/lib:/opt/lib");
	ck_assert_ptr_null(elf.rpath);
	elf_free(&elf);
}
END_TEST

#define HEAD(member) offsetof(Elf64_Ehdr, member), sizeof(((Elf64_Ehdr *)0)->member)
#define SEGMENT(i, member)                                                                         \
	offsetof(struct made, segments) + (i) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, member), \
	    sizeof(((Elf64_Phdr *)0)->member)
#define ENTRY(i) DYNAMIC + (i) * sizeof(Elf64_Dyn) + offsetof(Elf64_Dyn, d_un), 8

static const struct {
	size_t at, size;
	uint64_t value;
	const char *why;
} damage[] = {
    {HEAD(e_type), ET_REL, "an object file"},
    {HEAD(e_type), ET_CORE, "a core dump"},
    {HEAD(e_phentsize), 55, "its table of segments"},
    {HEAD(e_phnum), 0, "its table of segments"},
    {HEAD(e_phnum), 60000, "its table of segments"},
    {HEAD(e_phoff), UINT64_MAX - 8, "within its table"},
    {HEAD(e_phoff), FILE_BYTES - 8, "within its table"},
    {SEGMENT(1, p_filesz), 1, "the name of its loader"},
    {SEGMENT(1, p_filesz), 5, "the name of its loader"},
    {SEGMENT(1, p_filesz), UINT64_MAX, "the name of its loader"},
    {SEGMENT(1, p_offset), INT64_MAX, "the name of its loader"},
    {SEGMENT(2, p_filesz), UINT64_MAX, "its dynamic section"},
    {SEGMENT(2, p_offset), FILE_BYTES, "within its dynamic section"},
    {ENTRY(0), FILE_BYTES, "the names of its libraries"},
    {ENTRY(0), UINT64_MAX, "the names of its libraries"},
    {ENTRY(1), UINT64_MAX, "the names of its libraries"},
    {ENTRY(2), 0, "the name of a library"},
    {ENTRY(2), 0x80, "the name of a library"},
    {ENTRY(2), UINT64_MAX, "the name of a library"},
    {ENTRY(3), 0x90, "where its libraries are looked for"},
};

START_TEST(a_damaged_one_is_refused)
{
	uint8_t bytes[FILE_BYTES];
	struct error error = ERROR_INIT;
	struct elf elf;

	make(bytes);
	memcpy(bytes + damage[_i].at, &damage[_i].value, damage[_i].size);
	ck_assert_int_lt(read_made(bytes, sizeof(bytes), &elf, &error), 0);
	ck_assert_msg(strstr(error.why, damage[_i].why), "%s", error.why);
	ck_assert_int_eq(error.code, ERR_INVALID);
	elf_free(&elf);
}
END_TEST

START_TEST(every_beginning_of_one_is_borne)
{
	uint8_t bytes[FILE_BYTES];
	struct elf elf;

	make(bytes);
	for (size_t size = 0; size < sizeof(bytes); size++) {
		struct error error = ERROR_INIT;

		if (read_made(bytes, size, &elf, &error) < 0)
			ck_assert(error.why[0]);
		elf_free(&elf);
	}
}
END_TEST

START_TEST(another_machine_is_named)
{
	uint8_t bytes[FILE_BYTES];
	struct error error = ERROR_INIT;
	struct elf elf;

	make(bytes);
	bytes[offsetof(Elf64_Ehdr, e_machine)] = EM_AARCH64;
	ck_assert_int_eq(read_made(bytes, sizeof(bytes), &elf, &error), 0);
	ck_assert(!elf.native);
	ck_assert_str_eq(elf.machine, "aarch64");
	elf_free(&elf);
	make(bytes);
	bytes[EI_CLASS] = ELFCLASS32;
	ck_assert_int_eq(read_made(bytes, sizeof(bytes), &elf, &error), 0);
	ck_assert(!elf.native);
	ck_assert_str_eq(elf.machine, "x86_64 with 32 bits");
	elf_free(&elf);
}
END_TEST

/* --- the cache of libraries ----------------------------------------------------------------------
 */

START_TEST(the_hosts_cache_is_read)
{
	_cleanup_close_ int fd = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
	struct ldcache cache;
	const char *path;
	size_t at = 0;

	ldcache_read(fd, &cache);
	ck_assert_ptr_nonnull(cache.bytes);
	path = ldcache_next(&cache, "libc.so.6", &at);
	ck_assert_ptr_nonnull(path);
	ck_assert_ptr_nonnull(strstr(path, "/libc.so.6"));
	at = 0;
	ck_assert_ptr_null(ldcache_next(&cache, "libnothing.so.9", &at));
	ldcache_free(&cache);
	ldcache_read(-1, &cache);
	ck_assert_ptr_null(ldcache_next(&cache, "libc.so.6", &at));
}
END_TEST

START_TEST(a_cache_cut_short_is_none)
{
	_cleanup_close_ int fd = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
	static char bytes[4096];
	ssize_t size = read(fd, bytes, sizeof(bytes));

	for (ssize_t length = 0; length < size; length += 7) {
		_cleanup_close_ int cut = file_of((uint8_t *)bytes, (size_t)length);
		struct ldcache cache;
		size_t at = 0;

		lseek(cut, 0, SEEK_SET);
		ldcache_read(cut, &cache);
		while (ldcache_next(&cache, "libc.so.6", &at))
			;
		ldcache_free(&cache);
	}
}
END_TEST

/* --- which runtime
 * -------------------------------------------------------------------------------- */

static char top[] = "/tmp/scarab-runtime-XXXXXX";

static void
put(const char *name, const char *bytes, size_t length)
{
	char path[128];
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
}

static struct manifest *
manifest_of(const char *spec)
{
	char text[512];
	struct error error = ERROR_INIT;
	struct manifest *manifest;

	snprintf(text, sizeof(text),
		 "apiVersion: scarab/v1\nkind: AgentManifest\n"
		 "metadata: {name: worker, version: 1.0.0}\nspec: {%s}\n",
		 spec);
	manifest = manifest_read(text, strlen(text), "f", NULL, &error);
	ck_assert_msg(manifest, "%s", error.why);
	return manifest;
}

static const struct {
	const char *spec, *asked;
	enum runtime runtime; /* ABSENT: refused */
	const char *one, *other;
} settled[] = {
    {"entrypoint: a.py", NULL, RUNTIME_PYTHON, NULL, NULL},
    {"entrypoint: a.js", NULL, RUNTIME_NODE, NULL, NULL},
    {"entrypoint: a.mjs", NULL, RUNTIME_NODE, NULL, NULL},
    {"entrypoint: a.cjs", NULL, RUNTIME_NODE, NULL, NULL},
    {"entrypoint: a.wasm", NULL, RUNTIME_WASM, NULL, NULL},
    {"entrypoint: module", NULL, RUNTIME_WASM, NULL, NULL},
    {"command: module", NULL, RUNTIME_ABSENT, "wasm", "spec.entrypoint"},
    {"command: elf", NULL, RUNTIME_RUST, NULL, NULL},
    {"", NULL, RUNTIME_RUST, NULL, NULL},
    {"image: oci:/srv/x", NULL, RUNTIME_CONTAINER, NULL, NULL},
    {"image: oci:/srv/x, command: elf", NULL, RUNTIME_RUST, NULL, NULL},
    {"image: oci:/srv/x, command: elf", "container", RUNTIME_CONTAINER, NULL, NULL},
    {"image: oci:/srv/x, entrypoint: a.py", NULL, RUNTIME_PYTHON, NULL, NULL},
    {"runtime: container, image: oci:/srv/x, command: sh", NULL, RUNTIME_CONTAINER, NULL, NULL},
    {"runtime: container", NULL, RUNTIME_ABSENT, "container", "spec.image oci:"},
    {"runtime: container, image: dir:/srv/x", NULL, RUNTIME_ABSENT, "container", "dir:/srv/x"},
    {"runtime: container, image: oci:/srv/x, entrypoint: script", NULL, RUNTIME_ABSENT, "container",
     "spec.entrypoint"},
    {"runtime: rust, image: oci:/srv/x", NULL, RUNTIME_RUST, NULL, NULL},
    {"runtime: native", "rust", RUNTIME_RUST, NULL, NULL},
    {"entrypoint: script", "python", RUNTIME_PYTHON, NULL, NULL},
    {"entrypoint: a.py", "node", RUNTIME_ABSENT, "node", "python"},
    {"runtime: node, entrypoint: a.py", NULL, RUNTIME_ABSENT, "node", "python"},
    {"runtime: python, entrypoint: a.py", "node", RUNTIME_ABSENT, "node", "python"},
    {"runtime: rust, entrypoint: a.py", NULL, RUNTIME_ABSENT, "rust", "python"},
    {"runtime: rust, command: module", NULL, RUNTIME_ABSENT, "rust", "wasm"},
    {"runtime: python, entrypoint: elf", NULL, RUNTIME_ABSENT, "python", "rust"},
    {"runtime: python", NULL, RUNTIME_ABSENT, "python", "entrypoint"},
    {"entrypoint: a.js, packages: [x.whl]", NULL, RUNTIME_ABSENT, "packages", "node"},
    {"", "cobol", RUNTIME_ABSENT, "no runtime", "cobol"},
};

START_TEST(the_runtime_is_told_or_found)
{
	struct error error = ERROR_INIT;
	struct manifest *manifest = manifest_of(settled[_i].spec);
	const char *layout;
	char line[64];
	int rc;

	strcpy(top, "/tmp/scarab-runtime-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	put("module", "\0asm\1\0\0\0", 8);
	put("elf", "\177ELF\2\1\1", 7);
	put("script", "print()\n", 8);
	rc = runtime_settle(manifest, top, settled[_i].asked, &layout, &error);
	ck_assert_ptr_null(layout);
	ck_assert_msg((rc == 0) == (settled[_i].runtime != RUNTIME_ABSENT), "%s", error.why);
	if (rc == 0)
		ck_assert_int_eq(manifest->runtime, settled[_i].runtime);
	else
		ck_assert_msg(strstr(error.why, settled[_i].one) &&
				  strstr(error.why, settled[_i].other),
			      "%s", error.why);
	manifest_free(manifest);
	snprintf(line, sizeof(line), "rm -r %s", top);
	ck_assert_int_eq(system(line), 0);
}
END_TEST

static const struct {
	const char *spec;
	const char *below; /* of install_dir: where the layout lies */
	const char *image; /* below it, as it is found; NULL: refused or another runtime */
} layouts[] = {
    {"", "", ""},
    {"runtime: container", "", ""},
    {"", "/worker", "/worker"},
    {"command: sh", "/worker", "/worker"},
    {"runtime: rust", "", NULL},
    {"entrypoint: a.py", "", NULL},
};

START_TEST(a_layout_is_a_container)
{
	struct manifest *manifest = manifest_of(layouts[_i].spec);
	struct error error = ERROR_INIT;
	const char *layout;
	char line[192], image[96];
	int rc;

	strcpy(top, "/tmp/scarab-runtime-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(line, sizeof(line), "mkdir -p %s%s && echo {} >%s%s/oci-layout", top,
		 layouts[_i].below, top, layouts[_i].below);
	ck_assert_int_eq(system(line), 0);
	rc = runtime_settle(manifest, top, NULL, &layout, &error);
	if (layouts[_i].image) {
		ck_assert_msg(rc == 0, "%s", error.why);
		snprintf(image, sizeof(image), "oci:%s%s", top, layouts[_i].image);
		ck_assert_int_eq(manifest->runtime, RUNTIME_CONTAINER);
		ck_assert_str_eq(manifest->image, image);
		ck_assert_str_eq(layout, layouts[_i].below[0] ? "worker" : ".");
	} else {
		ck_assert(rc < 0 || manifest->runtime != RUNTIME_CONTAINER);
		ck_assert_ptr_null(manifest->image);
	}
	manifest_free(manifest);
	snprintf(line, sizeof(line), "rm -r %s", top);
	ck_assert_int_eq(system(line), 0);
}
END_TEST

START_TEST(programs_of_this_host_will_start)
{
	static const char *const programs[] = {"/usr/bin/python3", "/bin/sh", "/usr/bin/env"};
	struct manifest *manifest = manifest_of("");
	struct view view;

	ck_assert_int_eq(view_init(&view, manifest, "/tmp", -1), 0);
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		struct error error = ERROR_INIT;

		ck_assert_msg(libraries_check(&view, programs[i], &error) == 0, "%s: %s",
			      programs[i], error.why);
	}
	view_close(&view);
	manifest_free(manifest);
}
END_TEST

static const struct {
	const char *text, *version; /* NULL: it says nothing */
	unsigned major, minor;
} answers[] = {
    {"Python 3.11.2\n", "3.11.2", 3, 11},
    {"v20.20.2\n", "20.20.2", 20, 20},
    {"Python 3.13.0rc1+\n", "3.13.0rc1+", 3, 13},
    {"v18.0", "18.0", 18, 0},
    {"", NULL, 0, 0},
    {"Python\n", NULL, 0, 0},
    {"Python 3\n", NULL, 0, 0},
    {"v-1.2\n", NULL, 0, 0},
    {"v18.0.0\nmore\n", NULL, 0, 0},
    {"v18.0.0\033[31m\n", NULL, 0, 0},
    {"v18.0 0\n", NULL, 0, 0},
};

START_TEST(a_version_is_plain)
{
	char version[VERSION_MAX + 1] = "";
	unsigned major, minor;
	bool said = interpreter_version(answers[_i].text, version, &major, &minor);

	ck_assert_msg(said == (answers[_i].version != NULL), "%s", answers[_i].text);
	if (!said)
		return;
	ck_assert_str_eq(version, answers[_i].version);
	ck_assert_uint_eq(major, answers[_i].major);
	ck_assert_uint_eq(minor, answers[_i].minor);
}
END_TEST

/* --- packages
 * ------------------------------------------------------------------------------------- */

#define HASH "--hash=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"

static const struct {
	const char *text;
	int answer;
	const char *path; /* or what is wrong */
	size_t count;
} lists[] = {
    {"", 0, NULL, 0},
    {"# nothing\n\n  \n", 0, NULL, 0},
    {"a.whl " HASH, 1, "a.whl", 1},
    {"./a.whl " HASH " # why\n", 1, "a.whl", 1},
    {"\n# one\nb/a.whl \\\n  " HASH " \\\n  " HASH "\nnext.whl\n", 1, "b/a.whl", 2},
    {"a.whl\n", -1, "no --hash", 0},
    {"a.whl --hash=md5:00\n", -1, "is not --hash=sha256:", 0},
    {"a.whl " HASH "0\n", -1, "is not --hash=sha256:", 0},
    {"a.whl; python_version > '3' " HASH, -1, "no wheel", 0},
    {"name==1.0 " HASH, -1, "no wheel", 0},
    {"-r other.txt\n", -1, "no wheel", 0},
    {"--index-url=https://a.example/\n", -1, "no wheel", 0},
    {".whl " HASH, -1, "no wheel", 0},
};

START_TEST(a_list_of_wheels_is_read)
{
	struct error error = ERROR_INIT;
	const char *text = lists[_i].text;
	struct wheel_line line;

	ck_assert_int_eq(wheel_line_next(&text, &line, &error), lists[_i].answer);
	if (lists[_i].answer < 0) {
		ck_assert_msg(strstr(error.why, lists[_i].path), "%s", error.why);
	} else if (lists[_i].answer) {
		ck_assert_str_eq(line.path, lists[_i].path);
		ck_assert_uint_eq(line.count, lists[_i].count);
		ck_assert_uint_eq(line.hashes[0][31], 0xef);
	}
}
END_TEST

/* Of each file the index says; refused NULL: it is made. */
static const struct {
	const char *path;
	uint64_t offset, size;
	const char *refused;
} package_files[] = {
    {"a/b/c.py", 0, 5, NULL},
    {"a.py", 5, 0, NULL},
    {"../a.py", 0, 5, "no path without"},
    {"/etc/a.py", 0, 5, "no path without"},
    {"a/./b.py", 0, 5, "no path without"},
    {"a//b.py", 0, 5, "no path without"},
    {"", 0, 5, "no path without"},
    {"a/", 0, 5, "no path without"},
    {"link/x", 0, 5, "opening link"},
    {"there", 0, 5, "making there"},
    {"a.py", 1, 5, "did not come"},
    {"a.py", 6, 0, "did not come"},
    {"a.py", UINT64_MAX, 5, "did not come"},
    {"a.py", 4, UINT64_MAX - 2, "did not come"},
    {"1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4", 0, 5, "deeper"},
};

START_TEST(files_of_packages_stay_inside)
{
	struct rows *rows = rows_new("index");
	_cleanup_close_ int index = -1, content = memfd_sealed("content", "12345", 5), dir = -1;
	struct error error = ERROR_INIT;
	char command[64];
	struct msg record;
	int rc;

	strcpy(top, "/tmp/scarab-runtime-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	put("there", "", 0);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(symlinkat("/tmp", dir, "link"), 0);
	msg_init(&record, MSG_PACKAGE_FILE);
	snprintf(record.package_file.path, sizeof(record.package_file.path), "%s",
		 package_files[_i].path);
	record.package_file.offset = package_files[_i].offset;
	record.package_file.size = package_files[_i].size;
	ck_assert_int_eq(rows_add(rows, &record), 0);
	index = rows_seal(rows);
	rc = package_files_make(dir, index, content, &error);
	ck_assert_msg((rc == 0) == !package_files[_i].refused, "%s", error.why);
	if (package_files[_i].refused)
		ck_assert_msg(strstr(error.why, package_files[_i].refused), "%s", error.why);
	else
		ck_assert_int_eq(faccessat(dir, package_files[_i].path, R_OK, 0), 0);
	snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* Each says that all bytes are its own: they would fill a disk that they do not fit on. */
START_TEST(files_of_packages_share_no_bytes)
{
	struct rows *rows = rows_new("index");
	_cleanup_close_ int index = -1, content = memfd_sealed("content", "12345", 5), dir = -1;
	struct error error = ERROR_INIT;
	char command[64];
	struct msg record;

	strcpy(top, "/tmp/scarab-runtime-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		msg_init(&record, MSG_PACKAGE_FILE);
		snprintf(record.package_file.path, sizeof(record.package_file.path), "%d.py", i);
		record.package_file.size = 5;
		ck_assert_int_eq(rows_add(rows, &record), 0);
	}
	index = rows_seal(rows);
	ck_assert_int_lt(package_files_make(dir, index, content, &error), 0);
	ck_assert_str_eq(error.why, "1.py has bytes of another file");
	snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* --- the jail -----------------------------------------------------------------------------------
 */

START_TEST(who_is_asked_has_no_terminal_and_bounded_memory)
{
	static const char program[] = "import os, resource\n"
				      "print(os.getsid(0) == os.getpid(),"
				      " resource.getrlimit(resource.RLIMIT_AS)[0])";
	char *argv[] = {(char *)"python3", (char *)"-c", (char *)(uintptr_t)program, NULL};
	struct manifest *manifest = manifest_of("");
	struct view view;
	struct jail jail = {
	    .view = &view, .path = "/usr/bin/python3", .argv = argv, .cpu_seconds = 10};
	struct jailed jailed;
	char said[64] = "";

	ck_assert_int_eq(view_init(&view, manifest, "/tmp", -1), 0);
	ck_assert_int_eq(jail_start(&jail, &jailed), 0);
	jail_read(&jailed, said, sizeof(said) - 1, jail_now_ms() + 60000);
	jail_end(&jailed);
	ck_assert_str_eq(said, "True 2147483648\n");
	view_close(&view);
	manifest_free(manifest);
}
END_TEST

/* Beside the host's files nothing runs that came with the agent, whatever links say. */
START_TEST(what_came_with_the_agent_is_not_asked)
{
	struct manifest *manifest = manifest_of("");
	char command[256], own[64], link[64];
	struct view view;
	struct jailed jailed;

	strcpy(top, "/tmp/scarab-runtime-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(own, sizeof(own), "%s/own", top);
	snprintf(link, sizeof(link), "%s/link", top);
	snprintf(command, sizeof(command), "cp /bin/true %s && ln -s /usr/bin/python3 %s", own,
		 link);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(view_init(&view, manifest, top, -1), 0);
	ck_assert(!view_is_of_host(&view, own));
	ck_assert(view_is_of_host(&view, link));
	ck_assert_int_eq(jail_start(&(struct jail){.view = &view, .path = own}, &jailed), -EACCES);
	view.install_dir = "/usr";
	ck_assert(!view_is_of_host(&view, "/usr/bin/python3"));
	view_close(&view);
	manifest_free(manifest);
	snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("runtime");
	TCase *all = tcase_create("runtime");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(all, an_elf_file_says_what_it_needs);
	tcase_add_loop_test(all, a_damaged_one_is_refused, 0, ARRAY_LEN(damage));
	tcase_add_test(all, every_beginning_of_one_is_borne);
	tcase_add_test(all, another_machine_is_named);
	tcase_add_test(all, the_hosts_cache_is_read);
	tcase_add_test(all, a_cache_cut_short_is_none);
	tcase_add_loop_test(all, the_runtime_is_told_or_found, 0, ARRAY_LEN(settled));
	tcase_add_loop_test(all, a_layout_is_a_container, 0, ARRAY_LEN(layouts));
	tcase_add_test(all, programs_of_this_host_will_start);
	tcase_add_loop_test(all, a_version_is_plain, 0, ARRAY_LEN(answers));
	tcase_add_loop_test(all, a_list_of_wheels_is_read, 0, ARRAY_LEN(lists));
	tcase_add_loop_test(all, files_of_packages_stay_inside, 0, ARRAY_LEN(package_files));
	tcase_add_test(all, files_of_packages_share_no_bytes);
	tcase_add_test(all, who_is_asked_has_no_terminal_and_bounded_memory);
	tcase_add_test(all, what_came_with_the_agent_is_not_asked);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
