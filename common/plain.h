/*
 * Text from outside that an error repeats: what it shows on a terminal and in JSON is what it says.
 * Any process.
 */
#ifndef SCARAB_PLAIN_H
#define SCARAB_PLAIN_H

/* Replaces, in place, every control character (C0, DEL, C1) and every byte that is not UTF-8, such
 * as those of a character that was cut, by '?'. */
void plain_text(char *text);

#endif
