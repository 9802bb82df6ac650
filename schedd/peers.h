/* schedd's channels with control and runnerd: who may ask what, and the reconciliation that
 * follows each introduction of runnerd. */
#ifndef SCARAB_SCHEDD_PEERS_H
#define SCARAB_SCHEDD_PEERS_H

#include "schedd.h"

enum {
	PARKED_MAX = 256,
	PARKED_WAIT_MS = 5000, /* for the first word from runnerd */
};

void peers_init(struct schedd *schedd);
void peers_release(struct schedd *schedd);
/* Take the descriptor over; an earlier channel of the kind is closed. */
void peers_introduce_control(struct schedd *schedd, int fd);
void peers_introduce_runnerd(struct schedd *schedd, int fd);

#endif
