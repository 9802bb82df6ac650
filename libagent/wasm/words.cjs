'use strict';
// The words that the module's thread and the relay's share. EVENTS is counted up after every change of the relay's, so
// that a look followed by a wait for the next event misses none.

module.exports = {
  EVENTS: 0,
  STATE: 1,
  ERRNO: 2, // of WASI: why the connection is CLOSED; 0: it ended
  HELD: 3, // bytes that came and that the module has not read
  PAUSED: 4, // they are too many: the relay is to be told when there is room
  UNSENT: 5, // bytes that the module wrote and the kernel does not have yet
  WORDS: 6,

  // States.
  OPEN: 0,
  HALF: 1, // nothing more comes
  CLOSED: 2,

  HELD_MAX: 1 << 18,
};
