/* Plans: encoding, decoding, printing, names. Links no libyaml. */
#include "manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "limits.h"
#include "manifest_schema.h"

enum { PLAN_MAGIC = 0x4c505253 /* "SRPL" */ };

void
manifest_free(struct manifest *manifest)
{
	if (!manifest)
		return;
	record_clear(&manifest_record, manifest);
	free(manifest);
}

int
plan_encode(const struct manifest *manifest, uint8_t **bytes, size_t *length)
{
	return record_encode(&manifest_record, manifest, PLAN_MAGIC, PLAN_BYTES_MAX, bytes, length);
}

struct manifest *
plan_decode(const uint8_t *bytes, size_t length, struct error *error)
{
	struct place place = {.file = "plan", .error = error};
	struct manifest *manifest;

	if (length > PLAN_BYTES_MAX) {
		complain(&place, "is bigger than 1 MiB");
		return NULL;
	}
	manifest = calloc(1, sizeof(*manifest));
	if (!manifest) {
		error_errno(error, ENOMEM, "plan");
		return NULL;
	}
	record_init(&manifest_record, manifest);
	if (record_decode(&manifest_record, manifest, PLAN_MAGIC, bytes, length, &place) < 0 ||
	    record_check(&manifest_record, manifest, &place) < 0) {
		manifest_free(manifest);
		return NULL;
	}
	return manifest;
}

void
manifest_json(const struct manifest *manifest, struct json *json)
{
	record_json(&manifest_record, manifest, json);
}

const char *
runtime_name(enum runtime runtime)
{
	return choice_name(runtime_choices, runtime);
}

enum runtime
runtime_parse(const char *name)
{
	return (enum runtime)choice_value(runtime_choices, name);
}

const char *
trust_level_name(enum trust_level level)
{
	return choice_name(trust_level_choices, level);
}

const char *
home_mode_name(enum home_mode mode)
{
	return choice_name(home_mode_choices, mode);
}

const char *
network_policy_name(enum network_policy policy)
{
	return choice_name(network_policy_choices, policy);
}

const char *
overlap_name(enum overlap overlap)
{
	return choice_name(overlap_choices, overlap);
}

size_t
plan_watches(const struct manifest *manifest)
{
	size_t count = 0;

	for (size_t i = 0; i < manifest->triggers.count; i++)
		count += manifest->triggers.items[i].path != NULL;
	return count;
}

const char *
trigger_kind_name(enum trigger_kind kind)
{
	static const char *const names[] = {
	    [TRIGGER_NONE] = "none",   [TRIGGER_CRON] = "cron",       [TRIGGER_EVERY] = "every",
	    [TRIGGER_AT] = "at",       [TRIGGER_EVENT] = "event",     [TRIGGER_PATH] = "path",
	    [TRIGGER_AFTER] = "after", [TRIGGER_WEBHOOK] = "webhook",
	};

	return (size_t)kind < ARRAY_LEN(names) ? names[kind] : "none";
}

bool
agent_name_valid(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length <= AGENT_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length && name[0] != '-' &&
	       name[length - 1] != '-';
}

const char *
skill_name(const char *skill)
{
	const char *slash = strrchr(skill, '/');

	return slash ? slash + 1 : skill;
}

int
skill_path(const char *skill, const char *install_dir, char *path)
{
	int length;

	if (skill[0] == '/')
		length = snprintf(path, PATH_LEN_MAX + 1, "%s", skill);
	else
		length = snprintf(path, PATH_LEN_MAX + 1, "%s/%s",
				  strcmp(install_dir, "/") == 0 ? "" : install_dir,
				  strncmp(skill, "./", 2) == 0 ? skill + 2 : skill);
	return length > PATH_LEN_MAX ? -ENAMETOOLONG : 0;
}

const char *
manifest_image_dir(const struct manifest *manifest)
{
	static const char scheme[] = "dir:";

	if (!manifest->image || strncmp(manifest->image, scheme, strlen(scheme)))
		return NULL;
	return manifest->image + strlen(scheme);
}

bool
manifest_image_is_tree(const struct manifest *manifest)
{
	return manifest->image && strcmp(manifest->image, "host") != 0;
}

size_t
manifest_image_proofs(const struct manifest *manifest)
{
	if (manifest_image_dir(manifest))
		return 1;
	return manifest_image_is_tree(manifest) ? 2 : 0;
}

bool
image_reference(const char *image, char *reference, char *tag)
{
	size_t scheme, length;
	const char *mark;

	if (image && !strncmp(image, "oci:", strlen("oci:")))
		scheme = strlen("oci:");
	else if (image && !strncmp(image, "docker://", strlen("docker://")))
		scheme = strlen("docker://");
	else
		return false;
	/* A tag has no slash; a registry's port has one behind it. */
	mark = strrchr(image + scheme, ':');
	if (mark && (strchr(mark, '/') || strchr(image, '@') || !mark[1]))
		mark = NULL;
	length = mark ? (size_t)(mark - image) : strlen(image);
	if (length > PATH_LEN_MAX || (mark && strlen(mark + 1) > IMAGE_TAG_MAX))
		return false;
	memcpy(reference, image, length);
	reference[length] = '\0';
	strcpy(tag, mark ? mark + 1 : "");
	return true;
}

enum seccomp_profile
profile_of(enum trust_level trust)
{
	return trust == TRUST_UNTRUSTED ? PROFILE_SMALLEST : PROFILE_DEFAULT;
}

const char *
profile_name(enum seccomp_profile profile)
{
	static const char *const names[] = {
	    [PROFILE_SMALLEST] = "smallest",
	    [PROFILE_DEFAULT] = "default",
	};

	return names[profile];
}
