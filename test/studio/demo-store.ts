/** A store with something in every corner of the studio: states, labels, tools, failures, handoffs, forks, a wait, an answer. */
import { createManager, openSessions, type Model, type Session, type Sessions, type Tool } from "../../src/index.ts";

/** Holds an answer back, so that it runs as long as a test wants. */
export class Gate {
  readonly #open = Promise.withResolvers<void>();
  /** Resolves when the gate opens. */
  async passed(): Promise<void> {
    await this.#open.promise;
  }
  open(): void {
    this.#open.resolve();
  }
}

const words =
  "Yes, buy the second oven. The morning queue loses us about forty loaves a day, and the lease pays for itself in seven months. Start with the used one in Graz: it is half the price, and the seller delivers.".split(
    /(?<= )/,
  );

const refund: Tool = {
  name: "refund",
  description: "Pays money back.",
  parameters: { type: "object", properties: { euros: { type: "number" } } },
  approve: ({ euros }) => Number(euros) > 100,
  run: ({ euros }) => `${String(euros)} euros are on their way`,
};

/** Writes its words, some of them behind the gate. For a question with 250 it calls the tool. */
export function demoModel(gate: Gate): Model {
  return async function* demo({ messages, signal }) {
    const last = messages.at(-1);
    const question = String(messages.findLast(({ role }) => role === "user")?.content);
    if (last?.role === "tool") yield { type: "text", text: `Done: ${String(last.content)}.` };
    else if (question.includes("250")) {
      const call = { id: "call_refund", function: { name: "refund", arguments: '{"euros":250}' } };
      yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
    } else {
      for (const [index, word] of words.entries()) {
        if (index === 12)
          await Promise.race([gate.passed(), new Promise((resolve) => signal.addEventListener("abort", resolve))]);
        if (signal.aborted) return;
        yield { type: "text", text: word };
      }
    }
    yield { type: "usage", usage: { inputTokens: 412, outputTokens: 63, totalTokens: 475 } };
  };
}

export interface Demo {
  readonly sessions: Sessions;
  readonly gate: Gate;
  readonly approve: ReturnType<typeof createManager>["approve"];
  /** A session whose answer runs until the gate opens. */
  readonly running: Session;
}

export async function demoStore(url = "memory:"): Promise<Demo> {
  const gate = new Gate();
  const sessions = await openSessions({
    store: url,
    secret: "a secret of the demo store that is long enough",
    sweep: false,
    model: demoModel(gate),
    compaction: {
      atTokens: 100_000,
      summarizer: async () => ({ text: "Grace asked for parcel A-1093. It left Linz and is due on Wednesday." }),
    },
    agents: {
      ceo: { instructions: "You run a bakery. Decide, and say why in two sentences.", default: true },
      support: { instructions: "You help customers with their parcels." },
      billing: { instructions: "You answer questions about invoices." },
      researcher: { instructions: "You look things up and name your sources." },
    },
  });
  const manager = createManager({ sessions, tools: { support: [refund], ceo: [refund] } });
  await fillMany(sessions);
  await support(sessions);
  await failures(sessions);
  await lives(sessions);
  await graph(sessions);
  const waiting = await sessions.create({
    id: "refund-250",
    agent: "support",
    user: "mia",
    title: "Refund of 250 euros",
  });
  await (
    await manager.send(waiting, "My oven arrived broken, I want my 250 euros back.")
  ).done;
  const running = await sessions.create({ id: "oven-decision", agent: "ceo", user: "ada", title: "A second oven?" });
  await running.append({
    input: "We sell out by nine every morning. What are our options?",
    output: "A second oven, longer shifts, or a partner bakery. I would compare the oven and the partner first.",
    usage: { inputTokens: 180, outputTokens: 41 },
    model: "llama3.2",
    durationMs: 1840,
  });
  await running.consult("Shall we buy a second oven?");
  const acquired = await sessions.streams.acquire("charts-of-may", { session: "support-42" });
  if (acquired.role === "producer") await acquired.stream.write("half of ");
  return { sessions, gate, approve: manager.approve, running };
}

async function fillMany(sessions: Sessions): Promise<void> {
  const agents = ["ceo", "support", "billing", "researcher"];
  const users = ["ada", "grace", "linus", "mia", "noor", "kofi", undefined];
  const topics = [
    "Invoice 2026-114",
    "Where is my parcel?",
    "Opening hours in May",
    "Flour prices",
    "New apprentice",
    "Allergens in the rye loaf",
    "Night shift plan",
    undefined,
  ];
  for (let index = 0; index < 48; index++) {
    const [agent, user, title] = [agents[index % 4], users[index % 7], topics[index % 8]];
    const session = await sessions.create({
      id: `chat-${String(index + 1).padStart(3, "0")}`,
      ...(agent === undefined ? {} : { agent }),
      ...(user === undefined ? {} : { user }),
      ...(title === undefined ? {} : { title }),
      labels:
        index % 3 === 0
          ? { team: index % 2 === 0 ? "ops" : "sales", tier: "gold" }
          : index % 5 === 0
            ? { channel: "web" }
            : {},
    });
    for (let turn = 0; turn <= index % 4; turn++)
      await session.append({
        input: `Question ${turn + 1} of ${user ?? "a guest"}`,
        output: "Let me look that up. It is on its way and should be with you by Thursday.",
        usage: { inputTokens: 90 + index * 7 + turn * 60, outputTokens: 20 + index },
        model: index % 2 === 0 ? "llama3.2" : "gpt-5-mini",
        durationMs: 300 + ((index * 733) % 4000) + turn * 120,
      });
  }
}

async function support(sessions: Sessions): Promise<void> {
  const session = await sessions.create({
    id: "support-42",
    agent: "support",
    user: "grace",
    title: "Parcel to Vienna is late",
    labels: { team: "ops", channel: "whatsapp", order: "A-1093" },
    metadata: { locale: "de-AT", plan: { name: "business", seats: 12 } },
    budget: { tokens: 200_000 },
  });
  await session.append({
    input: "Where is my parcel? Order A-1093.",
    output: [
      {
        role: "assistant",
        content: "Let me check the carrier.",
        tool_calls: [
          {
            id: "call_1",
            type: "function",
            function: { name: "track_parcel", arguments: '{"order":"A-1093","carrier":"post"}' },
          },
          { id: "call_2", type: "function", function: { name: "opening_hours", arguments: '{"shop":"vienna"}' } },
        ],
      },
      { role: "tool", tool_call_id: "call_1", content: '{"status":"in_transit","last":"Linz hub","eta":"2026-12-02"}' },
      { role: "tool", tool_call_id: "call_2", content: "Error: no shop with this name", is_error: true },
      {
        role: "assistant",
        content:
          "Your parcel left the hub in Linz this morning.\n\nIt should reach you on Wednesday, 2 December. I could not read the opening hours of the shop in Vienna; shall I ask a colleague?",
      },
    ],
    usage: { inputTokens: 1240, outputTokens: 118, cachedTokens: 900 },
    model: "gpt-5-mini",
    durationMs: 3420,
    requests: 2,
  });
  await session.append({
    input: "Yes, and send me the invoice.",
    output: "I hand you over to billing, who have the invoice.",
    usage: { inputTokens: 1410, outputTokens: 22 },
    model: "gpt-5-mini",
    durationMs: 880,
  });
  await session.handOff("billing", { ttl: "2h", note: "Grace wants the invoice of order A-1093." });
  await session.record({ type: "app.order_viewed", data: { order: "A-1093", by: "grace" } });
  const invoice = await session.attachments.put(new TextEncoder().encode("Invoice 2026-1093\n84.20 euros\n"), {
    type: "text/plain",
    name: "invoice-2026-1093.txt",
  });
  const text = "Here it is: invoice 2026-1093 over 84.20 euros, due on 15 December.";
  await session.append({
    input: "The invoice, please.",
    output: [{ role: "assistant", content: [{ type: "text", text }, invoice.part] }],
    usage: { inputTokens: 1530, outputTokens: 31 },
    agent: "billing",
    model: "llama3.2",
    durationMs: 1210,
  });
  await session.write({
    logs: {
      facts: {
        entries: [
          { key: "order", value: { id: "A-1093", total: 84.2 } },
          { key: "address", value: { city: "Vienna", zip: "1070" } },
        ],
      },
    },
  });
  await session.pin(1);
  await session.rate(1, { rating: "up", by: "grace" });
  await session.rate(1, { rating: "down", by: "the lead of support" });
  await session.leaveOut(2);
  await session.rate(3, { rating: "up", comment: "exact, and fast", by: "grace" });
  await session.summarize({ to: 2 });
  await sessions.share(session.id, { ttl: "7d" });
  await session.setLegalHold("Complaint 2026/17 with the consumer board");
  const fork = await session.fork({ at: 1, as: "support-42-what-if" });
  await fork.append({
    input: "What if it is lost?",
    output: "Then we send a new one at our cost, and you keep the first if it turns up.",
  });
}

async function failures(sessions: Sessions): Promise<void> {
  const session = await sessions.create({
    id: "flaky-model",
    agent: "researcher",
    user: "noor",
    title: "Rye prices since 2020",
  });
  await session.append({
    input: "Chart the price of rye since 2020.",
    output: "I found three sources and read two of them.",
    usage: { inputTokens: 900, outputTokens: 210 },
    model: "gpt-5-mini",
    durationMs: 9100,
  });
  const failed = await session.begin("Now compare it with wheat.");
  await failed.write({ text: "Wheat rose faster until " });
  await failed.seal({
    status: "failed",
    error: { code: "model_failed", message: "The endpoint answered 503: overloaded, retry later" },
  });
}

/** A thread of LangGraph, in the logs of its adapter: two checkpoints, a list by elements, a value in pieces, an interrupt. */
async function graph(sessions: Sessions): Promise<void> {
  const session = await sessions.create({ id: "refund-graph", agent: "support", labels: { adapter: "langgraph" } });
  await session.append({ input: "My parcel is lost.", output: "I have refunded 40 euros." });
  const [first, second] = ["1f1ed0a9-4d3c-6b40-8000-ada6886b8656", "1f1ed0a9-4da5-6af0-8002-24c6066df473"];
  const checkpoint = (id: string, step: number, versions: Record<string, string>, parent: object) => ({
    key: `c||${id}`,
    value: {
      ...parent,
      cp: { v: 4, id, ts: `2026-11-30T10:00:0${step}.000Z`, channel_versions: versions, versions_seen: {} },
      meta: { source: "loop", step, parents: {} },
      turns: [0, 0, 1, 0],
    },
  });
  const said = (name: string, content: string) => ({ $lg: "message", class: name, fields: { content, id: name } });
  await session.write({
    logs: {
      "lg-checkpoints": {
        entries: [
          checkpoint(first, 1, { __start__: "00000002.a", messages: "00000002.a" }, {}),
          checkpoint(
            second,
            2,
            { __start__: "00000002.a", messages: "00000003.b", plan: "00000003.b", "branch:to:refund": "00000003.b" },
            { parent: first },
          ),
        ],
      },
      "lg-values": {
        entries: [
          { key: "v||messages|00000002.a", value: { runs: [["3gaaboh9", 0, 1]] } },
          { key: "v||messages|00000003.b", value: { runs: [["3gaaboh9", 0, 2]] } },
          { key: "v||plan|00000003.b", value: { $lg: "pieces", list: "6ixi2k9l", count: 2 } },
          { key: "e|3gaaboh9|000000", value: said("HumanMessage", "My parcel is lost.") },
          {
            key: "e|3gaaboh9|000001",
            value: { $lg: "written", key: `|${first}|cwa6ovno`, at: [0, 0] },
          },
          { key: "e|6ixi2k9l|000000", value: '{"value":{"euros":40,' },
          { key: "e|6ixi2k9l|000001", value: '"spent":[1,2]}}' },
        ],
      },
      "lg-writes": {
        entries: [
          {
            key: `|${first}|cwa6ovno`,
            value: {
              task: "t1",
              path: "~__pregel_pull, classify",
              writes: [["messages", [said("AIMessage", "I have refunded 40 euros.")]]],
            },
          },
          {
            key: `|${second}|cvhlc3t2`,
            value: {
              task: "t2",
              path: "~__pregel_pull, refund",
              writes: [["__interrupt__", [{ id: "i", value: "Refund 40 euros?" }]]],
            },
          },
        ],
      },
    },
  });
}

async function lives(sessions: Sessions): Promise<void> {
  const branched = await sessions.create({ id: "loaf-names", agent: "ceo", user: "ada", title: "Names for the loaf" });
  await branched.append({ input: "A name for the rye loaf?", output: "Call it Granite." });
  await branched.write({
    turns: { from: 1, keep: true, turns: [{ input: "A softer name for the rye loaf?", output: "Call it Heather." }] },
  });
  const ended = await sessions.create({
    id: "order-done",
    agent: "support",
    user: "kofi",
    title: "Order A-1001, delivered",
  });
  await ended.append({ input: "It arrived, thank you!", output: "Enjoy the bread." });
  await ended.end({ reason: "the order was delivered" });
  const archived = await sessions.create({ id: "winter-2024", agent: "ceo", user: "ada", title: "Winter menu 2024" });
  for (let turn = 0; turn < 6; turn++) await archived.append({ input: `Idea ${turn + 1}`, output: "Noted." });
  await archived.archive();
}
