/** The last instant that a `Date` holds, epoch ms: https://tc39.es/ecma262/#sec-time-values-and-time-range */
export const dateMaxMs = 8_640_000_000_000_000;

/** True for epoch milliseconds that a date holds. */
export function isDate(ms: number): boolean {
  return Math.abs(ms) <= dateMaxMs;
}

/** The longest duration: a hundred years. A longer one is an error in the unit. */
export const durationMaxMs: number = 100 * 365 * 86_400_000;

/** The last instant that callers may pass: with any duration added, a `Date` still holds it. */
export const instantMaxMs: number = dateMaxMs - durationMaxMs;

/** Tokens, or calls of a model, of one turn. The sum of 90 000 such turns is still an exact number. */
export const countMax = 100_000_000_000;

/** Tokens, calls and milliseconds that a session has counted: the sum of nine such sessions is still an exact number. */
export const counterMax = 1_000_000_000_000_000;

/** The limits that an application may set. */
export interface Limits {
  /** The encoded bytes of one turn; the native forms of its messages may have as many beside it. @default 8 MiB */
  readonly turnBytesMax: number;
  /** The tool calls of one turn. @default 4096 */
  readonly toolCallsMax: number;
  /**
   * The stored chunks of one running answer. A message is one chunk; consecutive texts are one chunk for each write to
   * the store. @default 100 000
   */
  readonly chunksMax: number;
  /** The encoded bytes of a session's metadata, which every append rewrites. @default 64 KiB */
  readonly metadataBytesMax: number;
  /** The named logs of one session; one that was emptied counts. @default 16 */
  readonly logsMax: number;
  /** The branches of one session. @default 100 */
  readonly branchesMax: number;
  /** The conversations of one device that is linked to no user. @default 200 */
  readonly conversationsMax: number;
  /** The entries of one `write`, turns included. @default 1000 */
  readonly writeEntriesMax: number;
  /** The encoded bytes of one entry of a named log. @default 1 MiB */
  readonly entryBytesMax: number;
  /** The encoded bytes of all entries of one `write` to named logs. @default 8 MiB */
  readonly writeBytesMax: number;
  /** The encoded bytes of the value of one document. @default 1 MiB */
  readonly documentBytesMax: number;
  /** The documents of one write, or of one `getMany`. @default 100 */
  readonly documentsMax: number;
  /** The bytes of one attachment. @default 64 MiB */
  readonly attachmentBytesMax: number;
  /** The bytes of the attachments in one request to a model, the newest first. @default 32 MiB */
  readonly requestAttachmentBytesMax: number;
  /** The attachments of one session. @default 1000 */
  readonly attachmentsMax: number;
  /** The encoded bytes of the state that a runtime stores for its next activation. @default 1 MiB */
  readonly stateBytesMax: number;
  /** The characters of a session's instructions. @default 1 Mi */
  readonly instructionsLengthMax: number;
  /** The characters of the note that goes with a handoff. @default 4000 */
  readonly noteLengthMax: number;
  /** The encoded bytes of one event that an application records. @default 64 KiB */
  readonly eventBytesMax: number;
  /** The bytes that the outbox buffers while the store is away. @default 64 MiB */
  readonly outboxBytesMax: number;
  /** The bytes of one snapshot, which is in memory as a whole while it is made or read. @default 256 MiB */
  readonly snapshotBytesMax: number;
  /** The number of waiters for the lease of one session. @default 32 */
  readonly waitersMax: number;
  /** Sessions on one page of a list. @default 1000 */
  readonly pageMax: number;
  /** The bytes of the items on one page of a list; a page has at least one item. @default 1 MiB */
  readonly pageBytesMax: number;
  /** Entries in one read of a log. @default 500 */
  readonly readMax: number;
  /** The bytes of the entries in one read of a log, which has at least one entry. @default 256 KiB */
  readonly readBytesMax: number;
  /** The encoded bytes of the past turns that a model is shown, the newest turn at least. @default 1 MiB */
  readonly windowBytesMax: number;
  /** Operations that may queue in one process for one session. @default 10000 */
  readonly pendingMax: number;
}

/** The default limits. */
export const defaultLimits: Limits = {
  turnBytesMax: 8 * 1024 * 1024,
  toolCallsMax: 4096,
  chunksMax: 100_000,
  metadataBytesMax: 64 * 1024,
  logsMax: 16,
  branchesMax: 100,
  conversationsMax: 200,
  writeEntriesMax: 1000,
  entryBytesMax: 1024 * 1024,
  writeBytesMax: 8 * 1024 * 1024,
  documentBytesMax: 1024 * 1024,
  documentsMax: 100,
  attachmentBytesMax: 64 * 1024 * 1024,
  requestAttachmentBytesMax: 32 * 1024 * 1024,
  attachmentsMax: 1000,
  stateBytesMax: 1024 * 1024,
  instructionsLengthMax: 1024 * 1024,
  noteLengthMax: 4000,
  eventBytesMax: 64 * 1024,
  outboxBytesMax: 64 * 1024 * 1024,
  snapshotBytesMax: 256 * 1024 * 1024,
  waitersMax: 32,
  pageMax: 1000,
  pageBytesMax: 1024 * 1024,
  readMax: 500,
  readBytesMax: 256 * 1024,
  windowBytesMax: 1024 * 1024,
  pendingMax: 10_000,
};
