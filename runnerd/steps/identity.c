/* identity: who the agent is inside, and its home. */
#include <stdarg.h>
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/homes.h"
#include "runnerd/mounts.h"
#include "steps.h"

enum { ETC_FILE_MAX = 1024, HOME_TMPFS_BYTES = 256 << 20, HOME_TMPFS_INODES = 65536 };

static void __attribute__((format(printf, 3, 4)))
etc_file(struct session *s, const char *path, const char *fmt, ...)
{
	char text[ETC_FILE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	recipe_file(&s->recipe, path, 0444, text, strlen(text));
}

/* Stable for an agent on this host, and nothing about either: two rounds of FNV-1a. */
static void
machine_id(const struct session *s, char *text)
{
	uint64_t half[2] = {UINT64_C(0xcbf29ce484222325), UINT64_C(0x84222325cbf29ce4)};
	const char *at;
	int i;

	for (i = 0; i < 2; i++) {
		half[i] = (half[i] ^ s->base_uid) * UINT64_C(0x100000001b3);
		for (at = s->agent_name; *at; at++)
			half[i] = (half[i] ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
	}
	snprintf(text, 33, "%016llx%016llx", (unsigned long long)half[0],
		 (unsigned long long)half[1]);
}

static void
synthesise_etc(struct session *s)
{
	char id[33];

	machine_id(s, id);
	etc_file(s, "/etc/passwd",
		 "root:x:0:0:root:/:/usr/sbin/nologin\n"
		 "agent:x:%d:%d:agent:/home/agent:/bin/sh\n"
		 "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
		 AGENT_UID, AGENT_UID);
	etc_file(s, "/etc/group", "root:x:0:\ntty:x:5:\nagent:x:%d:\nnogroup:x:65534:\n",
		 AGENT_UID);
	etc_file(s, "/etc/hosts",
		 "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t%s\n",
		 s->agent_name);
	etc_file(s, "/etc/hostname", "%s\n", s->agent_name);
	etc_file(s, "/etc/machine-id", "%s\n", id);
	etc_file(s, "/etc/nsswitch.conf",
		 "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
		 "networks: files\nprotocols: files\nservices: files\n");
}

static int
no_home(struct session *s, struct error *error)
{
	const struct recipe_tmpfs home = {.path = "/home/agent",
					  .mode = 0700,
					  .owner = AGENT_UID,
					  .bytes = HOME_TMPFS_BYTES,
					  .inodes = HOME_TMPFS_INODES};

	recipe_tmpfs(&s->recipe, &home);
	s->home_lock = memfd_sealed("no-home", "", 0);
	return s->home_lock < 0 ? error_errno(error, -s->home_lock, "memfd_create") : 0;
}

static int
direct_home(struct session *s, struct error *error)
{
	int mount;

	if (home_open(s->r->at.homes, s->agent_name, s->base_uid, &s->home, &s->home_lock, error) <
	    0)
		return -1;
	mount = mount_detached(s->home, MOUNT_HOME);
	close_fd(&s->home);
	if (mount < 0)
		return error_errno(error, -mount, "open_tree of the home");
	recipe_mount(&s->recipe, "/home/agent", mount, true);
	return 0;
}

int
identity_build(struct session *s, struct error *error)
{
	synthesise_etc(s);
	return s->effective.home == HOME_NONE ? no_home(s, error) : direct_home(s, error);
}

/* The keeper's copy of the lock goes with the keeper. */
void
identity_undo(struct session *s)
{
	close_fd(&s->home);
	close_fd(&s->home_lock);
}
