/**
 * A framework in the tests between frameworks: `between.ts` of a framework's folder exports one as `participant`, or several
 * as `participants`. Such a file makes the framework a row and a column of docs/frameworks/README.md.
 */
import type { MessageFormatName, Sessions } from "../../src/index.ts";

export interface Participant {
  /** The name in the table. */
  readonly name: string;
  /** The page of docs/frameworks. */
  readonly page: string;
  /** The format of the values that `read` gives. */
  readonly format: MessageFormatName;
  /** The id of the session that this framework names `id`. */
  sessionOf(id: string): string;
  /**
   * The name that this framework opens a session of another one by; undefined where it opens none of them.
   * @default the id of the session
   */
  nameOf?(sessionId: string): string | undefined;
  /** False where the framework reads the messages alone that it has written. @default true */
  readonly readsOthers?: boolean;
  /** Begins a session with {@link sample}, as far as the framework can express it, in its own form. */
  begin(sessions: Sessions, id: string): Promise<void>;
  /** The messages of the session in the framework's own form, as plain data. */
  read(sessions: Sessions, id: string): Promise<readonly unknown[]>;
  /** Adds the exchange of {@link exchange} to a session that any framework has begun. */
  goOn(sessions: Sessions, id: string, exchange: Exchange): Promise<void>;
}

/** The conversation that each framework writes. */
export const sample = {
  system: "Answer briefly.",
  /** The name of the user. */
  name: "ada-lovelace",
  question: "Where are my parcels?",
  picture: { mediaType: "image/png", data: "iVBORw0KGgo=" },
  file: { mediaType: "application/pdf", data: "JVBERi0xLjQK", name: "invoice.pdf" },
  reasoning: "I look at both places.",
  /** The first call has a result, the second one fails. */
  calls: [
    { id: "call_ghent", tool: "look", input: { city: "Ghent" }, result: "one parcel" },
    { id: "call_rome", tool: "look", input: { city: "Rome" }, failure: "no such place" },
  ],
  answer: "One is in Ghent.",
  thanks: "Thank you.",
  welcome: "You are welcome.",
} as const;

/** One more exchange: a question, a call with its result, and an answer. */
export interface Exchange {
  readonly question: string;
  readonly call: { readonly id: string; readonly tool: string; readonly input: { readonly n: number } };
  readonly result: string;
  readonly answer: string;
}

export function exchange(n: number): Exchange {
  return {
    question: `Question ${n}?`,
    call: { id: `call_${n}`, tool: "count", input: { n } },
    result: `counted ${n}`,
    answer: `Answer ${n}.`,
  };
}

/** The data URL of a file. */
export function dataUrl({ mediaType, data }: { readonly mediaType: string; readonly data: string }): string {
  return `data:${mediaType};base64,${data}`;
}

/** A value as JSON has it. */
export function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** The name in a framework of a session that any framework has begun; undefined where it cannot open it. */
export function nameIn(participant: Participant, sessionId: string): string | undefined {
  return participant.nameOf === undefined ? sessionId : participant.nameOf(sessionId);
}
