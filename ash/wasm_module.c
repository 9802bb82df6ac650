#include "wasm_module.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

enum {
	HEAD_BYTES = 8,
	MODULE_MAX = 256 << 20,
	IMPORTS_MAX = 4096, /* each of the 46 functions once, were it not for odd linkers */
	EXPORTS_MAX = 1 << 20,
	SHOWN_MAX = 63, /* bytes of a name that a message shows; WASI has none that long */
	READ_BYTES = 4096,
};

/* Binary format 1; a component has the same bytes there with a layer of 1. */
enum { VERSION_MODULE = 1, VERSION_COMPONENT = 0x1000d };
enum { SECTION_IMPORT = 2, SECTION_EXPORT = 7, SECTION_LAST = 13 };
enum { KIND_FUNCTION, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL, KIND_TAG };

static const char *const kinds[] = {
    [KIND_FUNCTION] = "function", [KIND_TABLE] = "table", [KIND_MEMORY] = "memory",
    [KIND_GLOBAL] = "global",     [KIND_TAG] = "tag",
};

#define WASI "wasi_snapshot_preview1"

static const char *const wasi_functions[] = {
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
};

/* The file while it is read; what leads beyond end fails, and so does all after it. */
struct module {
	int fd;
	uint64_t at, end;
	uint64_t from; /* where in the file what is in bytes lies */
	size_t have;
	uint8_t bytes[READ_BYTES];
	bool failed;
	struct error *error;
};

struct name {
	char text[SHOWN_MAX + 1]; /* printable, cut */
	bool whole;
};

static int
damaged(const struct module *module, const char *what)
{
	return error_why(module->error, ERR_INVALID, "it is a damaged module of WebAssembly: %s",
			 what);
}

static int
refuse(const struct module *module)
{
	error_hint(module->error,
		   "build it as a command of WASI preview 1: clang --target=wasm32-wasi, "
		   "or cargo's target wasm32-wasip1 (wasm32-wasi of older ones)");
	return -1;
}

/* --- bytes --------------------------------------------------------------------------------------
 */

static uint8_t
take_byte(struct module *module)
{
	ssize_t got;

	if (module->failed || module->at >= module->end) {
		module->failed = true;
		return 0;
	}
	if (module->at < module->from || module->at >= module->from + module->have) {
		got = pread(module->fd, module->bytes, sizeof(module->bytes), (off_t)module->at);
		if (got <= 0) {
			module->failed = true;
			return 0;
		}
		module->from = module->at;
		module->have = (size_t)got;
	}
	return module->bytes[module->at++ - module->from];
}

/* LEB128 of at most 32 bits. */
static uint32_t
take_number(struct module *module)
{
	uint32_t number = 0;

	for (unsigned shift = 0; shift < 35; shift += 7) {
		uint8_t byte = take_byte(module);

		if (shift == 28 && byte > 0x0f)
			break;
		number |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return number;
	}
	module->failed = true;
	return 0;
}

static struct name
take_name(struct module *module)
{
	uint32_t length = take_number(module);
	struct name name = {.whole = length <= SHOWN_MAX};

	if (length > module->end - module->at)
		module->failed = true;
	for (uint32_t i = 0; i < length && i < SHOWN_MAX && !module->failed; i++) {
		uint8_t byte = take_byte(module);
		bool shown = byte > ' ' && byte <= '~';

		name.text[i] = shown ? (char)byte : '?';
		name.whole = name.whole && shown;
	}
	if (!module->failed && length > SHOWN_MAX)
		module->at += length - SHOWN_MAX;
	return name;
}

static bool
is_name(const struct name *name, const char *text)
{
	return name->whole && !strcmp(name->text, text);
}

/* --- imports ------------------------------------------------------------------------------------
 */

static bool
is_wasi_function(const struct name *name)
{
	for (size_t i = 0; i < ARRAY_LEN(wasi_functions); i++)
		if (is_name(name, wasi_functions[i]))
			return true;
	return false;
}

static int
refuse_import(const struct module *module, const struct name *from, const struct name *name,
	      uint8_t kind)
{
	if (is_name(from, "wasi_unstable"))
		error_why(module->error, ERR_INVALID,
			  "it is a module of WASI's first draft: it imports %s from wasi_unstable",
			  name->text);
	else if (is_name(from, WASI) && kind == KIND_FUNCTION)
		error_why(module->error, ERR_INVALID,
			  "it imports the function %s, which WASI preview 1 does not have",
			  name->text);
	else
		error_why(module->error, ERR_INVALID,
			  "it imports the %s %s from %s, and agents have functions of " WASI
			  " alone",
			  kinds[kind], name->text, from->text);
	return refuse(module);
}

static int
check_imports(struct module *module)
{
	uint32_t count = take_number(module);

	if (count > IMPORTS_MAX)
		return damaged(module, "it imports more than there is");
	for (uint32_t i = 0; i < count && !module->failed; i++) {
		struct name from = take_name(module), name = take_name(module);
		uint8_t kind = take_byte(module);

		if (module->failed || kind >= ARRAY_LEN(kinds))
			return damaged(module, "the list of what it imports");
		if (kind != KIND_FUNCTION || !is_name(&from, WASI) || !is_wasi_function(&name))
			return refuse_import(module, &from, &name, kind);
		take_number(module); /* its type */
	}
	return module->failed ? damaged(module, "the list of what it imports") : 0;
}

/* --- exports ------------------------------------------------------------------------------------
 */

struct exports {
	bool start, initialize, memory;
};

static int
read_exports(struct module *module, struct exports *exports)
{
	uint32_t count = take_number(module);

	if (count > EXPORTS_MAX)
		return damaged(module, "it exports more than any module");
	for (uint32_t i = 0; i < count && !module->failed; i++) {
		struct name name = take_name(module);
		uint8_t kind = take_byte(module);

		take_number(module); /* its index */
		if (kind >= ARRAY_LEN(kinds))
			return damaged(module, "the list of what it exports");
		exports->start |= kind == KIND_FUNCTION && is_name(&name, "_start");
		exports->initialize |= kind == KIND_FUNCTION && is_name(&name, "_initialize");
		exports->memory |= kind == KIND_MEMORY && is_name(&name, "memory");
	}
	return module->failed ? damaged(module, "the list of what it exports") : 0;
}

static int
check_exports(const struct module *module, const struct exports *exports)
{
	if (exports->start && exports->memory)
		return 0;
	error_why(module->error, ERR_INVALID,
		  exports->start        ? "it exports no memory, which WASI needs"
		  : exports->initialize ? "it is a library (a reactor) and no program: it exports "
					  "_initialize and no _start"
					: "it is no program: it exports no function _start");
	return refuse(module);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static int
check_head(struct module *module)
{
	uint8_t head[HEAD_BYTES];
	uint32_t version;

	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = take_byte(module);
	if (module->failed || memcmp(head, "\0asm", 4) != 0) {
		error_why(module->error, ERR_INVALID, "it is no module of WebAssembly");
		return refuse(module);
	}
	version = (uint32_t)head[4] | (uint32_t)head[5] << 8 | (uint32_t)head[6] << 16 |
		  (uint32_t)head[7] << 24;
	if (version == VERSION_MODULE)
		return 0;
	error_why(module->error, ERR_INVALID,
		  version == VERSION_COMPONENT
		      ? "it is a component (WASI preview 2), and agents are modules of preview 1"
		      : "it is written in version %u of WebAssembly's format, and modules have 1",
		  version);
	return refuse(module);
}

static int
check_section(struct module *module, uint8_t id, struct exports *exports)
{
	uint64_t file_end = module->end;
	uint32_t length = take_number(module);
	uint64_t end = module->at + length;
	int rc = 0;

	if (module->failed || end > file_end)
		return damaged(module, "a section leads beyond its end");
	if (id > SECTION_LAST)
		return damaged(module, "a section of an unknown kind");
	module->end = end;
	if (id == SECTION_IMPORT)
		rc = check_imports(module);
	else if (id == SECTION_EXPORT)
		rc = read_exports(module, exports);
	module->at = end;
	module->end = file_end;
	return rc;
}

int
wasm_module_check(int fd, struct error *error)
{
	struct module module = {.fd = fd, .error = error};
	struct exports exports = {.start = false};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "reading it");
	if (st.st_size > MODULE_MAX)
		return error_why(error, ERR_INVALID, "it is larger than %d MiB", MODULE_MAX >> 20);
	module.end = (uint64_t)st.st_size;
	if (check_head(&module) < 0)
		return -1;
	while (module.at < module.end)
		if (check_section(&module, take_byte(&module), &exports) < 0)
			return -1;
	return check_exports(&module, &exports);
}
