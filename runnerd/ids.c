#include "ids.h"

#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/loop.h"
#include "records.h"

struct range {
	uint32_t base_uid;
	char agent[AGENT_NAME_MAX + 1]; /* empty: quarantined */
};

struct ids {
	int fd;
	uint64_t first, ranges;
	struct range *given;
	size_t count;
};

static struct range *
range_of(struct ids *ids, uint32_t base_uid)
{
	size_t i;

	for (i = 0; i < ids->count; i++)
		if (ids->given[i].base_uid == base_uid)
			return &ids->given[i];
	return NULL;
}

static struct range *
range_of_agent(struct ids *ids, const char *agent)
{
	size_t i;

	for (i = 0; i < ids->count; i++)
		if (!strcmp(ids->given[i].agent, agent))
			return &ids->given[i];
	return NULL;
}

/* The newest record of a range holds. */
static int
range_set(struct ids *ids, uint32_t base_uid, const char *agent)
{
	struct range *range = range_of(ids, base_uid), *grown;

	if (!range) {
		grown = reallocarray(ids->given, ids->count + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		ids->given = grown;
		range = &grown[ids->count++];
		range->base_uid = base_uid;
	}
	snprintf(range->agent, sizeof(range->agent), "%s", agent);
	return 0;
}

static int
ids_read(struct ids *ids, int state_fd)
{
	struct records records;
	struct msg record;
	int rc;

	rc = records_open(&records, state_fd, "ids");
	if (rc < 0)
		return rc;
	while ((rc = records_next(&records, &record)) > 0) {
		if (record.type != MSG_ID_ASSIGNED)
			rc = -EBADMSG;
		else
			rc = range_set(ids, record.id_assigned.base_uid, record.id_assigned.agent);
		if (rc < 0)
			break;
	}
	/* A torn tail would hide every later append behind it. */
	if (!rc && records.at < records.length && ftruncate(ids->fd, (off_t)records.at) < 0)
		rc = -errno;
	records_close(&records);
	return rc;
}

struct ids *
ids_open(int state_fd, uint64_t first, uint64_t ranges, struct error *error)
{
	struct ids *ids = calloc(1, sizeof(*ids));
	int rc;

	if (!ids) {
		error_errno(error, ENOMEM, "the table of id ranges");
		return NULL;
	}
	ids->first = first;
	ids->ranges = ranges;
	ids->fd =
	    openat(state_fd, "ids", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	rc = ids->fd < 0 ? -errno : ids_read(ids, state_fd);
	if (!rc)
		rc = sync_dir(state_fd);
	if (!rc)
		return ids;
	error_errno(error, -rc, "cannot read the table of id ranges");
	error_hint(error, "restore the file ids of the state directory: without it an agent could "
			  "be given files of another");
	ids_close(ids);
	return NULL;
}

void
ids_close(struct ids *ids)
{
	if (!ids)
		return;
	close_fd(&ids->fd);
	free(ids->given);
	free(ids);
}

static int
ids_write(struct ids *ids, uint32_t base_uid, const char *agent)
{
	struct msg record;
	int rc;

	msg_init(&record, MSG_ID_ASSIGNED);
	record.id_assigned.base_uid = base_uid;
	record.id_assigned.since_ms = realtime_ms();
	snprintf(record.id_assigned.agent, sizeof(record.id_assigned.agent), "%s", agent);
	rc = record_append(ids->fd, &record, true);
	return rc < 0 ? rc : range_set(ids, base_uid, agent);
}

int
ids_assign(struct ids *ids, const char *agent, uint32_t *base_uid, struct error *error)
{
	struct range *range = range_of_agent(ids, agent);
	uint64_t i;
	int rc;

	if (range) {
		*base_uid = range->base_uid;
		return 0;
	}
	for (i = 0; i < ids->ranges; i++) {
		*base_uid = (uint32_t)(ids->first + i * ID_RANGE);
		if (range_of(ids, *base_uid))
			continue;
		rc = ids_write(ids, *base_uid, agent);
		return rc < 0 ? error_errno(error, -rc, "cannot record the id range of %s", agent)
			      : 0;
	}
	error_why(error, ERR_FAILED, "all %llu id ranges are given out",
		  (unsigned long long)ids->ranges);
	return error_hint(error, "raise session_ids.ranges in agentd.yaml; ranges of purged agents "
				 "are not given out again");
}

int
ids_quarantine(struct ids *ids, const char *agent)
{
	struct range *range = range_of_agent(ids, agent);

	return range ? ids_write(ids, range->base_uid, "") : 0;
}
