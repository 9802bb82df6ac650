/*
 * What live sessions use now, for operators who watch: asked by control, as often as somebody does.
 */
#ifndef SCARAB_RUNNERD_SAMPLES_H
#define SCARAB_RUNNERD_SAMPLES_H

#include "runnerd.h"

/* Of control: SAMPLES_QUERY. */
void samples_query(struct runnerd *r, struct channel *channel, struct msg *msg);

#endif
