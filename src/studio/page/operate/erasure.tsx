import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { call } from "../http/api.ts";
import { json, number, words } from "../view/format.ts";
import { confirm } from "../view/confirm.tsx";
import { CopyButton, Json } from "../view/code.tsx";
import { Failure } from "../view/parts.tsx";
import { useRun } from "./run.ts";

type Kind = "user" | "device";

interface References {
  readonly sessions: number;
  readonly legalHold: number;
  readonly devices: number;
  readonly pointers: number;
  readonly outbox: number;
  readonly documents: { readonly count: number };
  readonly sharedForks: { readonly count: number };
}

interface Receipt {
  readonly erased: Readonly<Record<string, number>>;
  readonly legalHold: number;
  readonly sharedForks: { readonly count: number };
  readonly signature: string;
}

/** Previews the data of a user, erases it, and shows the receipt. */
export function Erasure(): JSX.Element {
  const kind = useSignal<Kind>("user");
  const id = useSignal("");
  const preview = useRun<References>();
  const erasure = useRun<Receipt>();
  const whom = { [kind.value]: id.value.trim() };
  const look = async (): Promise<void> => {
    erasure.result.value = undefined;
    await preview.start(async () => await call<References>("/v1/references", { method: "POST", body: whom }));
  };
  const erase = async (): Promise<void> => {
    const typed = id.value.trim();
    const about =
      "Sessions, forks, archives, events, devices and documents are deleted for good. Sessions under legal hold stay.";
    if ((await confirm({ title: "Erase", about, isDanger: true, typed })) === undefined) return;
    await erasure.start(async () => await call<Receipt>("/v1/erase", { method: "POST", body: whom }));
    await preview.start(async () => await call<References>("/v1/references", { method: "POST", body: whom }));
  };
  const found = preview.result.value;
  const receipt = erasure.result.value;
  const isBusy = preview.isBusy.value || erasure.isBusy.value;
  return (
    <>
      <p class="soft">Counts what the store has of a user, or of a device that speaks for no user, and erases it.</p>
      <form
        class="actions"
        onSubmit={(event) => {
          event.preventDefault();
          void look();
        }}
      >
        <select
          class="input"
          aria-label="Kind"
          value={kind.value}
          onChange={(event) => (kind.value = event.currentTarget.value as Kind)}
        >
          <option value="user">User</option>
          <option value="device">Device</option>
        </select>
        <input
          class="input"
          aria-label="Id of the user or device"
          placeholder="id"
          value={id.value}
          onInput={(event) => {
            id.value = event.currentTarget.value;
            preview.result.value = undefined;
          }}
        />
        <button class="button button-main" disabled={isBusy || id.value.trim() === ""}>
          Preview
        </button>
        {found !== undefined && (
          <button type="button" class="button button-danger" disabled={isBusy} onClick={() => void erase()}>
            Erase…
          </button>
        )}
      </form>
      {preview.failure.value !== undefined && <Failure error={preview.failure.value} />}
      {erasure.failure.value !== undefined && <Failure error={erasure.failure.value} />}
      {receipt !== undefined && (
        <section class="card receipt" aria-label="Receipt">
          <h2>Receipt</h2>
          <p role="status">
            {Object.entries(receipt.erased)
              .filter(([, count]) => count > 0)
              .map(([name, count]) => `${number(count)} ${words(name)}`)
              .join(", ") || "Nothing was left to erase"}
            {receipt.legalHold > 0 && `; ${number(receipt.legalHold)} under legal hold stay`}
            {receipt.sharedForks.count > 0 &&
              `; ${number(receipt.sharedForks.count)} sessions of others hold text of the user`}
          </p>
          <CopyButton text={json(receipt)} label="Copy receipt" />
          <Json value={receipt} />
        </section>
      )}
      {found !== undefined && (
        <dl class="facts card" aria-label="Data of the user">
          {(["sessions", "legalHold", "devices", "pointers", "outbox"] as const).map((name) => (
            <div key={name}>
              <dt>{name === "legalHold" ? "under legal hold" : name}</dt>
              <dd>{number(found[name])}</dd>
            </div>
          ))}
          <div>
            <dt>documents</dt>
            <dd>{number(found.documents.count)}</dd>
          </div>
          <div>
            <dt>shared forks</dt>
            <dd>{number(found.sharedForks.count)}</dd>
          </div>
        </dl>
      )}
    </>
  );
}
