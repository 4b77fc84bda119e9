/** The contract of a form in which programs keep conversations in files. */
import type { Value } from "../../domain/values/codec.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";

/** A document of a file: a line, an item of an array, or an object. */
export interface FoundDocument {
  readonly value: Value;
  /** Its file and line, or its number, for errors. */
  readonly place: string;
}

/** What a document is: a whole conversation, or an entry of one, such as a message or a line of a log. */
export type DocumentKind = "conversation" | "entry";

/** How to read conversations that have several branches. */
export interface BranchOptions {
  /**
   * `shown`: the branch that was shown last; `fork`: each other branch is a conversation of its own too; `keep`: the others are
   * `branches` of the conversation.
   */
  readonly branches: (typeof branchChoices)[number];
  /** The most branches of one conversation that are read with `keep`. @default all */
  readonly branchesMax?: number;
}

/** What to do with the branches of a conversation. */
export const branchChoices = ["shown", "fork", "keep"] as const;

/**
 * A form in which programs keep conversations in files. The functions are pure and read data only. Of several forms, a
 * file has the first one that all of its documents fit.
 */
export interface ConversationFormat {
  /** Its name for `--format` and in reports: lower-case letters, digits and dashes. */
  readonly name: string;
  /** Its name for people: "an export of ChatGPT". */
  readonly title: string;
  /** What a document is in this form; undefined for a document of another form. */
  readonly kindOf: (document: Value) => DocumentKind | undefined;
  /**
   * The conversation of an entry: entries with equal texts are read together. Undefined where the entry does not say.
   * @default all entries of a file are one conversation
   */
  readonly groupOf?: (entry: Value) => string | undefined;
  /**
   * True for a log of a program: the documents of a file that fit no known form are counted by their types and left out, those of
   * another form are errors, and the others are read.
   * @default false: a document that does not fit refuses the conversation that it may belong to
   */
  readonly isLog?: boolean;
  /**
   * The conversations in one document, or in the entries of one conversation, in their order.
   * @throws SessionError `message_invalid` with the place
   */
  readonly read: (
    documents: readonly [FoundDocument, ...FoundDocument[]],
    options: BranchOptions,
  ) => readonly Conversation[];
}
