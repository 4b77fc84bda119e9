/** The package `@mastra/core`, described by the members that are used. It is loaded when a memory is made. */
/** @ts-ignore -- The package is a peer: its types may be absent. The declarations have this comment too. */
import type { MemoryStorage } from "@mastra/core/storage";
import { loadPeer } from "../peers/load-peer.ts";

/** The class of the package. It has private members, so that no other class has its type. */
export type { MemoryStorage };

/** A thread, as Mastra has it. */
export interface MastraThread {
  id: string;
  title?: string;
  resourceId: string;
  createdAt: Date;
  updatedAt: Date;
  metadata?: Record<string, unknown>;
}

/** A message, as Mastra stores it; fields that are not named here are kept too. */
export interface MastraMessage {
  id: string;
  role: string;
  createdAt: Date;
  threadId?: string;
  resourceId?: string;
  type?: string;
  /** Of the second format; a text in threads of earlier versions. */
  content: unknown;
}

/** A message to change: fields that it does not have stay. */
export interface MastraMessageUpdate extends Partial<Omit<MastraMessage, "id">> {
  id: string;
}

/** A resource: the owner of threads, with the memory that all of them share. */
export interface MastraResource {
  id: string;
  workingMemory?: string;
  metadata?: Record<string, unknown>;
  createdAt: Date;
  updatedAt: Date;
}

/** A page, from 0. @default `perPage`: 40 messages, 100 threads */
export interface MastraPageRequest {
  readonly perPage?: number | false;
  readonly page?: number;
  readonly orderBy?: { readonly field?: string; readonly direction?: string };
}

/** The messages to list. */
export interface MastraMessagesRequest extends MastraPageRequest {
  readonly resourceId?: string;
  /** Messages of any thread that are added to the page, with those around them. */
  readonly include?: readonly {
    readonly id: string;
    readonly withPreviousMessages?: number;
    readonly withNextMessages?: number;
  }[];
  readonly filter?: {
    readonly dateRange?: {
      readonly start?: Date;
      readonly end?: Date;
      readonly startExclusive?: boolean;
      readonly endExclusive?: boolean;
    };
    /** Fields of the metadata in the content of the messages. */
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
  /** False: the messages are not counted. @default true */
  readonly includeTotal?: boolean;
}

/** The threads to list. */
export interface MastraThreadsRequest extends MastraPageRequest {
  readonly filter?: { readonly resourceId?: string; readonly metadata?: Readonly<Record<string, unknown>> };
}

/** The thread to copy, and which of its messages. */
export interface MastraCopyRequest {
  readonly sourceThreadId: string;
  readonly newThreadId?: string;
  readonly resourceId?: string;
  readonly title?: string;
  readonly metadata?: Record<string, unknown>;
  readonly options?: {
    readonly messageLimit?: number;
    readonly messageFilter?: {
      readonly startDate?: Date;
      readonly endDate?: Date;
      readonly messageIds?: readonly string[];
    };
  };
}

/** Where a page is. */
export interface MastraPage {
  total: number;
  page: number;
  perPage: number | false;
  hasMore: boolean;
}

interface PackageMastra {
  readonly MemoryStorage: new () => object;
}

/** @throws SessionError `argument_invalid` if the package is not installed, or has another form */
export async function newMemoryStorage(): Promise<object> {
  const loaded = await loadPeer<PackageMastra>(
    "@mastra/core",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("@mastra/core/storage"),
    ["MemoryStorage"],
  );
  return new loaded.MemoryStorage();
}
