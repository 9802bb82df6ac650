/*
 * The calls that a keeper, a builder, an init, a homekeeper, a broker and an egress process make
 * once they are confined, beside those that every process needs (confine_base_syscalls). runnerd
 * compiles each list once with confine_program() and sends the programs with KEEPER_BOOT (the
 * keeper's as descriptor 8, the builder's as 9), SANDBOX_SEAL (init's as 2), BROKER_BOOT (as 5) and
 * EGRESS_BOOT (as 4). They stand in common because these do not link libseccomp.
 */
#ifndef SCARAB_KEEPER_CALLS_H
#define SCARAB_KEEPER_CALLS_H

#include <stddef.h>

extern const int keeper_syscalls[];
extern const size_t keeper_syscall_count;

/* In force from the moment the sandbox's first process exists: the builder clones nothing more. */
extern const int builder_syscalls[];
extern const size_t builder_syscall_count;

/* In force from the moment the agent runs, which does not inherit it. */
extern const int init_syscalls[];
extern const size_t init_syscall_count;

/* A homekeeper's: names beneath the one home that is its root. runnerd sends it with HOME_JOB. */
extern const int homekeeper_syscalls[];
extern const size_t homekeeper_syscall_count;

/* A broker's: sockets and pipes that it was given. runnerd sends it with BROKER_BOOT. */
extern const int broker_syscalls[];
extern const size_t broker_syscall_count;

/* An egress process's: sockets that it was given or accepts. runnerd sends it with EGRESS_BOOT. */
extern const int egress_syscalls[];
extern const size_t egress_syscall_count;

/* An unpack's that finds an image or a user: files beneath its root, to be read. runnerd sends it
 * with UNPACK_READ and UNPACK_USER. */
extern const int unpack_reader_syscalls[];
extern const size_t unpack_reader_syscall_count;

/* An unpack's that writes a layer: names beneath the one tree that is its root. runnerd sends it
 * with UNPACK_LAYER. */
extern const int unpack_writer_syscalls[];
extern const size_t unpack_writer_syscall_count;

#endif
