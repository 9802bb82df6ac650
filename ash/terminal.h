/* The terminal's own abilities, apart from what curses draws with them. */
#ifndef ASH_TERMINAL_H
#define ASH_TERMINAL_H

#include <stdbool.h>
#include <termios.h>

/* Is $TERM one that this host knows? */
bool terminal_known(void);
/* After a process that drew died on it: settings, colours, cursor and screen as they were. */
void terminal_give_back(const struct termios *before);

#endif
