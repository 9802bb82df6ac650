#include "image_source.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "common/cleanup.h"
#include "common/manifest.h"
#include "common/timefmt.h"
#include "output.h"
#include "progress.h"
#include "session.h"

#define DOCKER "docker://"
#define OCI "oci:"

enum { NOT_INSTALLED = 127, NAME_SHOWN = 40 };

/* --- docker:// -----------------------------------------------------------------------------------
 */

static _Noreturn void
become_skopeo(const char *from, const char *to, bool quiet)
{
	/* What it says while it works is for people; standard output is for data. */
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(1);
	if (quiet)
		execlp("skopeo", "skopeo", "copy", "--quiet", "--", from, to, NULL);
	else
		execlp("skopeo", "skopeo", "copy", "--", from, to, NULL);
	_exit(errno == ENOENT ? NOT_INSTALLED : 1);
}

static int
run_skopeo(const char *from, const char *to, bool quiet, struct error *error)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return error_errno(error, errno, "starting skopeo");
	if (!pid)
		become_skopeo(from, to, quiet);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED) {
		error_why(error, ERR_FAILED,
			  "skopeo, which brings images from registries, is not "
			  "installed");
		return error_hint(error, "apt-get install skopeo, or name an image on this host: "
					 "oci:/PATH[:TAG]");
	}
	return status ? error_why(error, ERR_FAILED, "skopeo could not bring %s", from) : 0;
}

static int
bring(const struct ash *ash, const char *image, const char *tag, struct image_source *source,
      struct error *error)
{
	char to[sizeof(OCI) + sizeof(source->temporary) + IMAGE_TAG_MAX + 1];
	int fd;

	strcpy(source->temporary, "/var/tmp/ash-image-XXXXXX");
	if (!mkdtemp(source->temporary)) {
		source->temporary[0] = '\0';
		return error_errno(error, errno, "making a directory for the image in /var/tmp");
	}
	snprintf(to, sizeof(to), OCI "%s%s%s", source->temporary, tag[0] ? ":" : "", tag);
	if (run_skopeo(image, to, ash->quiet || !ash->live, error) < 0)
		return -1;
	fd = open(source->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(error, errno, "opening the image") : fd;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

/* --- a path --------------------------------------------------------------------------------------
 */

/* Also a FIFO may be named: it is not waited for. */
static int
open_path(const char *path, struct error *error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(error, errno, "opening it");
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return error_why(error, ERR_INVALID, "this is neither a directory nor a file");
	return steal_fd(&fd);
}

/* --- progress ------------------------------------------------------------------------------------
 */

struct painting {
	struct progress progress;
	const char *name;
	uint64_t layers[IMAGE_LAYERS_MAX], total;
};

static void
paint(struct painting *painting, const struct msg_unpack_progress *told)
{
	char bytes[32], total[32], state[96];
	uint64_t sum = 0;

	if (told->layer >= IMAGE_LAYERS_MAX)
		return;
	painting->layers[told->layer] = told->bytes;
	painting->total = told->total_bytes;
	for (size_t i = 0; i < IMAGE_LAYERS_MAX; i++)
		sum += painting->layers[i];
	snprintf(state, sizeof(state), "unpacking: %s of %s", size_format(sum, bytes),
		 size_format(painting->total, total));
	progress_draw(&painting->progress, painting->name, state);
}

/* Until everybody who may tell something is gone. */
static _Noreturn void
become_painter(const struct ash *ash, const char *image, int end)
{
	struct painting painting = {
	    .progress = {.enabled = true, .width = ash->style.width, .since_ms = clock_ms()},
	    .name = image,
	};
	uint8_t raw[PROTO_MESSAGE_MAX];
	struct msg msg;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	while ((n = recv(end, raw, sizeof(raw), 0)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && msg_decode(&msg, raw, (size_t)n, 0) == 0 &&
		    msg.type == MSG_UNPACK_PROGRESS)
			paint(&painting, &msg.unpack_progress);
	progress_clear(&painting.progress);
	fflush(stderr);
	_exit(0);
}

static int
offer_progress(const struct ash *ash, const char *image, struct image_source *source,
	       struct msg *request, struct error *error)
{
	_cleanup_close_ int own = -1, theirs = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_errno(error, errno, "making a socket");
	own = ends[0];
	theirs = ends[1];
	if (ash->live && !ash->quiet) {
		source->painter = fork();
		if (source->painter == 0) {
			msg_close_fds(request);
			close_fd(&theirs);
			become_painter(ash, image, own);
		}
	}
	msg_add_fd(request, steal_fd(&theirs));
	return 0;
}

/* --- both ----------------------------------------------------------------------------------------
 */

int
image_source_begin(struct ash *ash, const char *image, struct image_source *source,
		   struct msg *request, struct error *error)
{
	char reference[PATH_LEN_MAX + 1], tag[IMAGE_TAG_MAX + 1];
	int fd;

	if (!image_reference(image, reference, tag))
		return error_why(error, ERR_USAGE,
				 "%s is neither oci:/PATH[:TAG] nor docker://NAME[:TAG]", image);
	fd = !strncmp(reference, DOCKER, strlen(DOCKER))
		 ? bring(ash, image, tag, source, error)
		 : open_path(reference + strlen(OCI), error);
	if (fd < 0)
		return error_what(error, "image %s", reference);
	msg_add_fd(request, fd);
	return offer_progress(ash, image, source, request, error);
}

void
image_source_end(struct image_source *source)
{
	if (source->painter > 0)
		while (waitpid(source->painter, NULL, 0) < 0 && errno == EINTR)
			;
	source->painter = 0;
	if (source->temporary[0])
		nftw(source->temporary, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	source->temporary[0] = '\0';
}
