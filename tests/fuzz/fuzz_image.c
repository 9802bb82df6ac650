/*
 * Bit flips, truncations, words and repeated pieces over archives of images, over names of entries
 * and over /etc/passwd, deterministic: the same seed, the same cases. Nothing may crash or read
 * beyond its memory; a refusal has a reason, and what is accepted is within bounds.
 *
 * fuzz_image [CASES [SEED]]
 */
// with: runnerd/unpack/find.c runnerd/unpack/config.c runnerd/unpack/source.c
// with: runnerd/unpack/member.c runnerd/unpack/stream.c runnerd/unpack/digest.c
// with: runnerd/unpack/name.c runnerd/unpack/user.c
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "runnerd/unpack/find.h"
#include "runnerd/unpack/name.h"
#include "runnerd/unpack/user.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 20000, EDITS_MAX = 6, BLOCK = 512, ARCHIVE_MAX = 64 << 10 };

/* --- archives ------------------------------------------------------------------------------------
 */

/* A configuration whose name is no digest, so that what is changed in it is read. */
static const char manifest[] =
    "[{\"Config\":\"c.json\",\"RepoTags\":[\"app:v1\",\"app:v2\"],\"Layers\":[\"l/layer.tar\"]}]";
static const char config[] =
    "{\"os\":\"linux\",\"created\":\"2026-01-02T03:04:05Z\","
    "\"config\":{\"User\":\"app:1\",\"Env\":[\"A=b\",\"C=\\u00e9\\n\"],\"Entrypoint\":[\"/bin/x\"],"
    "\"Cmd\":null,\"WorkingDir\":\"/srv\",\"StopSignal\":\"SIGINT\"},\"rootfs\":{\"type\":"
    "\"layers\",\"diff_ids\":[\"sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]}}";
static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
static const char index_json[] =
    "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":"
    "\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"size\":17,"
    "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"},\"annotations\":{"
    "\"org.opencontainers.image.ref.name\":\"v1\"}}]}";
static const char pax[] = "20 path=l/layer.tar\n11 size=24\n";

struct bytes {
	uint8_t at[ARCHIVE_MAX];
	size_t length;
};

static void
sign(uint8_t *header)
{
	unsigned sum = 0;

	memset(header + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
}

static void
add_member(struct bytes *to, char type, const char *name, const char *content)
{
	uint8_t *header = to->at + to->length;
	size_t length = strlen(content);

	memset(header, 0, BLOCK);
	strcpy((char *)header, name);
	snprintf((char *)header + 124, 12, "%06o", (unsigned)length & 0xffffU);
	header[156] = (uint8_t)type;
	memcpy(header + 257, "ustar\00000", 8);
	sign(header);
	memcpy(header + BLOCK, content, length);
	to->length += BLOCK + (length + BLOCK - 1) / BLOCK * BLOCK;
}

static void
make_archive(struct bytes *to, bool saved)
{
	memset(to, 0, sizeof(*to));
	if (saved) {
		add_member(to, '0', "manifest.json", manifest);
		add_member(to, '0', "c.json", config);
		add_member(to, 'x', "pax", pax);
		add_member(to, '0', "./longer", "no tar, but nobody looks");
	} else {
		add_member(to, '0', "oci-layout", layout);
		add_member(to, '0', "index.json", index_json);
	}
	to->length += 2 * (size_t)BLOCK;
}

/* Headers are signed anew half of the time: else their sums refuse all that is changed in them. */
static void
edit(struct bytes *bytes)
{
	static const char *const pieces[] = {
	    "[",       "]",       "{",   "}",     "\"",
	    "\\u0000", "null",    "-1",  "1e999", ",",
	    ":",       "sha256:", "../", "\xff",  "9999999999999999999999999"};
	size_t at = pick(bytes->length);
	const char *piece = pieces[pick(ARRAY_LEN(pieces))];
	size_t length = strlen(piece);

	switch (pick(5)) {
	case 0:
		bytes->at[at] ^= (uint8_t)(1U << pick(8));
		break;
	case 1:
		bytes->length = pick(8) ? bytes->length : at + 1;
		break;
	case 2:
		memset(bytes->at + at, bytes->at[at],
		       pick(bytes->length - at < 64 ? bytes->length - at : 64));
		break;
	default:
		if (bytes->length - at > length)
			memcpy(bytes->at + at, piece, length);
	}
	if (pick(2) && bytes->length >= at / BLOCK * BLOCK + BLOCK)
		sign(bytes->at + at / BLOCK * BLOCK);
}

static bool
try_archive(const struct bytes *bytes)
{
	static struct found found;
	_cleanup_(source_close) struct source source = SOURCE_INIT;
	int fd = memfd_create("fuzz", MFD_CLOEXEC), spool = memfd_create("spool", MFD_CLOEXEC);
	static const char *const tags[] = {"", "v1", "app:v2", "none"};
	struct error error = ERROR_INIT;
	int rows = -1, rc;

	demand(fd >= 0 && spool >= 0 && write_all(fd, bytes->at, bytes->length) == 0, "no memfd");
	rc = source_of_archive(&source, fd, spool, 1 << 20, &error);
	if (rc == 0)
		rc = find_image(&source, tags[pick(ARRAY_LEN(tags))], &found, &error);
	demand(rc == 0 || error.why[0], "refused without a reason");
	if (rc == 0) {
		demand(found.head.layers > 0 && found.head.layers <= IMAGE_LAYERS_MAX, "layers");
		rows = found_seal(&found);
		demand(rows >= 0, "what was found cannot be told");
		close(rows);
	}
	found_close(&found);
	memset(&found, 0, sizeof(found));
	return rc == 0;
}

/* --- names and users -----------------------------------------------------------------------------
 */

static void
try_name(void)
{
	static const char *const parts[] = {
	    "/", ".", "..", "a", ".wh.", ".wh..wh..opq", "\xc3\xa9", "\xff", "\xc0\xaf"};
	char raw[256] = "", name[PATH_LEN_MAX + 1], parent[PATH_LEN_MAX + 1];
	struct error error = ERROR_INIT;
	const char *base, *hidden;

	for (size_t left = pick(16); left > 0; left--)
		strcat(raw, parts[pick(ARRAY_LEN(parts))]);
	if (name_normalise(raw, name, &error) < 0) {
		demand(error.why[0], "a name was refused without a reason");
		return;
	}
	demand(name[0] != '/' && !strstr(name, "//") && !strstr(name, "/../") &&
		   strncmp(name, "../", 3) != 0 && strcmp(name, "..") != 0,
	       "a name that leads out was accepted");
	base = name_split(name, parent);
	demand(strlen(parent) + strlen(base) <= strlen(name), "a name was parted wrongly");
	name_whiteout(base, &hidden, &error);
}

static void
try_user(void)
{
	static const char passwd[] = "root:x:0:0::/:/bin/sh\napp:x:123:45::/:/bin/sh\n:::\nx:y:z\n";
	static const char *const users[] = {"app",    "123", "app:app",   "0:0", ":",
					    "999999", "x",   "app:70000", ""};
	char text[sizeof(passwd)];
	struct error error = ERROR_INIT;
	uint32_t uid = 0, gid = 0;
	int fd = memfd_create("passwd", MFD_CLOEXEC);

	memcpy(text, passwd, sizeof(text));
	for (size_t left = pick(EDITS_MAX); left > 0; left--)
		text[pick(sizeof(text) - 1)] = ":\n0\377a9"[pick(6)];
	demand(fd >= 0 && write_all(fd, text, sizeof(text) - 1) == 0 && lseek(fd, 0, SEEK_SET) == 0,
	       "no memfd");
	if (user_find(users[pick(ARRAY_LEN(users))], fd, -1, &uid, &gid, &error) == 0)
		demand(uid < ID_RANGE && gid < ID_RANGE, "an id out of range was accepted");
	else
		demand(error.why[0], "a user was refused without a reason");
	close(fd);
}

int
main(int argc, char **argv)
{
	size_t cases = fuzz_begin(argc, argv, CASES, CASES), accepted = 0;
	static struct bytes sources[2], bytes;

	make_archive(&sources[0], true);
	make_archive(&sources[1], false);
	/* One of its tags is drawn each time, and one is of no image. */
	for (unsigned i = 0; i < 8; i++)
		accepted += try_archive(&sources[0]);
	demand(accepted > 0, "the archive is refused as it is");
	for (size_t i = 0; i < cases; i++) {
		bytes = sources[i & 1];
		for (size_t left = 1 + pick(EDITS_MAX); left > 0; left--)
			edit(&bytes);
		accepted += try_archive(&bytes);
		try_name();
		try_user();
	}
	printf("%zu archives, %zu accepted\n", cases, accepted);
	return 0;
}
