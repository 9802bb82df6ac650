/* skills: directories of the host at /skills/NAME, read-only, and what they are called in
 * /skills/index.json. Like context, each is opened again at every session, without links. */
#include <fcntl.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "runnerd/fs.h"
#include "runnerd/mounts.h"
#include "steps.h"

enum { INSIDE_MAX = sizeof("/skills/") + SKILL_NAME_MAX };

/* Where common agents look for skills. */
static const char *const home_links[] = {
    "/home/agent/.agents/skills",
    "/home/agent/.claude/skills",
};

static int
open_skill(const char *path, struct error *error)
{
	int fd = open_without_links(path, O_PATH | O_DIRECTORY);

	if (fd >= 0)
		return fd;
	error_errno(error, -fd, "cannot open the skill %s", path);
	return error_hint(error, "install the agent again when a skill has moved");
}

static int
mount_skill(struct session *s, const char *skill, const char *name, struct error *error)
{
	char path[PATH_LEN_MAX + 1], inside[INSIDE_MAX];
	_cleanup_close_ int fd = -1;
	int rc = skill_path(skill, s->agent->head.install_dir, path);

	if (rc < 0)
		return error_errno(error, -rc, "the skill %s", skill);
	if (!s->recipe.facts)
		fd = open_skill(path, error);
	if (fd < 0 && !s->recipe.facts)
		return -1;
	snprintf(inside, sizeof(inside), "/skills/%s", name);
	rc = recipe_view(&s->recipe, fd, path, inside, MOUNT_VIEW, true);
	return rc < 0 ? error_errno(error, -rc, "open_tree of the skill %s", skill) : 0;
}

static void
index_entry(const struct manifest_skill *skill, struct json *json)
{
	char path[INSIDE_MAX + sizeof("/SKILL.md")];

	snprintf(path, sizeof(path), "/skills/%s/SKILL.md", skill->name);
	json_object(json);
	json_key(json, "name");
	json_string(json, skill->name);
	json_key(json, "description");
	json_string(json, skill->description);
	json_key(json, "path");
	json_string(json, path);
	json_object_end(json);
}

static int
write_index(struct session *s, struct error *error)
{
	const struct manifest *plan = s->agent->plan;
	_cleanup_free_ char *text = NULL;
	struct json json = JSON_INIT;
	size_t i, length;

	json_array(&json);
	for (i = 0; i < plan->skill_index.count; i++)
		if (plan->skill_index.items[i].description)
			index_entry(&plan->skill_index.items[i], &json);
	json_array_end(&json);
	text = json_take(&json, &length);
	if (!text)
		return error_errno(error, ENOMEM, "writing index.json");
	text[length++] = '\n'; /* in place of the NUL */
	recipe_file(&s->recipe, "/skills/index.json", 0444, text, length);
	return 0;
}

/* How many were mounted, or -1 with error. */
int
skills_mounts(struct session *s, struct error *error)
{
	const struct manifest *plan = s->agent->plan;
	int mounted = 0;
	size_t i;

	recipe_dir(&s->recipe, "/skills", 0755, 0);
	if (write_index(s, error) < 0)
		return -1;
	for (i = 0; i < plan->skills.count; i++) {
		if (!plan->skill_index.items[i].description)
			continue;
		if (mount_skill(s, plan->skills.items[i], plan->skill_index.items[i].name, error) <
		    0)
			return -1;
		mounted++;
	}
	return mounted;
}

int
skills_build(struct session *s, struct error *error)
{
	int mounted = skills_mounts(s, error);
	size_t i;

	if (mounted < 0)
		return -1;
	for (i = 0; mounted && i < ARRAY_LEN(home_links); i++)
		recipe_home_link(&s->recipe, home_links[i], "/skills");
	return 0;
}
