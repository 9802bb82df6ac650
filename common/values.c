#include "values.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "cleanup.h"
#include "limits.h"
#include "manifest.h"
#include "webhook.h"

bool
value_wrong(char why[REASON_SIZE], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, REASON_SIZE, fmt, args);
	va_end(args);
	return false;
}

/* isalnum() would ask the locale. */
static bool
alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool
value_made_of(const char *text, const char *extra)
{
	for (; *text; text++)
		if (!alphanumeric(*text) && !strchr(extra, *text))
			return false;
	return true;
}

static bool
one_of(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

/* --- text ------------------------------------------------------------------------------------- */

/* C0, DEL, and C1 in its two bytes of UTF-8. */
static bool
control_at(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	return *at < ' ' || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f);
}

bool
value_line(const char *text, char why[REASON_SIZE])
{
	for (const char *c = text; *c; c++)
		if (control_at(c))
			return value_wrong(why, "must be one line without control characters");
	return *text != '\0' || value_wrong(why, "must not be empty");
}

bool
value_text(const char *text, char why[REASON_SIZE])
{
	for (; *text; text++)
		if (control_at(text) && !strchr("\t\n\r", *text))
			return value_wrong(why, "must not contain control characters");
	return true;
}

bool
value_agent_name(const char *text, char why[REASON_SIZE])
{
	return agent_name_valid(text) ||
	       value_wrong(
		   why, "must be 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends");
}

bool
value_label(const char *text, char why[REASON_SIZE])
{
	return (alphanumeric(*text) && strlen(text) <= 63 && value_made_of(text, "._/-")) ||
	       value_wrong(why, "must be 1 to 63 letters, digits, '.', '_', '/' or '-'");
}

static bool
plain_number(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return length > 0 && (length == 1 || text[0] != '0');
}

/* Dot-separated parts; SemVer allows no leading zeros in numbers of a pre-release. */
static bool
semver_parts(const char *text, size_t length, bool numbers_plain)
{
	const char *end = text + length;

	for (;;) {
		size_t part = strcspn(text, ".");
		bool digits = true;

		if (part > (size_t)(end - text))
			part = (size_t)(end - text);
		if (part == 0)
			return false;
		for (size_t i = 0; i < part; i++) {
			if (!alphanumeric(text[i]) && text[i] != '-')
				return false;
			digits = digits && text[i] >= '0' && text[i] <= '9';
		}
		if (numbers_plain && digits && !plain_number(text, part))
			return false;
		text += part;
		if (text == end)
			return true;
		text++;
	}
}

static bool
semver_valid(const char *text)
{
	size_t core = strcspn(text, "-+"), build;

	for (int i = 0; i < 3; i++) {
		size_t part = strspn(text, "0123456789");

		if (!plain_number(text, part) || (i < 2 && text[part] != '.'))
			return false;
		text += part + (i < 2);
		core -= part + (i < 2);
	}
	if (core != 0)
		return false;
	build = strcspn(text, "+");
	if (*text == '-' && !semver_parts(text + 1, build - 1, true))
		return false;
	text += build;
	return *text == '\0' || semver_parts(text + 1, strlen(text + 1), false);
}

bool
value_semver(const char *text, char why[REASON_SIZE])
{
	return semver_valid(text) ||
	       value_wrong(why, "must be a SemVer 2.0 version such as 1.0.0 or 1.2.0-rc.1");
}

/* --- environment ------------------------------------------------------------------------------ */

bool
value_env_name(const char *text, char why[REASON_SIZE])
{
	return (*text && !(*text >= '0' && *text <= '9') && value_made_of(text, "_")) ||
	       value_wrong(why, "is no environment variable's name: letters, digits and _, "
				"not beginning with a digit");
}

bool
value_agent_env(const char *text, char why[REASON_SIZE])
{
	static const char *const own[] = {
	    "AGENT_NAME", "HOME", "USER", "LOGNAME", "CREDENTIALS_DIRECTORY", "XDG_RUNTIME_DIR"};

	if (!value_env_name(text, why))
		return false;
	if (one_of(text, own, ARRAY_LEN(own)) || strncmp(text, "SCARAB_", 7) == 0)
		return value_wrong(why, "is set by the runtime itself and cannot be set here");
	return true;
}

/* --- paths ------------------------------------------------------------------------------------ */

/* No empty, "." or ".." component; text begins after the leading slash, if any. */
static bool
components_plain(const char *text)
{
	for (;;) {
		size_t length = strcspn(text, "/");

		if (length == 0 || (length == 1 && text[0] == '.') ||
		    (length == 2 && text[0] == '.' && text[1] == '.'))
			return false;
		if (text[length] == '\0')
			return true;
		text += length + 1;
	}
}

bool
value_path(const char *text, char why[REASON_SIZE])
{
	if (!value_line(text, why))
		return false;
	if (*text != '/')
		return value_wrong(why, "must be an absolute path, beginning with /");
	if (text[1] != '\0' && !components_plain(text + 1))
		return value_wrong(
		    why, "must be a plain path: no \"..\", \".\" or \"//\", no / at the end");
	return true;
}

bool
value_dir(const char *text, char why[REASON_SIZE])
{
	if (!value_path(text, why))
		return false;
	return text[1] != '\0' || value_wrong(why, "must not be / itself");
}

bool
value_path_relative(const char *text, char why[REASON_SIZE])
{
	if (!value_line(text, why))
		return false;
	if (*text == '/')
		return value_wrong(why, "must be a path inside install_dir, not an absolute one");
	if (!components_plain(text + (strncmp(text, "./", 2) == 0 ? 2 : 0)))
		return value_wrong(
		    why, "must be a plain path inside install_dir: no \"..\", \".\" or \"//\", "
			 "no / at the end");
	return true;
}

bool
value_path_any(const char *text, char why[REASON_SIZE])
{
	return *text == '/' ? value_path(text, why) : value_path_relative(text, why);
}

bool
value_skill(const char *text, char why[REASON_SIZE])
{
	if (!value_path_any(text, why))
		return false;
	if (text[0] == '/' && text[1] == '\0')
		return value_wrong(why, "must not be / itself");
	return strcmp(skill_name(text), "index.json") != 0 ||
	       value_wrong(why, "must not be called index.json, as the list of all skills is");
}

static bool
at_or_below(const char *path, const char *place)
{
	size_t length = strlen(place);

	return strncmp(path, place, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool
value_context_target(const char *text, char why[REASON_SIZE])
{
	static const char *const reserved[] = {"/proc", "/dev", "/sys",  "/run", "/tmp",   "/home",
					       "/usr",  "/bin", "/sbin", "/etc", "/skills"};

	if (!value_path(text, why))
		return false;
	if (text[1] == '\0')
		return value_wrong(why, "must not be / itself; use a place such as /context/docs");
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (at_or_below(text, reserved[i]))
			return value_wrong(
			    why,
			    "must not lie in %s, which the runtime makes; use a place such "
			    "as /context/docs",
			    reserved[i]);
	if (strncmp(text, "/lib", 4) == 0)
		return value_wrong(
		    why, "must not lie in /lib*, which the image makes; use a place such as "
			 "/context/docs");
	return true;
}

/* Of a registry: it becomes an argument of skopeo's, so it is no option and has no spaces. */
static bool
value_registry_name(const char *text, char why[REASON_SIZE])
{
	if ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= '0' && text[0] <= '9'))
		return value_made_of(text, "._-/:@") ||
		       value_wrong(
			   why, "must be docker://NAME[:TAG] of letters, digits and . _ - / : @");
	return value_wrong(why, "must be docker://NAME, beginning with a small letter or a digit");
}

bool
value_image(const char *text, char why[REASON_SIZE])
{
	if (strcmp(text, "host") == 0)
		return true;
	if (strncmp(text, "dir:", 4) == 0)
		return value_path(text + 4, why);
	if (strncmp(text, "oci:", 4) == 0)
		return value_path(text + 4, why);
	if (strncmp(text, "docker://", 9) == 0)
		return value_registry_name(text + 9, why);
	return value_wrong(why, "must be host, dir:/PATH, oci:/PATH[:TAG] or docker://NAME[:TAG]");
}

bool
value_image_place(const char *text, char why[REASON_SIZE])
{
	if (strncmp(text, "docker://", 9) == 0)
		return !text[9] || value_registry_name(text + 9, why);
	return value_path(text, why);
}

bool
value_image_digest(const char *text, char why[REASON_SIZE])
{
	static const char scheme[] = "sha256:";
	const char *hex = text + strlen(scheme);

	if (!strncmp(text, scheme, strlen(scheme)) &&
	    strlen(text) == strlen(scheme) + 2 * (size_t)DIGEST_BYTES &&
	    strspn(hex, "0123456789abcdef") == 2 * (size_t)DIGEST_BYTES)
		return true;
	return value_wrong(why, "must be sha256: and %d hexadecimal digits", 2 * DIGEST_BYTES);
}

bool
value_file_name(const char *text, char why[REASON_SIZE])
{
	if (!*text || *text == '.' || strlen(text) > 128 || !value_made_of(text, "._-"))
		return value_wrong(
		    why, "must be a file name of 1 to 128 letters, digits, '.', '_' or '-', not "
			 "beginning with '.'");
	return true;
}

bool
value_socket(const char *text, char why[REASON_SIZE])
{
	size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (!value_path(text, why))
		return false;
	if (strlen(text) > most)
		return value_wrong(why, "is %zu bytes long, a socket's path has at most %zu",
				   strlen(text), most);
	return true;
}

/* --- names of things -------------------------------------------------------------------------- */

bool
value_secret_name(const char *text, char why[REASON_SIZE])
{
	if (!alphanumeric(*text) || strlen(text) > 64 || !value_made_of(text, "._-"))
		return value_wrong(
		    why, "must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a "
			 "letter or digit");
	return true;
}

bool
value_server_name(const char *text, char why[REASON_SIZE])
{
	size_t length = strlen(text);

	if (length < 1 || length > 16 ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") < length)
		return value_wrong(why, "must be 1 to 16 of a-z, 0-9 and -");
	if (strcmp(text, "agentd") == 0)
		return value_wrong(why, "must not be agentd, which is the runtime's own");
	return true;
}

bool
value_glob(const char *text, char why[REASON_SIZE])
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return value_wrong(
			    why, "must be a pattern without spaces or control characters");
	return *text != '\0' || value_wrong(why, "must not be empty; * stands for everything");
}

bool
value_tool_glob(const char *text, char why[REASON_SIZE])
{
	if (!*text || strlen(text) > 128 || !value_made_of(text, "_.*?/[]!-"))
		return value_wrong(
		    why,
		    "must be a pattern of a tool's name: letters, digits, _ . / - and * ? [ ]");
	return true;
}

bool
value_mount(const char *text, char why[REASON_SIZE])
{
	static const char *const mounts[] = {"home", "context", "skills"};

	return one_of(text, mounts, ARRAY_LEN(mounts)) ||
	       value_wrong(why, "must be home, context or skills");
}

bool
value_event(const char *text, char why[REASON_SIZE])
{
	return (alphanumeric(*text) && strlen(text) <= 128 && value_made_of(text, "._-/*")) ||
	       value_wrong(
		   why,
		   "must be an event's type such as github.push; * at its end matches any rest");
}

bool
value_event_type(const char *text, char why[REASON_SIZE])
{
	return (alphanumeric(*text) && strlen(text) <= 128 && value_made_of(text, "._-/")) ||
	       value_wrong(why, "must be 1 to 128 letters, digits, '.', '_', '-' or '/', and begin "
				"with a letter or digit, such as github.push");
}

bool
value_event_name(const char *text, char why[REASON_SIZE])
{
	size_t length = strlen(text);

	if (length == 0 || length > EVENT_NAME_MAX)
		return value_wrong(why, "must be 1 to %d bytes long", EVENT_NAME_MAX);
	return value_line(text, why);
}

bool
value_event_filter(const char *text, char why[REASON_SIZE])
{
	return (alphanumeric(*text) && strlen(text) <= 128 && value_made_of(text, "._-")) ||
	       value_wrong(why, "must be a key of the event's data such as ref or repository.name");
}

bool
value_path_event(const char *text, char why[REASON_SIZE])
{
	static const char *const kinds[] = {"create", "modify", "delete", "move"};

	return one_of(text, kinds, ARRAY_LEN(kinds)) ||
	       value_wrong(why, "must be create, modify, delete or move");
}

bool
value_outcome(const char *text, char why[REASON_SIZE])
{
	static const char *const outcomes[] = {
	    "any",          "success",   "failed",
	    "signaled",     "timed_out", "idle_timed_out",
	    "oom_killed",   "cancelled", "budget_exceeded",
	    "setup_failed", "skipped",   "refused",
	    "lost",
	};

	return one_of(text, outcomes, ARRAY_LEN(outcomes)) ||
	       value_wrong(why, "must be any, or a session's outcome such as success or failed");
}

bool
value_webhook(const char *text, char why[REASON_SIZE])
{
	return webhook_kind_parse(text) != WEBHOOK_NONE ||
	       value_wrong(why, "must say how it is signed: github, gitlab, stripe, generic or "
				"bearer");
}

bool
value_timezone(const char *text, char why[REASON_SIZE])
{
	if (!alphanumeric(*text) || strlen(text) > 64 || !value_made_of(text, "_+-/") ||
	    !components_plain(text))
		return value_wrong(why, "must be a time zone's name such as UTC or Europe/Berlin");
	return true;
}

bool
value_account(const char *text, char why[REASON_SIZE])
{
	size_t digits = strspn(text, "0123456789");

	if (digits > 0 && text[digits] == '\0')
		return (plain_number(text, digits) && digits <= 10 &&
			strtoull(text, NULL, 10) < UINT32_MAX) ||
		       value_wrong(why, "must be a number below 4294967295, or a name");
	if (!*text || strlen(text) > 32 || *text == '-' || !value_made_of(text, "_-."))
		return value_wrong(why, "must be an account's name or number");
	return true;
}

bool
value_cgroup(const char *text, char why[REASON_SIZE])
{
	if (strcmp(text, "auto") == 0)
		return true;
	if (!value_line(text, why))
		return false;
	return components_plain(text + (*text == '/')) ||
	       value_wrong(why, "must be auto, or a plain path below the cgroup root");
}

bool
value_log_level(const char *text, char why[REASON_SIZE])
{
	static const char *const levels[] = {"error", "warning", "info", "debug"};

	return one_of(text, levels, ARRAY_LEN(levels)) ||
	       value_wrong(why, "must be error, warning, info or debug");
}

bool
value_log_target(const char *text, char why[REASON_SIZE])
{
	static const char *const targets[] = {"auto", "stderr", "journal", "syslog"};

	return one_of(text, targets, ARRAY_LEN(targets)) ||
	       value_wrong(why, "must be auto, stderr, journal or syslog");
}

bool
value_mechanism(const char *text, char why[REASON_SIZE])
{
	return (alphanumeric(*text) && strlen(text) <= 64 && value_made_of(text, "._-")) ||
	       value_wrong(why, "must be a mechanism's name as ash doctor prints it");
}
