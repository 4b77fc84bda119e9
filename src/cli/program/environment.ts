import { defined } from "../../domain/values/defined.ts";
import { openaiModel } from "../../adapters/openai.ts";
import { printable } from "../../domain/values/format-value.ts";
import {
  folder,
  openSessions,
  type Agent,
  type AttachmentStore,
  type DeviceIds,
  type Model,
  type ModelSettings,
  type OpenOptions,
  type Sessions,
} from "../../index.ts";
import { openStore } from "../../open.ts";
import { checkedOptions } from "../../sessions/options/options.ts";
import type { Access } from "../../store/access.ts";
import { commandLog } from "./log.ts";
import { followChannels } from "./log-lines.ts";
import { opened } from "./store-wait.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { CliError } from "../terminal/cli-error.ts";
import { note } from "../terminal/output.ts";

/** The options that name the store and the tenant. */
export interface StoreOptions {
  readonly store?: string;
  readonly tenant?: string;
}

/** The URL of the store, from the option or the environment. */
export function storeUrl({ store }: StoreOptions): string {
  return store ?? variable("PERDURE_STORE") ?? applicationUrl() ?? "sqlite:perdure.db";
}

let isSchemaNoted = false;

/**
 * `DATABASE_URL` is that of the application. Its parameter `schema`, as Prisma writes it, names the schema of the application,
 * where Perdure's tables would be found as a drift: the store stays in the schema `perdure`.
 */
function applicationUrl(): string | undefined {
  const given = variable("DATABASE_URL");
  const [address = "", query = ""] = given?.split(/\?(.*)/s) ?? [];
  if (!/^postgres(ql)?:/i.test(address)) return given;
  const parameters = query.split("&");
  const others = parameters.filter((parameter) => !/^schema(=|$)/.test(parameter));
  if (others.length === parameters.length) return given;
  const named = new URLSearchParams(query).get("schema") ?? "";
  if (!isSchemaNoted && named !== "perdure") {
    const shown = printable(JSON.stringify(named.slice(0, 63)));
    note(
      `the schema ${shown} of DATABASE_URL is ignored: the store is in the schema "perdure"; name another one with --store or PERDURE_STORE`,
    );
  }
  isSchemaNoted = true;
  return [address, ...(others.length === 0 ? [] : [others.join("&")])].join("?");
}

/** The folder with the bytes of attachments, from the environment. */
export function attachmentsOfEnvironment(): { readonly in: AttachmentStore } | undefined {
  const path = variable("PERDURE_ATTACHMENTS");
  return path === undefined ? undefined : { in: folder(path) };
}

/** The option of commands that serve sessions, for data inside messages. */
export const inlineBytesOption: readonly [flags: string, description: string, parse: (text: string) => number] = [
  "--inline-bytes-max <bytes>",
  "store data of more bytes inside messages once, beside them, such as 65536 (default: $PERDURE_INLINE_BYTES_MAX, else never)",
  wholeNumber,
];

/** Where the bytes of attachments and the data inside messages go, from the option and the environment. */
export function attachmentOptions({ inlineBytesMax }: { readonly inlineBytesMax?: number } = {}):
  | NonNullable<OpenOptions["attachments"]>
  | undefined {
  const all = defined({
    in: attachmentsOfEnvironment()?.in,
    inlineBytesMax: inlineBytesMax ?? inlineBytesOfEnvironment(),
  });
  return Object.keys(all).length === 0 ? undefined : all;
}

/** `PERDURE_INLINE_BYTES_MAX`, in bytes. @throws CliError if it is not a number */
function inlineBytesOfEnvironment(): number | undefined {
  const text = variable("PERDURE_INLINE_BYTES_MAX");
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const shown = JSON.stringify(text.slice(0, 40));
  throw new CliError(
    "usage",
    `PERDURE_INLINE_BYTES_MAX is ${shown}; set it to a number of bytes, such as 65536 for 64 KiB`,
  );
}

/** The options that a command passes to its sessions. */
interface SessionsExtra {
  /** @default those of the environment */
  readonly attachments?: OpenOptions["attachments"] | undefined;
  readonly agents?: Readonly<Record<string, Agent>> | undefined;
  readonly model?: Model;
  readonly handoffTtl?: number | undefined;
  readonly secret?: string;
  readonly previousSecrets?: readonly string[];
  readonly deviceIds?: DeviceIds;
}

/**
 * Opens the sessions of the store that option or environment name, for commands that may create the store. An older schema is
 * migrated. Commands end too soon to sweep.
 */
export async function openFor(options: StoreOptions, extra: SessionsExtra = {}): Promise<Sessions> {
  return await openWith("create", options, extra);
}

/**
 * As {@link openFor}, for commands that change what exists. A missing store is not created, and an older schema is not migrated.
 * @throws SessionError `store_unavailable` and `store_invalid` for a missing store, `store_invalid` for an older schema
 */
export async function openExisting(options: StoreOptions, extra: SessionsExtra = {}): Promise<Sessions> {
  return await openWith("change", options, extra);
}

/** As {@link openExisting}, for commands that only read. A read-only file can be read. */
export async function openToRead(options: StoreOptions, extra: SessionsExtra = {}): Promise<Sessions> {
  return await openWith("read", options, extra);
}

export async function openWith(access: Access, options: StoreOptions, extra: SessionsExtra = {}): Promise<Sessions> {
  const url = storeUrl(options);
  startCommandLog();
  return await opened(url, () => openAt(url, { access, tenant: options.tenant, ...extra }));
}

let isLogStarted = false;

/** Write the lines that `PERDURE_LOG` asks for, from the first store that a command opens until the process ends. */
function startCommandLog(): void {
  const log = isLogStarted ? undefined : commandLog(variable("PERDURE_LOG"));
  isLogStarted = true;
  if (log !== undefined) followChannels(log, { serves: false });
}

async function openAt(
  url: string,
  {
    access,
    tenant,
    agents,
    model,
    handoffTtl,
    attachments = attachmentOptions(),
    ...secrets
  }: SessionsExtra & { readonly access: Access; readonly tenant: string | undefined },
): Promise<Sessions> {
  const options = { sweep: false as const, ...secrets, ...defined({ tenant, agents, model, handoffTtl, attachments }) };
  // Wrong options make no store.
  checkedOptions(options);
  const store = await openStore(url, {}, { access });
  try {
    return await openSessions({ store, ...options });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * The model at the endpoint that the environment names; `named` is the model's name in an option or an agent, `settings`
 * hold where call and agent name none.
 * @throws CliError with the variable to set, before anything is written
 */
export function modelOfEnvironment(named: string | undefined, settings: ModelSettings = {}): Model {
  const baseURL = variable("OPENAI_BASE_URL");
  const apiKey = variable("OPENAI_API_KEY");
  const model = variable("PERDURE_MODEL");
  if (!hasModelEndpoint()) {
    throw new CliError(
      "usage",
      "no model endpoint is set; set OPENAI_BASE_URL (such as http://127.0.0.1:11434/v1) or OPENAI_API_KEY",
    );
  }
  if (named === undefined && model === undefined) {
    throw new CliError("usage", "no model is named; use --model NAME, a model in the agents file, or PERDURE_MODEL");
  }
  return openaiModel(defined({ baseURL, apiKey, model, ...settings }));
}

/** Whether the environment names a model's endpoint. */
export function hasModelEndpoint(): boolean {
  return variable("OPENAI_BASE_URL") !== undefined || variable("OPENAI_API_KEY") !== undefined;
}

/** How long a handoff lasts, ms: `DEFAULT_SESSION_TTL`, in seconds. @throws CliError if it is not a number */
export function handoffTtlOfEnvironment(): number | undefined {
  const text = variable("DEFAULT_SESSION_TTL");
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text) * 1000;
  const shown = JSON.stringify(text.slice(0, 40));
  throw new CliError(
    "usage",
    `DEFAULT_SESSION_TTL is ${shown}; set it to a number of seconds, such as 3600 for an hour`,
  );
}

/** The key of an operator: the option, else `PERDURE_KEY`. @throws CliError if there is none */
export function requiredKey(option: string | undefined): string {
  const key = option ?? variable("PERDURE_KEY");
  if (key !== undefined) return key;
  throw new CliError(
    "usage",
    'this command needs a key: use --key, or set PERDURE_KEY; create one with "perdure keys create --right read"',
  );
}

/** A variable of the environment; an empty one counts as not set. */
export function variable(name: string): string | undefined {
  return process.env[name] || undefined;
}
