#include "kek.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "directories.h"

enum { KEY_BYTES = 32 };

/* What others may read is no key. */
static int
check_key(int fd, const char *path, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "%s", path);
	if (S_ISREG(st.st_mode) && st.st_uid == 0 && (st.st_mode & 077) == 0)
		return 0;
	error_why(error, ERR_PERMISSION,
		  "%s is not a file that only root may read (uid %u, mode %04o)", path, st.st_uid,
		  st.st_mode & 07777);
	return error_hint(error, "chown root it; chmod 0400 it; if others could read it, run ash "
				 "secret rotate-key then");
}

static int
open_at(int dir, const char *name, const char *path, struct error *error)
{
	_cleanup_close_ int fd =
	    openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == ENOENT) {
		error_why(error, ERR_NOT_FOUND, "%s is missing", path);
		return error_hint(error, "bring it back: without it nobody can read the secrets");
	}
	if (fd < 0)
		return error_errno(error, errno, "opening %s", path);
	if (check_key(fd, path, error) < 0)
		return -1;
	return steal_fd(&fd);
}

/* --- a key file
 * ----------------------------------------------------------------------------------- */

static int
write_key(int dir, const char *name)
{
	_cleanup_close_ int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	uint8_t key[KEY_BYTES];
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		rc = -EIO;
	if (rc == 0)
		rc = write_all(fd, key, sizeof(key));
	if (rc == 0 && (fchmod(fd, 0400) < 0 || fsync(fd) < 0))
		rc = -errno;
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* Beside its place, whole, before anybody can take it for the key. */
static int
make_next(int dir, const char *next, const char *path, struct error *error)
{
	int rc;

	if (unlinkat(dir, next, 0) < 0 && errno != ENOENT)
		return error_errno(error, errno, "removing an old %s", path);
	rc = write_key(dir, next);
	return rc < 0 ? error_errno(error, -rc, "writing the key %s", path) : 0;
}

/* One that is there meanwhile stays: another instance may share the file. */
static int
create(int dir, const char *name, const char *next, const char *path, struct error *error)
{
	if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (make_next(dir, next, path, error) < 0)
		return -1;
	if (linkat(dir, next, dir, name, 0) < 0 && errno != EEXIST)
		return error_errno(error, errno, "making the key %s", path);
	unlinkat(dir, next, 0);
	sync_dir(dir);
	return 0;
}

static int
replace(int dir, const char *name, const char *next, const char *path, struct error *error)
{
	int rc = renameat(dir, next, dir, name) < 0 ? -errno : sync_dir(dir);

	return rc < 0 ? error_errno(error, -rc, "putting the new key in place of %s", path) : 0;
}

static int
from_file(const char *path, enum kek_purpose purpose, struct error *error)
{
	_cleanup_close_ int dir = -1;
	_cleanup_free_ char *next = NULL;
	const char *name;

	if (purpose == KEK_OPEN && access(path, F_OK) < 0 && errno == ENOENT)
		return open_at(AT_FDCWD, path, path, error); /* makes no folder */
	dir = directories_parent(path, &name, error);
	if (dir < 0)
		return error_what(error, "secrets.kek_file");
	if (asprintf(&next, "%s.new", name) < 0)
		return error_errno(error, ENOMEM, "%s", path);
	if ((purpose == KEK_CREATE && create(dir, name, next, path, error) < 0) ||
	    (purpose == KEK_NEXT && make_next(dir, next, path, error) < 0) ||
	    (purpose == KEK_COMMIT && replace(dir, name, next, path, error) < 0))
		return -1;
	return open_at(dir, purpose == KEK_NEXT ? next : name, path, error);
}

/* --- a credential
 * --------------------------------------------------------------------------------- */

/* systemd's credentials are its own to change: the next one is named NAME.new beside it. */
static int
from_credential(const char *name, enum kek_purpose purpose, struct error *error)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_free_ char *path = NULL;
	int fd;

	if (!folder || *folder != '/') {
		error_why(error, ERR_NOT_FOUND, "agentd was given no credentials");
		return error_hint(error,
				  "secrets.kek_credential needs LoadCredentialEncrypted=%s "
				  "in agentd.service",
				  name);
	}
	if (asprintf(&path, "%s/%s%s", folder, name, purpose == KEK_NEXT ? ".new" : "") < 0)
		return error_errno(error, ENOMEM, "the credential %s", name);
	fd = open_at(AT_FDCWD, path, path, error);
	if (fd < 0 && purpose == KEK_NEXT && error->code == ERR_NOT_FOUND)
		error_hint(error,
			   "give agentd.service the new key as the credential %s.new, "
			   "restart it, rotate, then make it %s",
			   name, name);
	return fd;
}

int
kek_open(const struct config *config, enum kek_purpose purpose, struct error *error)
{
	if (config->secrets.kek_file)
		return from_file(config->secrets.kek_file, purpose, error);
	if (config->secrets.kek_credential)
		return from_credential(config->secrets.kek_credential, purpose, error);
	error_why(error, ERR_CONFLICT, "the store of secrets is sealed by a passphrase");
	return error_hint(error, "ash secret unlock");
}
