/* An image's configuration. */
#include <string.h>

#include "common/cleanup.h"
#include "common/timefmt.h"
#include "digest.h"
#include "find.h"

enum { IMAGE, CREATED, ARCHITECTURE, OS, ROOTFS, IMAGE_MEMBERS };
static const char *const image_members[] = {
    [IMAGE] = "config", [CREATED] = "created", [ARCHITECTURE] = "architecture",
    [OS] = "os",        [ROOTFS] = "rootfs",
};

enum { USER, ENV, ENTRYPOINT, CMD, WORKING_DIR, STOP_SIGNAL, CONFIG_MEMBERS };
static const char *const config_members[] = {
    [USER] = "User",
    [ENV] = "Env",
    [ENTRYPOINT] = "Entrypoint",
    [CMD] = "Cmd",
    [WORKING_DIR] = "WorkingDir",
    [STOP_SIGNAL] = "StopSignal",
};

#if defined(__x86_64__)
static const char machine[] = "amd64";
#elif defined(__aarch64__)
static const char machine[] = "arm64";
#elif defined(__i386__)
static const char machine[] = "386";
#elif defined(__arm__)
static const char machine[] = "arm";
#elif defined(__riscv) && __riscv_xlen == 64
static const char machine[] = "riscv64";
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const char machine[] = "ppc64le";
#elif defined(__s390x__)
static const char machine[] = "s390x";
#else
static const char machine[] = "unknown";
#endif

const char *
machine_name(void)
{
	return machine;
}

/* Absent and null are the same to those who write configurations. */
static bool
is_absent(struct span value)
{
	return !value.at || value_kind(value) == VALUE_NULL;
}

static int
read_text(struct span value, const char *name, char *text, size_t size, struct error *error)
{
	text[0] = '\0';
	if (is_absent(value) || string_text(value, text, size) >= 0)
		return 0;
	return error_why(error, ERR_INVALID,
			 "its configuration's %s is no text of at most %zu bytes", name, size - 1);
}

static int
add_text(struct found *found, enum image_text kind, struct span value, const char *name,
	 struct error *error)
{
	_cleanup_free_ char *text = calloc(1, IMAGE_TEXT_MAX + 1);
	struct found_text *entry = &found->texts[found->head.texts];

	if (!text)
		return error_errno(error, ENOMEM, "reading the configuration");
	if (found->head.texts == IMAGE_TEXTS_MAX)
		return error_why(error, ERR_INVALID,
				 "its configuration has over %d variables and arguments",
				 IMAGE_TEXTS_MAX);
	if (string_text(value, text, IMAGE_TEXT_MAX + 1) < 0)
		return error_why(error, ERR_INVALID,
				 "its configuration's %s has what is no text of at most %d bytes",
				 name, IMAGE_TEXT_MAX);
	*entry = (struct found_text){.kind = kind, .text = strdup(text)};
	if (!entry->text)
		return error_errno(error, ENOMEM, "reading the configuration");
	found->head.texts++;
	return 0;
}

static int
read_list(struct found *found, enum image_text kind, struct span list, const char *name,
	  struct error *error)
{
	struct cursor cursor;
	struct span key, value;

	if (is_absent(list))
		return 0;
	if (!cursor_open(&cursor, list, VALUE_ARRAY))
		return error_why(error, ERR_INVALID, "its configuration's %s is no list", name);
	while (cursor_next(&cursor, &key, &value))
		if (add_text(found, kind, value, name, error) < 0)
			return -1;
	return 0;
}

static int
read_settings(struct span config, struct found *found, struct error *error)
{
	static const struct {
		int member;
		enum image_text kind;
	} lists[] = {
	    {ENV, IMAGE_TEXT_ENV}, {ENTRYPOINT, IMAGE_TEXT_ENTRYPOINT}, {CMD, IMAGE_TEXT_CMD}};
	struct msg_image_head *head = &found->head;
	struct span values[CONFIG_MEMBERS];

	if (is_absent(config))
		return 0;
	if (members(config, config_members, CONFIG_MEMBERS, values) < 0)
		return error_why(
		    error, ERR_INVALID,
		    "its configuration's config is no object, or says something twice");
	if (read_text(values[USER], "User", head->user, sizeof(head->user), error) < 0 ||
	    read_text(values[WORKING_DIR], "WorkingDir", head->working_dir,
		      sizeof(head->working_dir), error) < 0 ||
	    read_text(values[STOP_SIGNAL], "StopSignal", head->stop_signal,
		      sizeof(head->stop_signal), error) < 0)
		return -1;
	if (head->working_dir[0] && head->working_dir[0] != '/')
		return error_why(error, ERR_INVALID,
				 "its configuration's WorkingDir is no absolute path");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (read_list(found, lists[i].kind, values[lists[i].member],
			      config_members[lists[i].member], error) < 0)
			return -1;
	return 0;
}

static int
read_diffs(struct span rootfs, struct found *found, size_t layers, struct error *error)
{
	struct cursor cursor;
	struct span key, value;
	char text[IMAGE_DIGEST_LEN + 1];
	size_t i = 0;

	if (!cursor_open(&cursor, member(rootfs, "diff_ids"), VALUE_ARRAY))
		return error_why(error, ERR_INVALID, "its configuration names no rootfs.diff_ids");
	while (cursor_next(&cursor, &key, &value)) {
		if (i < layers && (string_text(value, text, sizeof(text)) < 0 ||
				   !digest_parse_named(text, found->layers[i].diff)))
			return error_why(error, ERR_INVALID,
					 "its configuration's rootfs.diff_ids[%zu] is no sha256 "
					 "digest",
					 i);
		i++;
	}
	if (i == layers)
		return 0;
	return error_why(error, ERR_INVALID,
			 "its configuration has %zu digests of layers, its manifest %zu layers", i,
			 layers);
}

/* What the manifest says may be another machine's; the configuration decides. */
static int
check_platform(const struct msg_image_head *head, struct error *error)
{
	if (head->os[0] && strcmp(head->os, "linux") != 0)
		return error_why(error, ERR_INVALID, "it is for %s, not for linux", head->os);
	if (!head->architecture[0] || !strcmp(head->architecture, machine))
		return 0;
	return error_why(error, ERR_INVALID, "it is for %s, and this machine is %s",
			 head->architecture, machine);
}

int
config_read(struct span value, struct found *found, size_t layers, struct error *error)
{
	struct msg_image_head *head = &found->head;
	struct span values[IMAGE_MEMBERS];
	char created[64];

	if (members(value, image_members, IMAGE_MEMBERS, values) < 0)
		return error_why(error, ERR_INVALID,
				 "its configuration is no object, or says something twice");
	if (read_text(values[ARCHITECTURE], "architecture", head->architecture,
		      sizeof(head->architecture), error) < 0 ||
	    read_text(values[OS], "os", head->os, sizeof(head->os), error) < 0 ||
	    check_platform(head, error) < 0)
		return -1;
	if (is_absent(values[CREATED]) ||
	    string_text(values[CREATED], created, sizeof(created)) < 0 ||
	    !rfc3339_parse(created, &head->created_at_ms))
		head->created_at_ms = 0;
	if (read_settings(values[IMAGE], found, error) < 0)
		return -1;
	return read_diffs(values[ROOTFS], found, layers, error);
}
