// What an agent for Node.js says to the runtime: MCP, one JSON object a line, on a socket.

import net from "node:net";
import readline from "node:readline";

const SOCKET = process.env.SCARAB_SOCKET ?? "/run/agentd/agentd.sock";

export class Agent {
  #waiting = new Map();
  #socket;
  #next = 1;

  constructor(socket) {
    this.#socket = socket;
    readline.createInterface({ input: socket }).on("line", (line) => this.#take(JSON.parse(line)));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the runtime closed the connection")));
  }

  static async connect() {
    const socket = net.createConnection(SOCKET);
    const agent = new Agent(socket);
    await agent.request("initialize", {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "hello-node", version: "1.0.0" },
    });
    agent.#send({ method: "notifications/initialized" });
    return agent;
  }

  request(method, params) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#send({ id, method, params });
    });
  }

  call(name, args = {}) {
    return this.request("tools/call", { name, arguments: args });
  }

  close() {
    this.#socket.end();
  }

  #send(message) {
    this.#socket.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  }

  #take(message) {
    const waits = this.#waiting.get(message.id);
    if (!waits || message.method) return;
    this.#waiting.delete(message.id);
    if (message.error) waits.reject(new Error(message.error.message));
    else waits.resolve(message.result);
  }

  #end(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
