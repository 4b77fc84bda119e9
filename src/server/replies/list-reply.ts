/**
 * A page of a list as JSON, written as fast as its reader reads: an item is made and encoded when the reader has taken
 * the items before it. A reader that reads nothing costs one piece of the page.
 */
import { toJson } from "../../protocol/json.ts";
import { asSessionError } from "../http/problem-response.ts";
import { textAnswer, type RequestContext } from "../http/route.ts";

/** The items of a page, each as JSON. The generator returns the fields that follow the list. */
export type PageItems = AsyncGenerator<string, object, undefined>;

/** Small items are written together, up to this length. */
const pieceLength = 16 * 1024;

/**
 * Answers with an object: the list as its field `items`, then the other fields. An error of the first item sets the
 * status; a later error truncates the body.
 * @throws as `items` for the first item
 */
export async function listReply(c: RequestContext, items: PageItems): Promise<Response> {
  const first = await items.next();
  const pieces = piecesOf(first, items);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done === true) controller.close();
          else controller.enqueue(encoder.encode(value));
        } catch (thrown) {
          const error = asSessionError(thrown, c.get("requestId"));
          c.get("reporter")()(error);
          controller.error(error);
        }
      },
      async cancel() {
        await pieces.return();
        await items.return({});
      },
    },
    { highWaterMark: 0 },
  );
  return textAnswer(c, body);
}

/** The reason that names an item whose data has no JSON. */
export const unreadableData = "its data cannot be read";

/** The JSON of an item; undefined for damaged data that has no JSON, such as an invalid date. */
export function wireText<Item>(item: Item, wire: (item: Item) => object): string | undefined {
  try {
    return toJson(wire(item));
  } catch {
    // The page passes over the item, and names it.
    return undefined;
  }
}

/** Answers with a page that the store has returned as a whole; `nameOf` names an item that has no JSON. */
export async function pageReply<Item>(
  c: RequestContext,
  { items, unreadable = [], ...rest }: { readonly items: readonly Item[]; readonly unreadable?: readonly object[] },
  { wire, nameOf }: { readonly wire: (item: Item) => object; readonly nameOf: (item: Item) => object },
): Promise<Response> {
  const texts = async function* (): PageItems {
    const passed = [...unreadable];
    for (const item of items) {
      const text = wireText(item, wire);
      if (text === undefined) passed.push({ ...nameOf(item), reason: unreadableData });
      else yield text;
    }
    return { ...rest, ...(passed.length === 0 ? {} : { unreadable: passed }) };
  };
  return await listReply(c, texts());
}

async function* piecesOf(
  first: IteratorResult<string, object>,
  items: PageItems,
): AsyncGenerator<string, void, undefined> {
  let piece = '{"items":[';
  let separator = "";
  let found = first;
  for (; found.done !== true; found = await items.next()) {
    piece += separator + found.value;
    separator = ",";
    if (piece.length < pieceLength) continue;
    yield piece;
    piece = "";
  }
  const rest = toJson(found.value).slice(1);
  yield `${piece}]${rest === "}" ? "" : ","}${rest}`;
}
