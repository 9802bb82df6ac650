#include "steps.h"

#include "common/cleanup.h"
#include "runnerd/net.h"
#include "runnerd/tools.h"

const struct step session_steps[] = {
    {.id = STEP_IMAGE, .name = "image", .build = image_build, .undo = image_undo},
    {.id = STEP_IDENTITY,
     .name = "identity",
     .build = identity_build,
     .undo = identity_undo,
     .explain = identity_explain},
    {.id = STEP_CREDENTIALS,
     .name = "credentials",
     .build = credentials_build,
     .undo = credentials_undo},
    {.id = STEP_CONTEXT, .name = "context", .build = context_build},
    {.id = STEP_SKILLS, .name = "skills", .build = skills_build},
    {.id = STEP_NETWORK,
     .name = "network",
     .build = network_build,
     .undo = network_undo,
     .explain = network_explain,
     .adopt = net_adopt},
    {.id = STEP_TOOLS,
     .name = "tools",
     .build = tools_build,
     .resume = tools_resume,
     .undo = tools_undo,
     .explain = tools_explain,
     .adopt = tools_adopt},
    {.id = STEP_AGENT,
     .name = "agent",
     .build = agent_build,
     .undo = agent_undo,
     .explain = agent_explain,
     .adopt = agent_adopt},
};
const size_t session_step_count = ARRAY_LEN(session_steps);
