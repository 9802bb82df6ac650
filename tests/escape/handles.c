/* Opening by handle what no path leads to. */
#include "escape.h"

int
main(void)
{
	struct {
		struct file_handle head;
		unsigned char bytes[128];
	} handle = {.head.handle_bytes = sizeof(handle.bytes)};
	int mount, at = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	attempt(name_to_handle_at(at, "", &handle.head, &mount, AT_EMPTY_PATH) == 0,
		"name_to_handle_at");
	attempt(open_by_handle_at(at, &handle.head, O_RDONLY | O_CLOEXEC) >= 0,
		"open_by_handle_at");
	return verdict();
}
