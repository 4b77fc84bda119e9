/** Content parts of chat completions, as a tool returns them. */

/** A part of a tool's result that the model sees as it is. */
export type ContentPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly image_url: Texts }
  | { readonly type: "input_audio"; readonly input_audio: Texts }
  | { readonly type: "file"; readonly file: Texts };

type Texts = Readonly<Record<string, string>>;

/** The texts of each kind, of which one is required. */
const mediaFields: Readonly<Record<string, readonly string[]>> = {
  image_url: ["url"],
  input_audio: ["data"],
  file: ["file_data", "file_id"],
};

/** The parts of a list that holds nothing else; undefined for any other result, which is data. */
export function contentParts(result: unknown): readonly ContentPart[] | undefined {
  if (!Array.isArray(result) || result.length === 0) return undefined;
  return result.every(isPart) ? result : undefined;
}

function isPart(part: unknown): part is ContentPart {
  if (!isPlain(part) || typeof part["type"] !== "string" || Object.keys(part).length !== 2) return false;
  const { type, [type]: content } = part;
  if (type === "text") return typeof content === "string";
  const required = mediaFields[type];
  return required !== undefined && isTexts(content) && required.some((field) => content[field] !== undefined);
}

function isTexts(value: unknown): value is Texts {
  return isPlain(value) && Object.values(value).every((text) => typeof text === "string");
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
