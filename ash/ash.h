/*
 * What every command of ash shares: how it was called, where it prints, the connection.
 */
#ifndef ASH_ASH_H
#define ASH_ASH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "args.h"
#include "common/error.h"
#include "connect.h"
#include "table.h"

enum {
	EXIT_TIMED_OUT = 124,   /* agent run --wait, session wait */
	EXIT_NO_STATUS = 125,   /* the same: the agent has no status of its own to give */
	EXIT_SIGNAL_BASE = 128, /* + N for signal N */
};

struct ash {
	const char *socket;
	const char *command;            /* its words; NULL: none is known */
	const struct command *commands; /* the table of them all */
	size_t command_count;
	pid_t pager; /* reads what is printed; 0: none */
	bool json, quiet;
	bool out_tty;      /* standard output is a terminal */
	bool live;         /* progress may be drawn on standard error */
	bool color_errors; /* colour on standard error */
	struct table_style style;
	struct connection connection;
	struct connection secrets; /* opened by the commands that need secretd */
	char *secrets_socket;
};

/* A command: its exit status, or -1 with error. */
typedef int command_fn(struct ash *ash, const struct args *args, struct error *error);

command_fn agent_install_command, agent_list_command, agent_show_command, agent_remove_command,
    agent_run_command, agent_validate_command;
command_fn session_list_command, session_show_command, session_logs_command, session_cancel_command,
    session_wait_command, session_why_command;
command_fn secret_set_command, secret_restore_command, secret_list_command, secret_remove_command,
    secret_grant_command, secret_revoke_command, secret_rotate_command, secret_unlock_command;
command_fn schedule_list_command, schedule_next_command;
command_fn event_emit_command, event_list_command, event_show_command, event_replay_command;
command_fn home_log_command, home_diff_command, home_rollback_command;
command_fn image_add_command, image_list_command, image_show_command, image_remove_command,
    image_gc_command;
command_fn audit_command, audit_verify_command;
command_fn explain_command;
command_fn tool_list_command, tool_call_command, tool_pin_command, tool_diff_command;
command_fn pending_command, approve_command, deny_command;
command_fn metrics_command, config_show_command;
command_fn events_command, top_command, completion_command;
command_fn status_command, ping_command, doctor_command, reload_command, shutdown_command;

#endif
