import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { call } from "../http/api.ts";
import { number } from "../view/format.ts";
import { confirm } from "../view/confirm.tsx";
import { Failure, sessionHref } from "../view/parts.tsx";
import { useRun } from "./run.ts";

interface Report {
  readonly expired: number;
  readonly handoffs: number;
  readonly archived: number;
  readonly removed: number;
  readonly events: number;
  readonly documents: number;
  readonly looked: number;
  readonly failed: number;
  readonly complete: boolean;
  readonly failures: readonly { readonly session: string; readonly action: string; readonly message: string }[];
  readonly planned?: readonly { readonly session: string; readonly action: string }[];
}

const counts = ["expired", "handoffs", "archived", "removed", "events", "documents"] as const;

/** Previews a sweep, and runs it. */
export function Sweep(): JSX.Element {
  const olderThan = useSignal("");
  const { result, failure, isBusy, start } = useRun<Report>();
  const sweep = async (dryRun: boolean): Promise<void> => {
    const age = olderThan.value.trim();
    const body = { ...(dryRun ? { dryRun } : undefined), ...(age === "" ? undefined : { olderThan: age }) };
    await start(async () => await call<Report>("/v1/sweep", { method: "POST", body }));
  };
  const run = async (): Promise<void> => {
    const age = olderThan.value.trim();
    const about =
      age === ""
        ? "Marks expired sessions, ends expired handoffs, and applies the retention policies of the store."
        : `Removes the sessions that expired or ended more than ${age} ago.`;
    const asked = age === "" ? {} : { typed: "remove" };
    if ((await confirm({ title: "Run the sweep", about, isDanger: age !== "", ...asked })) !== undefined)
      await sweep(false);
  };
  const report = result.value;
  return (
    <>
      <p class="soft">
        The sweep marks expired sessions, archives and removes by the retention policies, and deletes old events.
        Preview it first: a preview changes nothing.
      </p>
      <p class="actions">
        <input
          class="input"
          aria-label="Remove sessions older than"
          placeholder="remove older than: 90d"
          value={olderThan.value}
          onInput={(event) => (olderThan.value = event.currentTarget.value)}
        />
        <button type="button" class="button button-main" disabled={isBusy.value} onClick={() => void sweep(true)}>
          Preview
        </button>
        <button type="button" class="button button-danger" disabled={isBusy.value} onClick={() => void run()}>
          Run
        </button>
      </p>
      {failure.value !== undefined && <Failure error={failure.value} />}
      {report !== undefined && (
        <>
          <p role="status" class="notice">
            {report.planned === undefined ? "Done" : "A preview; nothing was changed"}: {number(report.looked)} looked
            at
            {counts.filter((name) => report[name] > 0).map((name) => `, ${number(report[name])} ${name}`)}
            {report.planned !== undefined && `, ${number(report.planned.length)} planned`}
            {report.failed > 0 && `, ${number(report.failed)} failed`}
            {!report.complete && "; run it again for the rest"}
          </p>
          <ul class="findings">
            {[...(report.planned ?? []), ...report.failures].slice(0, 500).map((one) => (
              <li key={`${one.session}${one.action}`}>
                <span class="tag">{one.action}</span>
                <a class="link clip" href={sessionHref(one.session)}>
                  {one.session}
                </a>
                {"message" in one && <span>{String(one.message)}</span>}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
