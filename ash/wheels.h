/*
 * The program, in Python, that takes wheels apart. It runs in a jail (jail.h), with the wheels as
 * descriptors from 3 on and their names as arguments, and writes frames to standard output: a
 * letter, a number of 4 bytes and one of 8, most significant first. Nothing of a wheel is executed.
 *
 *   F length size   then a path of so many bytes (2^31: it is executable) and a file of that size
 *   E length 0      then what is wrong, in words
 *   D count 0       that was all, so many files
 */
#ifndef ASH_WHEELS_H
#define ASH_WHEELS_H

enum { WHEEL_FRAME_BYTES = 13 };

extern const char wheels_program[];

#endif
