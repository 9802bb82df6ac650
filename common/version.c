#include "build-id.h"

#include "proto.h"

const char scarab_build_id[] = SCARAB_BUILD_ID;
const char scarab_version[] = SCARAB_VERSION;
