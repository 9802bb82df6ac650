#include "zones.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"

struct named {
	char *name;
	struct zone *zone;
	struct stat file; /* as it was before it was read; st_ino 0: none */
	bool changed;
};

struct zones {
	int directory;
	unsigned count;
	struct named known[ZONES_MAX];
};

static int
add(struct zones *zones, const char *name, struct zone *zone, const struct stat *file,
    struct error *error)
{
	char *copy = strdup(name);

	if (!zone || !copy || zones->count == ZONES_MAX) {
		if (zone)
			error_why(error, ERR_FAILED, "more than %d time zones, or out of memory",
				  ZONES_MAX);
		zone_free(zone);
		free(copy);
		return -1;
	}
	zones->known[zones->count] = (struct named){.name = copy, .zone = zone, .file = *file};
	return (int)zones->count++;
}

/* What tells one file from another. */
static void
look_at_file(const struct zones *zones, const char *name, struct stat *file)
{
	if (fstatat(zones->directory, name, file, 0) < 0)
		*file = (struct stat){.st_ino = 0};
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int
zones_find(struct zones *zones, const char *name, struct error *error)
{
	struct stat file;

	for (unsigned i = 0; i < zones->count; i++)
		if (strcmp(zones->known[i].name, *name ? name : "UTC") == 0)
			return (int)i;
	if (zones->directory < 0) {
		error_why(error, ERR_FAILED, "the system has no time zones");
		return error_hint(error, "install tzdata");
	}
	look_at_file(zones, name, &file);
	return add(zones, name, zone_load(zones->directory, name, error), &file, error);
}

static bool
refresh(struct zones *zones, struct named *named)
{
	struct error error = ERROR_INIT;
	struct stat file;
	struct zone *zone;

	look_at_file(zones, named->name, &file);
	if (is_same_file(&file, &named->file))
		return false;
	zone = zone_load(zones->directory, named->name, &error);
	if (!zone) {
		error_what(&error, "its rules stay what they were");
		log_problem(LOG_LEVEL_WARNING, &error);
		return false;
	}
	zone_free(named->zone);
	named->zone = zone;
	named->file = file;
	return true;
}

unsigned
zones_refresh(struct zones *zones)
{
	unsigned count = 0;

	for (unsigned i = ZONE_UTC + 1; i < zones->count; i++) {
		zones->known[i].changed = refresh(zones, &zones->known[i]);
		count += zones->known[i].changed;
	}
	return count;
}

bool
zones_changed(const struct zones *zones, unsigned number)
{
	return zones->known[number].changed;
}

unsigned
zones_count(const struct zones *zones)
{
	return zones->count;
}

const char *
zones_name(const struct zones *zones, unsigned number)
{
	return zones->known[number].name;
}

struct zone *
zones_at(const struct zones *zones, unsigned number)
{
	return zones->known[number].zone;
}

struct zones *
zones_new(int directory, struct error *error)
{
	struct zones *zones = calloc(1, sizeof(*zones));
	struct stat none = {.st_ino = 0};

	if (!zones) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	zones->directory = directory;
	/* Whatever tzdata says, or where it is missing. */
	if (add(zones, "UTC", zone_utc(), &none, error) == ZONE_UTC)
		return zones;
	zones_free(zones);
	return NULL;
}

void
zones_free(struct zones *zones)
{
	if (!zones)
		return;
	for (unsigned i = 0; i < zones->count; i++) {
		zone_free(zones->known[i].zone);
		free(zones->known[i].name);
	}
	free(zones);
}
