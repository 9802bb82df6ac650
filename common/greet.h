/*
 * The greeting of a channel by a process that has no loop: the spawner, a new keeper, a builder.
 * What channel_new() does for a daemon.
 */
#ifndef SCARAB_GREET_H
#define SCARAB_GREET_H

#include "proto.h"

/* Sends HELLO and waits for the peer's: its role must be peer, its build equal unless the kind is
 * CH_KEEPER. Blocking, for timeout_ms at most (-1: for ever). 0, or -errno: -EPIPE at EOF,
 * -EPROTO for a peer that is not the one expected. */
int greet(int fd, enum channel_kind kind, enum side self, enum role own, enum role peer,
	  int timeout_ms);

#endif
