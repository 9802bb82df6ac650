/* network: an empty namespace, where only lo is up, and names resolve from /etc/hosts alone; with
 * rules that let something through an egress process, which furnishes it (runnerd/net.h). With
 * policy host there is no namespace, and names are asked for where the host asks. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "runnerd/net.h"
#include "steps.h"

enum { RESOLV_BYTES_MAX = 64 << 10 };

static const char no_resolver[] = "# network policy none: there is no resolver\n";

/* As it is now: bytes that nobody here reads. A host may have none. */
static int
hosts_resolver(struct session *s, struct error *error)
{
	_cleanup_close_ int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int rc = fd < 0 ? -errno : read_file(fd, RESOLV_BYTES_MAX, &text, &length);

	if (rc < 0 && rc != -ENOENT)
		return error_errno(error, -rc, "reading the host's /etc/resolv.conf");
	recipe_file(&s->recipe, "/etc/resolv.conf", 0444, text ? text : "", length);
	return 0;
}

int
network_explain(struct session *s, struct error *error)
{
	const char *resolver = net_wanted(s) ? net_resolv_conf : no_resolver;

	if (s->effective.network == NETWORK_HOST)
		return hosts_resolver(s, error);
	recipe_file(&s->recipe, "/etc/resolv.conf", 0444, resolver, strlen(resolver));
	return 0;
}

int
network_build(struct session *s, struct error *error)
{
	if (net_wanted(s) && net_open(s, error) < 0)
		return -1;
	return network_explain(s, error);
}

int
network_undo(struct session *s)
{
	if (s->live >= 0)
		unlinkat(s->live, "egress.sock", 0);
	net_forget(s);
	return 0;
}
