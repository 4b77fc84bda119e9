/** Producers that write through any process, one request at a time, under a token: programs that write over HTTP. */
import { headOf } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { Context } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { assemble, keptChunk, parseChunk, type Chunk } from "../../domain/turns/chunk.ts";
import { endStream, extendStream, restOf, type TokenParts } from "../../domain/turns/stream.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import type { Sealing } from "../../domain/turns/turns.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { clip } from "../../domain/values/format-value.ts";
import { parseId } from "../../domain/values/ids.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { readAbandonedTurn } from "../handle/abandoned-turn.ts";
import { Handle } from "../handle/handle.ts";
import type { WriteKey } from "../operations/append.ts";
import type { TurnInput } from "../operations/turn-input.ts";
import { parseWholeNumber } from "../options/arguments.ts";
import { appendBeside, reportedLengthMax, type PartOptions } from "./producer.ts";
import type { StreamName } from "./reader.ts";
import { failureOf } from "./stream-error.ts";

/** A part of a stream to write. */
export interface PartInput extends PartOptions {
  readonly part: Value;
}

/** Parts that a producer writes under its token. */
export interface TokenWrite {
  /** The token of `streams.acquireToken`. */
  readonly token: string;
  /** How many parts the producer has written before. A request may be repeated: parts that are stored are not written again. */
  readonly after: number;
  readonly parts: readonly PartInput[];
}

/** The end of a stream under the token of its producer, with its last parts. */
export interface TokenEnd extends Omit<TokenWrite, "parts"> {
  /** @default none */
  readonly parts?: readonly PartInput[];
  /** A finished exchange, appended to the stream's session in the same commit. */
  readonly append?: TurnInput & WriteKey;
  /** The stream failed: its readers get this message after the parts. */
  readonly failure?: string;
}

/** Parts of one request. */
const partsMax = 1000;

const writeNames: OptionNames<TokenWrite> = { token: true, after: true, parts: true };
const endNames: OptionNames<TokenEnd> = { token: true, after: true, parts: true, append: true, failure: true };
const partNames: OptionNames<PartInput> = { part: true, said: true };

/** The number of parts that are stored then. @throws SessionError as `Streams.append` */
export async function appendParts(core: Core, key: SessionKey, write: TokenWrite): Promise<number> {
  guardNames(write, "append", writeNames);
  const parts = parseParts(write);
  const handle = new Handle(core, (await core.load(key)).record);
  await handle.write(({ record }, context) => extendStream(record, parts, context));
  return headOf(handle.record, "chunks");
}

/** False if the stream had ended as `done` before. @throws SessionError as `Streams.finish` */
export async function finishStream(core: Core, { key, tenant }: StreamName, end: TokenEnd): Promise<boolean> {
  guardNames(end, "finish", endNames);
  const { append, failure, parts: last = [] } = end;
  if (failure !== undefined && typeof failure !== "string")
    throw invalidArgument("failure", failure, { expected: "text" });
  if (failure !== undefined && append !== undefined)
    throw invalidArgument("failure", failure, { expected: "without_append" });
  if (append !== undefined && (typeof append !== "object" || append === null))
    throw invalidArgument("append", append, { expected: "object" });
  const parts = parseParts({ ...end, parts: last });
  return await retryOnConflict({ sessionId: key.id, tenant: key.tenant }, async () => {
    const { record, tails } = await core.load(key, [{ log: "turns", last: 1 }]);
    if (record.openTurn === null) {
      const [entry] = tails[0] ?? [];
      const ended = entry && failureOf(turnOf(entry), { stream: key.id, tenant });
      if (ended !== undefined) throw ended;
      return false;
    }
    const handle = new Handle(core, record);
    const { turn, chunks, written } = await readAbandonedTurn(core, record, record.openTurn);
    const seal = (newest: SessionRecord, context: Context): ReturnType<typeof endStream> | null =>
      // Parts that came since the read are of a repeated request of the same producer.
      headOf(newest, "chunks") === written
        ? endStream(
            newest,
            { ...parts, open: turn, sealing: sealingOf(newest, { turn, chunks, parts, failure }, context) },
            context,
          )
        : null;
    const sealAlone = async (): Promise<true | undefined> => {
      const sealed = await handle.write((draft, context) => seal(draft.record, context));
      return sealed.status === "ok" ? true : undefined;
    };
    if (append === undefined) return await sealAlone();
    const session = record.user;
    if (session === null) throw invalidArgument("session", session, { expected: "stream_session" });
    const { key: turnKey, ...exchange } = append;
    await appendBeside(
      core,
      { stream: key.id, session: { tenant, id: session } },
      { exchange, write: defined({ key: turnKey }) },
      async (attempt) => {
        if (attempt > 1) await handle.peek();
        const change = seal(handle.record, core.context());
        if (change === null)
          throw new SessionError("contended", { sessionId: key.id, tenant, agent: record.agent, attempts: attempt });
        return [change];
      },
    );
    // The exchange may have been appended by an earlier call already: then nothing was written now.
    await handle.peek();
    return handle.record.openTurn === null ? true : await sealAlone();
  });
}

function sealingOf(
  record: SessionRecord,
  {
    turn,
    chunks,
    parts,
    failure,
  }: {
    readonly turn: Turn;
    readonly chunks: readonly Chunk[];
    readonly parts: TokenParts;
    readonly failure: string | undefined;
  },
  { now }: Context,
): Sealing {
  const output = assemble([...chunks, ...restOf(record, parts).rest]);
  const common = { output, requests: 1, durationMs: Math.max(0, now - turn.at.getTime()) };
  if (failure === undefined) return { status: "done", ...common };
  return { status: "failed", ...common, error: { code: "stream_failed", message: clip(failure, reportedLengthMax) } };
}

/** @throws SessionError `argument_invalid`, `id_invalid`, `value_unstorable` */
function parseParts({ token, after, parts }: TokenWrite): TokenParts {
  if (!Array.isArray(parts)) throw invalidArgument("parts", parts, { expected: "array" });
  if (parts.length > partsMax)
    throw new SessionError("argument_invalid", {
      name: "parts",
      length: parts.length,
      expected: "list",
      max: partsMax,
    });
  const chunks = Array.from(parts as readonly unknown[], (one, index) => {
    guardNames(one as PartInput, `parts[${index}]`, partNames);
    const { part } = one as PartInput;
    if (part === undefined) throw invalidArgument(`parts[${index}].part`, part, { expected: "value" });
    return keptChunk(parseChunk(one)).chunk;
  });
  return { token: parseId(token, "token"), after: parseWholeNumber(after, "after", 0), chunks };
}
