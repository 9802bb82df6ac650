#include "libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "elf_needs.h"
#include "ldcache.h"

enum { OBJECTS_MAX = 1024 /* a program and all that it loads */, MUSL_PATH_MAX = 4096 };

/* Debian's directories of libraries for one machine beside others. */
#if defined(__x86_64__)
#define TRIPLET "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define TRIPLET "aarch64-linux-gnu"
#elif defined(__riscv)
#define TRIPLET "riscv64-linux-gnu"
#elif defined(__powerpc64__)
#define TRIPLET "powerpc64le-linux-gnu"
#else
#define TRIPLET "s390x-linux-gnu"
#endif

static const char glibc_places[] =
    "/lib/" TRIPLET ":/usr/lib/" TRIPLET ":/lib64:/usr/lib64:/lib:/usr/lib";
static const char musl_places[] = "/lib:/usr/local/lib:/usr/lib";

struct object {
	char *path; /* inside */
	char *name; /* as what needs it calls it */
};

struct search {
	const struct view *view;
	struct object objects[OBJECTS_MAX];
	size_t count;
	const char *given; /* the manifest's LD_LIBRARY_PATH; NULL: none */
	const char *places;
	char *own_places; /* heap, of an image's musl */
	char *rpath;      /* the program's, which holds for all that it loads */
	char *origin;     /* the program's directory */
	bool musl;
	struct ldcache cache;
};

/* What needs a library, while it is looked for. */
struct seeker {
	const struct elf *elf;
	const char *origin;
};

enum found { MISSING, FOUND, UNTOLD /* it may be there */ };

/* --- one place ----------------------------------------------------------------------------------
 */

static enum found
try_file(const struct search *search, const char *path)
{
	_cleanup_close_ int fd = view_open(search->view, path);
	struct error ignored = ERROR_INIT;
	struct stat st;
	struct elf elf;
	bool native;

	if (fd == -EACCES)
		return UNTOLD;
	if (fd < 0 || fstat(fd, &st) < 0 || !(st.st_mode & S_IROTH))
		return MISSING;
	native = elf_is(fd) && elf_read(fd, &elf, &ignored) == 0 && elf.native;
	if (elf_is(fd))
		elf_free(&elf);
	/* The loader goes on where a library is for another machine. */
	return native ? FOUND : MISSING;
}

/* An entry of a list, with $ORIGIN; other words of a loader's are not known here. */
static enum found
expand(const char *entry, size_t length, const char *origin, char *dir)
{
	static const char *const words[] = {"$ORIGIN", "${ORIGIN}"};
	size_t i;

	if (length > PATH_LEN_MAX)
		return UNTOLD;
	for (i = 0; i < ARRAY_LEN(words); i++) {
		size_t word = strlen(words[i]);

		if (length < word || memcmp(entry, words[i], word) != 0)
			continue;
		if (memchr(entry + word, '$', length - word))
			return UNTOLD;
		snprintf(dir, PATH_LEN_MAX + 1, "%s%.*s", origin, (int)(length - word),
			 entry + word);
		return FOUND;
	}
	/* What is relative to the working directory is nothing that can be told ahead. */
	if (length == 0 || entry[0] != '/' || memchr(entry, '$', length))
		return UNTOLD;
	snprintf(dir, PATH_LEN_MAX + 1, "%.*s", (int)length, entry);
	return FOUND;
}

/* path: PATH_LEN_MAX + 1 bytes, where it was found. */
static enum found
try_list(const struct search *search, const char *list, const char *origin, const char *name,
	 char *path)
{
	enum found worst = MISSING;

	while (list && *list) {
		size_t length = strcspn(list, ":\n");
		char dir[PATH_LEN_MAX + 1];
		enum found found = expand(list, length, origin, dir);

		if (found == FOUND) {
			snprintf(path, PATH_LEN_MAX + 1, "%.3800s/%s", dir, name);
			found = try_file(search, path);
		}
		if (found == FOUND)
			return FOUND;
		if (found == UNTOLD)
			worst = UNTOLD;
		list += length + (list[length] != '\0');
	}
	return worst;
}

static enum found
try_cache(const struct search *search, const char *name, char *path)
{
	const char *entry;
	size_t at = 0;

	while ((entry = ldcache_next(&search->cache, name, &at))) {
		if (entry[0] != '/' || try_file(search, entry) != FOUND)
			continue;
		snprintf(path, PATH_LEN_MAX + 1, "%s", entry);
		return FOUND;
	}
	return MISSING;
}

/* --- in the order of ld.so(8) ------------------------------------------------------------------
 */

static enum found
find(const struct search *search, const struct seeker *seeker, const char *name, char *path)
{
	const bool old = !seeker->elf->runpath;
	const struct {
		const char *list, *origin;
	} lists[] = {
	    {old ? seeker->elf->rpath : NULL, seeker->origin},
	    {old ? search->rpath : NULL, search->origin},
	    {search->given, "/"},
	    {seeker->elf->runpath, seeker->origin},
	    {search->places, "/"},
	};
	enum found worst = MISSING, found;

	if (strchr(name, '/')) {
		snprintf(path, PATH_LEN_MAX + 1, "%s", name);
		return name[0] == '/' ? try_file(search, name) : UNTOLD;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		found = try_list(search, lists[i].list, lists[i].origin, name, path);
		if (found == FOUND)
			return FOUND;
		if (found == UNTOLD)
			worst = UNTOLD;
	}
	return try_cache(search, name, path) == FOUND ? FOUND : worst;
}

static bool
is_known(const struct search *search, const char *name)
{
	/* musl's loader is its C library, by whatever name. */
	if (search->musl && !strncmp(name, "libc.", strlen("libc.")))
		return true;
	for (size_t i = 0; i < search->count; i++)
		if (!strcmp(search->objects[i].name, name))
			return true;
	return false;
}

static int
add(struct search *search, const char *name, const char *path, struct error *error)
{
	struct object *object = &search->objects[search->count];

	if (search->count == OBJECTS_MAX)
		return error_why(error, ERR_INVALID, "it loads more than %d libraries",
				 OBJECTS_MAX);
	object->path = strdup(path);
	object->name = strdup(name);
	search->count++;
	return object->path && object->name ? 0
					    : error_errno(error, ENOMEM, "looking for libraries");
}

/* by NULL: the program itself. */
static int
refuse_missing(const struct search *search, const char *name, const char *by, struct error *error)
{
	const char *image = view_image_name(search->view);

	error_why(error, ERR_INVALID, "the shared library %s%s%s is not there in %s", name,
		  by ? ", which is needed by " : "", by ? by : "", image ? image : "its sandbox");
	return error_hint(error,
			  image ? "install it into the image, or put it into install_dir and link "
				  "with -rpath '$ORIGIN'"
				: "install its package on this host, put it into install_dir and "
				  "link with -rpath '$ORIGIN', or link statically");
}

static int
follow(struct search *search, const struct elf *elf, const char *of, const char *origin,
       struct error *error)
{
	const struct seeker seeker = {.elf = elf, .origin = origin};
	char path[PATH_LEN_MAX + 1];

	for (size_t i = 0; i < elf->count; i++) {
		const char *name = elf->needed[i];

		if (is_known(search, name))
			continue;
		switch (find(search, &seeker, name, path)) {
		case FOUND:
			if (add(search, name, path, error) < 0)
				return -1;
			break;
		case MISSING:
			return refuse_missing(search, name, of, error);
		default:
			break;
		}
	}
	return 0;
}

static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash && slash > path ? (size_t)(slash - path) : 1);
}

/* A library was read once when it was found: one that is damaged was not. */
static int
follow_library(struct search *search, const struct object *object, struct error *error)
{
	_cleanup_close_ int fd = view_open(search->view, object->path);
	_cleanup_free_ char *origin = directory_of(object->path);
	struct error ignored = ERROR_INIT;
	struct elf elf;
	int rc = 0;

	if (fd < 0 || !origin)
		return 0;
	if (elf_read(fd, &elf, &ignored) == 0)
		rc = follow(search, &elf, object->path, origin, error);
	elf_free(&elf);
	return rc;
}

/* --- the program --------------------------------------------------------------------------------
 */

static int
refuse_machine(const struct elf *elf, struct error *error)
{
	struct elf own = {0};
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct error ignored = ERROR_INIT;

	if (fd >= 0 && elf_read(fd, &own, &ignored) < 0)
		own.machine[0] = '\0';
	error_why(error, ERR_INVALID, "it is a program for %s, and this host runs %s", elf->machine,
		  own.machine[0] ? own.machine : "another machine's");
	elf_free(&own);
	return error_hint(error, "compile it for this host");
}

static int
refuse_loader(const struct search *search, const struct elf *elf, struct error *error)
{
	const char *image = view_image_name(search->view);

	error_why(error, ERR_INVALID, "its loader %s is not there in %s", elf->loader,
		  image ? image : "its sandbox");
	return error_hint(error, "it was linked for another system: compile it for the image that "
				 "it runs in, or link it statically");
}

/* The loader's own name tells how it looks for libraries; false: not in a way that is known. */
static bool
learn_loader(struct search *search, const struct elf *elf)
{
	const char *name = strrchr(elf->loader, '/');
	_cleanup_close_ int fd = -1;
	char file[PATH_LEN_MAX + 1];
	size_t length;

	name = name ? name + 1 : elf->loader;
	search->musl = !strncmp(name, "ld-musl-", strlen("ld-musl-"));
	if (!search->musl) {
		fd = view_open(search->view, "/etc/ld.so.cache");
		ldcache_read(fd, &search->cache);
		search->places = glibc_places;
		return !strncmp(name, "ld-linux", strlen("ld-linux")) || !strncmp(name, "ld64", 4);
	}
	snprintf(file, sizeof(file), "/etc/%.*s.path", (int)strcspn(name, "."), name);
	fd = view_open(search->view, file);
	if (fd >= 0)
		(void)read_file(fd, MUSL_PATH_MAX, &search->own_places, &length);
	search->places = search->own_places ? search->own_places : musl_places;
	return true;
}

static const char *
library_path(const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->env.count; i++)
		if (!strcmp(manifest->env.items[i].key, "LD_LIBRARY_PATH"))
			return manifest->env.items[i].value;
	return NULL;
}

static int
check_libraries(struct search *search, struct elf *elf, struct error *error)
{
	if (!elf->loader[0])
		return 0;
	if (try_file(search, elf->loader) == MISSING)
		return refuse_loader(search, elf, error);
	if (!learn_loader(search, elf))
		return 0;
	search->rpath = elf->runpath ? NULL : elf->rpath;
	search->given = library_path(search->view->manifest);
	if (follow(search, elf, NULL, search->origin, error) < 0)
		return -1;
	for (size_t i = 0; i < search->count; i++)
		if (follow_library(search, &search->objects[i], error) < 0)
			return -1;
	return 0;
}

static void
search_free(struct search *search)
{
	for (size_t i = 0; i < search->count; i++) {
		free(search->objects[i].path);
		free(search->objects[i].name);
	}
	ldcache_free(&search->cache);
	free(search->own_places);
	free(search->origin);
	free(search);
}

static int
check_program(struct search *search, int fd, struct elf *elf, struct error *error)
{
	if (elf_read(fd, elf, error) < 0)
		return -1;
	return elf->native ? check_libraries(search, elf, error) : refuse_machine(elf, error);
}

int
libraries_check(const struct view *view, const char *path, struct error *error)
{
	_cleanup_close_ int fd = view_open(view, path);
	struct search *search = NULL;
	char resolved[PATH_LEN_MAX + 1];
	struct elf elf;
	int rc;

	/* What is not there or closed is runnerd's to say; scripts have interpreters. */
	if (fd < 0 || !elf_is(fd))
		return 0;
	search = calloc(1, sizeof(*search));
	if (!search)
		return error_errno(error, ENOMEM, "looking for libraries");
	search->view = view;
	view_resolved(view, fd, path, resolved);
	search->origin = directory_of(resolved);
	rc = search->origin ? check_program(search, fd, &elf, error)
			    : error_errno(error, ENOMEM, "looking for libraries");
	if (search->origin)
		elf_free(&elf);
	search_free(search);
	return rc < 0 ? error_what(error, "%s", path) : 0;
}
