/* ash audit verify: is the chain of the audit log whole? */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "audit_log.h"
#include "common/audit_chain.h"
#include "common/cleanup.h"
#include "output.h"
#include "secret.h"

enum {
	HEX_LEN = 2 * CHAIN_HASH_BYTES,
	AGAIN_MS = 100, /* an entry that is being written has its end by then, or soon */
	AGAIN_TIMES = 20,
};

/* --- what is verified ----------------------------------------------------------------------------
 */

struct verification {
	const char *const *names; /* of files named on the command line; NULL: agentd's */
	const char *head;         /* NULL: none asked for */
	struct audit_log log;
	struct chain_walk walk;
	struct msg_audit_macs macs;
	bool macs_known;
	char macs_why[ERROR_TEXT_MAX + 1]; /* not */
};

static int
take_head(struct verification *v, const char *head, struct error *error)
{
	size_t length = 0;

	v->head = head;
	if (!head)
		return 0;
	v->walk.seeks = true;
	if (sodium_hex2bin(v->walk.sought, CHAIN_HASH_BYTES, head, strlen(head), NULL, &length,
			   NULL) < 0 ||
	    length != CHAIN_HASH_BYTES)
		return error_why(error, ERR_USAGE,
				 "--head: '%.80s' is not a hash: 64 hexadecimal digits", head);
	return 0;
}

static int
open_files(struct verification *v, const struct args *args, struct error *error)
{
	if (args->count > AUDIT_FILES_MAX)
		return error_why(error, ERR_USAGE, "at most %d files at once", AUDIT_FILES_MAX);
	v->names = args->operands;
	for (size_t i = 0; i < args->count; i++) {
		int fd = open(args->operands[i], O_RDONLY | O_CLOEXEC | O_NOCTTY);

		if (fd < 0)
			return error_errno(error, errno, "opening %s", args->operands[i]);
		v->log.fds[v->log.count++] = fd;
	}
	return 0;
}

static int
walk_files(struct verification *v, struct error *error)
{
	int rc;

	for (unsigned i = 0; i < v->log.count; i++) {
		rc = chain_walk_file(&v->walk, v->log.fds[i]);
		if (rc < 0)
			return error_errno(error, -rc, "reading the audit log");
	}
	return 0;
}

/* A living log may be read while its last entry is written. */
static int
walk_log(struct verification *v, struct error *error)
{
	struct chain_walk fresh = v->walk;

	fresh.from_middle = v->log.left_out > 0;
	for (unsigned i = 0;; i++) {
		v->walk = fresh;
		if (walk_files(v, error) < 0)
			return -1;
		if (!v->walk.cut || v->names || i == AGAIN_TIMES)
			return 0;
		poll(NULL, 0, AGAIN_MS);
	}
}

/* secretd alone has the key. That it cannot be asked is said, and no fault of the log. */
static void
ask_macs(struct ash *ash, struct verification *v)
{
	struct error error = ERROR_INIT;
	struct msg request, reply;

	if (v->names) {
		strcpy(v->macs_why, "secretd, which has the key, looks at its own log only");
		return;
	}
	msg_init(&request, MSG_OP_AUDIT_MACS);
	if (secrets_begin(ash, &error) == 0 &&
	    connection_query(&ash->secrets, &request, MSG_AUDIT_MACS, &reply, &error) == 0) {
		v->macs = reply.audit_macs;
		v->macs_known = true;
	} else {
		error_text(&error, v->macs_why);
	}
}

/* --- what is said --------------------------------------------------------------------------------
 */

static bool
macs_fit(const struct verification *v)
{
	return !v->macs_known || (!v->macs.wrong_seq && !v->macs.problem[0]);
}

static bool
whole(const struct verification *v)
{
	return !v->walk.problem_line && (!v->head || v->walk.found) && macs_fit(v);
}

static void
file_text(const struct verification *v, unsigned file, char text[256])
{
	if (v->names)
		snprintf(text, 256, "%.255s", v->names[file]);
	else if (file + 1 == v->log.count)
		snprintf(text, 256, "audit.log");
	else
		snprintf(text, 256, "the older file %u of %u", file + 1, v->log.count - 1);
}

static const char *
problem_text(const struct verification *v, char text[640])
{
	char file[256];

	if (v->walk.problem_line) {
		file_text(v, v->walk.problem_file, file);
		snprintf(text, 640, "%s, line %llu: %s", file,
			 (unsigned long long)v->walk.problem_line, v->walk.problem);
	} else if (v->macs_known && v->macs.wrong_seq) {
		snprintf(
		    text, 640,
		    "entry %llu has a wrong MAC: it was made or changed by somebody who had not "
		    "secretd's key",
		    (unsigned long long)v->macs.wrong_seq);
	} else if (v->macs_known && v->macs.problem[0]) {
		snprintf(text, 640, "secretd finds: %.255s", v->macs.problem);
	} else {
		snprintf(text, 640,
			 "no entry has the hash %s: the log was rolled back, cut or replaced",
			 v->head);
	}
	return text;
}

static void
head_text(const struct verification *v, char hex[HEX_LEN + 1])
{
	sodium_bin2hex(hex, HEX_LEN + 1, v->walk.at.head, CHAIN_HASH_BYTES);
}

static void
add_number(struct json *json, const char *key, uint64_t number)
{
	json_key(json, key);
	json_uint(json, number);
}

static void
json_macs(struct json *json, const struct verification *v)
{
	if (!v->macs_known) {
		json_null(json);
		return;
	}
	json_object(json);
	add_number(json, "right", v->macs.right);
	add_number(json, "covered_seq", v->macs.covered_seq);
	json_key(json, "wrong_seq");
	if (v->macs.wrong_seq)
		json_uint(json, v->macs.wrong_seq);
	else
		json_null(json);
	json_object_end(json);
}

static int
say_json(const struct verification *v, struct error *error)
{
	struct json json = JSON_INIT;
	char text[640];

	head_text(v, text);
	json_object(&json);
	json_key(&json, "whole");
	json_bool(&json, whole(v));
	add_number(&json, "entries", v->walk.entries);
	add_number(&json, "files", v->log.count);
	add_number(&json, "last_seq", v->walk.at.seq);
	json_key(&json, "head");
	json_string(&json, v->walk.entries ? text : NULL);
	add_number(&json, "torn", v->walk.torn);
	json_key(&json, "head_seq");
	if (v->walk.found)
		json_uint(&json, v->walk.found);
	else
		json_null(&json);
	json_key(&json, "macs");
	json_macs(&json, v);
	json_key(&json, "problem");
	json_string(&json, whole(v) ? NULL : problem_text(v, text));
	json_object_end(&json);
	return output_json(&json, error);
}

/* What nothing in the log itself can show is said each time. */
static int
say_whole(const struct verification *v, struct error *error)
{
	char hex[HEX_LEN + 1];

	head_text(v, hex);
	printf("The audit log is whole: %llu entries, none changed, missing or out of order.\n",
	       (unsigned long long)v->walk.entries);
	if (v->log.left_out)
		printf("%u older files were not looked at; name them, oldest first.\n",
		       v->log.left_out);
	if (v->walk.torn)
		printf("Writes that a crash cut, as the log itself says: %u.\n", v->walk.torn);
	if (v->macs_known && v->macs.covered_seq)
		printf(
		    "Its MACs are right: nobody without secretd's key changed anything up to entry "
		    "%llu.\n",
		    (unsigned long long)v->macs.covered_seq);
	else if (v->macs_known)
		puts("No entry has a MAC: the store of secrets was never open.");
	else
		printf("Its MACs were not looked at: %s.\n", v->macs_why);
	printf("Its head, entry %llu: %s\n", (unsigned long long)v->walk.at.seq, hex);
	if (v->head)
		printf("The head given is entry %llu; all up to there is as it was then.\n",
		       (unsigned long long)v->walk.found);
	else
		puts("Whether entries were cut off its end, or all of it was replaced, shows only\n"
		     "against a head from elsewhere: agentd's journal has some; give one with "
		     "--head.");
	return output_flush(error);
}

int
audit_verify_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct verification v = {.names = NULL};
	char text[640];
	int rc = -1;

	if (take_head(&v, args_value(args, "--head"), error) == 0 &&
	    (args->count ? open_files(&v, args, error) : audit_log_open(ash, &v.log, error)) == 0 &&
	    walk_log(&v, error) == 0) {
		ask_macs(ash, &v);
		rc = ash->json ? say_json(&v, error) : whole(&v) ? say_whole(&v, error) : 0;
	}
	audit_log_close(&v.log);
	if (rc < 0 || whole(&v))
		return rc;
	if (ash->json)
		return 1;
	error_why(error, ERR_FAILED, "%s", problem_text(&v, text));
	return error_hint(error, "nothing after that place proves anything; compare with a copy or "
				 "with heads in agentd's journal");
}
