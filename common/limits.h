/*
 * Every bound that more than one module needs. Sizes are bytes and do not count a NUL.
 */
#ifndef SCARAB_LIMITS_H
#define SCARAB_LIMITS_H

enum {
	AGENT_NAME_MAX = 63, /* [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? */
	VERSION_MAX = 63,    /* SemVer text */
	DESCRIPTION_MAX = 1023,
	TASK_MAX = 8191,     /* SCARAB_TASK */
	MODEL_MAX = 255,     /* SCARAB_MODEL */
	PATH_LEN_MAX = 4095, /* PATH_MAX less its NUL, limits.h of Linux */
	REASON_MAX = 1023,   /* why a session ended as it did */
	OPERATOR_MAX = 63,   /* "uid 0" or a name, as mission.json shows it */
	TRIGGER_ID_MAX = 127,
	TRIGGERS_MAX = 64,    /* of one manifest */
	V1_GROUPS_MAX = 3,    /* of memory, processes and CPU, each in a hierarchy of its own */
	REF_MAX = 127,        /* a session reference an operator types */
	CONTEXT_MAX = 32,     /* context entries of one manifest: one descriptor each at install */
	SKILLS_MAX = 64,      /* the same */
	WATCHES_MAX = 16,     /* path triggers of one manifest: the same */
	SKILL_NAME_MAX = 255, /* a directory's name */
	SKILL_DESCRIPTION_CHARS = 1024,
	SKILL_DESCRIPTION_BYTES = 4 * SKILL_DESCRIPTION_CHARS,
	SKILL_HEAD_BYTES = 12 << 10, /* of a SKILL.md: its front matter ends in there */
	MANIFEST_BYTES_MAX = 1 << 20,
	PLAN_BYTES_MAX = 1 << 20,
	CONFIG_BYTES_MAX = 1 << 20,
	ROWS_BYTES_MAX = 64 << 20,    /* a sealed memfd of rows */
	INPUT_BYTES_MAX = 16 << 20,   /* ash agent run --input, DESIGN 5 */
	LOG_SEGMENT_BYTES = 16 << 20, /* one segment of a session's log; two are kept */
	LOG_LINE_BYTES = 16 << 10,    /* DESIGN 5: a line ends at newline, 16 KiB or 100 ms */
	LOG_LINE_MS = 100,
	LOG_REPORT_MS = 20, /* growth of the log is reported at most this often */
	STOP_GRACE_DEFAULT_MS = 10000,
	AGENT_UID = 1000, /* ids inside an agent's range, DESIGN 5 */
	KEEPER_UID = 2000,
	BROKER_UID = 2001,
	EGRESS_UID = 2002,
	PLUGIN_UID = 3000, /* and on: one for each plugin that does not see the home */
	ID_RANGE = 65536,
	SERVER_NAME_MAX = 16, /* mcp_servers: [a-z0-9-]{1,16} */
	SERVERS_MAX = 32,     /* mcp_servers of one manifest */
	CAPABILITY_MAX = 511, /* one entry of capabilities */
	TOOL_NAME_MAX = 255,  /* as a plugin names its tool; MCP itself advises 128 */
	EXPOSED_NAME_MAX =
	    48,            /* as the agent sees it: clients put prefixes of their own before it */
	SHAPE_MAX = 255,   /* names and types of a call's arguments */
	DIGEST_BYTES = 32, /* SHA-256 */
	SECRET_NAME_MAX = 64,   /* value_secret_name() */
	PLAN_SECRETS_MAX = 128, /* credentials and {{secret:}} of one plan: fits one message */
	SECRET_BYTES_MIN = 8,   /* a shorter one would be redacted out of ordinary text */
	SECRET_BYTES_MAX = 32 << 10,
	SECRET_TAG_BYTES = 16,
	SECRET_SALT_BYTES = 16,
	SECRET_KEY_BYTES = 32,
	PLAN_DIGEST_BYTES = 32, /* BLAKE2b-256 over install_dir, a NUL, and the plan */
	SIGNED_BODY_MAX = 1 << 20,
	SIGNED_PREFIX_MAX = 511,                /* what is signed before a body: an id and a time */
	SIGNATURE_BYTES = 32,                   /* HMAC-SHA256 */
	SIGNATURES_BYTES = 4 * SIGNATURE_BYTES, /* candidates, while a sender changes its key */
	WEBHOOK_NAME_MAX = 64,                  /* value_webhook() */
	HEADER_MAX = 767,                       /* of a webhook; all of them fit one message */
	EVENT_TYPE_MAX =
	    255, /* of an operator's 128, value_event_type(); an agent's has its name before it */
	EVENT_NAME_MAX = 255, /* an event's source, id and subject */
	EVENT_DATA_MAX = SIGNED_BODY_MAX,
	EVENT_JSON_MAX = EVENT_DATA_MAX + (8 << 10), /* with its attributes, escaped */
	AUDIT_FILE_BYTES = 64 << 20,                 /* then a new audit.log is begun */
	AUDIT_FILES_MAX = 16,                        /* shown at once: 1 GiB */
	RESTART_WAIT_MS = 10000, /* how long ash waits for daemons to come back */
	ENGINE_NAME_MAX = 31,
	PACKAGE_PATH_MAX = 1023, /* of a file that spec.packages brings */
	PACKAGE_FILES_MAX = 65536,
	PACKAGES_BYTES_MAX =
	    512 << 20, /* unpacked and compiled, of one agent; in memory at install */
	IMAGE_TAG_MAX = 255,
	IMAGE_USER_MAX = 255,
	IMAGE_TEXT_MAX = 12288, /* one variable or argument of an image, as EXEC_STRING */
	IMAGE_TEXTS_MAX = 4096, /* of one image */
	IMAGE_LAYERS_MAX = 127, /* as Docker has it; an overlay takes 500 */
	IMAGE_DIGEST_LEN = 71,  /* "sha256:" and 64 digits */
	NET_NAME_MAX = 253,     /* of a DNS name, without the dot at its end */
};

#endif
