'use strict';
// The thread that holds the connection to the agent's socket: Node.js connects, and waits with a deadline, only in a
// loop of events, and the module's thread has none while the module runs. See words.cjs.

const net = require('node:net');
const { workerData } = require('node:worker_threads');
const { EVENTS, STATE, ERRNO, HELD, PAUSED, UNSENT, HALF, CLOSED, HELD_MAX } = require('./words.cjs');

const ERRNOS = { EACCES: 2, ECONNREFUSED: 14, ECONNRESET: 15, ENOENT: 44, EPIPE: 64 };
const EIO = 29;

const { port, words } = workerData;
const socket = net.connect({ path: workerData.path, allowHalfOpen: true });

function tell() {
  Atomics.add(words, EVENTS, 1);
  Atomics.notify(words, EVENTS);
}

function become(state, errno) {
  if (Atomics.load(words, STATE) === CLOSED) return;
  Atomics.store(words, ERRNO, errno);
  Atomics.store(words, STATE, state);
  tell();
}

// The word is written before the look: either this sees the room or the module sees the word.
function pauseWhileFull() {
  Atomics.store(words, PAUSED, 1);
  const full = Atomics.load(words, HELD) >= HELD_MAX;
  if (!full) Atomics.store(words, PAUSED, 0);
  if (full) socket.pause();
  else socket.resume();
}

socket.on('data', (bytes) => {
  Atomics.add(words, HELD, bytes.length);
  port.postMessage(bytes);
  tell();
  pauseWhileFull();
});
socket.on('end', () => become(HALF, 0));
socket.on('error', (error) => become(CLOSED, ERRNOS[error.code] ?? EIO));
socket.on('close', () => become(CLOSED, 0));

const orders = {
  read: pauseWhileFull,
  shutdown: () => socket.end(),
  close: () => socket.destroySoon(),
};

port.on('message', (message) => {
  if (typeof message === 'string') return orders[message]();
  return socket.write(message, (error) => {
    if (!error) Atomics.sub(words, UNSENT, message.length);
    tell();
  });
});
