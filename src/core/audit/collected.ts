import { REPORT_RESULTS_MAX } from "../limits.ts";
import type { AuditResult } from "./audit-object.ts";

/** How often one rule is violated. */
export interface ViolationCount {
  readonly rule: string;
  readonly severity: AuditResult["severity"] | "error";
  readonly count: number;
}

/** What is found in one namespace: the first results as they are, all of them as numbers. */
export class Collected {
  objects = 0;
  #results: readonly AuditResult[] = [];
  #counts = new Map<string, ViolationCount>();

  add(results: readonly AuditResult[]): void {
    if (results.length === 0) return;
    this.#results = [...this.#results, ...results].slice(0, REPORT_RESULTS_MAX);
    for (const { rule, result, severity: found } of results) {
      const severity = result === "error" ? "error" : found;
      const key = `${severity} ${rule}`;
      this.#counts.set(key, { rule, severity, count: (this.#counts.get(key)?.count ?? 0) + 1 });
    }
  }

  /** As it is now; what is added later is not part of it. */
  copy(): Collected {
    const copy = new Collected();
    copy.reset(this);
    return copy;
  }

  /** Forgets what came after the copy. */
  reset(copy: Collected): void {
    this.objects = copy.objects;
    this.#results = copy.#results;
    this.#counts = new Map(copy.#counts);
  }

  get results(): readonly AuditResult[] {
    return this.#results;
  }

  get counts(): readonly ViolationCount[] {
    return [...this.#counts.values()];
  }

  get totals(): Readonly<Record<AuditResult["result"], number>> {
    const error = this.#sum((severity) => severity === "error");
    return { fail: this.#sum((severity) => severity !== "error"), error };
  }

  #sum(isCounted: (severity: ViolationCount["severity"]) => boolean): number {
    return this.counts.reduce((sum, { severity, count }) => (isCounted(severity) ? sum + count : sum), 0);
  }
}
