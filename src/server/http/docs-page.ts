import { standalonePage, type StandalonePage } from "../../pages/standalone-page.ts";

/** The OpenAPI document as a page; undefined in a checkout whose pages are not built. A folder is for tests. */
export function docsPage(document: object, folder?: string): StandalonePage | undefined {
  const { info } = document as { readonly info: { readonly title: string; readonly version: string } };
  const content = {
    name: "reference",
    title: `${info.title} ${info.version}`,
    data: document,
    withoutScripts: "This page needs scripts. The document for programs is openapi.json.",
  } as const;
  return standalonePage(content, folder);
}
