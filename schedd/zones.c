#include "zones.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct named {
	char *name;
	struct zone *zone;
};

struct zones {
	int directory;
	unsigned count;
	struct named known[ZONES_MAX];
};

static int
add(struct zones *zones, const char *name, struct zone *zone, struct error *error)
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
	zones->known[zones->count] = (struct named){.name = copy, .zone = zone};
	return (int)zones->count++;
}

int
zones_find(struct zones *zones, const char *name, struct error *error)
{
	for (unsigned i = 0; i < zones->count; i++)
		if (strcmp(zones->known[i].name, *name ? name : "UTC") == 0)
			return (int)i;
	if (zones->directory < 0) {
		error_why(error, ERR_FAILED, "the system has no time zones");
		return error_hint(error, "install tzdata");
	}
	return add(zones, name, zone_load(zones->directory, name, error), error);
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

	if (!zones) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	zones->directory = directory;
	/* Whatever tzdata says, or where it is missing. */
	if (add(zones, "UTC", zone_utc(), error) == ZONE_UTC)
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
