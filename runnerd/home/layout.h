/*
 * An agent's home on disk, STATE_DIR/homes/NAME (root, 0700):
 *
 *   home/                 the agent's, as its last session left it
 *   lock                  held by who may change it: a session's keeper, a homekeeper
 *   session/              while a session of mode journal lives: upper/ and work/ of its overlay, a
 *                         file named by the session, and mark (HOME_ENTRY) from the moment on that
 *                         its changes are to be merged whatever happens
 *                         Where its upper layer is in memory: memory, until that is on disk, and
 *                         copy/ and links/ while it is brought there
 *   history/SESSION/      entry (HOME_ENTRY, there when it is whole), changes (the list), old/ (the
 *                         reverse layer), undone/ (while it is rolled back)
 *   rollback              HOME_ROLLBACK_MARK, while entries are undone
 *   usage                 HOME_USAGE, where it is known
 *   direct                there when a session wrote the home directly since the newest entry
 *   .purged-*             being deleted
 *
 * Shared by runnerd, which makes `session`, and homekeeper, which does everything else.
 */
#ifndef SCARAB_HOME_LAYOUT_H
#define SCARAB_HOME_LAYOUT_H

#define HOME_TREE "home"
#define HOME_LOCK "lock"
#define HOME_SESSION "session"
#define HOME_UPPER "upper"
#define HOME_WORK "work"
#define HOME_MARK "mark"
#define HOME_MEMORY "memory"
#define HOME_COPY "copy"
#define HOME_LINKS "links"
#define HOME_LAYER "home" /* of runnerd/layers.h */
#define HOME_HISTORY "history"
#define HOME_ENTRY_FILE "entry"
#define HOME_CHANGES_FILE "changes"
#define HOME_OLD "old"
#define HOME_UNDONE "undone"
#define HOME_ROLLBACK_FILE "rollback"
#define HOME_ROLLBACK_NEW ".rollback.new" /* one whose writer died before it was whole */
#define HOME_USAGE_FILE "usage"
#define HOME_DIRECT_FILE "direct"

#endif
