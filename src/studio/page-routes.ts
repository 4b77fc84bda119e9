/** The page of the studio over HTTP: one document for all its paths, its files, and the exchange of a one-time token. */
import type { StudioFiles } from "./files.ts";
import type { OneTimeTokens } from "./one-time-tokens.ts";

/** Where the page is, and what it calls. */
export interface PagePlace {
  /** The path of the page, without a slash at its end: `/studio`. */
  readonly path: string;
  /** The path in front of `/v1` in the requests of the page. */
  readonly api: string;
  /** How the page is admitted: by an API key that its reader types, by a one-time token, or by the login of the program. */
  readonly login: "key" | "token" | "none";
}

/** The page loads and calls its own origin alone; no other page may frame it. */
export const pagePolicy =
  "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

const headers: Readonly<Record<string, string>> = {
  "content-security-policy": pagePolicy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** Answers a request for the page; undefined for a path outside of it. */
export async function pageReply(
  request: Request,
  place: PagePlace,
  { files, tokens }: { readonly files: StudioFiles; readonly tokens?: OneTimeTokens },
): Promise<Response | undefined> {
  const { pathname } = new URL(request.url);
  const { path } = place;
  if (pathname !== path && !pathname.startsWith(`${path}/`)) return undefined;
  const rest = pathname.slice(path.length + 1);
  if (rest === "exchange" && tokens !== undefined) return await exchangeReply(request, tokens);
  if (request.method !== "GET" && request.method !== "HEAD")
    return reply(405, "text/plain; charset=utf-8", "Method not allowed.\n", { allow: "GET, HEAD" });
  if (rest.startsWith("files/")) return fileReply(request, files, rest.slice("files/".length));
  if (!files.has("studio.js"))
    return reply(503, "text/plain; charset=utf-8", "The page is not built. Run: npm run build\n");
  return reply(200, "text/html; charset=utf-8", documentOf(place), { "cache-control": "no-cache" });
}

function fileReply(request: Request, files: StudioFiles, name: string): Response {
  const file = files.get(name);
  if (file === undefined) return reply(404, "text/plain; charset=utf-8", "Not found.\n");
  const cached = { etag: file.etag, "cache-control": "no-cache" };
  if (request.headers.get("if-none-match") === file.etag)
    return new Response(null, { status: 304, headers: { ...headers, ...cached } });
  return reply(200, file.type, file.bytes, cached);
}

/** A token opens the studio once; the page gets a key for it. */
async function exchangeReply(request: Request, tokens: OneTimeTokens): Promise<Response> {
  if (request.method !== "POST")
    return reply(405, "text/plain; charset=utf-8", "Method not allowed.\n", { allow: "POST" });
  const key = tokens.exchange((await request.text()).slice(0, 200));
  const store = { "cache-control": "no-store" };
  return key === undefined
    ? reply(403, "application/json", JSON.stringify({ error: "the token is unknown, used or expired" }), store)
    : reply(200, "application/json", JSON.stringify({ key }), store);
}

function reply(
  status: number,
  type: string,
  body: string | Uint8Array<ArrayBuffer>,
  more: Readonly<Record<string, string>> = {},
): Response {
  return new Response(body, { status, headers: { ...headers, "content-type": type, ...more } });
}

function documentOf({ path, api, login }: PagePlace): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="perdure-studio" content="${escaped(path)}" data-api="${escaped(api)}" data-login="${login}">
<title>Perdure Studio</title>
<link rel="icon" href="${escaped(path)}/files/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${escaped(path)}/files/studio.css">
<script type="module" src="${escaped(path)}/files/studio.js"></script>
</head>
<body><div id="app"></div><noscript>The studio needs JavaScript.</noscript></body>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
