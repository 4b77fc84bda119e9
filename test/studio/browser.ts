/** Debian's Chromium, driven by Playwright. Tests of the page skip where it is not installed. */
import { existsSync } from "node:fs";
import { after } from "node:test";
import { chromium, type Browser } from "playwright-core";

const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);

/** The reason to skip; false where a browser is installed. */
export const noBrowser: string | false = program === undefined ? "Chromium is not installed" : false;

/** What a busy machine may take for the start of the browser, or for one step of a page, ms. */
export const timeoutMs = 180_000;

let opened: Promise<Browser> | undefined;

/** One browser for all tests of a file. */
export async function browser(): Promise<Browser> {
  opened ??= chromium.launch({ executablePath: program ?? "", args: ["--no-sandbox"], timeout: timeoutMs });
  return await opened;
}

after(async () => await (await opened)?.close());
