/**
 * The last turn of an imported conversation that has grown since: an answer to an open question, the result of an open call, more
 * of an answer.
 */
import type { Entry } from "../../domain/record/entry.ts";
import { withoutNative } from "../../domain/request/native-form.ts";
import { turnOf, type Message } from "../../domain/turns/turn.ts";
import { encode } from "../../domain/values/codec.ts";

/** What a turn says: each of its messages as a text, and the fields that stay as they are. */
export interface TurnWords {
  readonly about: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
}

/** The words of a stored turn. Its native forms do not count: a call without its result has another one. */
export function wordsOf(entry: Entry): TurnWords {
  const { key, status, agent, input, output } = turnOf(entry);
  const textOf = (message: Message): string => encode(withoutNative(message));
  return { about: encode({ key, status, agent }), input: input.map(textOf), output: output.map(textOf) };
}

/** True where the later turn has all messages of the other one, and more behind them. */
export function isLonger(later: TurnWords, { about, input, output }: TurnWords): boolean {
  const begins = (all: readonly string[], some: readonly string[]): boolean =>
    some.every((text, index) => text === all[index]);
  const isSameInput = input.length === later.input.length;
  const isMore = later.input.length + later.output.length > input.length + output.length;
  return (
    about === later.about &&
    isMore &&
    (isSameInput || output.length === 0) &&
    begins(later.input, input) &&
    begins(later.output, output)
  );
}
