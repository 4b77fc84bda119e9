import type { JSX } from "preact";
import { useLocation } from "preact-iso/router";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Session } from "../http/wire.ts";
import { useKeys } from "../view/keyboard.ts";
import { Icon } from "../view/icons.tsx";
import { CopyButton } from "../view/code.tsx";
import { Failure, Loading, StateMark, href, sessionHref } from "../view/parts.tsx";
import { shown } from "../view/mask.ts";
import { isThread } from "../langgraph/thread.ts";
import { Checkpoints } from "../langgraph/checkpoints.tsx";
import { Compare } from "./compare.tsx";
import { Conversation } from "./conversation.ts";
import { Panel } from "./panel.tsx";
import { Stored } from "./stored.tsx";
import { Timeline } from "./timeline.tsx";
import { Turns } from "./turns.tsx";

const tabs: readonly {
  readonly name: string;
  readonly path: string;
  /** The sessions that have this view; all of them without it. */
  readonly isFor?: (session: Session) => boolean;
}[] = [
  { name: "Conversation", path: "" },
  { name: "Timeline", path: "/timeline" },
  { name: "Stored", path: "/stored" },
  { name: "Compare", path: "/compare" },
  { name: "Checkpoints", path: "/checkpoints", isFor: isThread },
];

interface PageProps {
  readonly id: string;
  readonly tab?: string;
}

export function ConversationPage({ id, tab = "" }: PageProps): JSX.Element {
  const conversation = useMemo(() => new Conversation(id), [id]);
  useEffect(() => () => conversation.close(), [conversation]);
  const { route } = useLocation();
  const session = conversation.session.value;
  const offered = tabs.filter(({ isFor }) => isFor === undefined || (session !== undefined && isFor(session)));
  useKeys({
    Escape: () => route(href("/")),
    ...Object.fromEntries(offered.map(({ path }, index) => [String(index + 1), () => route(sessionHref(id, path))])),
  });
  const error = conversation.error.value;
  const title = session === undefined || session.title === null ? id : shown(session.title);
  useEffect(() => {
    document.title = `${title} · Perdure Studio`;
    return () => void (document.title = "Perdure Studio");
  }, [title]);
  const bar = useRef<HTMLElement>(null);
  const split = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a narrow screen a view and the panel are one column, which is scrolled as one; the turns open at their end.
    if (tab !== "") split.current?.scrollTo({ top: 0 });
    // There the name of the view may be outside of the row of views.
    bar.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [tab, offered.length]);
  return (
    <div class="page">
      <header class="bar bar-session">
        <a class="quiet" href={href("/")} aria-label="All sessions">
          <Icon name="back" />
        </a>
        <h1 class="clip">{title}</h1>
        {session !== undefined && <StateMark state={session.state} />}
        {session !== undefined && session.title !== null && <code class="clip faint bar-id">{id}</code>}
        <CopyButton text={id} label="Copy id" />
      </header>
      <nav class="tabs" aria-label="Views of the session" ref={bar}>
        {offered.map(({ name, path }) => (
          <a
            key={name}
            href={sessionHref(id, path)}
            aria-current={path === (tab === "" ? "" : `/${tab}`) ? "page" : undefined}
          >
            {name}
          </a>
        ))}
      </nav>
      {error !== undefined ? (
        <Failure error={error} retry={() => conversation.retry()} />
      ) : session === undefined ? (
        <Loading />
      ) : (
        <div class="split" ref={split}>
          <View tab={tab} conversation={conversation} />
          <Panel conversation={conversation} session={session} />
        </div>
      )}
    </div>
  );
}

function View({ tab, conversation }: { readonly tab: string; readonly conversation: Conversation }): JSX.Element {
  if (tab === "timeline") return <Timeline conversation={conversation} />;
  if (tab === "stored") return <Stored conversation={conversation} />;
  if (tab === "checkpoints") return <Checkpoints conversation={conversation} />;
  if (tab === "compare") return <Compare conversation={conversation} />;
  return <Turns conversation={conversation} />;
}
