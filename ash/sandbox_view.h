/*
 * What an agent's definition comes to inside, for `ash agent show`: the manifest with this
 * build's defaults filled in.
 */
#ifndef ASH_SANDBOX_VIEW_H
#define ASH_SANDBOX_VIEW_H

#include "ash.h"
#include "common/manifest.h"
#include "common/proto.h"

void sandbox_json(const struct manifest *manifest, const struct msg_agent_row *row,
		  struct json *json);
void sandbox_text(const struct ash *ash, const struct manifest *manifest,
		  const struct msg_agent_row *row);

#endif
