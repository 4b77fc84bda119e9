import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLocation } from "preact-iso/router";
import { useRef } from "preact/hooks";
import { call } from "../http/api.ts";
import type { Session } from "../http/wire.ts";
import { sessionHref } from "../view/parts.tsx";
import { say } from "../view/toasts.tsx";

/** Restores the snapshot in a file, and shows the session. Where its id is taken, it gets a new one. */
export function RestoreSnapshot(): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const isBusy = useSignal(false);
  const { route } = useLocation();
  const restore = async (file: File): Promise<void> => {
    isBusy.value = true;
    try {
      const restored = await call<Session>("/v1/snapshots", { method: "POST", file, query: { onExists: "new-id" } });
      say(`Restored as ${restored.id}.`);
      route(sessionHref(restored.id));
    } catch (error) {
      say((error as Error).message, { isError: true });
    }
    isBusy.value = false;
  };
  return (
    <div class="bar-end">
      <button type="button" class="button" disabled={isBusy.value} onClick={() => input.current?.click()}>
        Restore snapshot
      </button>
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        aria-label="File of a snapshot"
        hidden
        onChange={({ currentTarget }) => {
          const file = currentTarget.files?.[0];
          // The same file can be chosen again.
          currentTarget.value = "";
          if (file !== undefined) void restore(file);
        }}
      />
    </div>
  );
}
