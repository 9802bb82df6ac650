#include "init_interpreter.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

enum { HEAD_BYTES = 256 /* as much of a first line as the kernel reads */, SEGMENTS_MOST = 64 };

/* Copies the text up to any of the stop characters. */
static bool
take(const char *text, size_t length, const char *stop, char *name, size_t size)
{
	size_t i = 0;

	while (i < length && text[i] && !strchr(stop, text[i]))
		i++;
	if (i == 0 || i >= size)
		return false;
	memcpy(name, text, i);
	name[i] = '\0';
	return true;
}

static bool
of_script(const char *head, size_t length, char *name, size_t size)
{
	size_t at = 2;

	while (at < length && (head[at] == ' ' || head[at] == '\t'))
		at++;
	return take(head + at, length - at, " \t\n", name, size);
}

static bool
of_elf(int fd, const Elf64_Ehdr *elf, char *name, size_t size)
{
	char text[HEAD_BYTES];
	Elf64_Phdr segment;
	ssize_t length;
	off_t at;

	if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_phentsize != sizeof(segment))
		return false;
	for (unsigned i = 0; i < elf->e_phnum && i < SEGMENTS_MOST; i++) {
		at = (off_t)(elf->e_phoff + i * sizeof(segment));
		if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment))
			return false;
		if (segment.p_type != PT_INTERP)
			continue;
		length = pread(fd, text, sizeof(text), (off_t)segment.p_offset);
		return length > 0 && take(text, (size_t)length, "", name, size);
	}
	return false;
}

bool
init_interpreter(const char *program, char *name, size_t size)
{
	_cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	union {
		char text[HEAD_BYTES];
		Elf64_Ehdr elf;
	} head;
	ssize_t length = fd < 0 ? -1 : pread(fd, &head, sizeof(head), 0);

	if (length >= 2 && head.text[0] == '#' && head.text[1] == '!')
		return of_script(head.text, (size_t)length, name, size);
	if (length >= (ssize_t)sizeof(head.elf) && !memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
		return of_elf(fd, &head.elf, name, size);
	return false;
}
