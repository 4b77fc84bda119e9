/**
 * How another writer replaces turns that a framework knows. The session has two turns of the framework, then the turn "Old", which is
 * the last one that the framework knows.
 */
import type { Message, Session } from "../../src/index.ts";

export const foreignTurn = (text: string): { readonly input: string; readonly output: string } => ({
  input: `${text}?`,
  output: `${text}.`,
});

/** By title: what another writer does, and the texts that a framework has then beside its own, each once. */
export const replacements: Readonly<
  Record<string, { readonly meanwhile: (session: Session) => Promise<unknown>; readonly expected: readonly string[] }>
> = {
  "a turn in the place of two that were truncated": {
    meanwhile: async (session) => {
      await session.truncate(1);
      await session.append(foreignTurn("New"));
    },
    expected: ["Old?", "Old.", "New?", "New."],
  },
  "more turns than were truncated": {
    meanwhile: async (session) => {
      await session.truncate(1);
      for (const text of ["New", "Newer", "Newest"]) await session.append(foreignTurn(text));
    },
    expected: ["Old?", "Old.", "New?", "New.", "Newer?", "Newer.", "Newest?", "Newest."],
  },
  "all turns replaced": {
    meanwhile: async (session) => {
      await session.truncate(0);
      await session.append(foreignTurn("New"));
    },
    expected: ["Old?", "Old.", "New?", "New."],
  },
  "the same last turn behind other ones": {
    meanwhile: async (session) => {
      await session.truncate(0);
      for (const text of ["New", "Newer", "Old"]) await session.append(foreignTurn(text));
    },
    expected: ["Old?", "Old.", "New?", "New.", "Newer?", "Newer.", "Old?", "Old."],
  },
  "another turn in the place of the last one, which is known": {
    meanwhile: async (session) => {
      await session.truncate(2);
      await session.append(foreignTurn("New"));
    },
    expected: ["Old?", "Old.", "New?", "New."],
  },
  "another answer in the last turn, which is known": {
    meanwhile: async (session) => {
      const { version } = session.info;
      const turns = [{ input: "Old?", output: "Another." }];
      await session.write({ turns: { from: 3, amends: true, turns }, onto: version });
    },
    expected: ["Old?", "Old.", "Another."],
  },
  "a turn behind the last one, and the earlier branch again": {
    meanwhile: async (session) => {
      const { version } = session.info;
      await session.write({ turns: { from: 3, turns: [foreignTurn("New")], keep: true }, onto: version });
      const [, other] = await session.branches();
      await session.refresh();
      await session.switchTo(other!.isCurrent ? (await session.branches())[0]!.id : other!.id);
    },
    expected: ["Old?", "Old."],
  },
};

/** Turn 2 of others, which grows in two steps, and turn 3 "Old": the adapter reads after each step. */
export async function grow(session: Session, read: () => Promise<unknown>): Promise<void> {
  const call = (id: string): object => ({ id, type: "function", function: { name: "look", arguments: "{}" } });
  const steps: readonly (readonly object[])[] = [
    [
      { role: "assistant", content: null, tool_calls: [call("c1"), call("c2")] },
      { role: "tool", tool_call_id: "c1", content: "one" },
    ],
    [
      { role: "tool", tool_call_id: "c2", content: "two" },
      { role: "assistant", content: "Again." },
    ],
    [{ role: "assistant", content: "Again." }],
  ];
  let output: readonly Message[] = [];
  for (const step of steps) {
    output = [...output, ...(step as readonly Message[])];
    await session.refresh();
    const turns = [{ input: "Where?", output, status: "done" as const }];
    if (session.info.turn === 1) await session.append({ input: "Where?", output });
    else await session.write({ turns: { from: 2, amends: true, turns }, onto: session.info.version });
    await read();
  }
  await session.append(foreignTurn("Old"));
  await read();
}

/**
 * Turn 2 of others, which has 34 steps when the adapter reads it, and turn 3. Others then replace turn 3 and add six steps to turn 2: an
 * adapter has 40 steps, each once.
 */
export async function growLong(session: Session, read: () => Promise<unknown>): Promise<void> {
  const output = Array.from({ length: 40 }, (_, at) => ({ role: "assistant" as const, content: `Step ${at}.` }));
  await session.append({ input: "Go.", output: output.slice(0, 34) });
  await session.append(foreignTurn("Old"));
  await read();
  await session.refresh();
  await session.truncate(2);
  const turns = [{ input: "Go.", output, status: "done" as const }];
  await session.write({ turns: { from: 2, amends: true, turns }, onto: session.info.version });
}
