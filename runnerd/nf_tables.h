/*
 * Has the kernel nf_tables, which sessions with more ports than listening sockets need? runnerd, at
 * its start; what uses it is an egress process (runnerd/egress/redirect.h).
 */
#ifndef SCARAB_RUNNERD_NF_TABLES_H
#define SCARAB_RUNNERD_NF_TABLES_H

#include <stdbool.h>

bool nf_tables_there(void);

#endif
