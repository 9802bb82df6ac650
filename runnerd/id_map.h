/*
 * Which ids of the host the ids of a sandbox are. Its agent's files and processes are always those
 * of base + AGENT_UID, whatever the agent is called inside: an image may say that its program runs
 * as another user, and then the two change places. So nothing on the disk depends on an image, and
 * a user 0 inside is no more than any other.
 *
 * The same map shows an image's layers: what belongs to its user on disk belongs to the agent.
 */
#ifndef SCARAB_RUNNERD_ID_MAP_H
#define SCARAB_RUNNERD_ID_MAP_H

#include <stddef.h>
#include <stdint.h>

enum { ID_MAP_TEXT = 5 * 40 /* lines of three numbers */ };

/* For uid_map or gid_map: the ids 0 to count - 1 as base, base + 1…; agent (below count) and
 * AGENT_UID have changed places. The text's length. */
size_t id_map_text(uint32_t base, uint32_t count, uint32_t agent, char text[ID_MAP_TEXT]);

#endif
