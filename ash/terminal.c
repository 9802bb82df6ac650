#include "terminal.h"

#include <curses.h>
#include <stddef.h>
#include <stdio.h>
#include <term.h>
#include <unistd.h>

bool
terminal_known(void)
{
	int found;

	return setupterm(NULL, STDOUT_FILENO, &found) == OK;
}

void
terminal_give_back(const struct termios *before)
{
	static const char *const strings[] = {"sgr0", "rmkx", "cnorm", "rmcup"};

	tcsetattr(STDIN_FILENO, TCSADRAIN, before);
	if (!terminal_known())
		return;
	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++) {
		const char *string = tigetstr(strings[i]);

		if (string && string != (const char *)-1)
			putp(string);
	}
	fflush(stdout);
}
