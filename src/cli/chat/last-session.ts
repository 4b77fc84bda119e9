/** The session that `perdure chat -c` continues, and what was said last in it. */
import { guestDeviceOf } from "../../domain/values/device.ts";
import { defined } from "../../domain/values/defined.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { textOf } from "../../domain/turns/message-steps.ts";
import type { Session, SessionInfo, UnreadableEntry } from "../../index.ts";
import { openToRead, type StoreOptions } from "../program/environment.ts";
import { CliError } from "../terminal/cli-error.ts";
import { localTime, note } from "../terminal/output.ts";

/** The sessions that are looked through, the last active first. */
const lookedMax = 10_000;
/** The characters of a message that are shown. */
const lengthMax = 2000;

/**
 * The id of the last active session that has neither a user nor a device: those are conversations of others.
 * @throws CliError where there is none
 */
export async function lastSession(agent: string | undefined, { store, tenant }: StoreOptions): Promise<string> {
  await using sessions = await openToRead(defined({ store, tenant }));
  const query = { state: ["active", "inactive", "expired"], limit: 100, ...defined({ agent }) } as const;
  let looked = 0;
  for await (const { items } of eachPage((after) => sessions.list({ ...query, ...after }))) {
    const last = items.find((info) => !isOwned(info));
    if (last !== undefined) return last.id;
    looked += items.length;
    if (looked >= lookedMax) break;
  }
  const of = agent === undefined ? "" : ` of agent ${agent}`;
  throw new CliError("not_found", `there is no session${of} to continue; "perdure chat ${agent ?? "ceo"}" begins one`);
}

function isOwned({ id, user }: SessionInfo): boolean {
  return user !== null || guestDeviceOf(id) !== undefined;
}

/** Show the texts of the last turn on stderr. */
export async function showLastTurn(session: Session): Promise<void> {
  const onUnreadable = ({ seq, reason }: UnreadableEntry): void => note(`turn ${seq} is not shown: ${reason}`);
  for await (const { seq, at, agent, status, input, output } of session.turns({ last: 1, onUnreadable })) {
    note(`turn ${seq} · ${localTime(at)}${status === "done" ? "" : ` · ${status}`}`);
    for (const { role, content } of [...input, ...output]) {
      const text = textOf(content);
      if (text !== "" && (role === "user" || role === "assistant"))
        note(`${role === "user" ? "you" : agent}: ${cut(text)}`);
    }
  }
}

function cut(text: string): string {
  const rest = text.length - lengthMax;
  return rest <= 0 ? text : `${text.slice(0, lengthMax)}… (${rest} more characters)`;
}
