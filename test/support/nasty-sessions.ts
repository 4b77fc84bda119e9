/** Sessions with everything that a session can hold, for tests of what carries them elsewhere. */
import { fileURLToPath } from "node:url";
import { defined } from "../../src/domain/values/defined.ts";
import { readConversations } from "../../src/adapters/replay.ts";
import type { Sessions } from "../../src/index.ts";
import { oddIds as storedIds } from "../../src/testing/conformance/odd-texts.ts";

const examples = fileURLToPath(new URL("../../examples/conversations", import.meta.url));

/** Recorded conversations, as sessions of one turn for each exchange. */
export async function createConversations(
  sessions: Sessions,
  count: number = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const conversations = await readConversations(process.env["PERDURE_CONVERSATIONS"] || examples);
  const ids: string[] = [];
  for (const { id, instructions, exchanges } of conversations.slice(0, count)) {
    const session = await sessions.create({
      id,
      agent: "ceo",
      ...defined({ instructions }),
    });
    for (const [index, { input, output }] of exchanges.entries()) {
      await session.append({ input, output, durationMs: index }, { key: `k${index}` });
    }
    ids.push(id);
  }
  return ids;
}

/** Ids that a store keeps, without those that a new session may not have. */
const oddIds = storedIds.filter((id) => !["\u2028", "\u202e", "\ufeff"].includes(id));

const texts = ["", "\u0000", "\ud800 alone", "\u2028", '\\u0041 \\ "', "😀".repeat(50), "\r\n\t\b", "$type", '"$type"'];

/** Sessions with odd ids, values, states and logs; some are archived, under hold, or forks. */
export async function createNasty(sessions: Sessions): Promise<string[]> {
  const ids = [...oddIds];
  const forks: string[] = [];
  for (const [index, id] of ids.entries()) {
    const session = await sessions.create({
      id,
      agent: oddIds[(index + 1) % oddIds.length] ?? "ceo",
      user: oddIds[(index + 2) % oddIds.length] ?? "ada",
      metadata: {
        "2": 1,
        "1": 2,
        __proto__: null,
        when: new Date(index),
        big: 10n ** 30n,
        bytes: new Uint8Array([0, 255]),
      },
      instructions: texts[index % texts.length] ?? "",
      ...(index % 3 === 0 ? { maxAge: "90d" } : {}),
    });
    for (let turn = 0; turn < index % 4; turn++) {
      const content = texts[(index + turn) % texts.length] ?? "";
      const odd = { $type: "date", value: content, nested: [{ $type: 1 }, -0, 1e21, 5e-324], [content]: null };
      await session.append(
        {
          input: [{ role: "user", content }],
          output: [{ role: "assistant", content: odd, extra: odd }],
          durationMs: 1.5,
        },
        { key: oddIds[(index + turn) % oddIds.length] ?? "k" },
      );
    }
    if (index % 5 === 1) await session.handOff("cfo", { note: content(index) });
    if (index % 7 === 3) await session.truncate(0);
    if (index % 5 === 2) await session.end();
    if (index % 6 === 4) await session.setLegalHold(content(index).trim() || "a lawsuit");
    if (session.info.turn > 0 && index % 3 === 2) forks.push((await session.fork({ at: 1 })).id);
    if (index % 5 === 3) await session.archive();
  }
  return [...ids, ...forks];
}

function content(index: number): string {
  return texts[index % texts.length] ?? "";
}
