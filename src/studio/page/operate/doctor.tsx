import type { JSX } from "preact";
import { call } from "../http/api.ts";
import { counted, number } from "../view/format.ts";
import { confirm } from "../view/confirm.tsx";
import { Failure, sessionHref } from "../view/parts.tsx";
import { useRun } from "./run.ts";

interface Finding {
  readonly kind: string;
  readonly session: string | null;
  readonly what: string;
  readonly fix: string | null;
  readonly repaired: boolean;
}

interface Report {
  readonly sessions: number;
  readonly findings: number;
  readonly repaired: number;
  readonly skipped: number;
  readonly complete: boolean;
  readonly items: readonly Finding[];
}

/** Checks the whole store, and repairs what needs no deletion. */
export function Doctor(): JSX.Element {
  const { result, failure, isBusy, start } = useRun<Report>();
  const examine = async (repair: boolean): Promise<void> =>
    await start(async () => await call<Report>("/v1/doctor", { method: "POST", body: { repair } }));
  const repair = async (): Promise<void> => {
    const about = "Nothing is deleted, and sessions in use are skipped.";
    if ((await confirm({ title: "Repair", about, isDanger: false })) !== undefined) await examine(true);
  };
  const report = result.value;
  const canRepair = report?.items.some(({ fix, repaired }) => fix !== null && !repaired) === true;
  return (
    <>
      <p class="soft">
        Looks for gaps in logs, counters that disagree with them, leases of dead holders and damage, while writers go
        on.
      </p>
      <p class="actions">
        <button type="button" class="button button-main" disabled={isBusy.value} onClick={() => void examine(false)}>
          {isBusy.value ? "Examining…" : "Examine"}
        </button>
        {canRepair && (
          <button type="button" class="button" disabled={isBusy.value} onClick={() => void repair()}>
            Repair
          </button>
        )}
      </p>
      {failure.value !== undefined && <Failure error={failure.value} />}
      {report !== undefined && (
        <>
          <p role="status" class={report.findings === 0 ? "notice notice-good" : "notice notice-waiting"}>
            {counted(report.sessions, "session")} checked,{" "}
            {report.findings === 0 ? "no problems" : counted(report.findings, "problem")}
            {report.repaired > 0 && `, ${number(report.repaired)} repaired`}
            {report.skipped > 0 && `, ${number(report.skipped)} skipped because another process writes to them`}
            {!report.complete && "; not all sessions were checked"}
          </p>
          <ul class="findings">
            {report.items.map((finding, index) => (
              <li key={index}>
                <span class={`tag ${finding.repaired ? "" : "tag-error"}`}>
                  {finding.repaired ? "repaired" : finding.kind}
                </span>
                {finding.session !== null && (
                  <a class="link clip" href={sessionHref(finding.session)}>
                    {finding.session}
                  </a>
                )}
                <span>{finding.what}</span>
                {finding.fix !== null && <span class="faint">{finding.fix}</span>}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
