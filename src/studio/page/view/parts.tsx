/** Small parts of several views. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem, place } from "../http/api.ts";
import { ago, ahead, instant } from "./format.ts";

/** The time, which moves on every ten seconds. */
export function useNow(everyMs = 10_000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function Ago({ at }: { readonly at: string }): JSX.Element {
  const now = useNow();
  return (
    <time dateTime={at} title={instant(at)}>
      {ago(at, now)}
    </time>
  );
}

export function Until({ at }: { readonly at: string }): JSX.Element {
  const now = useNow(1000);
  return (
    <time dateTime={at} title={instant(at)}>
      {ahead(at, now)}
    </time>
  );
}

export function StateMark({ state }: { readonly state: string }): JSX.Element {
  return <span class={`state state-${state}`}>{state}</span>;
}

/** A failure, with a way to try again. */
export function Failure({ error, retry }: { readonly error: unknown; readonly retry?: () => void }): JSX.Element {
  const problem = error instanceof Problem ? error : undefined;
  return (
    <div class="blank" role="alert">
      <strong>{problem?.status === 404 ? "Not found" : "This did not work"}</strong>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      {problem !== undefined && <code class="faint">{problem.code}</code>}
      {retry !== undefined && (
        <p>
          <button type="button" class="button" onClick={retry}>
            Try again
          </button>
        </p>
      )}
    </div>
  );
}

export function Blank({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="blank">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** Grey lines where rows will be. */
export function Loading({ lines = 8 }: { readonly lines?: number }): JSX.Element {
  return (
    <div class="loading" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => (
        <span key={index} />
      ))}
    </div>
  );
}

/** A link inside of the page. */
export function href(path: string): string {
  return `${place.base}${path}`;
}

export function sessionHref(id: string, rest = ""): string {
  return href(`/sessions/${encodeURIComponent(id)}${rest}`);
}

/** A value that is loaded, again whenever a dependency changes. */
export interface Loaded<Value> {
  readonly value: Value | undefined;
  readonly error: unknown;
  readonly reload: () => void;
}

export function useLoaded<Value>(
  load: (signal: AbortSignal) => Promise<Value>,
  dependencies: readonly unknown[],
): Loaded<Value> {
  const [state, setState] = useState<{ value?: Value; error?: unknown }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    const aborter = new AbortController();
    load(aborter.signal).then(
      (value) => {
        if (!aborter.signal.aborted) setState({ value });
      },
      (error: unknown) => {
        if (!aborter.signal.aborted) setState({ error });
      },
    );
    return () => aborter.abort();
  }, [...dependencies, round]);
  return { value: state.value, error: state.error, reload: () => setRound((one) => one + 1) };
}
