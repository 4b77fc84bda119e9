import type { ListenedServer } from "../server/index.ts";
import { studioFiles, type StudioFiles } from "./files.ts";
import { pageReply } from "./page-routes.ts";

/** A server that also has the page of the studio at `/studio`. The page asks for an API key, and calls the server with it. */
export function withStudio(server: ListenedServer, files: StudioFiles = studioFiles()): ListenedServer {
  const place = { path: "/studio", api: "", login: "key" } as const;
  return {
    drain: () => server.drain(),
    stop: async () => await server.stop(),
    fetch: async (request, env, context) =>
      (await pageReply(request, place, { files })) ?? (await server.fetch(request, env, context)),
  };
}
