#include "refusals.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "egress.h"

enum { TEXT_BYTES = 16384 /* snmp6 of Linux 6.18 has 5 KiB */ };

enum refusal_kind { REFUSED_ADDRESSES, REFUSED_PORTS, REFUSED_DATAGRAMS };

/* An agent may connect to ports of its own loopback, too. */
static const struct {
	const char *name, *why;
} kinds[REFUSAL_KINDS] = {
    [REFUSED_ADDRESSES] = {"other addresses", "no rule names them"},
    [REFUSED_PORTS] = {"other ports", "no rule names them, and nobody listens inside"},
    [REFUSED_DATAGRAMS] = {"UDP", "no rule lets it through, and nobody listens inside"},
};

/* --- their text ------------------------------------------------------------------------------- */

static const char *
line_of(const char *text, const char *group)
{
	size_t length = strlen(group);

	while (text && (strncmp(text, group, length) != 0 || text[length] != ':')) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + length + 1 : NULL;
}

/* The word behind the spaces at which text stands, and its length; 0: the line is over. */
static size_t
word(const char **text)
{
	*text += strspn(*text, " ");
	return strcspn(*text, " \n");
}

uint64_t
refusals_counter(const char *text, const char *group, const char *name)
{
	const char *names = line_of(text, group), *values = line_of(names, group);
	size_t length, value;

	while (names && values && (length = word(&names)) > 0 && (value = word(&values)) > 0) {
		if (length == strlen(name) && strncmp(names, name, length) == 0)
			return strtoull(values, NULL, 10);
		names += length;
		values += value;
	}
	return 0;
}

uint64_t
refusals_counter6(const char *text, const char *name)
{
	size_t length = strlen(name);

	while (text && (strncmp(text, name, length) != 0 || !strchr(" \t", text[length]))) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? strtoull(text + length, NULL, 10) : 0;
}

/* --- the session's ---------------------------------------------------------------------------- */

void
refusals_open(struct refusals *refusals)
{
	refusals->snmp = open("/proc/thread-self/net/snmp", O_RDONLY | O_CLOEXEC);
	refusals->snmp6 = open("/proc/thread-self/net/snmp6", O_RDONLY | O_CLOEXEC);
}

/* Empty where there is none. */
static void
read_text(int fd, char text[TEXT_BYTES])
{
	ssize_t n;
	size_t used = 0;

	while (fd >= 0 && used < TEXT_BYTES - 1 &&
	       (n = pread(fd, text + used, TEXT_BYTES - 1 - used, (off_t)used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
}

static void
count(const struct refusals *refusals, uint64_t now[REFUSAL_KINDS])
{
	static char text[TEXT_BYTES];

	read_text(refusals->snmp, text);
	now[REFUSED_ADDRESSES] = refusals_counter(text, "Ip", "OutNoRoutes");
	now[REFUSED_PORTS] = refusals_counter(text, "Tcp", "AttemptFails");
	now[REFUSED_DATAGRAMS] = refusals_counter(text, "Udp", "NoPorts");
	read_text(refusals->snmp6, text);
	now[REFUSED_ADDRESSES] += refusals_counter6(text, "Ip6OutNoRoutes");
	now[REFUSED_DATAGRAMS] += refusals_counter6(text, "Udp6NoPorts");
}

void
refusals_tell(struct egress *egress)
{
	struct refusals *refusals = &egress->refusals;
	uint64_t now[REFUSAL_KINDS];
	char why[128];

	count(refusals, now);
	for (size_t i = 0; i < REFUSAL_KINDS; i++) {
		if (now[i] <= refusals->told[i])
			continue;
		snprintf(why, sizeof(why), "%" PRIu64 " refused: %s", now[i] - refusals->told[i],
			 kinds[i].why);
		refusals->told[i] = now[i];
		note(egress, kinds[i].name, 0, why);
	}
}
