import type { SQLInputValue } from "node:sqlite";

/** Conditions and the values they bind, in the same order. */
export class Where {
  readonly conditions: string[] = [];
  readonly values: SQLInputValue[] = [];

  and(condition: string, ...values: readonly SQLInputValue[]): void {
    this.conditions.push(condition);
    this.values.push(...values);
  }
}
