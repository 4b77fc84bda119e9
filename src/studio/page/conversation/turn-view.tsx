import { useSignal } from "@preact/signals";
import { createContext, type JSX } from "preact";
import { useContext } from "preact/hooks";
import { may } from "../http/api.ts";
import type { Message, ToolCall, Turn } from "../http/wire.ts";
import { bytes, clock, compact, indented, instant, json, number, span } from "../view/format.ts";
import { shown } from "../view/mask.ts";
import { Icon } from "../view/icons.tsx";
import { CopyButton, Json } from "../view/code.tsx";
import { askForFork } from "./actions.ts";
import { RatingMark } from "./session-sections.tsx";
import type { Arriving, Conversation } from "./conversation.ts";
import type { Attachment } from "./session-parts.ts";

/** The attachments of the session, to which parts of its messages refer. */
const Attachments = createContext<readonly Attachment[]>([]);

interface TurnProps {
  readonly turn: Turn;
  readonly conversation: Conversation;
  readonly arriving: Arriving | undefined;
}

export function TurnView({ turn, conversation, arriving }: TurnProps): JSX.Element {
  const isRaw = useSignal(false);
  const { seq, at, status, agent, model, input, output, error } = turn;
  const parts = conversation.parts.value;
  const asked = input.filter(({ role }) => role !== "tool");
  return (
    <article class={`turn turn-${status}`} id={`turn-${seq}`} tabIndex={-1} aria-label={`Turn ${seq}, ${status}`}>
      <header class="turn-head">
        <a class="turn-number" href={`#turn-${seq}`}>
          #{seq}
        </a>
        <time class="faint" dateTime={at} title={instant(at)}>
          {clock(at)}
        </time>
        {turn.key !== null && (
          <code class="faint clip" title={`Idempotency key ${turn.key}`}>
            {turn.key}
          </code>
        )}
        {parts?.pinned.includes(seq) === true && <span class="tag tag-accent">pinned</span>}
        {parts?.leftOut.includes(seq) === true && <span class="tag tag-waiting">left out</span>}
        {parts?.ratings
          .filter(({ turn: rated }) => rated === seq)
          .map((rating) => (
            <RatingMark key={rating.by} rating={rating} />
          ))}
        <span class="turn-tools">
          {may("write") && (
            <button type="button" class="quiet" onClick={() => askForFork(conversation, seq)}>
              <Icon name="fork" /> Fork here
            </button>
          )}
          <button type="button" class="quiet" aria-pressed={isRaw.value} onClick={() => (isRaw.value = !isRaw.value)}>
            JSON
          </button>
          <CopyButton text={json(turn)} />
        </span>
      </header>
      {isRaw.value ? (
        <Json value={turn} />
      ) : (
        <Attachments.Provider value={parts?.attachments ?? []}>
          {asked.map((message, index) => (
            <Spoken key={index} message={message} side="input" />
          ))}
          <Reply messages={[...toolsOf(input), ...output, ...(arriving?.messages ?? [])]} />
          {arriving !== undefined && arriving.reasoning !== "" && (
            <details class="fold">
              <summary>Reasoning</summary>
              <p class="said">{shown(arriving.reasoning)}</p>
            </details>
          )}
          {status === "open" && (
            <p class="said said-arriving" aria-live="polite">
              {shown(arriving?.text ?? "")}
              <span class="caret" aria-label="the answer is running" />
            </p>
          )}
          {error !== undefined && (
            <p class="notice notice-error">
              <code>{error.code}</code> {shown(error.message)}
            </p>
          )}
        </Attachments.Provider>
      )}
      <footer class="turn-foot">
        <span class={`state state-${status}`}>{status}</span>
        <span class="turn-agent">{agent}</span>
        {model !== undefined && <span>{model}</span>}
        <Figures turn={turn} />
      </footer>
      {turn.steps !== undefined && turn.steps.length > 1 && <Steps steps={turn.steps} />}
    </article>
  );
}

function Figures({ turn: { usage, durationMs, waitedMs, requests, finish } }: { readonly turn: Turn }): JSX.Element {
  return (
    <span class="figures">
      {usage !== undefined && (
        <span
          title={`${number(usage.inputTokens)} tokens in, ${number(usage.outputTokens)} out${
            usage.cachedTokens === undefined ? "" : `, ${number(usage.cachedTokens)} of the input cached`
          }${usage.estimated === true ? ", estimated" : ""}`}
        >
          {usage.estimated === true ? "~" : ""}
          {compact(usage.inputTokens)} in · {compact(usage.outputTokens)} out
        </span>
      )}
      {durationMs !== undefined && <span title="duration">{span(durationMs)}</span>}
      {waitedMs !== undefined && <span title="it waited to be resumed">waited {span(waitedMs)}</span>}
      {requests > 1 && <span>{requests} calls</span>}
      {finish !== undefined && finish !== "stop" && <span>{finish}</span>}
    </span>
  );
}

function Steps({ steps }: { readonly steps: NonNullable<Turn["steps"]> }): JSX.Element {
  return (
    <details class="fold">
      <summary>{steps.length} model calls</summary>
      <ol class="steps">
        {steps.map(({ model, agent, usage, durationMs }, index) => (
          <li key={index}>
            <span>{[agent, model].filter((one) => one !== undefined).join(" · ") || `call ${index + 1}`}</span>
            <span>
              {compact(usage.inputTokens)} in · {compact(usage.outputTokens)} out
            </span>
            <span>{span(durationMs)}</span>
          </li>
        ))}
      </ol>
    </details>
  );
}

/** Results of tools that came as input belong to the reply. */
function toolsOf(input: readonly Message[]): readonly Message[] {
  return input.filter(({ role }) => role === "tool");
}

/** The reply: texts, and tool calls folded with their results. */
function Reply({ messages }: { readonly messages: readonly Message[] }): JSX.Element {
  const results = new Map(messages.flatMap((one) => (one.tool_call_id === undefined ? [] : [[one.tool_call_id, one]])));
  const called = new Set(messages.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id)));
  return (
    <>
      {messages.map((message, index) => {
        if (message.tool_call_id !== undefined && called.has(message.tool_call_id)) return null;
        const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
        return (
          <div key={index} class="reply">
            <Spoken message={message} side="output" />
            {calls.map((call) => (
              <Called key={call.id} call={call} result={results.get(call.id)} />
            ))}
          </div>
        );
      })}
    </>
  );
}

function Called({ call, result }: { readonly call: ToolCall; readonly result: Message | undefined }): JSX.Element {
  const text = result === undefined ? undefined : textOf(result.content);
  const mark = result === undefined ? "no result yet" : result.is_error === true ? "failed" : "done";
  return (
    <details class={`call call-${mark.replaceAll(" ", "-")}`}>
      <summary>
        <Icon name="tool" />
        <code class="call-name">{call.function.name}</code>
        <code class="clip faint">{shown(call.function.arguments)}</code>
        <span class="call-mark">{mark}</span>
      </summary>
      <h3>Arguments</h3>
      <Json value={indented(call.function.arguments)} />
      {text !== undefined && (
        <>
          <h3>Result</h3>
          <Json value={indented(text)} />
        </>
      )}
    </details>
  );
}

function Spoken({
  message,
  side,
}: {
  readonly message: Message;
  readonly side: "input" | "output";
}): JSX.Element | null {
  const { role, content, name } = message;
  if (content === null || content === undefined || content === "") return null;
  const usual = side === "input" ? "user" : "assistant";
  return (
    <div class={`said-box said-${side}${role === "system" || role === "developer" ? " said-system" : ""}`}>
      {(role !== usual || name !== undefined) && (
        <span class="tag">
          {role}
          {name === undefined ? "" : ` ${shown(name)}`}
        </span>
      )}
      <Content content={content} />
    </div>
  );
}

interface Part {
  readonly type?: string;
  readonly text?: unknown;
}

/** The attachment to which a part refers, in a field of it or of an object in one. */
function attachmentOf(part: object, attachments: readonly Attachment[]): Attachment | undefined {
  for (const field of Object.values(part).flatMap((value: unknown) =>
    typeof value === "object" && value !== null ? Object.values(value) : [value],
  )) {
    const [, hash] = typeof field === "string" ? (/^attachment:[^,]*;sha256,([0-9a-f]{64})$/.exec(field) ?? []) : [];
    if (hash !== undefined) return attachments.find((one) => one.hash === hash);
  }
  return undefined;
}

/** What a folded part is: the name of an attachment, or the type of the part. */
function PartName({ part }: { readonly part: Part }): JSX.Element {
  const attachment = attachmentOf(part, useContext(Attachments));
  if (attachment === undefined) return <>{part.type ?? "part"}</>;
  const { name, hash, type, length } = attachment;
  return (
    <>
      <span class="file-name">{name === undefined ? `${hash.slice(0, 12)}…` : shown(name)}</span> {type} ·{" "}
      {bytes(length)}
    </>
  );
}

/** Texts as text nodes; other parts folded, as JSON. */
function Content({ content }: { readonly content: unknown }): JSX.Element {
  if (typeof content === "string") return <p class="said">{shown(content)}</p>;
  if (!Array.isArray(content)) return <Json value={content} />;
  return (
    <>
      {(content as readonly (Part | string)[]).map((part, index) => {
        const text = typeof part === "string" ? part : part.text;
        if (typeof text === "string")
          return (
            <p class="said" key={index}>
              {shown(text)}
            </p>
          );
        return (
          <details class="fold" key={index}>
            <summary>
              <PartName part={part as Part} />
            </summary>
            <Json value={part} />
          </details>
        );
      })}
    </>
  );
}

export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content === null || content === undefined ? "" : json(content);
  return (content as readonly (Part | string)[])
    .map((part) => (typeof part === "string" ? part : typeof part.text === "string" ? part.text : json(part)))
    .join("\n");
}
