/*
 * Whether a file is what the runtime wasm runs: a command of WASI preview 1. That is a core module
 * that exports its memory and _start and imports functions of wasi_snapshot_preview1 alone. Read
 * strictly and within bounds, from files that anybody may have written, by ash alone, which has the
 * rights of who calls it. Its code is for the engine to judge.
 */
#ifndef ASH_WASM_MODULE_H
#define ASH_WASM_MODULE_H

#include "common/error.h"

/* 0, or -1 with error (ERR_INVALID) that says what else it is. */
int wasm_module_check(int fd, struct error *error);

#endif
