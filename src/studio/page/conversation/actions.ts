/** Changes of a session that a person confirms: what they are, and what they ask for. */
import { defined } from "../../../domain/values/defined.ts";
import { call, key, send, sessionPath } from "../http/api.ts";
import type { Right, Session } from "../http/wire.ts";
import { confirm } from "../view/confirm.tsx";
import { sessionHref } from "../view/parts.tsx";
import { say } from "../view/toasts.tsx";
import type { Conversation } from "./conversation.ts";

export interface Action {
  readonly name: string;
  readonly right: Right;
  readonly isOffered: (session: Session, conversation: Conversation) => boolean;
  readonly about: string;
  readonly isDanger?: boolean;
  /** Whether a reason is asked for. */
  readonly reason?: "optional" | "required";
  readonly done: string;
  readonly run: (session: Session, reason: string) => Promise<unknown>;
}

const post = async (session: Session, path: string, body?: unknown, query?: Record<string, string>): Promise<unknown> =>
  await call(sessionPath(session.id, path), { method: "POST", body, query });

const isLive = ({ state }: Session): boolean => state === "active" || state === "inactive";
const hasOpenTurn = ({ turns, session }: Conversation): boolean =>
  turns.value?.at(-1)?.status === "open" || session.value?.waitingTurn !== null;

export const actions: readonly Action[] = [
  {
    name: "Cancel answer",
    right: "write",
    isOffered: (session, conversation) => isLive(session) && hasOpenTurn(conversation),
    about: "The answer stops, on any instance. The text that has arrived is kept.",
    isDanger: true,
    reason: "optional",
    done: "The answer was cancelled.",
    run: async (session) => await post(session, "/cancel"),
  },
  {
    name: "Recover",
    right: "write",
    isOffered: (_, { holder, turns }) =>
      holder.value?.alive === false || (holder.value === undefined && turns.value?.at(-1)?.status === "open"),
    about: "The lease holder is dead. The turn that it left open is sealed as interrupted.",
    done: "The session was recovered.",
    run: async (session) => await post(session, "/recover"),
  },
  {
    name: "Break lease",
    right: "admin",
    isOffered: (_, { holder }) => holder.value !== undefined,
    about: "The holder of the lease can write no more, also if it is alive. Its next write fails with fenced.",
    isDanger: true,
    reason: "optional",
    done: "The lease was broken.",
    run: async (session) => await call(sessionPath(session.id, "/lease"), { method: "DELETE" }),
  },
  {
    name: "End",
    right: "write",
    isOffered: isLive,
    about: "The session ends for good. It stays readable.",
    isDanger: true,
    reason: "optional",
    done: "The session has ended.",
    run: async (session, reason) => await post(session, "/end", undefined, reason === "" ? {} : { reason }),
  },
  {
    name: "Archive",
    right: "write",
    isOffered: ({ state }) => state !== "archived",
    about: "The logs are compressed. The session can still be listed, counted and read.",
    reason: "optional",
    done: "The session was archived.",
    run: async (session) => await post(session, "/archive"),
  },
  {
    name: "Unarchive",
    right: "write",
    isOffered: ({ state }) => state === "archived",
    about: "The logs are restored, and the session has its earlier state again.",
    done: "The session was restored.",
    run: async (session) => await post(session, "/unarchive"),
  },
  {
    name: "Set legal hold",
    right: "admin",
    isOffered: ({ legalHold }) => legalHold === null,
    about: "The session cannot be deleted, truncated or erased until the hold is cleared.",
    reason: "required",
    done: "The session is under legal hold.",
    run: async (session, reason) =>
      await call(sessionPath(session.id, "/legal-hold"), { method: "PUT", body: { reason } }),
  },
  {
    name: "Clear legal hold",
    right: "admin",
    isOffered: ({ legalHold }) => legalHold !== null,
    about: "The session can be deleted, truncated and erased again.",
    isDanger: true,
    reason: "optional",
    done: "The legal hold was cleared.",
    run: async (session) => await call(sessionPath(session.id, "/legal-hold"), { method: "DELETE" }),
  },
];

/** Asks, records the action as an event of the session, and does it. */
export async function perform(action: Action, session: Session, conversation: Conversation): Promise<void> {
  const { name, about, isDanger = false, reason } = action;
  const given = await confirm({ title: name, about, isDanger, ...defined({ reason }) });
  if (given === undefined) return;
  try {
    await record(session.id, name, given);
    await action.run(session, given);
    say(action.done);
  } catch (error) {
    say((error as Error).message, { isError: true });
  }
  await conversation.reload({ readsParts: true });
}

/** The action that revokes a link to read the session. */
export function revocationOf(share: string): Action {
  return {
    name: "Revoke link",
    right: "write",
    isOffered: () => true,
    about: "The link opens nothing from now on. Its readers get no more turns.",
    isDanger: true,
    reason: "optional",
    done: "The link was revoked.",
    run: async () => await call(`/v1/shares/${encodeURIComponent(share)}`, { method: "DELETE" }),
  };
}

/** Records what is done, why, and under which key. An archived session takes no event. */
export async function record(id: string, action: string, reason: string): Promise<void> {
  const data = { action: action.toLowerCase(), reason: reason.trim() || null, key: key.value?.name ?? null };
  try {
    await call(sessionPath(id, "/events"), { method: "POST", body: { type: "app.studio", data } });
  } catch (error) {
    if ((error as { code?: string }).code !== "session_archived") throw error;
  }
}

/** Forks the session from a turn, and opens the fork. */
export async function forkAt(conversation: Conversation, at: number): Promise<void> {
  const as = await confirm({
    title: `Fork from turn ${at}`,
    about: "A new session shares the turns up to this one. The conversation itself stays as it is.",
    input: "Id of the fork; empty: a new one",
    isDanger: false,
  });
  if (as === undefined) return;
  try {
    const fork = await call<Session>(sessionPath(conversation.id, "/fork"), {
      method: "POST",
      body: as === "" ? { at } : { at, as },
    });
    history.pushState(null, "", sessionHref(fork.id));
    dispatchEvent(new PopStateEvent("popstate"));
    say(`Forked as ${fork.id}.`);
  } catch (error) {
    say((error as Error).message, { isError: true });
  }
}

export function askForFork(conversation: Conversation, at: number): void {
  void forkAt(conversation, at);
}

/** Saves the session as a file. */
export async function download(id: string): Promise<void> {
  await save(sessionPath(id, "/snapshot"), `${id}.snapshot.json`);
}

/** Saves an answer of the server as a file. */
export async function save(path: string, name: string): Promise<void> {
  try {
    const blob = await (await send(path)).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name.replaceAll(/[^\w.-]+/g, "_");
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    say((error as Error).message, { isError: true });
  }
}
