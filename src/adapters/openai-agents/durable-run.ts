/**
 * Runs whose steps are stored while they go on. The Runner passes the items of a run when it has ended, so the death of a
 * process would lose the tools that ran. Its hooks say which call begins and which result has come; the filter of the model's
 * input has all items of the run, and the Runner waits for it before it calls a model.
 */
import { sameValue, SessionError, type Session, type Value } from "../../index.ts";
import { View, without, type History } from "./history.ts";
import { tokensOf, type AgentRunContext } from "./run-usage.ts";
import { fieldsOf, type AgentItem } from "./turn-items.ts";

/** The Runner, described by the members that are called: `Runner` of the Agents SDK is one. */
export interface AgentRunner {
  readonly config: { readonly callModelInputFilter?: unknown };
  on(type: never, listener: never): unknown;
  run(agent: never, input: never, options?: never): Promise<unknown>;
}

/** The hooks of a Runner, and its `run`. */
interface Hooked {
  readonly config: RunOptions;
  on(type: string, listener: (context: AgentRunContext, ...args: unknown[]) => void): unknown;
  run(agent: unknown, input: unknown, options: object): Promise<unknown>;
}

interface RunOptions {
  readonly conversationId?: string;
  readonly previousResponseId?: string;
  readonly callModelInputFilter?: Filter;
  readonly sessionInputCallback?: InputCallback;
  readonly session?: object;
}

type Filter = (args: { readonly modelData: ModelData }) => ModelData | Promise<ModelData>;

interface ModelData {
  readonly input: readonly AgentItem[];
}

/** Joins the stored items and the new ones. */
type InputCallback = (
  history: readonly AgentItem[],
  added: readonly AgentItem[],
) => readonly AgentItem[] | Promise<readonly AgentItem[]>;

/** The runs of each Runner that has hooks, by their contexts. */
const runsOf = new WeakMap<AgentRunner, WeakMap<AgentRunContext, DurableRun>>();

/** The `run` of the Runner, on sessions that `sessionOf` makes. `learnView` gets the view of the run once its context is known. */
export function durableRun<R extends AgentRunner>(
  runner: R,
  history: History,
  {
    sessionOf,
    learnView,
  }: {
    readonly sessionOf: (run: DurableRun) => object;
    readonly learnView: (context: AgentRunContext, view: View) => void;
  },
): R["run"] {
  const runs = runsOf.get(runner) ?? hooked(runner);
  const { config } = runner as unknown as Hooked;
  return async (agent: unknown, input: unknown, options: RunOptions = {}) => {
    const { _context: context } = fieldsOf(input) as { readonly _context?: AgentRunContext };
    if (options.conversationId !== undefined || options.previousResponseId !== undefined)
      throw new SessionError("argument_invalid", { name: "options.conversationId", expected: "no_field" });
    const durable = new DurableRun(history, (bound, view) => {
      runs.set(bound, durable);
      learnView(bound, view);
    });
    if (context !== undefined) durable.bind(context);
    const filter = options.callModelInputFilter ?? config.callModelInputFilter;
    const callback = options.sessionInputCallback ?? config.sessionInputCallback ?? joined;
    return await (runner as unknown as Hooked).run(agent, input, {
      ...options,
      session: sessionOf(durable),
      sessionInputCallback: async (stored, added) => {
        const read = new Set(stored);
        const all = await callback(stored, added);
        durable.asks(all.filter((item) => !read.has(item)));
        return all;
      },
      callModelInputFilter: async (args) => {
        await durable.beforeModel(args.modelData.input);
        return filter === undefined ? args.modelData : await filter(args);
      },
    } satisfies RunOptions);
  };
}

function joined(stored: readonly AgentItem[], added: readonly AgentItem[]): readonly AgentItem[] {
  return [...stored, ...added];
}

function hooked(runner: AgentRunner): WeakMap<AgentRunContext, DurableRun> {
  const runs = new WeakMap<AgentRunContext, DurableRun>();
  runsOf.set(runner, runs);
  const hooks = runner as unknown as Hooked;
  hooks.on("agent_start", (context, agent) => runs.get(context)?.answers(nameOf(agent)));
  hooks.on("agent_tool_start", (context, _agent, _tool, details) =>
    runs.get(context)?.called(fieldsOf(details)["toolCall"]),
  );
  hooks.on("agent_tool_end", (context, _agent, _tool, result, details) =>
    runs.get(context)?.returned(fieldsOf(details)["toolCall"], String(result)),
  );
  hooks.on("agent_handoff", (context, _from, to) => runs.get(context)?.handedOff(nameOf(to)));
  return runs;
}

function nameOf(agent: unknown): string {
  return String(fieldsOf(agent)["name"]);
}

/** One run, with its items that the Runner has not passed yet. */
export class DurableRun {
  readonly view: View = new View();
  readonly #history: History;
  readonly #learnContext: (context: AgentRunContext, view: View) => void;
  #context: AgentRunContext | undefined;
  #agent: string | undefined;
  /** The new items with which it began. */
  #input: readonly AgentItem[] = [];
  /** The length and the end of the model's first input. */
  #first: { readonly length: number; readonly last: AgentItem | undefined } | undefined;
  /** The items that a model or a tool has added, as the last input of a model has them. */
  #added: readonly AgentItem[] = [];
  /** Calls that began, and results that came, since then. */
  #steps: readonly AgentItem[] = [];
  /** The items that the Runner has passed. */
  #passed: readonly AgentItem[] = [];
  /** The last step that is being stored. */
  #storing: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(history: History, learnContext: (context: AgentRunContext, view: View) => void) {
    this.#history = history;
    this.#learnContext = learnContext;
  }

  /** The context of the run, by which its hooks name it. */
  bind(context: AgentRunContext | undefined): void {
    if (context === undefined || context === this.#context) return;
    this.#context = context;
    this.view.counted = tokensOf(context);
    this.#learnContext(context, this.view);
  }

  /** The new items of the run. They are stored before the first model call. */
  asks(input: readonly AgentItem[]): void {
    this.#input = input;
  }

  /** The Runner passes items, and those of them that were stored before are final. */
  passed(items: readonly AgentItem[]): { readonly agent?: string; readonly later: readonly AgentItem[] } {
    this.#passed = [...this.#passed, ...items];
    this.#input = [];
    const later = this.#later();
    return this.#agent === undefined ? { later } : { agent: this.#agent, later };
  }

  /** All items of the run so far are replaced. */
  replaced(items: readonly AgentItem[]): void {
    this.passed([...items, ...this.#later()]);
  }

  answers(agent: string): void {
    this.#agent = agent;
  }

  called(call: unknown): void {
    this.#step(withoutId(call));
  }

  /** The result of a function. Results of other tools have forms of their own, which the next input of a model has. */
  returned(call: unknown, result: string): void {
    const { type, name, callId } = fieldsOf(call);
    if (type !== "function_call") return;
    const output = { type: "text", text: result };
    this.#step({ type: "function_call_result", name, callId, status: "completed", output });
  }

  handedOff(agent: string): void {
    this.#agent = agent;
    const { session } = this.#history;
    this.#then(() => makeActive(session, agent));
  }

  /** Resolves once all items of the run are durable. @throws the error of a step that could not be stored */
  async beforeModel(input: readonly AgentItem[]): Promise<void> {
    if (this.#first === undefined) this.#first = { length: input.length, last: input.at(-1) };
    else if (sameValue(input[this.#first.length - 1] as Value | undefined, this.#first.last as Value | undefined)) {
      // The input of an agent that another one handed off to may begin otherwise: then the steps are all that is known.
      this.#added = input.slice(this.#first.length).map(withoutId);
      this.#steps = without(this.#steps, this.#added);
    }
    this.#store();
    await this.#storing;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #later(): readonly AgentItem[] {
    return [...this.#input, ...without([...this.#added, ...this.#steps], this.#passed)];
  }

  #step(item: AgentItem): void {
    // Under a legal hold a turn only grows: the order of the items is known before the next model call.
    if (this.#history.session.info.legalHold !== null) return;
    this.#steps = [...this.#steps, item];
    this.#store();
  }

  #store(): void {
    this.#then(async () => {
      const later = this.#later();
      if (sameValue(later as readonly Value[], (this.view.early?.items ?? []) as readonly Value[])) return;
      await this.#history.add(this.view, [], { context: this.#context, agent: this.#agent, later });
    });
  }

  /** After a failure nothing more is stored: the Runner learns of it before it calls a model. */
  #then(work: () => Promise<void>): void {
    this.#storing = this.#storing.then(async () => {
      if (this.#failure !== undefined) return;
      try {
        await work();
      } catch (error) {
        this.#failure = { error };
      }
    });
  }
}

/** The agent of the session needs no handoff. */
async function makeActive(session: Session, agent: string): Promise<void> {
  if (agent === session.info.agent) await session.endHandoff();
  else await session.handOff(agent);
}

/** The Runner stores calls and results without the ids of their provider. */
function withoutId(item: unknown): AgentItem {
  const { id, ...fields } = fieldsOf(item);
  const { type } = fields;
  const isOfCall = type === "function_call" || type === "function_call_result";
  return isOfCall || id === undefined ? fields : { id, ...fields };
}
