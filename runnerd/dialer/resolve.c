/* Names to addresses by c-ares on the daemon's loop. Every option that c-ares would look for in a
 * file is set: it opens none. */
#include <ares.h>
#include <arpa/inet.h>
#include <limits.h>
#include <netdb.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "dialer.h"

enum { CONF_BYTES = 16384, SOCKETS_MAX = 64 };

struct asked {
	int fd;
	struct loop_source *source;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	struct loop_source *timer;
	struct asked sockets[SOCKETS_MAX];
};

/* --- c-ares on the loop ----------------------------------------------------------------------- */

static void
arm(struct resolver *resolver)
{
	struct timeval tv, *next = ares_timeout(resolver->channel, NULL, &tv);

	if (!next) {
		loop_arm(resolver->timer, 0);
		return;
	}
	loop_arm_in(resolver->timer,
		    (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1);
}

static void
time_passed(struct loop_source *timer, void *arg)
{
	struct resolver *resolver = arg;

	(void)timer;
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(resolver);
}

static int
fd_of(const struct resolver *resolver, const struct loop_source *source)
{
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		if (resolver->sockets[i].source == source)
			return resolver->sockets[i].fd;
	return ARES_SOCKET_BAD;
}

static void
socket_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct resolver *resolver = arg;
	int fd = fd_of(resolver, source);
	bool in = events & (EPOLLIN | EPOLLHUP | EPOLLERR);

	ares_process_fd(resolver->channel, in ? fd : ARES_SOCKET_BAD,
			events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	arm(resolver);
}

/* One that finds no place is not watched: its query times out. */
static struct asked *
place_of(struct resolver *resolver, int fd)
{
	struct asked *empty = NULL;

	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		if (resolver->sockets[i].source && resolver->sockets[i].fd == fd)
			return &resolver->sockets[i];
		if (!resolver->sockets[i].source)
			empty = &resolver->sockets[i];
	}
	return empty;
}

static void
socket_wanted(void *arg, ares_socket_t fd, int in, int out)
{
	struct resolver *resolver = arg;
	struct asked *place = place_of(resolver, fd);
	uint32_t events = (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U);

	if (!place)
		return;
	if (!events) {
		loop_remove(place->source);
		place->source = NULL;
	} else if (place->source) {
		loop_set_events(place->source, events);
	} else {
		place->fd = fd;
		place->source = loop_add_io(resolver->loop, fd, events, socket_ready, resolver);
	}
}

/* --- its servers ------------------------------------------------------------------------------ */

/* Appends the address of a line "nameserver ADDRESS"; others, and scoped ones, are passed over. */
static bool
take_server(const char *line, size_t length, char *list, size_t size)
{
	char address[INET6_ADDRSTRLEN + 1];
	struct in6_addr parsed;
	size_t used = strlen(list);

	if (length < 11 || strncmp(line, "nameserver", 10) != 0 || !strchr(" \t", line[10]))
		return false;
	line += 10;
	line += strspn(line, " \t");
	length = strcspn(line, " \t\r\n#;");
	if (length >= sizeof(address))
		return false;
	memcpy(address, line, length);
	address[length] = '\0';
	if (net_address(address, &parsed) == 0 || address[0] == '[')
		return false;
	snprintf(list + used, size - used, "%s%s", used ? "," : "", address);
	return true;
}

void
resolver_list(const char *conf, char *list, size_t size)
{
	unsigned count = 0;
	size_t length;

	list[0] = '\0';
	for (; *conf && count < RESOLVERS_MAX; conf += length + (conf[length] == '\n')) {
		length = strcspn(conf, "\n");
		count += take_server(conf, length, list, size);
	}
}

int
resolver_servers(struct resolver *resolver, int resolv_conf, struct error *error)
{
	_cleanup_free_ char *conf = calloc(1, CONF_BYTES);
	char list[256] = "";
	int rc;

	if (!conf)
		return error_errno(error, ENOMEM, "reading resolv.conf");
	if (resolv_conf >= 0 && read_all(resolv_conf, conf, CONF_BYTES - 1) >= 0)
		resolver_list(conf, list, sizeof(list));
	if (!list[0])
		snprintf(list, sizeof(list), "127.0.0.1");
	rc = ares_set_servers_csv(resolver->channel, list);
	if (rc != ARES_SUCCESS)
		return error_why(error, ERR_FAILED, "the name servers %s: %s", list,
				 ares_strerror(rc));
	log_debug("names are asked of %s", list);
	return 0;
}

/* --- one name --------------------------------------------------------------------------------- */

struct question {
	resolved_fn *fn;
	void *arg;
};

static void
take_addresses(const struct ares_addrinfo *found, int family, struct in6_addr *addresses,
	       unsigned *count)
{
	const struct ares_addrinfo_node *node;

	for (node = found->nodes; node && *count < ADDRESSES_MAX; node = node->ai_next) {
		if (node->ai_family != family)
			continue;
		if (family == AF_INET)
			net_from_v4(&addresses[(*count)++],
				    ntohl(((const struct sockaddr_in *)(const void *)node->ai_addr)
					      ->sin_addr.s_addr));
		else
			addresses[(*count)++] =
			    ((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr;
	}
}

/* IPv4 first, since many hosts have an IPv6 address that leads nowhere, then one of each in turn.
 */
static void
collect(const struct ares_addrinfo *found, struct resolution *to)
{
	struct in6_addr four[ADDRESSES_MAX], six[ADDRESSES_MAX];
	unsigned fours = 0, sixes = 0;

	take_addresses(found, AF_INET, four, &fours);
	take_addresses(found, AF_INET6, six, &sixes);
	for (unsigned i = 0; i < fours || i < sixes; i++) {
		if (i < fours && to->count < ADDRESSES_MAX)
			to->addresses[to->count++] = four[i];
		if (i < sixes && to->count < ADDRESSES_MAX)
			to->addresses[to->count++] = six[i];
	}
}

/* The least of its records. */
static unsigned
lifetime(const struct ares_addrinfo *found)
{
	const struct ares_addrinfo_cname *alias;
	const struct ares_addrinfo_node *node;
	int least = INT_MAX;

	for (node = found->nodes; node; node = node->ai_next)
		least = node->ai_ttl < least ? node->ai_ttl : least;
	for (alias = found->cnames; alias; alias = alias->next)
		least = alias->ttl < least ? alias->ttl : least;
	return least > 0 ? (unsigned)least : 0;
}

static void
answered(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	_cleanup_free_ struct question *question = arg;
	struct resolution resolution = {.why = ares_strerror(status)};

	(void)timeouts;
	if (status == ARES_SUCCESS && found) {
		collect(found, &resolution);
		resolution.ttl_s = lifetime(found);
		resolution.why = resolution.count ? NULL : "it has no address";
	}
	ares_freeaddrinfo(found);
	question->fn(&resolution, question->arg);
}

void
resolve(struct resolver *resolver, const char *name, resolved_fn *fn, void *arg)
{
	static const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC,
							 .ai_flags = ARES_AI_NOSORT};
	static const struct resolution no_memory = {.why = "out of memory"};
	struct question *question = malloc(sizeof(*question));

	if (!question) {
		fn(&no_memory, arg);
		return;
	}
	*question = (struct question){fn, arg};
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, answered, question);
	arm(resolver);
}

/* --- open and close --------------------------------------------------------------------------- */

static int
open_channel(struct resolver *resolver)
{
	static struct in_addr nowhere;
	static char lookups[] = "b";
	struct ares_options options = {
	    .timeout = RESOLVE_TRY_MS,
	    .tries = RESOLVE_TRIES,
	    .ndots = 1,
	    .servers = &nowhere,
	    .nservers = 1,
	    .lookups = lookups,
	    .sock_state_cb = socket_wanted,
	    .sock_state_cb_data = resolver,
	};

	return ares_init_options(&resolver->channel, &options,
				 ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
				     ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
				     ARES_OPT_SORTLIST | ARES_OPT_SOCK_STATE_CB |
				     ARES_OPT_NOROTATE);
}

struct resolver *
resolver_new(struct loop *loop, struct error *error)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int rc = resolver ? ares_library_init(ARES_LIB_INIT_ALL) : ARES_ENOMEM;

	if (rc == ARES_SUCCESS)
		rc = open_channel(resolver);
	if (rc != ARES_SUCCESS) {
		free(resolver);
		error_why(error, ERR_FAILED, "c-ares: %s", ares_strerror(rc));
		return NULL;
	}
	resolver->loop = loop;
	resolver->timer = loop_add_timer(loop, time_passed, resolver);
	if (resolver->timer)
		return resolver;
	resolver_free(resolver);
	error_errno(error, ENOMEM, "a timer");
	return NULL;
}

void
resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	ares_destroy(resolver->channel);
	ares_library_cleanup();
	loop_remove(resolver->timer);
	free(resolver);
}
