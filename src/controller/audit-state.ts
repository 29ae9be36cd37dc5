import type { Collected, ViolationCount } from "../core/audit/collected.ts";

/** Why a resource that rules match is not looked at. */
export type Unlisted =
  /** The controller has no right to list it. */
  | "forbidden"
  /** The API server does not serve it. */
  | "absent"
  /** A rule names it with `*`. */
  | "wildcard";

interface Run {
  /** Every namespace was looked at. */
  readonly isFull: boolean;
  readonly objects: number;
  readonly endMs: number;
}

/** What the audit last found, for metrics; nothing is decided by it that a new leader could not find again. */
export class AuditState {
  readonly #counts = new Map<string, readonly ViolationCount[]>();
  readonly #reported = new Set<string>();
  readonly #unlisted = new Map<string, Unlisted>();
  #lastFull: Run | undefined;
  #errors = 0;

  set(namespace: string, { counts }: Collected): void {
    if (counts.length === 0) this.#counts.delete(namespace);
    else this.#counts.set(namespace, counts);
  }

  hasResults(namespace: string): boolean {
    return this.#counts.has(namespace);
  }

  namespaces(): Iterable<string> {
    return this.#counts.keys();
  }

  isReported(namespace: string): boolean {
    return this.#reported.has(namespace);
  }

  setReported(namespace: string, isReported: boolean): void {
    if (isReported) this.#reported.add(namespace);
    else this.#reported.delete(namespace);
  }

  /** True when that is news. */
  setUnlisted(resource: string, why: Unlisted | undefined): boolean {
    const isNews = this.#unlisted.get(resource) !== why;
    if (why === undefined) this.#unlisted.delete(resource);
    else this.#unlisted.set(resource, why);
    return isNews;
  }

  /** Forgets the resources that no rule matches any more. */
  keepUnlisted(resources: ReadonlySet<string>): void {
    for (const resource of this.#unlisted.keys()) if (!resources.has(resource)) this.#unlisted.delete(resource);
  }

  failed(): void {
    this.#errors += 1;
  }

  ended(run: Run): void {
    if (run.isFull) this.#lastFull = run;
  }

  /** At the end of a term: another replica tells from now on. Totals stay. */
  clear(): void {
    this.#counts.clear();
    this.#reported.clear();
    this.#unlisted.clear();
    this.#lastFull = undefined;
  }

  get violations(): ReadonlyMap<string, readonly ViolationCount[]> {
    return this.#counts;
  }

  get unlisted(): ReadonlyMap<string, Unlisted> {
    return this.#unlisted;
  }

  /** Undefined until one has ended. */
  get lastFull(): Run | undefined {
    return this.#lastFull;
  }

  get errors(): number {
    return this.#errors;
  }
}
