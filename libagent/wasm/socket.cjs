'use strict';
// The agent's socket as a descriptor of WASI preview 1, which has no way to connect one: a stream socket that is
// connected, for fd_read, fd_write, sock_recv, sock_send, sock_shutdown, fd_close, fd_fdstat_get, fd_fdstat_set_flags
// (NONBLOCK), fd_filestat_get and poll_oneoff. It is connected at its first use; see relay.cjs.

const { MessageChannel, Worker, receiveMessageOnPort } = require('node:worker_threads');
const { EVENTS, STATE, ERRNO, HELD, PAUSED, UNSENT, WORDS, OPEN, CLOSED, HELD_MAX } = require('./words.cjs');

const UNSENT_MAX = 1 << 18;
const DRAIN_MS = 5000; // whoever does not read for so long is not waited for

const [SUCCESS, EAGAIN, EBADF, EFAULT, EINVAL, ENOTDIR, ENOTSUP, EPIPE, ESPIPE] = [0, 6, 8, 21, 28, 54, 58, 64, 70];
const SOCKET_STREAM = 6;
const NONBLOCK = 4;
const PEEK = 1;
const SHUT_WRITE = 2;
// fd_read, fd_fdstat_set_flags, fd_write, fd_filestat_get, poll_fd_readwrite, sock_shutdown
const RIGHTS = (1n << 1n) | (1n << 3n) | (1n << 6n) | (1n << 21n) | (1n << 27n) | (1n << 28n);
const [CLOCK, FD_READ, FD_WRITE] = [0, 1, 2]; // what is subscribed to
const [SUBSCRIPTION_BYTES, EVENT_BYTES] = [48, 32];
const [REALTIME, MONOTONIC] = [0, 1];
const ABSOLUTE = 1;
const HANGUP = 1;

function nowOf(clock) {
  if (clock === REALTIME) return BigInt(Date.now()) * 1000000n;
  return clock === MONOTONIC ? process.hrtime.bigint() : null;
}

class Socket {
  constructor(path, number) {
    Object.assign(this, { path, number, memory: null, port: null, closed: false, flags: 0, chunks: [] });
    this.words = new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));
  }

  // --- the relay ---

  connect() {
    if (this.port) return;
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    new Worker(require.resolve('./relay.cjs'), {
      workerData: { path: this.path, words: this.words, port: port2 },
      transferList: [port2],
    });
  }

  get(word) {
    return Atomics.load(this.words, word);
  }

  // Until ready() holds, or for so many milliseconds.
  wait(ready, milliseconds) {
    const until = performance.now() + milliseconds;
    for (;;) {
      const seen = this.get(EVENTS);
      if (ready()) return true;
      const left = until - performance.now();
      if (left <= 0) return false;
      Atomics.wait(this.words, EVENTS, seen, left);
    }
  }

  // The state is read first: what came before it changed is in the port.
  readable() {
    const state = this.get(STATE);
    for (let message; (message = receiveMessageOnPort(this.port)); ) this.chunks.push(message.message);
    return this.chunks.length > 0 || state !== OPEN;
  }

  writable() {
    return this.get(UNSENT) < UNSENT_MAX || this.get(STATE) === CLOSED;
  }

  patience() {
    return this.flags & NONBLOCK ? 0 : Infinity;
  }

  // What was written is the kernel's before the process ends.
  drain() {
    if (this.port) this.wait(() => this.get(UNSENT) === 0 || this.get(STATE) === CLOSED, DRAIN_MS);
  }

  // --- the module's memory ---

  view() {
    return new DataView(this.memory.buffer);
  }

  vectors(at, count) {
    const view = this.view();
    return Array.from({ length: count }, (_, i) => {
      const place = at + 8 * i;
      return new Uint8Array(this.memory.buffer, view.getUint32(place, true), view.getUint32(place + 4, true));
    });
  }

  // --- calls, as WASI names them ---

  // Into the vectors, as far as there is something.
  copy(vectors) {
    let [copied, chunk, offset] = [0, 0, 0];
    for (const vector of vectors) {
      for (let at = 0; at < vector.length && chunk < this.chunks.length; ) {
        const part = this.chunks[chunk].subarray(offset, offset + vector.length - at);
        vector.set(part, at);
        [at, copied, offset] = [at + part.length, copied + part.length, offset + part.length];
        if (offset === this.chunks[chunk].length) [chunk, offset] = [chunk + 1, 0];
      }
    }
    return { copied, chunk, offset };
  }

  forget({ copied, chunk, offset }) {
    this.chunks.splice(0, chunk);
    if (offset) this.chunks[0] = this.chunks[0].subarray(offset);
    Atomics.sub(this.words, HELD, copied);
    if (this.get(PAUSED) && this.get(HELD) < HELD_MAX) this.port.postMessage('read');
  }

  receive(at, count, peek, got) {
    const vectors = this.vectors(at, count);
    if (!this.wait(() => this.readable(), this.patience())) return EAGAIN;
    if (!this.chunks.length && this.get(ERRNO)) return this.get(ERRNO);
    const taken = this.copy(vectors);
    if (!peek) this.forget(taken);
    this.view().setUint32(got, taken.copied, true);
    return SUCCESS;
  }

  send(at, count, sent) {
    let total = 0;
    for (const vector of this.vectors(at, count)) {
      for (let from = 0; from < vector.length; ) {
        if (!this.wait(() => this.writable(), this.patience())) {
          this.view().setUint32(sent, total, true);
          return total ? SUCCESS : EAGAIN;
        }
        if (this.get(STATE) === CLOSED) return this.get(ERRNO) || EPIPE;
        const part = vector.slice(from, from + UNSENT_MAX - this.get(UNSENT));
        Atomics.add(this.words, UNSENT, part.length);
        from += part.length;
        total += part.length;
        this.port.postMessage(part, [part.buffer]);
      }
    }
    this.view().setUint32(sent, total, true);
    return SUCCESS;
  }

  fd_read(at, count, got) {
    return this.receive(at, count, false, got);
  }

  fd_write(at, count, sent) {
    return this.send(at, count, sent);
  }

  sock_recv(at, count, flags, got, gotFlags) {
    if (flags & ~PEEK) return ENOTSUP;
    this.view().setUint16(gotFlags, 0, true);
    return this.receive(at, count, (flags & PEEK) !== 0, got);
  }

  sock_send(at, count, flags, sent) {
    return flags ? EINVAL : this.send(at, count, sent);
  }

  sock_shutdown(how) {
    if (how & SHUT_WRITE) this.port.postMessage('shutdown');
    return SUCCESS;
  }

  fd_close() {
    this.closed = true;
    this.port.postMessage('close');
    return SUCCESS;
  }

  fd_fdstat_get(at) {
    const view = this.view();
    view.setBigUint64(at + 16, 0n, true);
    view.setBigUint64(at, BigInt(SOCKET_STREAM | (this.flags << 16)), true);
    view.setBigUint64(at + 8, RIGHTS, true);
    return SUCCESS;
  }

  fd_fdstat_set_flags(flags) {
    if (flags & ~NONBLOCK) return EINVAL;
    this.flags = flags;
    return SUCCESS;
  }

  fd_filestat_get(at) {
    new Uint8Array(this.memory.buffer, at, 64).fill(0);
    this.view().setUint8(at + 16, SOCKET_STREAM);
    return SUCCESS;
  }

  // --- waiting for it beside clocks ---

  subscriptions(at, count) {
    const view = this.view();
    return Array.from({ length: count }, (_, i) => {
      const place = at + SUBSCRIPTION_BYTES * i;
      const one = { userdata: view.getBigUint64(place, true), type: view.getUint8(place + 8), error: SUCCESS };
      if (one.type !== CLOCK) return { ...one, fd: view.getUint32(place + 16, true) };
      const now = nowOf(view.getUint32(place + 16, true));
      const time = view.getBigUint64(place + 24, true);
      if (now === null) return { ...one, error: ENOTSUP };
      const left = view.getUint16(place + 40, true) & ABSOLUTE ? time - now : time;
      return { ...one, until: performance.now() + Math.max(0, Number(left) / 1e6) };
    });
  }

  // One that cannot be waited for beside this one says so at once.
  judge(one) {
    if (one.type !== CLOCK && one.fd !== this.number) one.error = ENOTSUP;
    if (one.error) return true;
    if (one.type === CLOCK) return one.until <= performance.now();
    if (this.closed) one.error = EBADF;
    return this.closed || (one.type === FD_READ ? this.readable() : this.writable());
  }

  report(ready, at, count) {
    const view = this.view();
    ready.forEach((one, i) => {
      const place = at + EVENT_BYTES * i;
      const bytes = this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      const ended = one.type !== CLOCK && !bytes && this.get(STATE) !== OPEN;
      new Uint8Array(this.memory.buffer, place, EVENT_BYTES).fill(0);
      view.setBigUint64(place, one.userdata, true);
      view.setUint16(place + 8, one.error, true);
      view.setUint8(place + 10, one.type);
      if (one.type === FD_READ) view.setBigUint64(place + 16, BigInt(bytes), true);
      if (one.type === FD_WRITE) view.setBigUint64(place + 16, BigInt(UNSENT_MAX), true);
      if (ended) view.setUint16(place + 24, HANGUP, true);
    });
    view.setUint32(count, ready.length, true);
    return SUCCESS;
  }

  // null: this one is not among them.
  poll_oneoff(at, events, count, eventCount) {
    const wanted = this.subscriptions(at, count);
    if (!wanted.some((one) => one.fd === this.number)) return null;
    if (!this.closed) this.connect();
    const first = Math.min(Infinity, ...wanted.filter((one) => one.type === CLOCK).map((one) => one.until ?? 0));
    let ready = [];
    const look = () => (ready = wanted.filter((one) => this.judge(one))).length > 0;
    if (!this.wait(look, first - performance.now())) look();
    return this.report(ready, events, eventCount);
  }

  // --- beside those of others ---

  // What is asked of this descriptor; the rest of a call's arguments.
  answer(name, rest) {
    if (this.closed || name.startsWith('fd_prestat')) return EBADF;
    if (/^fd_(seek|tell|pread|pwrite)$/.test(name)) return ESPIPE;
    if (name === 'fd_readdir' || name.startsWith('path_')) return ENOTDIR;
    if (typeof this[name] !== 'function') return EINVAL;
    this.connect();
    return this[name](...rest);
  }

  imports(others) {
    const own = { sock_accept: () => ENOTSUP, ...others };
    const guarded = (call) => {
      try {
        return call();
      } catch (error) {
        if (error instanceof RangeError) return EFAULT; // a pointer that leads out of the memory
        throw error;
      }
    };
    for (const [name, other] of Object.entries(own)) {
      if (!/^(fd|path|sock)_/.test(name)) continue;
      own[name] = (fd, ...rest) =>
        fd === this.number ? guarded(() => this.answer(name, rest)) : other(fd, ...rest);
    }
    own.fd_renumber = (from, to) =>
      from === this.number || to === this.number ? ENOTSUP : others.fd_renumber(from, to);
    own.poll_oneoff = (...rest) => guarded(() => this.poll_oneoff(...rest)) ?? others.poll_oneoff(...rest);
    return own;
  }
}

module.exports = { Socket };
