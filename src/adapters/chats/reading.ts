/** An answer for its readers: chunks from its stream, as they come, and how it ended. */
import { hasCode, type Streams } from "../../index.ts";
import { chunk } from "./chunks.ts";
import type { UiChunk } from "./ui-message.ts";

/** The chunks after which no other chunk of an answer says how it ended. */
const ends: ReadonlySet<string> = new Set(["finish", "abort", "error"]);

/** Why an answer has no more chunks, for the people who read it. */
export const lostText = "The answer was interrupted.";

/**
 * The chunks of an answer in any process, from its first one. An answer whose producer has ended ends with an error, and one
 * that was stopped with an abort, after all that had arrived.
 */
export async function* chunksOfStream(
  streams: Streams,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<UiChunk, void, void> {
  let isOver = false;
  try {
    for await (const { part } of streams.read(id, { signal })) {
      const read = part as unknown as UiChunk;
      isOver ||= ends.has(read.type);
      yield read;
    }
    if (!isOver && !signal.aborted) yield chunk("abort");
  } catch (error) {
    if (hasCode(error, "stream_failed") && error.details.how === "stopped") yield chunk("abort");
    else yield chunk("error", { errorText: lostText });
  }
}

/** The parts of a stream that has ended, whatever its end. */
export async function partsOfStream(streams: Streams, id: string): Promise<readonly UiChunk[]> {
  const parts: UiChunk[] = [];
  try {
    for await (const { part } of streams.read(id)) parts.push(part as unknown as UiChunk);
  } catch (error) {
    if (!hasCode(error, "stream_failed") && !hasCode(error, "stream_not_found")) throw error;
  }
  return parts;
}
