import type { JSX } from "preact";
import { call } from "../http/api.ts";
import type { Right } from "../http/wire.ts";
import { confirm } from "../view/confirm.tsx";
import { Ago, Blank, Failure, Loading, Until, useLoaded } from "../view/parts.tsx";
import { say } from "../view/toasts.tsx";

interface StoredKey {
  readonly id: string;
  readonly name: string;
  readonly right: Right;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly expired: boolean;
  readonly lastUsedAt: string | null;
}

/** The API keys of the tenant, and what each may do. */
export function Keys(): JSX.Element {
  const { value, error, reload } = useLoaded(
    async (signal) =>
      await call<{ items: readonly StoredKey[]; isComplete: boolean }>("/v1/keys", {
        signal,
      }),
    [],
  );
  const revoke = async ({ id, name }: StoredKey): Promise<void> => {
    const about = `Programs with this key (${id}) reach nothing any more, at once.`;
    if ((await confirm({ title: `Revoke ${name}`, about, isDanger: true, typed: name })) === undefined) return;
    try {
      const { revoked } = await call<{ revoked: boolean }>(`/v1/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
      say(revoked ? `${name} is revoked.` : `${name} was revoked before.`);
    } catch (failure) {
      say((failure as Error).message, { isError: true });
    }
    reload();
  };
  return (
    <>
      <p class="soft">
        Programs reach the sessions of this tenant with a key. Make one with <code>perdure keys create</code>: its
        secret is shown once, there. Keys of <code>PERDURE_SERVER_KEYS</code> are not in this list.
      </p>
      {error !== undefined ? (
        <Failure error={error} retry={reload} />
      ) : value === undefined ? (
        <Loading />
      ) : value.items.length === 0 ? (
        <Blank title="No keys" />
      ) : (
        <ol class="lines" aria-label="Keys">
          {value.items.map((key) => (
            <li key={key.id} class="line line-key">
              <span class="clip" title={key.id}>
                {key.name}
              </span>
              <span>
                <span class={key.right === "admin" ? "tag tag-accent" : "tag"}>{key.right}</span>
              </span>
              <span class="faint">
                made <Ago at={key.createdAt} />
              </span>
              <span class="faint">
                {key.expired ? (
                  "expired"
                ) : key.expiresAt === null ? (
                  "no end"
                ) : (
                  <>
                    ends <Until at={key.expiresAt} />
                  </>
                )}
              </span>
              <span class="faint">
                {key.lastUsedAt === null ? (
                  "not used yet"
                ) : (
                  <>
                    used <Ago at={key.lastUsedAt} />
                  </>
                )}
              </span>
              <button type="button" class="quiet" aria-label={`Revoke ${key.name}`} onClick={() => void revoke(key)}>
                Revoke
              </button>
            </li>
          ))}
        </ol>
      )}
      {value?.isComplete === false && <p class="faint">The newest are shown; perdure keys list shows all.</p>}
    </>
  );
}
