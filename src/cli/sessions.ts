import type { Holder, Message, Session, SessionInfo, SessionState, Turn } from "../index.ts";
import { openFor, type StoreOptions } from "./environment.ts";
import { localTime, note, printable, span, writeJson, writeTable } from "./output.ts";

interface Json {
  readonly json?: boolean;
}

export interface ListOptions extends StoreOptions, Json {
  readonly agent?: string;
  readonly user?: string;
  readonly state?: SessionState;
  readonly since?: Date;
  readonly before?: Date;
  readonly limit: number;
  readonly after?: string;
}

/** `perdure sessions list` */
export async function list({ json, since, before, store, tenant, ...filter }: ListOptions): Promise<void> {
  await using sessions = await openFor({
    ...(store === undefined ? {} : { store }),
    ...(tenant === undefined ? {} : { tenant }),
  });
  const page = await sessions.list({
    ...filter,
    ...(since === undefined ? {} : { activeSince: since }),
    ...(before === undefined ? {} : { activeBefore: before }),
  });
  if (json === true) {
    for (const info of page.sessions) writeJson(info);
  } else if (page.sessions.length === 0) {
    note("no sessions");
  } else {
    writeTable(
      ["SESSION", "AGENT", "USER", "STATE", "TURNS", "TOKENS", "LAST ACTIVE", "EXPIRES"],
      page.sessions.map((info) => [
        info.id,
        info.agent,
        info.user ?? "",
        info.state,
        String(info.counters.turns),
        String(info.counters.totalTokens),
        localTime(info.lastActivityAt),
        localTime(info.expiresAt),
      ]),
    );
  }
  if (page.next !== undefined) note(`more: --after ${page.next}`);
}

/** `perdure sessions show` */
export async function show(
  id: string,
  { turns, json, ...options }: StoreOptions & Json & { readonly turns: number },
): Promise<void> {
  await using sessions = await openFor(options);
  const session = await sessions.get(id);
  const holder = await session.holder();
  const last = await Array.fromAsync(session.turns({ last: turns }));
  if (json === true) writeJson({ ...session.info, lease: holder, turns: last.map(jsonTurn) });
  else describe(session, holder, last);
}

function jsonTurn({ at, ...turn }: Turn): object {
  return { ...turn, at: new Date(at) };
}

function describe({ info }: Session, holder: Holder | null, turns: readonly Turn[]): void {
  const { counters } = info;
  writeTable(
    ["SESSION", info.id],
    [
      ["agent", info.agent],
      ["user", info.user ?? "-"],
      ["state", info.state],
      ["created", localTime(info.createdAt)],
      ["last active", localTime(info.lastActivityAt)],
      ["expires", localTime(info.expiresAt)],
      ["turns", `${counters.turns} with ${counters.messages} messages`],
      [
        "tokens",
        `${counters.totalTokens} (${counters.inputTokens} in, ${counters.outputTokens} out) in ${counters.requests} requests`,
      ],
      ["duration", `${span(counters.durationMs)}, the longest ${span(counters.longestMs)}`],
      ["metadata", metadataText(info)],
      ["held by", holder === null ? "nobody" : holderText(holder)],
    ],
  );
  for (const turn of turns) describeTurn(turn);
}

function metadataText({ metadata }: SessionInfo): string {
  const names = Object.keys(metadata);
  return names.length === 0 ? "-" : names.join(", ");
}

function holderText({ instance, host, pid, fence, heldMs, alive }: Holder): string {
  const where = host === null ? "" : ` (process ${pid} on ${host})`;
  const state = alive ? "" : "; it is gone, the next writer takes over";
  return `${instance}${where} for ${span(heldMs)}, fence ${fence}${state}`;
}

function describeTurn(turn: Turn): void {
  const status = turn.status === "done" ? "" : ` · ${turn.status}`;
  process.stdout.write(`\nturn ${turn.seq} · ${localTime(new Date(turn.at))} · ${turn.agent}${status}\n`);
  for (const message of [...turn.input, ...turn.output]) process.stdout.write(`  ${messageText(message)}\n`);
}

function messageText({ role, content, tool_calls: calls }: Message): string {
  const text = typeof content === "string" ? content : content == null ? "" : JSON.stringify(content);
  const called = (calls ?? []).map((call) => `${call.function.name}(${call.function.arguments})`).join(" ");
  const whole = printable([text, called].filter((part) => part !== "").join(" "));
  return `${role}: ${whole.length > 300 ? `${whole.slice(0, 300)}…` : whole}`;
}

/** `perdure sessions end` */
export async function end(id: string, { json, ...options }: StoreOptions & Json): Promise<void> {
  await using sessions = await openFor(options);
  await sessions.end(id);
  report({ session: id, state: "ended" }, `session ${id} has ended; it stays readable`, json);
}

/** `perdure sessions remove` */
export async function remove(id: string, { json, ...options }: StoreOptions & Json): Promise<void> {
  await using sessions = await openFor(options);
  await sessions.remove(id);
  report({ session: id, removed: true }, `session ${id} is removed, with everything in it`, json);
}

/** `perdure sessions unlock` */
export async function unlock(id: string, { json, ...options }: StoreOptions & Json): Promise<void> {
  await using sessions = await openFor(options);
  const unlocked = await (await sessions.get(id)).unlock();
  const text = unlocked ? `session ${id} is free; its former holder can no longer write` : `nobody held session ${id}`;
  report({ session: id, unlocked }, text, json);
}

/** `perdure sessions sweep` */
export async function sweep({
  retention,
  json,
  ...options
}: StoreOptions & Json & { readonly retention?: string }): Promise<void> {
  await using sessions = await openFor(options);
  const swept = await sessions.sweep(retention === undefined ? {} : { retention });
  const { expired, removed, looked, complete } = swept;
  const rest = complete ? "" : "; there is more to do, sweep again";
  report(swept, `${expired} marked as expired, ${removed} removed, ${looked} looked at${rest}`, json);
}

function report(data: object, text: string, json: boolean | undefined): void {
  if (json === true) writeJson(data);
  else note(text);
}
