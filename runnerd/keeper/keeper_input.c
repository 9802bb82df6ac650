#include <errno.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "keeper.h"

enum { PIECE_BYTES = 65536 };

static void
input_end(struct keeper *keeper)
{
	loop_remove(keeper->input_source);
	keeper->input_source = NULL;
	close_fd(&keeper->input);
	close_fd(&keeper->fds.input);
}

/* At the file's end, or when the agent closed its side, it ends; a full pipe waits. */
static void
input_ready(struct loop_source *source, uint32_t events, void *arg)
{
	static uint8_t piece[PIECE_BYTES];
	struct keeper *keeper = arg;
	ssize_t count = pread(keeper->fds.input, piece, sizeof(piece), (off_t)keeper->input_offset);

	(void)source;
	(void)events;
	if (count > 0)
		count = write(keeper->input, piece, (size_t)count);
	if (count > 0) {
		keeper->input_offset += (uint64_t)count;
		idle_sign(keeper);
	} else if (count == 0 || errno != EAGAIN) {
		input_end(keeper);
	}
}

void
input_start(struct keeper *keeper)
{
	struct stat st;

	if (fstat(keeper->fds.input, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		keeper->input_source =
		    loop_add_io(keeper->loop, keeper->input, EPOLLOUT, input_ready, keeper);
	if (!keeper->input_source)
		input_end(keeper);
}
