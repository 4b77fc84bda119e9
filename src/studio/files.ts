/** The built files of the page: their bytes, their types and their tags. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

export interface StudioFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly etag: string;
}

export type StudioFiles = ReadonlyMap<string, StudioFile>;

const types: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** The folder of the files. src/studio/, dist/studio/ and dist/parts/ are two folders below the package. */
const built = fileURLToPath(new URL("../../dist/studio/page/", import.meta.url));

/** The files of the page. Empty in a checkout whose page is not built. */
export function studioFiles(folder: string = built): StudioFiles {
  const files = new Map<string, StudioFile>();
  for (const name of namesIn(folder)) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    const bytes = new Uint8Array(readFileSync(`${folder}/${name}`));
    files.set(name, { bytes, type, etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"` });
  }
  return files;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
