/* `ash agent pause` and `ash agent resume`. */
#ifndef ASH_PAUSE_H
#define ASH_PAUSE_H

#include "args.h"
#include "ash.h"

int agent_pause_command(struct ash *ash, const struct args *args, struct error *error);
int agent_resume_command(struct ash *ash, const struct args *args, struct error *error);

#endif
