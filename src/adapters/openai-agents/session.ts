/** A session of OpenAI's Agents SDK: the methods that its Runner calls. */
import { invalidArgument, parseFunction } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import { hasCode, type BusyPolicy, type Duration, type Session, type Value, type WaitingTurn } from "../../index.ts";
import { durableRun, type AgentRunner, type DurableRun } from "./durable-run.ts";
import { History, View } from "./history.ts";
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

/** What the Runner says of a turn that it has stored: `OpenAIResponsesCompactionArgs` of the Agents SDK. */
export interface CompactionArguments {
  /** The id of the last response, for `previous_response_id`. */
  readonly responseId?: string | undefined;
  readonly compactionMode?: "previous_response_id" | "input" | "auto";
  /** True if the provider keeps the response. */
  readonly store?: boolean;
  /** True for a caller that wants it whatever the length. */
  readonly force?: boolean;
}

/** Shorter items, and the usage of the request that made them: `RequestUsage` of the Agents SDK. */
export interface AgentCompaction<Item> {
  readonly items: readonly (Item | AgentItem)[];
  // oxlint-disable-next-line typescript/no-explicit-any -- the class of the package, whose types may be absent
  readonly usage?: any;
}

/** Makes shorter items of all items of a session; null: they stay. */
export type AgentCompact<Item extends AgentItem> = (
  given: CompactionArguments & { readonly items: readonly Item[] },
) => Promise<AgentCompaction<Item> | null> | AgentCompaction<Item> | null;

/** The state of a run, described by the members that are read: `RunState` of the Agents SDK is one. */
export interface AgentRunState {
  readonly _context: AgentRunContext;
  toString(): string;
}

/** How a run waits. */
export interface PauseOptions {
  /** Why it waits: lists filter by it. @default "approval" */
  readonly reason?: string;
  /** The longest wait; then the turn is interrupted. @default as long as the session lives */
  readonly expires?: Duration;
}

const pauseNames: OptionNames<PauseOptions> = { reason: true, expires: true };

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
  /** The run that alone reads and writes by this object. */
  readonly #run: DurableRun | undefined;
  readonly #compact: AgentCompact<Item> | undefined;
  /**
   * Shorten the items by the option `compact`, in one commit. The Runner calls it after each turn that it has stored, and finds it
   * by its name, so it is there with the option only. Items of another writer meanwhile stay, and nothing is replaced.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- the usage is of a class of the package, whose types may be absent
  readonly runCompaction?: (given?: CompactionArguments, context?: AgentRunContext) => Promise<{ usage: any } | null>;

  /** Made by `openaiSession`. @internal */
  constructor(
    history: History,
    { run, compact }: { readonly run?: DurableRun; readonly compact?: AgentCompact<Item> } = {},
  ) {
    this.session = history.session;
    this.#history = history;
    this.#run = run;
    this.#compact = compact;
    if (compact !== undefined)
      this.runCompaction = async (given = {}, context) => await this.#shorten(compact, given, context);
  }

  async #shorten(
    compact: AgentCompact<Item>,
    given: CompactionArguments,
    context: AgentRunContext | undefined,
  ): Promise<{ usage: unknown } | null> {
    const items = await this.getItems(undefined, context);
    const compaction = await compact({ ...given, items });
    if (compaction === null) return null;
    try {
      await this.replaceHistoryWithCompaction(compaction.items, context);
    } catch (error) {
      // The run is stored, and the request is paid: the next turn is compacted anew.
      if (!hasCode(error, "conflict")) throw error;
    }
    const { usage } = compaction as { readonly usage?: unknown };
    return usage === undefined ? null : { usage };
  }

  /** The id of the session. */
  async getSessionId(): Promise<string> {
    return this.session.id;
  }

  /**
   * The newest items, oldest first; all of them without a limit, and none for a limit of 0 or less.
   * @throws SessionError to a run `turn_waiting` while a turn waits, which `resume` continues, and `turn_open` while another
   *   writer answers one
   */
  async getItems(limit?: number, context?: AgentRunContext): Promise<Item[]> {
    this.#run?.bind(context);
    return (await this.#history.items(this.#viewOf(context), limit, context !== undefined)) as unknown as Item[];
  }

  /**
   * Append items. A message of the user or of the system after an answer begins a turn; all else extends the last one.
   * @throws SessionError `conflict` for items of another writer since `getItems`, unless `onConflict` is "append";
   *   `message_invalid` for a value that is no item, `value_unstorable`, `turn_too_large`, `turn_open`, `busy`, that of the
   *   session's state
   */
  async addItems(items: readonly (Item | AgentItem)[], context?: AgentRunContext): Promise<void> {
    guardItems(items, "items");
    if (items.length === 0) return;
    const run = this.#run?.passed(items);
    await this.#history.add(this.#viewOf(context), items, { context, ...run });
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
    guardItems(items, "items");
    this.#run?.replaced(items);
    await this.#history.replace(this.#viewOf(context), items, { context });
  }

  /** Replace calls in one commit: the first one of each id, and no later one stays. @throws SessionError as `popItem` */
  async applyHistoryMutations(args: { readonly mutations: readonly AgentHistoryMutation[] }): Promise<void> {
    guardObject(args, "args");
    const { mutations } = args;
    if (!Array.isArray(mutations)) throw invalidArgument("mutations", mutations, { expected: "array" });
    // Unlike those of the array, the entries of a copy include its holes.
    for (const [index, mutation] of Array.from(mutations).entries()) guardObject(mutation, `mutations[${index}]`);
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
    args: { readonly operationId: string; readonly transaction: AgentHistoryTransaction },
    context?: AgentRunContext,
  ): Promise<void> {
    guardObject(args, "args");
    const { operationId, transaction } = args;
    const view = this.#viewOf(context);
    if (typeof operationId !== "string" || operationId.trim() === "")
      throw invalidArgument("operationId", operationId, { expected: "text", min: 1 });
    const { type, items, expectedSuffix, replacement } = fieldsOf(transaction);
    if (type === "append_items") guardItems(items, "transaction.items");
    else if (type === "replace_suffix") {
      guardItems(expectedSuffix, "transaction.expectedSuffix");
      guardItems(replacement, "transaction.replacement");
    } else
      throw invalidArgument("transaction.type", type, {
        expected: "one_of",
        known: ["append_items", "replace_suffix"],
      });
    await this.#history.once({ id: operationId, transaction: transaction as unknown as Value }, async (operation) => {
      if (transaction.type === "append_items") await this.#history.add(view, transaction.items, { context, operation });
      else {
        const { expectedSuffix: expected, replacement } = transaction;
        await this.#history.replaceSuffix(view, { expected, replacement }, { context, operation });
      }
    });
  }

  /**
   * Let the turn of an interrupted run wait for its approvals, with the state of the run. Until `resume`, in any process, no
   * run begins on the session. `state` is that of the run's result, or its text.
   * @throws SessionError `conflict` for items of another writer since the run, `state_too_large`, `duration_invalid`,
   *   `legal_hold`, `busy`, that of the session's state
   */
  async pause(state: AgentRunState | string, options: PauseOptions = {}): Promise<WaitingTurn> {
    guardNames(options, "options", pauseNames);
    if (typeof state !== "string") guardRunState(state);
    const { reason = "approval", expires } = options;
    const context = typeof state === "string" ? undefined : state._context;
    const wait = { state: String(state), reason, ...defined({ expires }) };
    return await this.#history.pause(this.#viewOf(context), wait);
  }

  /**
   * Take over the run that waits: `load` makes its state of the text, such as `(text) => RunState.fromString(agent, text)`.
   * Of several callers in any processes exactly one gets it. Approve or reject its calls, then run it with this session.
   * @throws SessionError `turn_not_waiting` if no turn waits, or another caller was first; `interrupted` if its time is up;
   *   and the errors of `load`, after which the turn still waits
   */
  async resume<State>(load: (state: string) => Promise<State> | State): Promise<State> {
    if (typeof load !== "function") throw invalidArgument("load", load, { expected: "function" });
    return await this.#history.resume(load);
  }

  /**
   * Run `work` as the only writer of the session, on a session of its own.
   * @throws SessionError `busy`, `queue_full`, and the errors of `work`
   */
  async exclusive<T>(
    work: (session: OpenAiSession<Item>) => Promise<T>,
    options: { readonly busy?: BusyPolicy; readonly wait?: Duration } = {},
  ): Promise<T> {
    parseFunction(work, "work");
    const { onConflict } = this.#history;
    return await this.session.exclusive(
      (session) => work(new OpenAiSession<Item>(new History(session, onConflict), defined({ compact: this.#compact }))),
      options,
    );
  }

  /**
   * The `run` of this Runner, for this session: each step is stored when it has ended, and the next model call begins when it is
   * durable. A handoff makes its agent the active one. The question is stored before a model is called, so a run that would
   * conflict is refused before.
   */
  durable<R extends AgentRunner>(runner: R): Pick<R, "run"> {
    const history = this.#history;
    for (const name of ["run", "on"]) parseFunction(fieldsOf(runner)[name] as () => unknown, `runner.${name}`);
    return {
      run: durableRun(runner, history, {
        sessionOf: (run) => new OpenAiSession<Item>(history, { run, ...defined({ compact: this.#compact }) }),
        learnView: (context, view) => this.#views.set(context, view),
      }),
    };
  }

  /** Load the name of the agent that answers: the active one, else that of the session. */
  async answeringAgent(): Promise<string> {
    return (await this.session.activeAgent())?.agent ?? this.session.info.agent;
  }

  #viewOf(context: AgentRunContext | undefined): View {
    if (this.#run !== undefined) return this.#run.view;
    if (context === undefined) return this.#own;
    let view = this.#views.get(context);
    if (view === undefined) this.#views.set(context, (view = new View(context)));
    return view;
  }
}

/** @throws SessionError `argument_invalid` for a value that is no state of a run */
function guardRunState(state: AgentRunState): void {
  guardObject(state, "state");
  const { _context: context } = state as Partial<AgentRunState>;
  if (typeof Object(context?.usage) !== "object" || context?.usage === undefined)
    throw invalidArgument("state", state, { expected: "one_of", known: ["the state of a run", "its text"] });
}

/** @throws SessionError `argument_invalid` */
function guardItems(items: unknown, name: string): asserts items is readonly AgentItem[] {
  if (!Array.isArray(items)) throw invalidArgument(name, items, { expected: "array" });
}
