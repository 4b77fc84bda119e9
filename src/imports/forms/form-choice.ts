/** Chooses the form of a file: the first one that all of its documents fit. */
import { isFields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { formatNames, formatValue } from "../../domain/values/format-value.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import { messageOfFailure } from "../../sessions/core/pass-failures.ts";
import type { ConversationFormat, DocumentKind, FoundDocument } from "../conversations/conversation-format.ts";
import { unknownMessageIn } from "./chat.ts";

/**
 * The form of one file. Plain messages of text are alike in several forms, so a form is excluded by the first document that
 * does not fit it, and a later document may settle what the file is.
 */
export class FormChoice {
  readonly #known: readonly ConversationFormat[];
  #open: readonly ConversationFormat[];
  #hasFit = false;

  /** @throws SessionError `argument_invalid` for a name that no form has */
  constructor(formats: readonly ConversationFormat[], name: string | undefined) {
    this.#known = formsNamed(formats, name);
    this.#open = this.#known;
  }

  /** The form of the documents so far; undefined before the first one that fits. */
  get form(): ConversationFormat | undefined {
    return this.#hasFit ? this.#open[0] : undefined;
  }

  /** True for a document of a form that the file may have. @throws SessionError `message_invalid` where a form fails */
  fits(document: FoundDocument): boolean {
    return this.#open.some((form) => kindIn(form, document) !== undefined);
  }

  /** True for a document of a known form, also one that the file does not have, and where a form fails. */
  isKnown(document: FoundDocument): boolean {
    try {
      return this.#known.some((form) => kindIn(form, document) !== undefined);
    } catch (error) {
      if (error instanceof SessionError) return true;
      throw error;
    }
  }

  /** True for a whole conversation in the first form that fits. @throws SessionError `message_invalid` where a form fails */
  isConversation(document: FoundDocument): boolean {
    const form = this.#open.find((one) => kindIn(one, document) !== undefined);
    return form !== undefined && kindIn(form, document) === "conversation";
  }

  /** The kind of the next document. @throws SessionError `message_invalid` where it is of another form, or a form fails */
  kindOf(document: FoundDocument): DocumentKind {
    const { value, place } = document;
    const fitting = this.#open.filter((form) => kindIn(form, document) !== undefined);
    const [form] = fitting;
    const kind = form && kindIn(form, document);
    if (kind === undefined) throw this.#misfit(value, place);
    this.#open = fitting;
    this.#hasFit = true;
    return kind;
  }

  #misfit(value: Value, place: string): SessionError {
    const unknown = unknownMessageIn(value);
    if (unknown !== undefined)
      return new SessionError("message_invalid", {
        path: `${place} ${unknown.path}`,
        value: formatValue(unknown.value),
        expected: "known_message",
      });
    const found = isFields(value) ? formatNames(Object.keys(value)) : formatValue(value);
    const known = this.#hasFit ? this.#open.map(({ title }) => title) : formNames(this.#known);
    return new SessionError("message_invalid", { path: place, value: found, expected: "known_form", known });
  }
}

/** The names of the forms. An export of an application and the messages of its format share one. */
export function formNames(formats: readonly ConversationFormat[]): readonly string[] {
  return [...new Set(formats.map(({ name }) => name))];
}

/** The forms of this name, or all for none. @throws SessionError `argument_invalid` for a name that no form has */
export function formsNamed(
  formats: readonly ConversationFormat[],
  name: string | undefined,
): readonly ConversationFormat[] {
  const named = name === undefined ? formats : formats.filter((format) => format.name === name);
  if (named.length > 0) return named;
  throw invalidArgument("format", name, { expected: "one_of", known: formNames(formats) });
}

function kindIn(form: ConversationFormat, { value, place }: FoundDocument): DocumentKind | undefined {
  return readBy(form, place, () => form.kindOf(value));
}

/**
 * The result of a function of a form. A form of the caller may fail in any way.
 * @throws SessionError `message_invalid` with the place, for an error that has none
 */
export function readBy<Result>({ title }: ConversationFormat, place: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof SessionError) throw error;
    const details = { path: place, expected: "readable_by_form", known: [title] } as const;
    throw new SessionError("message_invalid", details, { cause: error, reported: messageOfFailure(error) });
  }
}
