/** An export in the format of another program is the same conversation when it is imported, or says what it left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { renderings } from "../../src/files/renderings.ts";
import { isUnknownResult } from "../../src/domain/turns/turn.ts";
import { withoutNative } from "../../src/domain/request/native-form.ts";
import { sameValue } from "../../src/domain/values/same-value.ts";
import type { Message, Session } from "../../src/index.ts";
import { importText } from "../support/import-text.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";
import { conversation, oddConversation, type WrittenConversation } from "./conversations.ts";

const formats = Object.keys(renderings).filter((name) => name !== "perdure" && name !== "markdown");

/** A result that is JSON, with the spaces that some formats write. */
function spaced(message: Message): Message {
  const { role, content } = message;
  if (role !== "tool" || typeof content !== "string" || !/^[[{]/.test(content)) return message;
  try {
    return { ...message, content: JSON.stringify(JSON.parse(content)) };
  } catch {
    return message;
  }
}

/** A message whose calls without arguments have an empty object. */
function withArguments(message: Message): Message {
  const { tool_calls: calls } = message;
  if (calls === undefined) return message;
  const whole = calls.map((call) => {
    const { name, arguments: text } = call.function;
    return { ...call, function: { name, arguments: text === "" ? "{}" : text } };
  });
  return { ...message, tool_calls: whole };
}

/**
 * The turns of a session, without the results that formats which pair calls write for open ones. Formats whose items are words or calls split the words of a message from its calls,
 * and some write the arguments of a call as an object.
 */
async function turnsIn(session: Session): Promise<readonly (readonly Message[])[]> {
  const turns = await Array.fromAsync(session.turns());
  return turns.map(({ input, output }) => {
    const joined: Message[] = [];
    const all = [...input, ...output].filter((message) => !isUnknownResult(message));
    for (const message of all.map(withoutNative).map(spaced).map(withArguments)) {
      const last = joined.at(-1);
      const { content = null, tool_calls: calls } = message;
      const isSplit = last?.role === "assistant" && content === null && calls !== undefined;
      if (isSplit) joined[joined.length - 1] = { ...last, tool_calls: [...(last.tool_calls ?? []), ...calls] };
      else joined.push(message);
    }
    return joined;
  });
}

async function create(place: ReturnType<typeof inMemory>, { turns, ...about }: WrittenConversation): Promise<Session> {
  const session = await place.sessions.create({ id: "s", ...about });
  for (const [input, ...output] of turns)
    await session.append({ input: [input!], output, usage: { inputTokens: 3, outputTokens: 4 } });
  return session;
}

for (const format of formats) {
  test(`an export as ${format} is the same conversation when it is imported, or says what it left out`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(conversation, oddConversation), async (written) => {
        await using place = inMemory();
        await using other = inMemory();
        const session = await create(place, written);
        const { text, leftOut } = renderings[format as keyof typeof renderings](
          JSON.stringify(await place.sessions.snapshot("s")),
        );
        const report = await importText(other.sessions, text, { length: 4096 });
        assert.deepEqual([report.restored, report.reasons], [1, []], text);
        const imported = await other.sessions.get("s");
        const { title, user, metadata, agent, createdAt, counters } = session.info;
        assert.deepEqual(
          [imported.info.title, imported.info.user, imported.info.metadata, imported.info.agent],
          [title, user, metadata, agent],
        );
        assert.deepEqual(imported.info.createdAt, createdAt);
        assert.equal(imported.info.counters.totalTokens, counters.totalTokens);
        const hasInstructions = leftOut["message of the system"] === undefined;
        assert.equal(await imported.instructions(), hasInstructions ? await session.instructions() : undefined);
        const [before, after] = [await turnsIn(session), await turnsIn(imported)];
        const isSame = sameValue(after, before);
        if (Object.keys(leftOut).length === 0 && !isSame) assert.deepEqual(after, before, text);
        const again = await importText(other.sessions, text, { length: 4096 });
        assert.deepEqual([again.present, again.reasons], [1, []]);
      }),
      { numRuns: rounds(40) },
    );
  });
}
