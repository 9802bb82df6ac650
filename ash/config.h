/* What agentd's configuration comes to. */
#ifndef ASH_CONFIG_H
#define ASH_CONFIG_H

#include "ash.h"

/* Keys that the file changed and that need a restart of agentd, with commas. */
int config_pending(struct ash *ash, char *pending, size_t size, struct error *error);

#endif
