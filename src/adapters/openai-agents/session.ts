/** A session of OpenAI's Agents SDK: the methods that its Runner calls. */
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { Session, Value } from "../../index.ts";
import { History, View, type OnConflict } from "./history.ts";
import type { AgentRunContext } from "./run-usage.ts";
import { fieldsOf, type AgentItem } from "./turn-items.ts";

/** A change of stored items: `SessionHistoryMutation` of the Agents SDK. */
export interface AgentHistoryMutation {
  readonly type: "replace_function_call";
  readonly callId: string;
  readonly replacement: AgentItem;
}

/** A change of the end of the items: `SessionHistoryTransaction` of the Agents SDK. */
export type AgentHistoryTransaction =
  | { readonly type: "append_items"; readonly items: readonly AgentItem[] }
  | {
      readonly type: "replace_suffix";
      readonly expectedSuffix: readonly AgentItem[];
      readonly replacement: readonly AgentItem[];
    };

/** A session of Perdure as the Runner of the Agents SDK takes it. Made by `openaiSession`. */
export class OpenAiSession<Item extends AgentItem = never> {
  /** The Runner passes the context of its run to every method. */
  readonly acceptsRunContext = true;
  /** The session: its turns are the items, for every other framework too. */
  readonly session: Session;
  readonly #history: History;
  /** What callers outside of runs have seen. */
  readonly #own = new View();
  readonly #views = new WeakMap<AgentRunContext, View>();

  /** Made by `openaiSession`. @internal */
  constructor(session: Session, onConflict: OnConflict) {
    this.session = session;
    this.#history = new History(session, onConflict);
  }

  /** The id of the session. */
  async getSessionId(): Promise<string> {
    return this.session.id;
  }

  /**
   * The newest items, oldest first; all of them without a limit, and none for a limit of 0 or less.
   * @throws SessionError `turn_waiting` to a run while a turn waits: `resume` continues it
   */
  async getItems(limit?: number, context?: AgentRunContext): Promise<Item[]> {
    const items = await this.#history.items(this.#viewOf(context), limit, context !== undefined);
    return items as unknown as Item[];
  }

  /**
   * Append items. A message of the user or of the system after an answer begins a turn; all else extends the last one.
   * @throws SessionError `conflict` for items of another writer since `getItems`, unless `onConflict` is "append";
   *   `message_invalid` for a value that is no item, `value_unstorable`, `turn_too_large`, `turn_open`, `busy`, that of the
   *   session's state
   */
  async addItems(items: readonly (Item | AgentItem)[], context?: AgentRunContext): Promise<void> {
    if (items.length > 0) await this.#history.add(this.#viewOf(context), items, { context });
  }

  /** Remove the newest item; undefined if there is none. @throws SessionError as `addItems`, `legal_hold` */
  async popItem(context?: AgentRunContext): Promise<Item | undefined> {
    return (await this.#history.pop(this.#viewOf(context))) as unknown as Item | undefined;
  }

  /** Remove all items, and the ids of applied transactions. @throws SessionError `legal_hold`, `turn_open`, `busy` */
  async clearSession(context?: AgentRunContext): Promise<void> {
    await this.#history.clear(this.#viewOf(context));
  }

  /**
   * Replace all items, in one commit: a compaction, and the items behind it.
   * @throws SessionError `conflict` for items of another writer since `getItems`, `legal_hold`, and as `addItems`
   */
  async replaceHistoryWithCompaction(items: readonly (Item | AgentItem)[], context?: AgentRunContext): Promise<void> {
    await this.#history.replace(this.#viewOf(context), items, { context });
  }

  /** Replace calls in one commit: the first one of each id, and no later one stays. @throws SessionError as `popItem` */
  async applyHistoryMutations({ mutations }: { readonly mutations: readonly AgentHistoryMutation[] }): Promise<void> {
    await this.#history.change(this.#own, () => {
      const replaced = new Set<string>();
      return (items) =>
        items.flatMap((item) => {
          const { type, callId } = fieldsOf(item);
          const mutation = mutations.findLast((one) => type === "function_call" && callId === one.callId);
          if (mutation === undefined) return [item];
          if (replaced.has(mutation.callId)) return [];
          replaced.add(mutation.callId);
          return [mutation.replacement as Value];
        });
    });
  }

  /**
   * Apply a transaction once, in one commit with its id.
   * @throws SessionError `key_reused` for another transaction under a known id, `conflict` if the expected items are not the
   *   last ones, and as `addItems`
   */
  async applyHistoryTransaction(
    { operationId, transaction }: { readonly operationId: string; readonly transaction: AgentHistoryTransaction },
    context?: AgentRunContext,
  ): Promise<void> {
    const view = this.#viewOf(context);
    if (typeof operationId !== "string" || operationId.trim() === "")
      throw invalidArgument("operationId", operationId, { expected: "text", min: 1 });
    await this.#history.once({ id: operationId, transaction: transaction as unknown as Value }, async (operation) => {
      if (transaction.type === "append_items") await this.#history.add(view, transaction.items, { context, operation });
      else {
        const { expectedSuffix: expected, replacement } = transaction;
        await this.#history.replaceSuffix(view, { expected, replacement }, { context, operation });
      }
    });
  }

  #viewOf(context: AgentRunContext | undefined): View {
    if (context === undefined) return this.#own;
    let view = this.#views.get(context);
    if (view === undefined) this.#views.set(context, (view = new View(context)));
    return view;
  }
}
