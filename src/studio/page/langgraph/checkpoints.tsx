import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Json } from "../view/code.tsx";
import { counted, number, stamp } from "../view/format.ts";
import { shown } from "../view/mask.ts";
import { Blank, Failure, Loading, useLoaded } from "../view/parts.tsx";
import { channelsOf, checkpointsOf, contentOf, type Checkpoint } from "./thread.ts";
import type { Conversation } from "../conversation/conversation.ts";

/** The checkpoints of a thread of LangGraph: what each step changed, the values of its channels, the writes after it. */
export function Checkpoints({ conversation }: { readonly conversation: Conversation }): JSX.Element {
  const { id, changes } = conversation;
  const items = useSignal<readonly Checkpoint[] | undefined>(undefined);
  const next = useSignal<string | undefined>(undefined);
  const failure = useSignal<unknown>(undefined);
  const load = async (after: string | undefined, signal: AbortSignal): Promise<void> => {
    try {
      const page = await checkpointsOf(id, after, signal);
      items.value = after === undefined ? page.checkpoints : [...(items.value ?? []), ...page.checkpoints];
      next.value = page.next;
    } catch (error) {
      if (!signal.aborted) failure.value = error;
    }
  };
  useEffect(() => {
    const aborter = new AbortController();
    void load(undefined, aborter.signal);
    return () => aborter.abort();
  }, [id, changes.value]);
  if (failure.value !== undefined) return <Failure error={failure.value} />;
  const known = new Map(items.value?.map((one) => [`${one.namespace} ${one.id}`, one]));
  return (
    <div class="main-column page-scroll" tabIndex={0} role="region" aria-label="Checkpoints">
      {items.value === undefined ? (
        <Loading />
      ) : items.value.length === 0 ? (
        <Blank title="No checkpoints" />
      ) : (
        <ol class="stored checkpoints">
          {items.value.map((one) => (
            <Line key={one.seq} id={id} checkpoint={one} parent={known.get(`${one.namespace} ${one.parent}`)} />
          ))}
        </ol>
      )}
      {next.value !== undefined && (
        <p class="turns-earlier">
          <button type="button" class="button" onClick={() => void load(next.value, new AbortController().signal)}>
            Earlier checkpoints
          </button>
        </p>
      )}
    </div>
  );
}

interface LineProps {
  readonly id: string;
  readonly checkpoint: Checkpoint;
  /** Undefined: it is the first one, or was not loaded. */
  readonly parent: Checkpoint | undefined;
}

function Line({ id, checkpoint, parent }: LineProps): JSX.Element {
  const isOpen = useSignal(false);
  const { step, source, at, namespace, versions } = checkpoint;
  const changed = channelsOf(checkpoint).filter((name) => parent?.versions[name] !== versions[name]);
  return (
    <li>
      <details onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
        <summary>
          <span class="num">{step}</span>
          <span>
            <span class="tag">{source}</span>
          </span>
          <span class="faint clip">{stamp(at)}</span>
          <span class="clip">{changed.join(", ") || <span class="faint">no channel changed</span>}</span>
          <code class="clip faint">{namespace}</code>
        </summary>
        {isOpen.value && <Content id={id} checkpoint={checkpoint} changed={changed} />}
      </details>
    </li>
  );
}

function Content({
  id,
  checkpoint,
  changed,
}: {
  readonly id: string;
  readonly checkpoint: Checkpoint;
  readonly changed: readonly string[];
}): JSX.Element {
  const { value, error, reload } = useLoaded(
    async (signal) => await contentOf(id, checkpoint, signal),
    [id, checkpoint.seq],
  );
  if (error !== undefined) return <Failure error={error} retry={reload} />;
  if (value === undefined) return <Loading lines={3} />;
  const { values, writes } = value;
  return (
    <div class="checkpoint">
      <p class="faint">
        <code>{checkpoint.id}</code>
      </p>
      {channelsOf(checkpoint).map((name) => {
        const found = values.get(name);
        return (
          <details key={name} class="call" open={changed.includes(name)}>
            <summary>
              <code class="call-name">{name}</code>
              <code class="clip faint">{shown(brief(found?.value))}</code>
              {changed.includes(name) && <span class="call-mark">changed</span>}
            </summary>
            {found === undefined ? (
              <p class="faint">Its value is not among the stored ones; the tab Stored has all entries.</p>
            ) : (
              <>
                {found.earlier > 0 && <p class="faint">{counted(found.earlier, "earlier element")} not shown</p>}
                <Json value={found.value} />
              </>
            )}
          </details>
        );
      })}
      {writes.length > 0 && <h3>Writes of its tasks: {number(writes.length)}</h3>}
      {writes.map(({ node, channel, value: written }, index) => (
        <details key={index} class="call">
          <summary>
            <code class="call-name">{channel === "__interrupt__" ? "interrupt" : channel.replaceAll("__", "")}</code>
            <code class="clip faint">{shown(brief(written))}</code>
            <span class="faint">{node}</span>
          </summary>
          <Json value={written} />
        </details>
      ))}
    </div>
  );
}

/** The beginning of a value on one line. */
function brief(value: unknown): string {
  return (JSON.stringify(value) ?? "").slice(0, 200);
}
