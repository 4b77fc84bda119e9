import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { enter, place, refusal } from "../http/api.ts";
import { Logo } from "./icons.tsx";

/** Asks for an API key, which stays in the tab. */
export function Login(): JSX.Element {
  const text = useSignal("");
  const isBusy = useSignal(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    isBusy.value = true;
    await enter(text.value);
    isBusy.value = false;
  };
  return (
    <main class="login">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <Logo />
        <h1>Perdure Studio</h1>
        {refusal.value !== null && (
          <p class="notice notice-error" role="alert">
            {refusal.value}
          </p>
        )}
        {place.isAdmitted ? (
          <p>The login of this site does not admit you to the studio.</p>
        ) : (
          <>
            <label for="key">API key</label>
            <input
              id="key"
              type="password"
              autocomplete="off"
              spellcheck={false}
              placeholder="pdk_…"
              value={text.value}
              onInput={(event) => (text.value = event.currentTarget.value)}
            />
            <button type="submit" class="button button-main" disabled={isBusy.value || text.value.trim() === ""}>
              Open
            </button>
            <p class="faint">
              <code>perdure keys create --name me --right read</code> makes a key. It stays in this tab.
            </p>
          </>
        )}
      </form>
    </main>
  );
}
