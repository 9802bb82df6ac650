'use strict';
// Starts an agent of the runtime wasm on Node.js: start.cjs [--dir DIR]... MODULE [ARGUMENT...]
//
// The module is a command of WASI preview 1. It has this process's arguments, environment and standard streams, the
// session's directories, each under its own name, and the agent's socket as the descriptor that SCARAB_SOCKET_FD names
// (socket.cjs). node:wasi keeps well-behaved modules to their directories and is, by its own words, no sandbox: that
// is the session's.

const fs = require('node:fs');
const path = require('node:path');
const { Socket } = require('./socket.cjs');

const OLDEST = [18, 17];
const STANDARD_STREAMS = 3;
const EXIT_UNUSABLE = 126;
// Besides these, what --dir names.
const OF_SESSION = ['/home/agent', '/tmp', '/run/agent', '/run/agentd', '/run/credentials', '/context', '/skills'];

function end(text) {
  fs.writeSync(2, `${text}\n`);
  process.exit(EXIT_UNUSABLE);
}

function isDirectory(name) {
  return fs.statSync(name, { throwIfNoEntry: false })?.isDirectory();
}

function readArguments(args) {
  const dirs = [];
  let at = 0;
  for (; args[at] === '--dir'; at += 2) dirs.push(args[at + 1]);
  return { dirs, args: args.slice(at) };
}

// Descriptors are given out in this order, after the standard streams; the socket has the place of the last, which is
// never shown.
function openDirectories(own) {
  const names = [...new Set([...OF_SESSION, ...own])].filter(isDirectory);
  const preopens = Object.fromEntries(names.map((name) => [name, name]));
  preopens['/socket'] = '/run/agent';
  return { preopens, socket: STANDARD_STREAMS + names.length };
}

// A trap is to a module what SIGSEGV is to a program; the lines are those of its own functions.
function explainTrap(name, error) {
  const lines = String(error.stack).split('\n').filter((line) => line.includes('wasm'));
  fs.writeSync(2, [`${path.basename(name)}: ${error.message}`, ...lines, ''].join('\n'));
}

function run({ dirs, args }) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    end(`this is Node.js ${process.versions.node}, and modules need ${OLDEST.join('.')} or later`);
  const { WASI } = require('node:wasi');
  const { preopens, socket: number } = openDirectories(dirs);
  const socket = new Socket(process.env.SCARAB_SOCKET || '/run/agentd/agentd.sock', number);
  const env = { ...process.env, SCARAB_SOCKET_FD: String(number) };
  const wasi = new WASI({ version: 'preview1', args, env, preopens, returnOnExit: true });
  let module;
  try {
    module = new WebAssembly.Module(fs.readFileSync(args[0]));
  } catch (error) {
    end(`${args[0]}: ${error.message}`);
  }
  let status;
  try {
    const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: socket.imports(wasi.wasiImport) });
    socket.memory = instance.exports.memory;
    status = wasi.start(instance);
  } catch (error) {
    if (error instanceof WebAssembly.LinkError) end(`${args[0]}: ${error.message}`);
    explainTrap(args[0], error);
  }
  socket.drain();
  if (status === undefined) process.abort();
  // What is not zero does not become it.
  process.exit(Math.min(status, 255));
}

run(readArguments(process.argv.slice(2)));
