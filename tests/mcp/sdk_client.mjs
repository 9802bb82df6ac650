// The SDK's clients, as they come, with the bridge: sdk_client.mjs NODE_MODULES v1|legacy|auto|modern.
// Prints what it finds in lines that are the same for each of them.
const [modules, how] = process.argv.slice(2);
const scope = modules + "/@modelcontextprotocol";
const who = { name: "sdk", version: "1" };

async function client() {
	if (how === "v1") {
		const { Client } = await import(scope + "/sdk/dist/esm/client/index.js");
		const { StdioClientTransport } = await import(scope + "/sdk/dist/esm/client/stdio.js");
		return [new Client(who), StdioClientTransport];
	}
	const { Client } = await import(scope + "/client/dist/index.mjs");
	const { StdioClientTransport } = await import(scope + "/client/dist/stdio.mjs");
	const mode = how === "modern" ? { pin: "2026-07-28" } : how;
	return [new Client(who, { versionNegotiation: { mode } }), StdioClientTransport];
}

async function everyTool(one) {
	const names = [];
	let cursor;
	do {
		const page = await one.listTools(cursor === undefined ? undefined : { cursor });
		names.push(...page.tools.map((tool) => tool.name));
		cursor = page.nextCursor;
	} while (cursor !== undefined);
	return names;
}

const [one, Stdio] = await client();
// Nothing of the session's environment: the bridge finds the socket at its place.
await one.connect(new Stdio({ command: "/run/agentd/mcp-bridge" }));
console.log("tools", (await everyTool(one)).length);
const echoed = await one.callTool({ name: "echo", arguments: { message: "café \u{1f600}" } });
console.log("echo", echoed.content[0].text);
let steps = 0;
const slow = { name: "trigger-long-running-operation", arguments: { duration: 0.3, steps: 3 } };
const options = { onprogress: () => steps++ };
// v1 has a schema of results between the two.
await (how === "v1" ? one.callTool(slow, undefined, options) : one.callTool(slow, options));
// The clients of the older eras lose the step that comes together with the result.
console.log("progress", steps >= 2);
const wrong = await one.callTool({ name: "echo", arguments: { message: 7 } });
console.log("wrong arguments", wrong.isError);
const unknown = await one.callTool({ name: "nosuch", arguments: {} }).catch((error) => error);
console.log("unknown tool", unknown.code);
const many = await Promise.all([...Array(50).keys()].map((n) => one.callTool({ name: "echo", arguments: { message: "" + n } })));
console.log("fifty at once", many.every((result, n) => result.content[0].text === "Echo: " + n));
const prompt = await one.getPrompt({ name: "simple-prompt" });
console.log("prompt", prompt.messages.length);
console.log("mission", JSON.parse((await one.callTool({ name: "agentd__mission", arguments: {} })).content[0].text).agent);
await one.close();
console.log("closed");
