/** A server of MCP in a process of its own, to be killed: its model says one word, and no more. Prints its URL. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { openSessions, type Model } from "../../../src/index.ts";
import { serving } from "./serving.ts";

const [store = ""] = process.argv.slice(2);
const model: Model = async function* ({ signal }) {
  yield { type: "text", text: "one " };
  await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
};
const sessions = await openSessions({ store, model, sweep: false });
const { url } = await serving(sessions, { keys: [] });
process.stdout.write(`${url.href}\n`);
