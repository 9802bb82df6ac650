/*
 * What single values of a manifest or of agentd.yaml may look like. Each check says in why what is
 * wrong ("must …"); none looks at the host. Any process.
 */
#ifndef SCARAB_VALUES_H
#define SCARAB_VALUES_H

#include "record.h"

/* Fills why; false, for `return`. */
bool value_wrong(char why[REASON_SIZE], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Letters, digits and what extra lists. */
bool value_made_of(const char *text, const char *extra);

value_check value_agent_name;
value_check value_semver;
value_check value_line;          /* no control characters */
value_check value_text;          /* control characters: only tab, newline, return */
value_check value_label;         /* key of a label */
value_check value_env_name;      /* [A-Za-z_][A-Za-z0-9_]* */
value_check value_agent_env;     /* … that the runtime does not set itself */
value_check value_path;          /* absolute and normalised */
value_check value_dir;           /* the same, but not / */
value_check value_path_relative; /* below install_dir; a leading ./ is allowed */
value_check value_path_any;      /* either */
value_check value_skill;         /* either, with a last component that can be a skill's */
value_check value_context_target;
value_check value_image;
value_check value_image_place;  /* a path, or the beginning of a docker:// name */
value_check value_image_digest; /* sha256: and 64 digits */
value_check value_capability;
value_check value_rule;          /* one entry of an allowlist */
value_check value_inject_host;   /* a DNS name, with or without a port */
value_check value_header;        /* an HTTP header's name that says nothing of a connection */
value_check value_method;        /* GET and such */
value_check value_inject_path;   /* a pattern of paths of URLs */
value_check value_base_path;     /* the beginning of such paths */
value_check value_inject_format; /* exactly one %s */
value_check value_secret_name;
value_check value_file_name;
value_check value_server_name; /* [a-z0-9-]{1,16}, not agentd */
value_check value_url;
value_check value_template; /* {{secret:NAME}} and text */
value_check value_tool_glob;
value_check value_glob;
value_check value_mount;
value_check value_event;
value_check value_event_type;   /* of one event, and so without * */
value_check value_event_name;   /* its source, id, subject */
value_check value_event_filter; /* a key of a trigger's filter */
value_check value_path_event;
value_check value_outcome;
value_check value_webhook;
value_check value_timezone;
value_check value_cron;
value_check value_account; /* a user's or group's name or number */
value_check value_cgroup;
value_check value_listen;
value_check value_log_level;
value_check value_log_target;
value_check value_mechanism;
value_check value_socket; /* an absolute path that fits into sockaddr_un */

/* "net.connect" and such: does it mean anything to this runtime? */
bool capability_known(const char *capability);

#endif
