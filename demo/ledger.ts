/** Compares the turns that the players reported as acknowledged with the store. */
import type { Message, Sessions, Turn } from "../src/index.ts";
import type { Said } from "./player.ts";

interface Acknowledged {
  readonly input: readonly Message[];
  texts: string;
  output?: readonly Message[];
}

export class Ledger {
  readonly #sessions = new Map<string, Map<number, Acknowledged>>();
  readonly #shared: string[] = [];

  record(session: string, said: Said): void {
    if (said.kind === "shared") {
      this.#shared.push(`${said.seq} ${JSON.stringify(said.mark)}`);
      return;
    }
    const turns = this.#sessions.get(session) ?? new Map<number, Acknowledged>();
    this.#sessions.set(session, turns);
    if (said.kind === "asked") turns.set(said.seq, { input: said.input, texts: "" });
    const turn = turns.get(said.seq);
    if (turn === undefined) return;
    if (said.kind === "text") turn.texts += said.text;
    if (said.kind === "sealed") turn.output = said.output;
  }

  /** The broken promises; empty if all hold. */
  async broken(sessions: Sessions, sharedId: string): Promise<string[]> {
    const faults: string[] = [];
    for (const [id, acknowledged] of this.#sessions) {
      const session = await sessions.get(id);
      const turns = await Array.fromAsync(session.turns());
      faults.push(...faultsOf(turns).map((fault) => `${id}: ${fault}`));
      for (const [seq, expected] of acknowledged) {
        const fault = faultOf(turns[seq - 1], expected);
        if (fault !== undefined) faults.push(`${id}: turn ${seq} ${fault}`);
      }
      const { counters } = session.info;
      const tokens = turns.reduce((sum, { usage }) => sum + (usage?.totalTokens ?? 0), 0);
      if (counters.turns !== turns.length || counters.totalTokens !== tokens)
        faults.push(`${id}: its counters disagree with its log`);
    }
    const shared = await Array.fromAsync((await sessions.get(sharedId)).turns());
    const stored = shared.map(({ seq, input }) => `${seq} ${JSON.stringify(input[0]?.content)}`);
    if (stored.toSorted().join() !== this.#shared.toSorted().join())
      faults.push(`${sharedId}: what was acknowledged is not what is stored`);
    return faults;
  }
}

/** Faults of a log by itself: gaps, turns left open. */
function faultsOf(turns: readonly Turn[]): string[] {
  const faults: string[] = [];
  turns.forEach(({ seq, status }, index) => {
    if (seq !== index + 1) faults.push(`turn ${seq} stands in place ${index + 1}`);
    if (status === "open") faults.push(`turn ${seq} was left open`);
  });
  return faults;
}

function faultOf(turn: Turn | undefined, { input, output, texts }: Acknowledged): string | undefined {
  if (turn === undefined) return "was acknowledged and is lost";
  if (JSON.stringify(turn.input) !== JSON.stringify(input)) return "has another question than was acknowledged";
  if (output !== undefined) {
    return JSON.stringify(turn.output) === JSON.stringify(output)
      ? undefined
      : "has another answer than was acknowledged";
  }
  // Killed between the commit that sealed the turn and its report: the turn is whole, but not reported.
  if (turn.status === "done") return undefined;
  if (turn.status !== "interrupted") return `is ${turn.status}; its writer was killed`;
  const kept = spokenText(turn.output);
  return texts.startsWith(kept) || kept.startsWith(texts) ? undefined : "keeps a text that was never said";
}

/** The text of an answer as it streamed, without tool calls and results. */
export function spokenText(output: readonly Message[]): string {
  return output
    .filter(({ role, tool_calls: calls }) => role === "assistant" && (calls ?? []).length === 0)
    .map(({ content }) => (typeof content === "string" ? content : ""))
    .join("");
}
