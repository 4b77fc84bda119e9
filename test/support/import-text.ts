/** Imports a text as a file, and reads the sessions that it made. */
import { importSessions, type ImportOptions, type ImportReport } from "../../src/admin.ts";
import { withoutNative } from "../../src/domain/request/native-form.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { unpacked } from "../../src/files/bytes.ts";
import { importItems, type ItemsOptions } from "../../src/imports/import-items.ts";
import type { Message, Sessions } from "../../src/index.ts";

/** A text as a file or a pipe delivers it: in chunks that end anywhere. */
async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

export async function importText(
  sessions: Sessions,
  text: string | Uint8Array,
  { length = 7, bytesMax = 1e6, ...options }: Partial<ItemsOptions> & ImportOptions & { readonly length?: number } = {},
): Promise<ImportReport> {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  const { formats, format, branches, onForm, file = "f", ...how } = options;
  const reading = { file, bytesMax, ...defined({ formats, format, branches, onForm }) };
  return await importSessions(sessions, importItems(unpacked(inPieces(bytes, length), file), reading), how);
}

/** The stored messages, without their native forms. */
export async function messagesOf(sessions: Sessions, id: string): Promise<Message[]> {
  return (await storedMessages(sessions, id)).map(withoutNative);
}

export async function storedMessages(sessions: Sessions, id: string): Promise<Message[]> {
  const session = await sessions.get(id);
  const turns = await Array.fromAsync(session.turns());
  return turns.flatMap(({ input, output }) => [...input, ...output]);
}
