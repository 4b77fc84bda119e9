/** Files of messages of chat applications: with their content, or by name alone. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { textOf } from "../../conversations/about.ts";
import type { LeftOutCounts } from "../../conversations/left-out.ts";
import { listOf } from "../../conversations/lists.ts";

/**
 * The parts in place of files: pictures with an address, texts of documents after their names, and for all others the name,
 * which counts as left out.
 */
export function partsOfFiles(files: Value | undefined, leftOut: LeftOutCounts): readonly Value[] {
  return listOf(files).flatMap((file): Value => {
    const fields = isFields(file) ? file : { name: file };
    const isPicture = kindOf(fields).startsWith("image");
    const name = nameOf(fields);
    const { url } = fields;
    if (isPicture && typeof url === "string" && /^(?:data|https?):/i.test(url))
      return { type: "image_url", image_url: { url } };
    const text = textIn(fields);
    if (text !== undefined) return { type: "text", text: `${name === undefined ? "" : `${name}:\n`}${text}\n\n` };
    leftOut.add(isPicture ? "picture" : "attachment");
    const kind = isPicture ? "image" : "attachment";
    return { type: "text", text: `[${name === undefined ? kind : `${kind} ${name}`}]\n\n` };
  });
}

function kindOf(file: Fields): string {
  return textOf(file, ["content_type", "contentType", "fileType", "type"]) ?? "";
}

function nameOf(file: Fields): string | undefined {
  const { file: inner } = file;
  const names = ["filename", "name", "title", "filepath", "file_id", "id", "url"];
  const own = textOf(file, names.slice(0, 3));
  return own ?? (isFields(inner) ? textOf(inner, names) : undefined) ?? textOf(file, names);
}

/** The text of a document: of Open WebUI in `file.data.content`, of LibreChat in `text`. */
function textIn(file: Fields): string | undefined {
  const inner = isFields(file["file"]) ? file["file"] : {};
  const data = isFields(inner["data"]) ? inner["data"] : {};
  return textOf(data, ["content"]) ?? textOf(file, ["text", "content"]);
}
