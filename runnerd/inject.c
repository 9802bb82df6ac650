/* Values of one session, between secretd, which writes them, and its egress process. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "net.h"
#include "policy.h"
#include "secrets.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

/* As Debian's ca-certificates writes it. */
static const char trust_store[] = "/etc/ssl/certs/ca-certificates.crt";

int
inject_trust(void)
{
	int fd = open(trust_store, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int
make_memfd(void)
{
	static const char name[] = "secret";
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

/* The same file, for who may write it and nothing else. */
static int
reopen(int fd, int how)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, how | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

static int
add_secret(struct net *net)
{
	struct net_secret *secrets =
	    reallocarray(net->secrets, net->secret_count + 1, sizeof(*secrets));
	_cleanup_close_ int fd = -1;
	int read_end;

	if (!secrets)
		return -ENOMEM;
	net->secrets = secrets;
	fd = make_memfd();
	if (fd < 0)
		return fd;
	read_end = reopen(fd, O_RDONLY);
	if (read_end < 0)
		return read_end;
	secrets[net->secret_count++] = (struct net_secret){.fd = read_end};
	return reopen(fd, O_WRONLY);
}

struct asking {
	struct session *s;
	struct error *error;
};

static int
ask_one(const struct secret_use *use, void *arg)
{
	const struct asking *asking = arg;
	struct session *s = asking->s;
	uint64_t max_uses;
	int fd, rc;

	if (use->place != PLACE_EGRESS)
		return 0;
	if (policy_secret(s->agent->plan, use->credential, realtime_ms(), &max_uses,
			  asking->error) < 0)
		return -1;
	fd = add_secret(s->net);
	if (fd < 0)
		return error_errno(asking->error, -fd, "a memfd for the secret %s",
				   use->credential->name);
	rc = secrets_ask(s, use, max_uses, fd);
	return rc < 0 ? error_errno(asking->error, -rc, "asking for %s", use->credential->name) : 0;
}

int
inject_ask(struct session *s, struct error *error)
{
	struct asking asking = {s, error};

	return secret_uses(s->agent->plan, "", ask_one, &asking);
}

static void
pass_on(struct net *net, unsigned rule)
{
	struct msg msg;

	if (!net->egress || net->secrets[rule].fd < 0)
		return;
	msg_init(&msg, MSG_EGRESS_SECRET);
	msg.egress_secret.rule = rule;
	msg_add_fd(&msg, steal_fd(&net->secrets[rule].fd));
	channel_send(net->egress, &msg);
}

void
inject_written(struct session *s, unsigned rule)
{
	struct net *net = s->net;

	if (!net || rule >= net->secret_count)
		return;
	net->secrets[rule].written = true;
	if (net->booted)
		pass_on(net, rule);
}

void
inject_booted(struct net *net)
{
	net->booted = true;
	for (unsigned i = 0; i < net->secret_count; i++)
		if (net->secrets[i].written)
			pass_on(net, i);
}

void
inject_free(struct net *net)
{
	for (unsigned i = 0; i < net->secret_count; i++)
		close_fd(&net->secrets[i].fd);
	free(net->secrets);
}
