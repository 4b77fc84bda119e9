/** The parts of a user's message: text, pictures, recordings and files. */
import type { Message, Value } from "../../index.ts";
import type { FileData, FilePart, SupportedUrls, TextPart } from "./language-model.ts";

/** The model that a prompt is for. */
export interface Target {
  readonly provider: string;
  readonly supportedUrls: SupportedUrls;
}

type Fields = Readonly<Record<string, Value>>;
type Part = TextPart | FilePart<FileData>;

/** A prompt has no names of speakers, so the text of a message with a name begins with it. */
export function questionParts({ name, content }: Message, target: Target): Part[] {
  if (typeof content === "string") return [{ type: "text", text: name == null ? content : `${name}: ${content}` }];
  const parts = (Array.isArray(content) ? (content as readonly Fields[]) : []).map((part) => partOf(part, target));
  return name == null ? parts : [{ type: "text", text: `${name}:` }, ...parts];
}

/** A part of chat completions; a request holds these kinds only. */
function partOf(part: Fields, target: Target): Part {
  const { type } = part;
  if (type === "image_url") return picture(part["image_url"] as Fields, target);
  if (type === "input_audio") {
    const { data, format } = part["input_audio"] as Fields;
    const mediaType = format === "mp3" ? "audio/mpeg" : `audio/${stringOf(format) || "wav"}`;
    return { type: "file", mediaType, data: { type: "data", data: stringOf(data) } };
  }
  if (type === "file") return file(part["file"] as Fields, target);
  return { type: "text", text: stringOf(part["text"]) };
}

function picture({ url, detail }: Fields, target: Target): Part {
  const part = atUrl(stringOf(url), "image/*", target);
  return part.type === "text" || typeof detail !== "string"
    ? part
    : { ...part, providerOptions: { openai: { imageDetail: detail } } };
}

function file(fields: Fields, target: Target): Part {
  const { file_data: data, file_id: id } = fields;
  const filename = stringOf(fields["filename"]);
  const named = filename === "" ? {} : { filename };
  if (typeof data === "string") {
    // Without a data URL it is base64.
    const part = atUrl(data.startsWith("data:") ? data : `data:application/pdf;base64,${data}`, "*/*", target);
    return part.type === "text" ? part : { ...part, ...named };
  }
  const [provider = ""] = target.provider.split(".");
  // An id is known to the provider that gave it.
  if (typeof id === "string" && ["openai", "azure"].includes(provider))
    return {
      type: "file",
      mediaType: "application/pdf",
      data: { type: "reference", reference: { [provider]: id } },
      ...named,
    };
  return unreadable(`file ${JSON.stringify(filename || stringOf(id))}`);
}

/** A file at a URL. The adapter downloads nothing: an address that the provider does not open itself is sent as text. */
function atUrl(address: string, mediaType: string, { supportedUrls }: Target): Part {
  if (address.startsWith("data:")) return embedded(address);
  if (!URL.canParse(address) || !opens(supportedUrls, address, mediaType)) return unreadable(address);
  return { type: "file", mediaType, data: { type: "url", url: new URL(address) } };
}

function opens(supported: SupportedUrls, address: string, mediaType: string): boolean {
  const [family = ""] = mediaType.split("/");
  return Object.entries(supported).some(([type, patterns]) => {
    const isOfType = ["*", "*/*", `${family}/*`, family].includes(type);
    return isOfType && patterns.some((pattern) => address.toLowerCase().search(pattern) >= 0);
  });
}

/** A file within a data URL. */
function embedded(address: string): Part {
  const comma = address.indexOf(",");
  const [mediaType = "", ...parameters] = address.slice("data:".length, Math.max(comma, 0)).split(";");
  const isBase64 = parameters.at(-1)?.trim().toLowerCase() === "base64";
  const data = address.slice(comma + 1);
  try {
    const text = isBase64 ? data : Buffer.from(decodeURIComponent(data)).toString("base64");
    if (comma >= 0 && text !== "")
      return { type: "file", mediaType: mediaType || "text/plain", data: { type: "data", data: text } };
  } catch {
    // Percent signs that encode nothing: the file cannot be read.
  }
  return unreadable("a data URL that cannot be read");
}

function unreadable(subject: string): TextPart {
  return { type: "text", text: `(this model cannot open ${subject.slice(0, 500)})` };
}

function stringOf(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}
