import type { LiveSession, Runtime } from "perdure/host";

/** Keeps a to-do list: `{ add: "milk" }` returns the new length of the list, `{}` returns the list. */
const runtime: Runtime = {
  async activate(session: LiveSession) {
    const tasks: string[] = [];
    for await (const { input } of session.turns()) tasks.push(input[0]?.content as string);
    session.state = tasks;
  },

  async onMessage(session: LiveSession, { add }: { readonly add?: string }) {
    const tasks = session.state as string[];
    if (add === undefined) return told(tasks);
    await session.append({ input: add, output: "noted" }); // durable from here on
    return tasks.push(add);
  },
};

async function* told(tasks: readonly string[]): AsyncGenerator<string> {
  yield* tasks;
}

export default runtime;
