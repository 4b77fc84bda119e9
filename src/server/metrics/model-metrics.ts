import { Counter, Histogram, type Registry } from "prom-client";
import { BoundedLabels } from "./bounded-labels.ts";
import { SessionError, type Consultation, type Summarizing, type Titling, type TurnNews } from "../../index.ts";

const seconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300];

/** Metrics of turns and models, for Prometheus: of all sessions of this process. */
export class ModelMetrics {
  readonly #models = new BoundedLabels();
  readonly #turns: Counter<"status" | "model">;
  readonly #tokens: Counter<"type" | "model">;
  readonly #latency: Histogram<"model">;
  readonly #firstText: Histogram<"model">;
  readonly #errors: Counter<"code" | "model">;
  readonly #summaries: Counter<"outcome">;
  readonly #titles: Counter<"outcome">;
  readonly #titleTokens: Counter<"type">;
  readonly #summaryTokens: Counter<"type">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#turns = new Counter({
      name: "perdure_turns_total",
      help: "Finished turns, by status and model",
      labelNames: ["status", "model"],
      registers,
    });
    this.#tokens = new Counter({
      name: "perdure_tokens_total",
      help: "Tokens of finished turns, by type (input, output, cached) and model; cached tokens are input tokens too",
      labelNames: ["type", "model"],
      registers,
    });
    this.#latency = new Histogram({
      name: "perdure_model_answer_seconds",
      help: "Time from the durable question to the end of an answer that is done, its tools included, by model",
      labelNames: ["model"],
      buckets: seconds,
      registers,
    });
    this.#firstText = new Histogram({
      name: "perdure_model_first_text_seconds",
      help: "Time from the call of the model to the first text of its answer, by model",
      labelNames: ["model"],
      buckets: seconds,
      registers,
    });
    this.#errors = new Counter({
      name: "perdure_model_errors_total",
      help: "Answers that ended with an error, by code and model",
      labelNames: ["code", "model"],
      registers,
    });
    this.#summaries = new Counter({
      name: "perdure_summaries_total",
      help: "Summaries of past turns, by outcome: done, or failed, and the turn went on without it",
      labelNames: ["outcome"],
      registers,
    });
    this.#titles = new Counter({
      name: "perdure_titles_total",
      help: "Titles that were asked for, by outcome: done, none for an empty answer, or failed",
      labelNames: ["outcome"],
      registers,
    });
    this.#titleTokens = new Counter({
      name: "perdure_title_tokens_total",
      help: "Tokens of titles, by type (input, output), which are no tokens of turns",
      labelNames: ["type"],
      registers,
    });
    this.#summaryTokens = new Counter({
      name: "perdure_summary_tokens_total",
      help: "Tokens of summaries, by type (input, output), which are no tokens of turns",
      labelNames: ["type"],
      registers,
    });
  }

  countTurn({ turn: { status, usage, model: name } }: TurnNews): void {
    const model = this.#models.labelOf(name);
    this.#turns.inc({ status, model });
    if (usage === undefined) return;
    this.#tokens.inc({ type: "input", model }, usage.inputTokens);
    this.#tokens.inc({ type: "output", model }, usage.outputTokens);
    this.#tokens.inc({ type: "cached", model }, usage.cachedTokens ?? 0);
  }

  countSummary({ summary, error }: Summarizing): void {
    this.#summaries.inc({ outcome: error === undefined ? "done" : "failed" });
    this.#summaryTokens.inc({ type: "input" }, summary?.usage?.inputTokens ?? 0);
    this.#summaryTokens.inc({ type: "output" }, summary?.usage?.outputTokens ?? 0);
  }

  countTitle({ title, usage, error }: Titling): void {
    this.#titles.inc({ outcome: error !== undefined ? "failed" : title === undefined ? "none" : "done" });
    this.#titleTokens.inc({ type: "input" }, usage?.inputTokens ?? 0);
    this.#titleTokens.inc({ type: "output" }, usage?.outputTokens ?? 0);
  }

  countAnswer({ turn, repeated, answer, firstTextMs, model: asked, error }: Consultation): void {
    // Without a turn, or with that of an earlier try, no model was called.
    if (turn === undefined || repeated === true) return;
    const model = this.#models.labelOf(answer?.model ?? asked);
    if (answer?.durationMs !== undefined) this.#latency.observe({ model }, answer.durationMs / 1000);
    if (firstTextMs !== undefined) this.#firstText.observe({ model }, firstTextMs / 1000);
    if (error === undefined) return;
    this.#errors.inc({ code: error instanceof SessionError ? error.code : "internal", model });
  }
}
