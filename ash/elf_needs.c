#include "elf_needs.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

enum {
	SEGMENTS_MAX = 256,
	DYNAMIC_MAX = 4096, /* entries of the dynamic section */
	SEARCH_MAX = 16384, /* bytes of an RPATH */
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ORDER ELFDATA2LSB
#else
#define NATIVE_ORDER ELFDATA2MSB
#endif

static const struct {
	unsigned machine;
	const char *name;
} machines[] = {
    {EM_X86_64, "x86_64"}, {EM_386, "i386"},        {EM_AARCH64, "aarch64"}, {EM_ARM, "arm"},
    {EM_RISCV, "riscv"},   {EM_PPC64, "ppc64"},     {EM_PPC, "powerpc"},     {EM_S390, "s390"},
    {EM_MIPS, "mips"},     {EM_SPARCV9, "sparc64"}, {258, "loongarch"},      {EM_BPF, "bpf"},
};

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#elif defined(__riscv)
#define NATIVE_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define NATIVE_MACHINE EM_PPC64
#elif defined(__s390x__)
#define NATIVE_MACHINE EM_S390
#else
#error "what does this machine call itself in ELF?"
#endif

/* The file while it is read. */
struct image {
	int fd;
	Elf64_Ehdr head;
	Elf64_Phdr segments[SEGMENTS_MAX];
	uint64_t strings, strings_size; /* where the dynamic section's names are in the file */
	struct error *error;
};

static int
damaged(const struct image *image, const char *what)
{
	return error_why(image->error, ERR_INVALID, "it is a damaged ELF file: %s", what);
}

static bool
read_at(const struct image *image, void *to, size_t size, uint64_t at)
{
	return at <= INT64_MAX - size && pread(image->fd, to, size, (off_t)at) == (ssize_t)size;
}

/* --- the head -----------------------------------------------------------------------------------
 */

static void
name_machine(struct elf *elf, const Elf64_Ehdr *head)
{
	bool same_order = head->e_ident[EI_DATA] == NATIVE_ORDER;
	/* At the same place in files of either class. */
	unsigned machine = same_order ? head->e_machine : __builtin_bswap16(head->e_machine);

	snprintf(elf->machine, sizeof(elf->machine), "machine %u", machine);
	for (size_t i = 0; i < ARRAY_LEN(machines); i++)
		if (machines[i].machine == machine)
			snprintf(elf->machine, sizeof(elf->machine), "%s", machines[i].name);
	if (machine == NATIVE_MACHINE && head->e_ident[EI_CLASS] == ELFCLASS32)
		strcat(elf->machine, " with 32 bits");
	elf->native =
	    same_order && machine == NATIVE_MACHINE && head->e_ident[EI_CLASS] == ELFCLASS64;
}

static int
read_head(struct image *image, struct elf *elf)
{
	Elf64_Ehdr *head = &image->head;

	/* A file of 32 bits may be shorter than a head of 64. */
	memset(head, 0, sizeof(*head));
	if (pread(image->fd, head, sizeof(*head), 0) < (ssize_t)sizeof(Elf32_Ehdr) ||
	    memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
		return damaged(image, "it ends within its head");
	name_machine(elf, head);
	if (!elf->native)
		return 0;
	if (head->e_type != ET_EXEC && head->e_type != ET_DYN)
		return error_why(image->error, ERR_INVALID, "it is %s and no program",
				 head->e_type == ET_REL    ? "an object file"
				 : head->e_type == ET_CORE ? "a core dump"
							   : "an ELF file of an unknown kind");
	if (head->e_phentsize != sizeof(Elf64_Phdr) || !head->e_phnum ||
	    head->e_phnum > SEGMENTS_MAX)
		return damaged(image, "its table of segments");
	if (!read_at(image, image->segments, head->e_phnum * sizeof(Elf64_Phdr), head->e_phoff))
		return damaged(image, "it ends within its table of segments");
	return 0;
}

static const Elf64_Phdr *
find_segment(const struct image *image, unsigned type)
{
	for (unsigned i = 0; i < image->head.e_phnum; i++)
		if (image->segments[i].p_type == type)
			return &image->segments[i];
	return NULL;
}

static int
read_loader(const struct image *image, struct elf *elf)
{
	const Elf64_Phdr *segment = find_segment(image, PT_INTERP);

	if (!segment)
		return 0;
	if (segment->p_filesz < 2 || segment->p_filesz > PATH_LEN_MAX ||
	    !read_at(image, elf->loader, segment->p_filesz, segment->p_offset) ||
	    elf->loader[segment->p_filesz - 1] != '\0' || elf->loader[0] != '/')
		return damaged(image, "the name of its loader");
	return 0;
}

/* --- the dynamic section ------------------------------------------------------------------------
 */

/* Where in the file what lies at this address in memory is, and how much of it from there on. */
static bool
locate(const struct image *image, uint64_t address, uint64_t *at, uint64_t *left)
{
	for (unsigned i = 0; i < image->head.e_phnum; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (segment->p_type != PT_LOAD || address < segment->p_vaddr ||
		    address - segment->p_vaddr >= segment->p_filesz)
			continue;
		*left = segment->p_filesz - (address - segment->p_vaddr);
		return !__builtin_add_overflow(segment->p_offset, address - segment->p_vaddr, at);
	}
	return false;
}

/* A name of the section's strings, heap, or NULL. */
static char *
take_string(const struct image *image, uint64_t offset, size_t most)
{
	char *text;
	ssize_t length;

	if (offset >= image->strings_size || image->strings > INT64_MAX - offset)
		return NULL;
	if (most >= image->strings_size - offset)
		most = image->strings_size - offset - 1;
	text = calloc(1, most + 2);
	if (!text)
		return NULL;
	length = pread(image->fd, text, most + 1, (off_t)(image->strings + offset));
	if (length > 0 && memchr(text, '\0', (size_t)length))
		return text;
	free(text);
	return NULL;
}

static int
find_strings(struct image *image, const Elf64_Dyn *entries, size_t count)
{
	uint64_t address = 0, size = 0, left;

	for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag == DT_STRTAB)
			address = entries[i].d_un.d_ptr;
		else if (entries[i].d_tag == DT_STRSZ)
			size = entries[i].d_un.d_val;
	}
	if (!address && !size)
		return 0;
	if (!locate(image, address, &image->strings, &left) || size > left)
		return damaged(image, "the names of its libraries");
	image->strings_size = size;
	return 0;
}

static int
take_entry(const struct image *image, const Elf64_Dyn *entry, struct elf *elf)
{
	char **to;

	switch (entry->d_tag) {
	case DT_NEEDED:
		if (elf->count == ELF_NEEDED_MAX)
			return damaged(image, "it needs more libraries than any program");
		to = &elf->needed[elf->count];
		*to = take_string(image, entry->d_un.d_val, ELF_NAME_MAX);
		if (!*to || !**to)
			return damaged(image, "the name of a library");
		elf->count++;
		return 0;
	case DT_RPATH:
	case DT_RUNPATH:
		to = entry->d_tag == DT_RPATH ? &elf->rpath : &elf->runpath;
		free(*to);
		*to = take_string(image, entry->d_un.d_val, SEARCH_MAX);
		return *to ? 0 : damaged(image, "where its libraries are looked for");
	default:
		return 0;
	}
}

static int
read_dynamic(struct image *image, struct elf *elf)
{
	const Elf64_Phdr *segment = find_segment(image, PT_DYNAMIC);
	_cleanup_free_ Elf64_Dyn *entries = NULL;
	size_t count;

	if (!segment)
		return 0;
	count = segment->p_filesz / sizeof(*entries);
	if (count > DYNAMIC_MAX)
		return damaged(image, "its dynamic section");
	entries = calloc(count + 1, sizeof(*entries));
	if (!entries)
		return error_errno(image->error, ENOMEM, "reading it");
	if (!read_at(image, entries, count * sizeof(*entries), segment->p_offset))
		return damaged(image, "it ends within its dynamic section");
	if (find_strings(image, entries, count) < 0)
		return -1;
	for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++)
		if (take_entry(image, &entries[i], elf) < 0)
			return -1;
	return 0;
}

bool
elf_is(int fd)
{
	char magic[SELFMAG];

	return pread(fd, magic, SELFMAG, 0) == SELFMAG && !memcmp(magic, ELFMAG, SELFMAG);
}

int
elf_read(int fd, struct elf *elf, struct error *error)
{
	_cleanup_free_ struct image *image = calloc(1, sizeof(*image));

	*elf = (struct elf){.count = 0};
	if (!image)
		return error_errno(error, ENOMEM, "reading it");
	image->fd = fd;
	image->error = error;
	if (read_head(image, elf) < 0)
		return -1;
	if (!elf->native)
		return 0;
	return read_loader(image, elf) < 0 ? -1 : read_dynamic(image, elf);
}

void
elf_free(struct elf *elf)
{
	for (size_t i = 0; i <= elf->count && i < ELF_NEEDED_MAX; i++)
		free(elf->needed[i]);
	free(elf->rpath);
	free(elf->runpath);
	*elf = (struct elf){.count = 0};
}
