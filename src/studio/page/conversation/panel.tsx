import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { call, may, sessionPath } from "../http/api.ts";
import type { LeaseHolder, Session, StoredEntry } from "../http/wire.ts";
import { bytes, counted, instant, number, span, words } from "../view/format.ts";
import { Json } from "../view/code.tsx";
import { shown } from "../view/mask.ts";
import { Ago, sessionHref, useLoaded, useNow, Until } from "../view/parts.tsx";
import { say } from "../view/toasts.tsx";
import { actions, download, perform, record, revocationOf } from "./actions.ts";
import type { Conversation } from "./conversation.ts";
import { Section } from "./section.tsx";
import { SessionSections } from "./session-sections.tsx";

/** Everything of a session beside its turns. */
export function Panel({
  conversation,
  session,
}: {
  readonly conversation: Conversation;
  readonly session: Session;
}): JSX.Element {
  const holder = conversation.holder.value;
  const parts = conversation.parts.value;
  const isOpen = conversation.turns.value?.at(-1)?.status === "open";
  const offered = actions.filter((action) => may(action.right) && action.isOffered(session, conversation));
  return (
    <aside class="panel" aria-label="Details of the session" tabIndex={0}>
      <Section title="Lease">
        {holder !== undefined ? (
          <Holder holder={holder} />
        ) : isOpen ? (
          <p class="notice notice-error">A turn is open, and no lease holder writes it.</p>
        ) : (
          <p class="faint">No lease: any writer may take it.</p>
        )}
        {session.waiting > 0 && <p>{number(session.waiting)} wait for it</p>}
      </Section>
      {session.legalHold !== null && (
        <Section title="Legal hold">
          <p class="notice notice-waiting">
            {shown(session.legalHold.reason)}
            <br />
            <span class="faint">since {instant(session.legalHold.since)}</span>
          </p>
        </Section>
      )}
      <Section title="Session">
        <dl class="facts">
          <Fact name="Agent">{session.agent}</Fact>
          {session.activeAgent !== null && (
            <Fact name="Active agent">
              {session.activeAgent.agent} <Until at={session.activeAgent.expiresAt} />
            </Fact>
          )}
          {session.activeAgent?.note != null && <Fact name="Note">{shown(session.activeAgent.note)}</Fact>}
          <Fact name="User">{session.user ?? "–"}</Fact>
          <Fact name="Last active">
            <Ago at={session.lastActivityAt} />
          </Fact>
          <Fact name="Created">{instant(session.createdAt)}</Fact>
          <Fact name="Expires">{session.expiresAt === null ? "never" : <Until at={session.expiresAt} />}</Fact>
          {session.parent !== null && (
            <Fact name="Fork of">
              <a class="link" href={sessionHref(session.parent.id)}>
                {session.parent.id}
              </a>{" "}
              at turn {session.parent.turn}
            </Fact>
          )}
          {session.archive !== null && (
            <Fact name="Archive">
              {bytes(session.archive.packedBytes)} of {bytes(session.archive.bytes)}
            </Fact>
          )}
          <Fact name="Version">
            <code>{session.version}</code>
          </Fact>
        </dl>
      </Section>
      <Section title="Usage">
        <dl class="facts">
          {Object.entries(session.counters)
            .filter(([, count]) => count !== 0)
            .map(([name, count]) => (
              <Fact
                key={name}
                name={words(
                  name
                    .replace(/Ms$/, "")
                    .replaceAll(/([A-Z])/g, " $1")
                    .toLowerCase(),
                )}
              >
                {name.endsWith("Ms") ? span(count) : number(count)}
              </Fact>
            ))}
          {session.budget?.tokens !== undefined && <Fact name="Budget">{number(session.budget.tokens)} tokens</Fact>}
          {session.budget?.turns !== undefined && <Fact name="Budget">{counted(session.budget.turns, "turn")}</Fact>}
        </dl>
      </Section>
      {Object.keys(session.labels).length > 0 && (
        <Section title="Labels">
          <p class="labels">
            {Object.entries(session.labels).map(([name, value]) => (
              <span class="tag" key={name}>
                {name}
                <b>{value}</b>
              </span>
            ))}
          </p>
        </Section>
      )}
      {Object.keys(session.metadata).length > 0 && (
        <Section title="Metadata">
          <Json value={session.metadata} />
        </Section>
      )}
      {parts !== undefined && (
        <SessionSections
          id={session.id}
          parts={parts}
          revoke={may("write") ? (share) => void perform(revocationOf(share), session, conversation) : undefined}
        />
      )}
      {conversation.partsFailure.value !== undefined && (
        <Section title="Memory, attachments and shares">
          <p class="notice notice-error">{(conversation.partsFailure.value as Error).message}</p>
        </Section>
      )}
      <Branches session={session} conversation={conversation} />
      <Forks session={session} />
      <Section title="Instructions">
        <Instructions id={session.id} />
      </Section>
      <Section title="Actions">
        <div class="actions">
          {offered.map((action) => (
            <button
              key={action.name}
              type="button"
              class={action.isDanger === true ? "button button-danger" : "button"}
              onClick={() => void perform(action, session, conversation)}
            >
              {action.name}
            </button>
          ))}
          <button type="button" class="button" onClick={() => void download(session.id)}>
            Download snapshot
          </button>
        </div>
        {!may("write") && <p class="faint">Read-only: start the studio with --write, or use a key that may write.</p>}
      </Section>
    </aside>
  );
}

interface Branch {
  readonly id: string;
  readonly isCurrent: boolean;
  readonly at: number;
  readonly index: number;
  readonly count: number;
  readonly turns: number;
  readonly lastActivityAt: string;
}

/** The versions of the conversation, where there are several. */
function Branches({
  session,
  conversation,
}: {
  readonly session: Session;
  readonly conversation: Conversation;
}): JSX.Element | null {
  const { value } = useLoaded(
    async (signal) => await call<{ items: readonly Branch[] }>(sessionPath(session.id, "/branches"), { signal }),
    [session.id, session.version],
  );
  const branches = value?.items ?? [];
  if (branches.length < 2) return null;
  const switchTo = async (branch: string): Promise<void> => {
    try {
      await record(session.id, "switch branch", "");
      await call(sessionPath(session.id, "/switch"), { method: "POST", body: { branch } });
    } catch (error) {
      say((error as Error).message, { isError: true });
    }
    await conversation.reload();
  };
  return (
    <Section title="Branches">
      <ul class="branches">
        {branches.map(({ id, isCurrent, at, index, count, turns, lastActivityAt }) => (
          <li key={id}>
            <span>
              turn {at}, version {index} of {count}
              <br />
              <span class="faint">
                {counted(turns, "turn")} · <Ago at={lastActivityAt} />
              </span>
            </span>
            {isCurrent ? (
              <span class="tag tag-accent">current</span>
            ) : (
              may("write") && (
                <button type="button" class="button" onClick={() => void switchTo(id)}>
                  Switch
                </button>
              )
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** The sessions that were forked from this one. */
function Forks({ session }: { readonly session: Session }): JSX.Element | null {
  const { value } = useLoaded(
    async (signal) => {
      const path = sessionPath(session.id, "/stored/forks");
      return await call<{ items: readonly StoredEntry[] }>(path, { query: { limit: 20 }, signal });
    },
    [session.id, session.version],
  );
  const forks = (value?.items ?? []).map(({ data }) => JSON.parse(data) as { session: string; at: number });
  if (forks.length === 0) return null;
  return (
    <Section title="Forks">
      <ul class="branches">
        {forks.map(({ session: id, at }) => (
          <li key={id}>
            <a class="link clip" href={sessionHref(id)}>
              {id}
            </a>
            <a class="quiet" href={sessionHref(session.id, `/compare?with=${encodeURIComponent(id)}`)}>
              from turn {at}, compare
            </a>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Holder({ holder }: { readonly holder: LeaseHolder }): JSX.Element {
  const now = useNow(1000);
  const { instance, host, pid, fence, acquiredAt, expiresAt, alive } = holder;
  return (
    <>
      <p class={alive ? "state state-active" : "state state-failed"}>{alive ? "held, holder alive" : "holder dead"}</p>
      <dl class="facts">
        {host !== null && (
          <Fact name="Host">
            {host}
            {pid === null ? "" : ` · pid ${pid}`}
          </Fact>
        )}
        <Fact name="Instance">
          <code>{instance}</code>
        </Fact>
        <Fact name="Fence">
          <code>{fence}</code>
        </Fact>
        <Fact name="Held for">{span(Math.max(0, now - Date.parse(acquiredAt)))}</Fact>
        <Fact name="Ends">{expiresAt == null ? "with its holder" : <Until at={expiresAt} />}</Fact>
      </dl>
    </>
  );
}

function Instructions({ id }: { readonly id: string }): JSX.Element {
  const text = useSignal<string | undefined>(undefined);
  const load = async (): Promise<void> => {
    if (text.value !== undefined) return;
    const { instructions } = await call<{ instructions: string | null }>(sessionPath(id, "/instructions")).catch(
      () => ({
        instructions: "They cannot be read.",
      }),
    );
    text.value = instructions ?? "None: those of its agent apply.";
  };
  return (
    <details class="fold" onToggle={() => void load()}>
      <summary>Show</summary>
      <p class="said">{shown(text.value ?? "")}</p>
    </details>
  );
}
