/**
 * A chat in a Hono application: each browser has a session of its own, found by its cookie. Run this file twice. Two browsers ask
 * here without a network, and the model is scripted, so it needs no key.
 */
import { Hono } from "hono";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { openSessions, type Model } from "perdure";
import { perdure, type PerdureVariables } from "perdure/hono";

/** A model that counts the questions. */
const model: Model = async function* ({ messages }) {
  yield { type: "text", text: `This is question ${messages.filter(({ role }) => role === "user").length}.` };
};
await using sessions = await openSessions({
  store: "sqlite:hono-chat.db",
  secret: "a secret of the example, not in the store",
  model,
});

const app = new Hono<PerdureVariables>();
app.use(perdure(sessions));
app.post("/chat", async (c) => {
  const session = await c.var.perdure.open();
  return c.json(await (await session.consult(await c.req.text())).text());
});

// Browsers keep their cookies in a file here.
const kept = "hono-chat.cookies.db";
const cookies: Record<string, string> = existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : {};
async function ask(browser: string, question: string): Promise<string> {
  const headers = { cookie: cookies[browser] ?? "" };
  const response = await app.request("/chat", { method: "POST", body: question, headers });
  cookies[browser] = response.headers.getSetCookie()[0]?.split(";")[0] ?? cookies[browser] ?? "";
  return String(await response.json());
}

console.log("phone ", await ask("phone", "How many questions?"));
console.log("laptop", await ask("laptop", "How many questions?"));
console.log("phone ", await ask("phone", "And now?"));
writeFileSync(kept, JSON.stringify(cookies));
