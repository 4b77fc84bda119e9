/** Chooses the form of a file: the first one that all of its documents fit. */
import { isFields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { formatValue, printable } from "../../domain/values/format-value.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import type { ConversationFormat, DocumentKind, FoundDocument } from "../conversations/conversation-format.ts";

/** The names of an unknown document that an error lists. */
const namesMax = 12;

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
    this.#known = name === undefined ? formats : formats.filter((format) => format.name === name);
    if (name !== undefined && this.#known.length === 0)
      throw invalidArgument("format", name, { expected: "one_of", known: formats.map((format) => format.name) });
    this.#open = this.#known;
  }

  /** The form of the documents so far; undefined before the first one that fits. */
  get form(): ConversationFormat | undefined {
    return this.#hasFit ? this.#open[0] : undefined;
  }

  /** True for a document of a form that the file may have. */
  fits(value: Value): boolean {
    return this.#open.some((form) => form.kindOf(value) !== undefined);
  }

  /** The kind of the next document. @throws SessionError `message_invalid` where it is of another form */
  kindOf({ value, place }: FoundDocument): DocumentKind {
    const fitting = this.#open.filter((form) => form.kindOf(value) !== undefined);
    const [form] = fitting;
    const kind = form?.kindOf(value);
    if (kind === undefined) throw this.#misfit(value, place);
    this.#open = fitting;
    this.#hasFit = true;
    return kind;
  }

  #misfit(value: Value, place: string): SessionError {
    const names = isFields(value) ? printable(Object.keys(value).slice(0, namesMax).join(", ")) : undefined;
    const found = names === undefined ? formatValue(value) : `{ ${names} }`;
    const known = this.#hasFit ? this.#open.map(({ title }) => title) : this.#known.map(({ name }) => name);
    return new SessionError("message_invalid", { path: place, value: found, expected: "known_form", known });
  }
}
