/* ash secret unlock and rotate-key. A passphrase stays here: secretd gets what Argon2id makes of
 * it, and so neither waits for that nor needs the memory. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "hidden.h"
#include "output.h"
#include "secret.h"

enum { PASSPHRASE_MAX = 1024, PASSPHRASE_MIN = 8 };

static int
ask_keying(struct ash *ash, struct msg *reply, struct error *error)
{
	struct msg request;

	if (secrets_begin(ash, error) < 0)
		return -1;
	msg_init(&request, MSG_OP_SECRET_KEYING);
	return connection_query(&ash->secrets, &request, MSG_SECRET_KEYING, reply, error);
}

/* From the terminal, or, for a script that has it from elsewhere, the first line of standard
 * input. */
static ssize_t
read_passphrase(const char *prompt, bool fresh, char *line, struct error *error)
{
	ssize_t length;
	char *end;

	if (isatty(STDIN_FILENO))
		return fresh ? hidden_twice(prompt, "The same again", line, PASSPHRASE_MAX, error)
			     : hidden_line(prompt, line, PASSPHRASE_MAX, error);
	length = read_all(STDIN_FILENO, line, PASSPHRASE_MAX);
	if (length < 0)
		return error_errno(error, (int)-length, "reading standard input");
	end = memchr(line, '\n', (size_t)length);
	return end ? end - line : length;
}

static int
derive(const struct msg_secret_keying *keying, bool fresh, const char *prompt,
       uint8_t key[SECRET_KEY_BYTES], struct error *error)
{
	const uint8_t *salt = fresh ? keying->next_salt : keying->salt;
	static char line[PASSPHRASE_MAX];
	ssize_t length = read_passphrase(prompt, fresh, line, error);
	int rc = 0;

	if (length >= 0 && fresh && length < PASSPHRASE_MIN)
		length = error_why(error, ERR_USAGE, "a passphrase has at least %d characters",
				   PASSPHRASE_MIN);
	if (length >= 0)
		rc = crypto_pwhash(key, SECRET_KEY_BYTES, line, (unsigned long long)length, salt,
				   keying->operations, (size_t)keying->memory_bytes,
				   crypto_pwhash_ALG_ARGON2ID13);
	explicit_bzero(line, sizeof(line));
	if (rc < 0)
		return error_why(error, ERR_FAILED, "Argon2id needs %llu MiB of memory",
				 (unsigned long long)keying->memory_bytes >> 20);
	return length < 0 ? -1 : 0;
}

static int
send_key(struct ash *ash, const struct msg_secret_keying *keying, bool fresh, bool rotate,
	 const char *prompt, struct error *error)
{
	uint8_t key[SECRET_KEY_BYTES];
	struct msg request, reply;
	int fd = -1, r;

	if (sodium_init() < 0)
		return error_why(error, ERR_FAILED, "libsodium does not start");
	if (derive(keying, fresh, prompt, key, error) == 0)
		fd = filled_pipe(key, sizeof(key), error);
	explicit_bzero(key, sizeof(key));
	if (fd < 0)
		return -1;
	msg_init(&request, MSG_OP_SECRET_KEY);
	request.op_secret_key.rotate = rotate;
	request.op_secret_key.salt_len = SECRET_SALT_BYTES;
	memcpy(request.op_secret_key.salt, fresh ? keying->next_salt : keying->salt,
	       SECRET_SALT_BYTES);
	msg_add_fd(&request, fd);
	r = connection_call(&ash->secrets, &request, MSG_OK, &reply, REPLY_WAIT_MS, error);
	msg_close_fds(&request);
	if (r < 0 && error->code == ERR_PERMISSION && !rotate && !fresh)
		error_why(error, ERR_PERMISSION, "this is not the passphrase of the store");
	return r;
}

static int
unlock(struct ash *ash, const struct msg_secret_keying *keying, struct error *error)
{
	bool fresh = keying->salt_len == 0;

	if (keying->open) {
		output_done(ash, "the store of secrets is open");
		return 0;
	}
	if (!keying->passphrase && *keying->why) {
		error_why(error, ERR_FAILED, "%s", keying->why);
		return error_what(error, "the store of secrets stays locked");
	}
	if (!keying->passphrase) {
		output_done(ash, "the store of secrets is empty: ash secret set NAME makes it");
		return 0;
	}
	if (send_key(ash, keying, fresh, false,
		     fresh ? "A new passphrase for the store of secrets"
			   : "Passphrase of the store of secrets",
		     error) < 0)
		return -1;
	output_done(ash, "the store of secrets is open");
	return 0;
}

int
secret_unlock_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg keying;

	(void)args;
	if (ask_keying(ash, &keying, error) < 0)
		return -1;
	return unlock(ash, &keying.secret_keying, error);
}

int
secret_rotate_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg keying, request, reply;

	(void)args;
	if (ask_keying(ash, &keying, error) < 0)
		return -1;
	if (keying.secret_keying.passphrase) {
		if (!keying.secret_keying.open) {
			error_why(error, ERR_CONFLICT, "the store of secrets is locked");
			return error_hint(error, "ash secret unlock");
		}
		if (send_key(ash, &keying.secret_keying, true, true,
			     "The new passphrase for the store of secrets", error) < 0)
			return -1;
	} else {
		msg_init(&request, MSG_OP_SECRET_ROTATE);
		if (connection_call(&ash->secrets, &request, MSG_OK, &reply, REPLY_WAIT_MS, error) <
		    0)
			return -1;
		if (reply.ok.value > 1)
			output_warning(ash, "both keys open the store until the new credential is "
					    "in place and agentd was started with it");
	}
	output_done(ash, "the store of secrets is sealed under the new key");
	return 0;
}
