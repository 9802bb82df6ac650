/*
 * The rows of an answer: records of a sealed memfd that came with ROWS, LOG and the like.
 */
#ifndef ASH_ROWS_H
#define ASH_ROWS_H

#include "common/proto.h"

/* Calls row for each record of this type (MSG_NONE: of every type). 0, or -1 with error; row may
 * end it with -1. */
typedef int row_fn(const struct msg *record, void *arg, struct error *error);
int rows_each(int fd, enum msg_type type, row_fn *row, void *arg, struct error *error);
/* The first record of this type: 1, 0 when there is none, -1 with error. */
int rows_first(int fd, enum msg_type type, struct msg *record, struct error *error);

#endif
