#include "store.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

enum {
	STORE_FILE_MAX = sizeof(uint32_t) + PROTO_MESSAGE_MAX + PLAN_BYTES_MAX + MANIFEST_BYTES_MAX,
	STORE_NAME_MAX = AGENT_NAME_MAX + sizeof(".plan"),
};

struct store {
	int fd;
	struct agent **agents; /* sorted by name */
	size_t count;
	char (*damaged)[AGENT_NAME_MAX + 1];
	size_t damaged_count;
};

struct agent *
agent_ref(struct agent *agent)
{
	agent->references++;
	return agent;
}

void
agent_unref(struct agent *agent)
{
	if (!agent || --agent->references)
		return;
	manifest_free(agent->plan);
	free(agent->plan_bytes);
	free(agent->manifest);
	free(agent);
}

/* FNV-1a, 64 bits: against a damaged disk, not against an attacker, who is root already. */
static uint64_t
checksum(uint64_t sum, const uint8_t *bytes, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static ssize_t
head_encode(const struct msg_store_head *head, uint8_t *bytes)
{
	struct msg record;

	msg_init(&record, MSG_STORE_HEAD);
	record.store_head = *head;
	return msg_encode(&record, bytes, PROTO_MESSAGE_MAX);
}

static uint64_t
agent_checksum(const struct agent *agent)
{
	struct msg_store_head head = agent->head;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length;

	head.checksum = 0;
	length = head_encode(&head, bytes);
	if (length > 0)
		sum = checksum(sum, bytes, (size_t)length);
	sum = checksum(sum, agent->plan_bytes, head.plan_bytes);
	return checksum(sum, agent->manifest, head.manifest_bytes);
}

static uint8_t *
copy_of(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length + 1);

	if (copy && length)
		memcpy(copy, bytes, length);
	return copy;
}

struct agent *
agent_new(const struct msg_store_head *head, const uint8_t *plan, size_t plan_length,
	  const uint8_t *manifest, size_t manifest_length, struct error *error)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent) {
		error_errno(error, ENOMEM, "reading a plan");
		return NULL;
	}
	agent->references = 1;
	agent->head = *head;
	agent->head.plan_bytes = (uint32_t)plan_length;
	agent->head.manifest_bytes = (uint32_t)manifest_length;
	agent->plan_bytes = copy_of(plan, plan_length);
	agent->manifest = copy_of(manifest, manifest_length);
	if (!agent->plan_bytes || !agent->manifest)
		error_errno(error, ENOMEM, "reading a plan");
	else
		agent->plan = plan_decode(plan, plan_length, error);
	if (!agent->plan) {
		agent_unref(agent);
		return NULL;
	}
	agent->head.checksum = agent_checksum(agent);
	return agent;
}

/* --- the table ------------------------------------------------------------------------------ */

/* Where name is, or where it would go. */
static size_t
position(const struct store *store, const char *name)
{
	size_t low = 0, high = store->count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (strcmp(store->agents[middle]->head.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_at(const struct store *store, size_t index, const char *name)
{
	return index < store->count && !strcmp(store->agents[index]->head.name, name);
}

static void
forget_damage(struct store *store, const char *name)
{
	size_t i;

	for (i = 0; i < store->damaged_count; i++) {
		if (strcmp(store->damaged[i], name))
			continue;
		memmove(store->damaged[i], store->damaged[--store->damaged_count],
			sizeof(store->damaged[i]));
		return;
	}
}

struct agent *
store_find(const struct store *store, const char *name, bool *damaged)
{
	size_t index = position(store, name), i;

	if (damaged)
		*damaged = false;
	for (i = 0; damaged && i < store->damaged_count; i++)
		*damaged |= !strcmp(store->damaged[i], name);
	return is_at(store, index, name) ? store->agents[index] : NULL;
}

size_t
store_count(const struct store *store)
{
	return store->count;
}

struct agent *
store_at(const struct store *store, size_t index)
{
	return index < store->count ? store->agents[index] : NULL;
}

const char *
store_damaged_at(const struct store *store, size_t index)
{
	return index < store->damaged_count ? store->damaged[index] : NULL;
}

static int
table_put(struct store *store, struct agent *agent)
{
	size_t index = position(store, agent->head.name);
	struct agent **grown;

	forget_damage(store, agent->head.name);
	if (is_at(store, index, agent->head.name)) {
		agent_unref(store->agents[index]);
		store->agents[index] = agent_ref(agent);
		return 0;
	}
	grown = reallocarray(store->agents, store->count + 1, sizeof(struct agent *));
	if (!grown)
		return -ENOMEM;
	store->agents = grown;
	memmove(&grown[index + 1], &grown[index], (store->count - index) * sizeof(struct agent *));
	grown[index] = agent_ref(agent);
	store->count++;
	return 0;
}

/* --- files ---------------------------------------------------------------------------------- */

static void
file_name(const char *agent, char *name)
{
	snprintf(name, STORE_NAME_MAX, "%s.plan", agent);
}

/* NAME of "NAME.plan", or false. */
static bool
agent_of_file(const char *file, char *agent)
{
	size_t length = strlen(file);

	if (length <= strlen(".plan") || length >= STORE_NAME_MAX ||
	    strcmp(file + length - strlen(".plan"), ".plan"))
		return false;
	snprintf(agent, AGENT_NAME_MAX + 1, "%.*s", (int)(length - strlen(".plan")), file);
	return agent_name_valid(agent);
}

/* The head at the start of the file; *bytes and *length are moved behind it. Exactly the bytes
 * that head_encode makes, so that the checksum, which is over those, covers all of them. */
static bool
head_parse(const uint8_t **bytes, size_t *length, struct msg_store_head *head)
{
	uint8_t again[PROTO_MESSAGE_MAX];
	struct msg record;
	uint32_t prefix;

	if (*length < sizeof(prefix))
		return false;
	memcpy(&prefix, *bytes, sizeof(prefix));
	prefix = le32toh(prefix);
	*bytes += sizeof(prefix);
	*length -= sizeof(prefix);
	if (prefix > *length || msg_decode(&record, *bytes, prefix, 0) < 0 ||
	    record.type != MSG_STORE_HEAD)
		return false;
	*head = record.store_head;
	if (head_encode(head, again) != (ssize_t)prefix || memcmp(again, *bytes, prefix))
		return false;
	*bytes += prefix;
	*length -= prefix;
	return (uint64_t)head->plan_bytes + head->manifest_bytes == *length;
}

static struct agent *
file_parse(const uint8_t *bytes, size_t length, struct error *error)
{
	struct msg_store_head head;
	struct agent *agent;

	if (!head_parse(&bytes, &length, &head)) {
		error_why(error, ERR_FAILED, "it is damaged");
		return NULL;
	}
	agent = agent_new(&head, bytes, head.plan_bytes, bytes + head.plan_bytes,
			  head.manifest_bytes, error);
	if (!agent || agent->head.checksum == head.checksum)
		return agent;
	agent_unref(agent);
	error_why(error, ERR_FAILED, "its checksum does not agree");
	return NULL;
}

static struct agent *
file_load(int store_fd, const char *file, const char *name, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	struct agent *agent;
	size_t length;
	int rc;

	rc = read_file_at(store_fd, file, STORE_FILE_MAX, &text, &length);
	if (rc < 0) {
		error_errno(error, -rc, "it cannot be read");
		return NULL;
	}
	agent = file_parse((const uint8_t *)text, length, error);
	if (!agent || (!strcmp(agent->head.name, name) && !strcmp(agent->plan->name, name)))
		return agent;
	error_why(error, ERR_FAILED, "it is the plan of another agent, %s", agent->head.name);
	agent_unref(agent);
	return NULL;
}

static int
remember_damage(struct store *store, const char *name, struct error *error)
{
	void *grown =
	    reallocarray(store->damaged, store->damaged_count + 1, sizeof(store->damaged[0]));

	error_what(error, "agent %s is refused: its plan in the store cannot be used", name);
	error_hint(error, "install it again with --replace");
	log_problem(LOG_LEVEL_ERROR, error);
	if (!grown)
		return -ENOMEM;
	store->damaged = grown;
	snprintf(store->damaged[store->damaged_count++], sizeof(store->damaged[0]), "%s", name);
	return 0;
}

static int
load_one(struct store *store, const char *file)
{
	struct error error = ERROR_INIT;
	char name[AGENT_NAME_MAX + 1];
	struct agent *agent;
	int rc;

	if (!agent_of_file(file, name)) {
		/* What a crash in the middle of an install left; never a plan. */
		if (file[0] == '.' && strcmp(file, ".") && strcmp(file, ".."))
			unlinkat(store->fd, file, 0);
		return 0;
	}
	agent = file_load(store->fd, file, name, &error);
	if (!agent)
		return remember_damage(store, name, &error);
	rc = table_put(store, agent);
	agent_unref(agent);
	return rc;
}

static int
load_all(struct store *store)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd, rc = 0;

	fd = openat(store->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (!rc && (entry = readdir(dir)))
		rc = load_one(store, entry->d_name);
	return rc;
}

struct store *
store_open(int store_fd, struct error *error)
{
	struct store *store = calloc(1, sizeof(*store));
	int rc;

	if (!store) {
		error_errno(error, ENOMEM, "opening the store");
		return NULL;
	}
	store->fd = store_fd;
	rc = load_all(store);
	if (!rc)
		return store;
	error_errno(error, -rc, "reading the store of installed agents");
	store_close(store);
	return NULL;
}

void
store_close(struct store *store)
{
	size_t i;

	if (!store)
		return;
	for (i = 0; i < store->count; i++)
		agent_unref(store->agents[i]);
	free(store->agents);
	free(store->damaged);
	free(store);
}

static int
file_write(int store_fd, const struct agent *agent)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	char name[STORE_NAME_MAX];
	uint32_t prefix;
	ssize_t head;
	size_t at;

	bytes = malloc(STORE_FILE_MAX);
	if (!bytes)
		return -ENOMEM;
	head = head_encode(&agent->head, bytes + sizeof(prefix));
	if (head < 0)
		return (int)head;
	prefix = htole32((uint32_t)head);
	memcpy(bytes, &prefix, sizeof(prefix));
	at = sizeof(prefix) + (size_t)head;
	memcpy(bytes + at, agent->plan_bytes, agent->head.plan_bytes);
	at += agent->head.plan_bytes;
	memcpy(bytes + at, agent->manifest, agent->head.manifest_bytes);
	at += agent->head.manifest_bytes;
	file_name(agent->head.name, name);
	return write_file_durable(store_fd, name, bytes, at, 0600);
}

int
store_put(struct store *store, struct agent *agent, struct error *error)
{
	int rc = file_write(store->fd, agent);

	if (!rc)
		rc = table_put(store, agent);
	if (rc < 0)
		return error_errno(error, -rc, "writing the plan of %s to the store",
				   agent->head.name);
	return 0;
}

int
store_remove(struct store *store, const char *name)
{
	size_t index = position(store, name);
	char file[STORE_NAME_MAX];

	file_name(name, file);
	if (unlinkat(store->fd, file, 0) < 0 && errno != ENOENT)
		return -errno;
	forget_damage(store, name);
	if (is_at(store, index, name)) {
		agent_unref(store->agents[index]);
		store->count--;
		memmove(&store->agents[index], &store->agents[index + 1],
			(store->count - index) * sizeof(struct agent *));
	}
	return sync_dir(store->fd);
}
