import { SessionError } from "../errors.ts";
import type { ImportItem } from "../sessions/transfer/importing.ts";
import { checkJson, JsonError } from "../sessions/snapshots/located-json.ts";
import { textOf } from "../sessions/snapshots/snapshot-reader.ts";
import { conversationOf, importItem } from "./forms/conversation.ts";
import { documentsOf, type SourceDocument } from "../files/documents.ts";
import type { Value } from "../domain/values/codec.ts";
import { formatOf } from "../formats/registry.ts";
import { isFields as areFields, type Fields } from "../domain/turns/known-parts.ts";

/** Nesting limit, deeper than any stored value. */
const depthMax = 520;

/**
 * Reads an import file: snapshots, one per line; or conversations in the formats of other programs, one per line, in an array, or as the messages of a single one.
 */
export async function* importItems(
  stream: AsyncIterable<Uint8Array>,
  { file, bytesMax }: { readonly file: string; readonly bytesMax: number },
): AsyncGenerator<ImportItem, void, undefined> {
  /** Collects the messages if the file is a single conversation. */
  const single: unknown[] = [];
  let gathered = 0;
  for await (const document of documentsOf(stream, { file, bytesMax })) {
    const read = readDocument(document);
    if ("error" in read || "text" in read) {
      yield read;
    } else if (isMessage(read.value)) {
      single.push(read.value);
      gathered += "bytes" in document ? document.bytes.length : 0;
      if (gathered > bytesMax)
        throw new SessionError("snapshot_too_large", { source: file, bytes: gathered, bytesMax });
    } else {
      yield importItem(read.source, () => conversationOf(read.value, read.source));
    }
  }
  if (single.length > 0) yield importItem(file, () => conversationOf(single, file));
}

type ReadDocument =
  | Exclude<ImportItem, { conversation: unknown }>
  | { readonly source: string; readonly value: unknown };

function readDocument(document: SourceDocument): ReadDocument {
  if ("error" in document) return document;
  const { source, bytes } = document;
  let text: string | undefined;
  try {
    text = textOf(bytes, source);
    if (text.startsWith('{"format":"perdure.session/')) return { source, text };
    const value: unknown = JSON.parse(text);
    const isOurs = isFields(value) && typeof value["format"] === "string";
    return isOurs ? { source, text } : { source, value };
  } catch (error) {
    if (error instanceof SessionError) return { source, error };
    return { source, error: notJson(text ?? "", source) };
  }
}

function notJson(text: string, source: string): SessionError {
  try {
    checkJson(text, { depthMax });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const { line, column } = error.place;
    return new SessionError("snapshot_invalid", { source, line, column }, { cause: error });
  }
  return new SessionError("snapshot_invalid", { source, expected: "json" });
}

/** True for an object that is no list. */
function isFields(value: unknown): value is Fields {
  return areFields(value as Value);
}

/** True for a message of any format; a value of JSON with other fields is a conversation. */
function isMessage(value: unknown): boolean {
  return formatOf(value) !== undefined;
}
