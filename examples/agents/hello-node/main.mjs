// The smallest agent that does all that one does: it is told what for, remembers, calls a tool and reports.
// The same agent in Rust and Python is beside it. The task "wait" waits until the session is ended.

import fs from "node:fs";
import path from "node:path";
import { Agent } from "./agent.mjs";

const TOOL = "survey__summarise";

// How often it ran: what lies in its home is there again in the next session.
function visits() {
  const file = path.join(process.env.HOME, "visits");
  const count = fs.existsSync(file) ? Number(fs.readFileSync(file, "utf8")) + 1 : 1;
  fs.writeFileSync(file, `${count}\n`);
  return count;
}

const agent = await Agent.connect();
const mission = JSON.parse(fs.readFileSync(process.env.SCARAB_MISSION, "utf8"));
const count = visits();
console.log(`hello from ${process.env.AGENT_NAME}, visit ${count}: ${mission.task}`);
if (mission.task === "wait") await new Promise((resolve) => setInterval(resolve, 2 ** 31 - 1));
const answer = await agent.call(TOOL, { path: "/context" });
console.log(answer.content[0].text);
await agent.call("agentd__result", {
  result: { task: mission.task, visits: count, summary: answer.structuredContent },
});
agent.close();
process.exitCode = answer.isError ? 1 : 0;
