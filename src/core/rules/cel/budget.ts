import { CelError } from "./values.ts";

/** As cel-go words it (interpreter.EvalCancelledError); nothing in an expression absorbs it. */
export const BUDGET_SPENT = "operation cancelled: actual cost limit exceeded";

/**
 * How much one or several runs may cost, in cel-go's units: 1 for a name, a field or a call, 10 for a list, 30 for a map,
 * 0.1 for each character that is read. The same run costs the same every time.
 */
export class Budget {
  /** For all runs together, in units. */
  readonly limit: number;
  /** For each run, in units; what a lazy variable costs is its own run's. */
  readonly runLimit: number;
  #used = 0;
  #ceiling: number;

  constructor(limit: number, runLimit: number = limit) {
    this.limit = limit;
    this.runLimit = runLimit;
    this.#ceiling = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** Throws the fatal CelError when that is more than there is. */
  charge(units: number): void {
    this.#used += units;
    if (this.#used > this.#ceiling) {
      throw new CelError(BUDGET_SPENT, true);
    }
  }

  /** Starts a run, perhaps within another, and gives the ceiling of that one, which belongs into `leave`. */
  enter(): number {
    const outer = this.#ceiling;
    this.#ceiling = Math.min(this.limit, this.#used + this.runLimit);
    return outer;
  }

  /** Ends a run and gives its cost. `usedBefore`: what was used when it started. */
  leave(outerCeiling: number, usedBefore: number): number {
    const cost = this.#used - usedBefore;
    this.#ceiling = Math.min(this.limit, outerCeiling + cost);
    return cost;
  }
}
