/** A worker that begins branches of a session, switches between them and removes them, in turn. */
import type { Model, Session } from "../../src/index.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { stalling, type RewriteTask } from "./log-writers.ts";

/** Edit, regenerate, switch back and remove the other branches, one after the other, without end. */
export interface BranchesTask extends Pick<RewriteTask, "session" | "stallAt"> {
  readonly kind: "branches";
}

/** The turns of the first branch, which no operation changes. */
export const firstBranch: readonly string[] = ["one", "two", "three"];
/** The turns of each other branch. */
export const otherBranch: readonly string[] = ["one", "two, differently"];

/** The operations, each by the branches before it: their number, and whether the first one is the current one. */
const operations: readonly (readonly [branches: number, isFirst: boolean])[] = [
  [1, true], // edit
  [2, false], // regenerate
  [3, false], // switch
  [3, true], // remove
  [2, true], // remove
];
export const operationsOfRound: number = operations.length;

/** The operation that comes next, from 0; -1 for branches that no operation leaves behind. */
export async function nextOperation(session: Session): Promise<number> {
  const branches = await session.branches();
  const isFirst = branches.some(({ id, isCurrent }) => id === "1" && isCurrent);
  return operations.findIndex(([count, first]) => count === branches.length && first === isFirst);
}

const model: Model = async function* () {
  yield { type: "text", text: "an answer" };
};

async function operate(session: Session, operation: number): Promise<void> {
  if (operation === 0) await Array.fromAsync(await session.edit(2, otherBranch[1]!));
  else if (operation === 1) await Array.fromAsync(await session.regenerate());
  else if (operation === 2) await session.switchTo("1");
  else await session.removeBranch((await session.branches()).at(-1)!.id);
}

export async function branch(
  url: string,
  { session: id, stallAt }: BranchesTask,
  say: (what: object) => void,
): Promise<never> {
  const { sessions, arm } = await stalling(url, { model, ...defined({ stallAt }) }, say);
  const session = await sessions.get(id);
  say({ began: session.id });
  for (let done = 0; ; done++) {
    if (done === 1) arm();
    const operation = await nextOperation(session);
    await operate(session, operation);
    say({ did: operation });
  }
}
