import type { JSX } from "preact";
import { may } from "../http/api.ts";
import { Blank, href } from "../view/parts.tsx";
import { Doctor } from "./doctor.tsx";
import { Erasure } from "./erasure.tsx";
import { Events } from "./events.tsx";
import { Keys } from "./keys.tsx";
import { Streams } from "./streams.tsx";
import { Sweep } from "./sweep.tsx";

const tools = [
  { name: "Events", path: "" },
  { name: "Streams", path: "streams" },
  { name: "Doctor", path: "doctor" },
  { name: "Sweep", path: "sweep" },
  { name: "Erasure", path: "erasure" },
  { name: "Keys", path: "keys" },
] as const;

/** What an operator does on the whole store. */
export function OperatePage({ tool = "" }: { readonly tool?: string }): JSX.Element {
  return (
    <div class="page page-scroll" tabIndex={0} role="region" aria-label="Operate">
      <header class="bar">
        <h1>Operate</h1>
      </header>
      <nav class="tabs" aria-label="Tools">
        {tools.map(({ name, path }) => (
          <a
            key={name}
            href={href(`/operate${path === "" ? "" : `/${path}`}`)}
            aria-current={path === tool ? "page" : undefined}
          >
            {name}
          </a>
        ))}
      </nav>
      <div class="tool">
        {tool === "" ? (
          <Events />
        ) : tool === "streams" ? (
          <Streams />
        ) : !may("admin") ? (
          <Blank title="This needs the right admin">
            <p>Start the studio with --write, or use a key with the right admin.</p>
          </Blank>
        ) : tool === "doctor" ? (
          <Doctor />
        ) : tool === "sweep" ? (
          <Sweep />
        ) : tool === "keys" ? (
          <Keys />
        ) : (
          <Erasure />
        )}
      </div>
    </div>
  );
}
