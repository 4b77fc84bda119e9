/** Streams on the wire: as in the library, with instants as ISO 8601. */
import type { StreamInfo } from "../index.ts";

/** A stream, without its parts. */
export interface WireStream extends Omit<StreamInfo, "createdAt" | "lastActivityAt" | "expiresAt"> {
  readonly createdAt: string;
  readonly lastActivityAt: string;
  readonly expiresAt: string | null;
}

export function wireStream({ createdAt, lastActivityAt, expiresAt, ...stream }: StreamInfo): WireStream {
  return {
    ...stream,
    createdAt: createdAt.toISOString(),
    lastActivityAt: lastActivityAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
  };
}

export function streamOfWire({ createdAt, lastActivityAt, expiresAt, ...stream }: WireStream): StreamInfo {
  return {
    ...stream,
    createdAt: new Date(createdAt),
    lastActivityAt: new Date(lastActivityAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  };
}
