#include "install_check.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/runtime.h"
#include "container.h"
#include "disk.h"
#include "policy.h"
#include "program.h"
#include "proof.h"

#define ZONEINFO "/usr/share/zoneinfo"

enum { PACKAGE_FDS = 2 /* behind context, image and watched paths */ };

/* That there is such a file; what it says, schedd reads. */
static int
check_zone(int zones, const char *list, size_t place, const char *name, struct error *error)
{
	struct open_how how = {
	    .flags = O_PATH | O_CLOEXEC,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int fd = -1;

	if (!name || strcmp(name, "UTC") == 0)
		return 0;
	fd = (int)syscall(SYS_openat2, zones, name, &how, sizeof(how));
	if (fd >= 0 && fd_check(fd, S_IFREG, O_PATH) == 0)
		return 0;
	error_why(error, ERR_INVALID, "spec.%s[%zu].timezone: this host has no time zone %s", list,
		  place, name);
	return error_hint(error, "names are those of the files below " ZONEINFO
				 ", which the package tzdata brings");
}

static int
check_zones(const struct manifest *plan, struct error *error)
{
	_cleanup_close_ int zones = open(ZONEINFO, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < plan->triggers.count; i++)
		if (check_zone(zones, "triggers", i, plan->triggers.items[i].timezone, error) < 0)
			return -1;
	for (size_t i = 0; i < plan->blackout.count; i++)
		if (check_zone(zones, "blackout", i, plan->blackout.items[i].timezone, error) < 0)
			return -1;
	return 0;
}

struct agent *
install_read(const struct msg *msg, struct error *error)
{
	struct msg_store_head head = {0};
	const uint8_t *plan = NULL, *text = NULL;
	size_t plan_length = 0, text_length = 0;
	struct agent *agent = NULL;
	int rc;

	snprintf(head.install_dir, sizeof(head.install_dir), "%s", msg->agent_install.install_dir);
	head.installed_at_ms = realtime_ms();
	rc = memfd_map(msg->fds[INSTALL_FD_PLAN], PLAN_BYTES_MAX, &plan, &plan_length);
	if (!rc)
		rc = memfd_map(msg->fds[INSTALL_FD_MANIFEST], MANIFEST_BYTES_MAX, &text,
			       &text_length);
	if (rc < 0)
		error_errno(error, -rc, "the plan cannot be read");
	else
		agent = agent_new(&head, plan, plan_length, text, text_length, error);
	if (plan)
		munmap((void *)plan, plan_length);
	if (text)
		munmap((void *)text, text_length);
	return agent;
}

static int
check_targets(const struct manifest *plan, struct error *error)
{
	const char *target, *other;
	size_t i, j;

	for (i = 0; i < plan->context.count; i++) {
		target = plan->context.items[i].target;
		if (proof_target(target, error) < 0)
			return -1;
		for (j = 0; j < i; j++) {
			other = plan->context.items[j].target;
			if (!strcmp(other, target))
				return error_why(error, ERR_INVALID,
						 "spec.context has the target %s twice", target);
		}
	}
	return 0;
}

static int
check_skills(const int *proofs, const struct agent *agent, struct error *error)
{
	const struct manifest *plan = agent->plan;
	char path[PATH_LEN_MAX + 1];
	size_t i;

	for (i = 0; i < plan->skills.count; i++) {
		if (skill_path(plan->skills.items[i], agent->head.install_dir, path) < 0)
			return error_errno(error, ENAMETOOLONG, "spec.skills");
		if (proof_skill(path, proofs[i], error) < 0)
			return -1;
	}
	return 0;
}

/* For the plan that is kept. What control said of a version holds for what control named. */
static int
note_interpreter(struct manifest *plan, const struct program *program, struct error *error)
{
	bool same = plan->interpreter && !strcmp(plan->interpreter, program->path);

	free(plan->engine);
	plan->engine = program->engine ? strdup(program->engine->name) : NULL;
	if (program->engine && !plan->engine)
		return error_errno(error, ENOMEM, "keeping what runs it");
	if (same && program->entrypoint[0])
		return 0;
	free(plan->interpreter);
	free(plan->interpreter_version);
	plan->interpreter = program->entrypoint[0] ? strdup(program->path) : NULL;
	plan->interpreter_version = NULL;
	if (program->entrypoint[0] && !plan->interpreter)
		return error_errno(error, ENOMEM, "keeping what interprets it");
	return 0;
}

static int
check_program(struct agent *agent, struct error *error)
{
	struct program program;

	if (program_find(agent->plan, agent->head.install_dir, &program, error) < 0)
		return -1;
	return note_interpreter(agent->plan, &program, error);
}

static int
check_watched(const int *proofs, const struct manifest *plan, struct error *error)
{
	for (size_t i = 0; i < plan->triggers.count; i++)
		if (plan->triggers.items[i].path &&
		    proof_watch(plan->triggers.items[i].path, *proofs++, error) < 0)
			return -1;
	return 0;
}

static int
check_proofs(struct runnerd *r, const struct msg *msg, struct agent *agent, struct error *error)
{
	const struct manifest *plan = agent->plan;
	const char *image = manifest_image_dir(plan);
	size_t i, watches = plan_watches(plan);
	size_t proofs = plan->context.count + manifest_image_proofs(plan) + watches;
	size_t packages = plan->packages.count ? PACKAGE_FDS : 0;
	struct stat st;

	if (msg->nfds != INSTALL_FD_CONTEXT + proofs + packages + plan->skills.count)
		return error_why(error, ERR_INVALID,
				 "%u descriptors came for %zu sources of context, image, watched "
				 "paths and skills and %zu of packages",
				 msg->nfds - INSTALL_FD_CONTEXT, proofs + plan->skills.count,
				 packages);
	if (proof_install_dir(agent->head.install_dir, msg->fds[INSTALL_FD_DIR], &st, error) < 0 ||
	    proof_place(agent->head.install_dir, r->config, error) < 0)
		return -1;
	agent->head.device = st.st_dev;
	agent->head.inode = st.st_ino;
	for (i = 0; i < plan->context.count; i++)
		if (proof_context(plan->context.items[i].source, msg->fds[INSTALL_FD_CONTEXT + i],
				  error) < 0)
			return -1;
	if (image && proof_image(image, msg->fds[INSTALL_FD_CONTEXT + plan->context.count],
				 r->config, error) < 0)
		return -1;
	if (check_watched(&msg->fds[INSTALL_FD_CONTEXT + proofs - watches], plan, error) < 0)
		return -1;
	if (check_skills(&msg->fds[INSTALL_FD_CONTEXT + proofs + packages], agent, error) < 0)
		return -1;
	return manifest_image_proofs(plan) == 2 ? 0 : check_program(agent, error);
}

/* One of the store: what cannot be told before it is there. */
int
install_check_image(struct runnerd *r, struct agent *agent, const char *digest, struct error *error)
{
	struct manifest *plan = agent->plan;
	struct image *image = image_open(r, digest, error);
	int rc = image ? container_check_image(image, error) : -1;

	free(plan->image_digest);
	plan->image_digest = strdup(digest);
	if (!plan->image_digest)
		rc = error_errno(error, ENOMEM, "keeping the image's digest");
	if (rc == 0 && runtime_of(plan) == RUNTIME_CONTAINER)
		rc = container_check(r, plan, image, error);
	else if (rc == 0)
		rc = image_find_interpreter(r, plan, image, error) < 0
			 ? -1
			 : check_program(agent, error);
	image_free(image);
	return rc < 0 ? error_what(error, "spec.image %s", plan->image) : 0;
}

int
install_check_new(const struct runnerd *r, const struct msg_agent_install *request,
		  const char *name, struct error *error)
{
	bool damaged;

	if (request->replace || !store_find(r->store, name, &damaged))
		return 0;
	error_why(error, ERR_CONFLICT, "it is installed already");
	return error_hint(error, "--replace installs over it and keeps its home");
}

int
install_check(struct runnerd *r, const struct msg *msg, struct agent *agent, struct error *error)
{
	const char *name = agent->plan->name;

	if (!agent_name_valid(name))
		return error_why(error, ERR_INVALID, "metadata.name is no agent name");
	snprintf(agent->head.name, sizeof(agent->head.name), "%s", name);
	if (install_check_new(r, &msg->agent_install, name, error) < 0)
		return -1;
	if (check_zones(agent->plan, error) < 0 ||
	    policy_check(agent->plan, agent->head.install_dir, r->config, error) < 0 ||
	    disk_check(r, agent->plan, error) < 0 || check_targets(agent->plan, error) < 0)
		return -1;
	return check_proofs(r, msg, agent, error);
}
