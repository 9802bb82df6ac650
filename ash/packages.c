#include "packages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "jail.h"
#include "wheels.h"

enum {
	WHEELS_MAX = 256,
	LIST_BYTES_MAX = 1 << 20,
	UNPACK_WAIT_MS = 300000,
	UNPACK_CPU_SECONDS = 240,
	EXECUTABLE = INT32_MIN,
	COPY_BYTES = 1 << 16,
};

struct wheels {
	int dir; /* install_dir */
	int fds[WHEELS_MAX];
	char *names[WHEELS_MAX]; /* heap, the last component */
	size_t count;
	struct error *error;
};

/* --- finding them
 * --------------------------------------------------------------------------------- */

static int
refuse(const struct wheels *wheels, const char *path, const char *why)
{
	error_why(wheels->error, ERR_INVALID, "%s %s", path, why);
	return error_what(wheels->error, "spec.packages");
}

static int
open_inside(const struct wheels *wheels, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, wheels->dir, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0) {
		error_errno(wheels->error, errno, "cannot open %s inside install_dir", path);
		error_as(wheels->error, ERR_INVALID);
		return error_what(wheels->error, "spec.packages");
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return refuse(wheels, path, "is no regular file");
	return steal_fd(&fd);
}

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), size = strlen(end);

	return length > size && !strcmp(text + length - size, end);
}

static int
digest(int fd, unsigned char hash[crypto_hash_sha256_BYTES])
{
	crypto_hash_sha256_state state;
	unsigned char bytes[COPY_BYTES];
	off_t at = 0;
	ssize_t got;

	crypto_hash_sha256_init(&state);
	while ((got = pread(fd, bytes, sizeof(bytes), at)) > 0) {
		crypto_hash_sha256_update(&state, bytes, (size_t)got);
		at += got;
	}
	crypto_hash_sha256_final(&state, hash);
	return got < 0 ? -errno : 0;
}

/* line NULL: nobody says what its hash must be. */
static int
add_wheel(struct wheels *wheels, const char *path, const struct wheel_line *line)
{
	_cleanup_close_ int fd = open_inside(wheels, path);
	unsigned char hash[crypto_hash_sha256_BYTES];
	const char *slash = strrchr(path, '/');
	bool same = !line;

	if (fd < 0)
		return -1;
	if (line && digest(fd, hash) < 0)
		return refuse(wheels, path, "cannot be read");
	for (size_t i = 0; line && i < line->count; i++)
		same = same || !memcmp(hash, line->hashes[i], sizeof(hash));
	if (!same)
		return refuse(wheels, path, "has another SHA-256 than its list says");
	if (wheels->count == WHEELS_MAX)
		return refuse(wheels, path, "is one wheel too many: 256 are allowed");
	wheels->names[wheels->count] = strdup(slash ? slash + 1 : path);
	wheels->fds[wheels->count++] = steal_fd(&fd);
	return 0;
}

/* --- lists
 * ------------------------------------------------------------------------------------------ */

static const char *
skip_blanks(const char *text)
{
	for (;;) {
		if (*text == ' ' || *text == '\t' || *text == '\r')
			text++;
		else if (text[0] == '\\' && text[1] == '\n')
			text += 2;
		else
			return text;
	}
}

static int
take_hash(const char *word, size_t length, struct wheel_line *line, struct error *error)
{
	static const char option[] = "--hash=sha256:";
	size_t begin = strlen(option), size;

	if (length == begin + 64 && !strncmp(word, option, begin) &&
	    line->count < ARRAY_LEN(line->hashes) &&
	    sodium_hex2bin(line->hashes[line->count], 32, word + begin, 64, NULL, &size, NULL) ==
		0 &&
	    size == 32) {
		line->count++;
		return 0;
	}
	error_why(error, ERR_INVALID, "%.*s is not --hash=sha256: and 64 hexadecimal digits",
		  (int)length, word);
	return -1;
}

static int
take_path(const char *word, size_t length, struct wheel_line *line, struct error *error)
{
	if (!strncmp(word, "./", 2)) {
		word += 2;
		length -= 2;
	}
	if (length < sizeof(line->path)) {
		snprintf(line->path, sizeof(line->path), "%.*s", (int)length, word);
		if (ends_with(line->path, ".whl"))
			return 0;
	}
	error_why(error, ERR_INVALID, "%.*s is no wheel", (int)(length < 200 ? length : 200), word);
	return error_hint(error, "each line is the path of a wheel, relative to the list, and its "
				 "--hash=sha256:");
}

static const char *
skip_empty(const char *text)
{
	for (;;) {
		text = skip_blanks(text);
		if (*text == '#')
			text += strcspn(text, "\n");
		if (*text != '\n')
			return text;
		text++;
	}
}

int
wheel_line_next(const char **text, struct wheel_line *line, struct error *error)
{
	const char *at = skip_empty(*text);

	*line = (struct wheel_line){.count = 0};
	while (*at && *at != '\n' && *at != '#') {
		size_t length = strcspn(at, " \t\r\n");
		int rc = line->path[0] ? take_hash(at, length, line, error)
				       : take_path(at, length, line, error);

		if (rc < 0)
			return -1;
		at = skip_blanks(at + length);
	}
	at += *at == '#' ? strcspn(at, "\n") : 0;
	*text = at;
	if (!line->path[0])
		return 0;
	if (line->count)
		return 1;
	error_why(error, ERR_INVALID, "%s has no --hash=sha256:", line->path);
	return -1;
}

/* Paths in a list are relative to it. */
static int
add_listed(struct wheels *wheels, const char *list, const struct wheel_line *line)
{
	const char *slash = strrchr(list, '/');
	char path[2 * PATH_LEN_MAX];

	snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash - list + 1) : 0, list,
		 line->path);
	return add_wheel(wheels, path, line);
}

static int
add_list(struct wheels *wheels, const char *path)
{
	_cleanup_close_ int fd = open_inside(wheels, path);
	_cleanup_free_ char *text = NULL;
	struct wheel_line line;
	const char *at;
	size_t length;
	int rc;

	if (fd < 0)
		return -1;
	if (read_file(fd, LIST_BYTES_MAX, &text, &length) < 0 || strlen(text) != length)
		return refuse(wheels, path, "is no text of at most 1 MiB");
	at = text;
	while ((rc = wheel_line_next(&at, &line, wheels->error)) > 0)
		if (add_listed(wheels, path, &line) < 0)
			return -1;
	return rc < 0 ? error_what(wheels->error, "spec.packages: %s", path) : 0;
}

static int
find_wheels(struct wheels *wheels, const struct strings *packages)
{
	for (size_t i = 0; i < packages->count; i++) {
		const char *path = packages->items[i];
		int rc;

		if (ends_with(path, ".whl"))
			rc = add_wheel(wheels, path, NULL);
		else if (ends_with(path, ".txt"))
			rc = add_list(wheels, path);
		else
			rc = refuse(wheels, path,
				    "is neither a wheel (.whl) nor a list of them "
				    "with their hashes (.txt)");
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* --- what comes out
 * ---------------------------------------------------------------------------------- */

struct unpacked {
	struct jailed jailed;
	uint64_t deadline_ms, bytes;
	size_t files;
	struct rows *index;
	int content;
	struct error *error;
};

static int
refuse_stream(const struct unpacked *unpacked, const char *why)
{
	error_why(unpacked->error, ERR_INVALID, "taking the packages apart: %s", why);
	return error_what(unpacked->error, "spec.packages");
}

static bool
read_whole(const struct unpacked *unpacked, void *bytes, size_t size)
{
	return jail_read(&unpacked->jailed, bytes, size, unpacked->deadline_ms) == size;
}

static int
keep_bytes(struct unpacked *unpacked, uint64_t size)
{
	char bytes[COPY_BYTES];

	if (size > PACKAGES_BYTES_MAX - unpacked->bytes)
		return refuse_stream(unpacked, "they are larger than 512 MiB");
	unpacked->bytes += size;
	while (size) {
		size_t part = size < sizeof(bytes) ? size : sizeof(bytes);

		if (!read_whole(unpacked, bytes, part))
			return refuse_stream(unpacked, "the interpreter ended within a file");
		if (write_all(unpacked->content, bytes, part) < 0)
			return refuse_stream(unpacked, "there is no memory for them");
		size -= part;
	}
	return 0;
}

/* In the sandbox it is a file of root's: the path is checked here and again by runnerd. */
static int
take_file(struct unpacked *unpacked, uint32_t number, uint64_t size)
{
	uint32_t length = number & ~(uint32_t)EXECUTABLE;
	struct msg record;

	msg_init(&record, MSG_PACKAGE_FILE);
	if (length > PACKAGE_PATH_MAX || !length ||
	    !read_whole(unpacked, record.package_file.path, length) ||
	    strlen(record.package_file.path) != length)
		return refuse_stream(unpacked, "a name in them is too long");
	if (++unpacked->files > PACKAGE_FILES_MAX)
		return refuse_stream(unpacked, "they have more than 65536 files");
	record.package_file.executable = (number & (uint32_t)EXECUTABLE) != 0;
	record.package_file.offset = unpacked->bytes;
	record.package_file.size = size;
	if (rows_add(unpacked->index, &record) < 0)
		return refuse_stream(unpacked, "a name in them cannot be told");
	return keep_bytes(unpacked, size);
}

static int
take_error(struct unpacked *unpacked, uint32_t length)
{
	char text[512] = "";

	if (length >= sizeof(text) || !read_whole(unpacked, text, length))
		return refuse_stream(unpacked, "the interpreter failed");
	return refuse_stream(unpacked, text);
}

/* 1 while there is more. */
static int
take_frame(struct unpacked *unpacked)
{
	unsigned char head[WHEEL_FRAME_BYTES];
	uint32_t number = 0;
	uint64_t size = 0;

	if (!read_whole(unpacked, head, sizeof(head)))
		return refuse_stream(unpacked, "the interpreter failed, or took too long");
	for (size_t i = 1; i < 5; i++)
		number = number << 8 | head[i];
	for (size_t i = 5; i < sizeof(head); i++)
		size = size << 8 | head[i];
	if (head[0] == 'D' && number == unpacked->files)
		return 0;
	if (head[0] == 'F')
		return take_file(unpacked, number, size) < 0 ? -1 : 1;
	return take_error(unpacked, head[0] == 'E' ? number : UINT32_MAX);
}

static int
hand_over(struct unpacked *unpacked, struct msg *request)
{
	int index = rows_seal(steal_ptr(&unpacked->index));

	if (index < 0 || fcntl(unpacked->content, F_ADD_SEALS,
			       F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		if (index >= 0)
			close(index);
		return refuse_stream(unpacked, "there is no memory for them");
	}
	msg_add_fd(request, index);
	msg_add_fd(request, steal_fd(&unpacked->content));
	return 0;
}

static int
receive(struct unpacked *unpacked, struct msg *request)
{
	int rc;

	unpacked->index = rows_new("packages");
	unpacked->content = memfd_create("content", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!unpacked->index || unpacked->content < 0)
		return refuse_stream(unpacked, "there is no memory for them");
	while ((rc = take_frame(unpacked)) > 0)
		;
	return rc < 0 ? -1 : hand_over(unpacked, request);
}

static int
run(const struct wheels *wheels, const struct view *view, const char *interpreter,
    struct msg *request)
{
	/* Its own directory is not searched (-I), and no site is (-S). */
	char *argv[6 + WHEELS_MAX + 1] = {(char *)(uintptr_t)interpreter, (char *)"-I",
					  (char *)"-S", (char *)"-c",
					  (char *)(uintptr_t)wheels_program};
	const struct jail jail = {.view = view,
				  .path = interpreter,
				  .argv = argv,
				  .fds = wheels->fds,
				  .count = wheels->count,
				  .cpu_seconds = UNPACK_CPU_SECONDS};
	struct unpacked unpacked = {
	    .content = -1, .error = wheels->error, .deadline_ms = jail_now_ms() + UNPACK_WAIT_MS};
	int rc;

	for (size_t i = 0; i < wheels->count; i++)
		argv[5 + i] = wheels->names[i] ? wheels->names[i] : (char *)"";
	if (jail_start(&jail, &unpacked.jailed) < 0)
		return refuse_stream(&unpacked, "no process can be confined for it");
	rc = receive(&unpacked, request);
	jail_end(&unpacked.jailed);
	rows_free(unpacked.index);
	close_fd(&unpacked.content);
	return rc;
}

int
packages_unpack(const struct view *view, const char *interpreter, struct msg *request,
		struct error *error)
{
	struct wheels wheels = {.error = error};
	int rc;

	if (!view->manifest->packages.count)
		return 0;
	wheels.dir = open(view->install_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (sodium_init() < 0 || wheels.dir < 0)
		return error_errno(error, errno, "opening install_dir");
	rc = find_wheels(&wheels, &view->manifest->packages);
	if (rc == 0 && !interpreter[0])
		rc = refuse(&wheels, "Python", "is not there to take them apart");
	if (rc == 0 && view->image < 0 && !view_is_of_host(view, interpreter))
		rc = refuse(&wheels, interpreter,
			    "came with the agent: only the host's Python or an image's takes "
			    "packages apart");
	if (rc == 0)
		rc = run(&wheels, view, interpreter, request);
	for (size_t i = 0; i < wheels.count; i++) {
		close(wheels.fds[i]);
		free(wheels.names[i]);
	}
	close(wheels.dir);
	return rc;
}
