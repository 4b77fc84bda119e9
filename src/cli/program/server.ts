import type { RemoteSessions } from "../../client/index.ts";
import { CliError } from "../terminal/cli-error.ts";
import { requiredKey } from "./environment.ts";

/** The sessions of a server. @throws CliError if the URL is not one of a server, or no key is given */
export async function serverAt(url: string, key: string | undefined): Promise<RemoteSessions> {
  if (!/^https?:/.test(url) || !URL.canParse(url)) {
    const shown = JSON.stringify(url.slice(0, 100));
    throw new CliError("usage", `--url is ${shown}; name a server, such as https://agents.example`);
  }
  const { connect } = await import("../../client/index.ts");
  return connect({ url, key: requiredKey(key) });
}
