/** What must hold once before the replica takes traffic (docs/architecture.md). */
export const READINESS_CHECKS = ["cachesSynced", "certificateLoaded", "certificateInBundle", "selfReview"] as const;
export type ReadinessCheck = (typeof READINESS_CHECKS)[number];

export interface ReadinessLine {
  readonly name: string;
  readonly ok: boolean;
  /** What is missing; empty when ok. */
  readonly detail: string;
}

export interface ReadinessReport {
  readonly ready: boolean;
  readonly lines: readonly ReadinessLine[];
}

/**
 * A start gate that latches: once every check has been true at the same time, only a drain or an expired certificate
 * of our own makes the replica unready. A check that fails later (a watch that lags, a bundle that someone edits) hits
 * every replica alike; taking them all out of service would turn a lag into an outage.
 */
export class Readiness {
  readonly #checks = new Map<ReadinessCheck, ReadinessLine>();
  #latched = false;
  #draining = false;
  #certificateNotAfterMs: number | undefined;

  constructor(checks: readonly ReadinessCheck[] = READINESS_CHECKS) {
    for (const name of checks) this.#checks.set(name, { name, ok: false, detail: "not yet" });
  }

  get latched(): boolean {
    return this.#latched;
  }

  pass(name: ReadinessCheck): void {
    this.#record({ name, ok: true, detail: "" });
  }

  /** `detail` says what is missing, for `/readyz?verbose`. */
  fail(name: ReadinessCheck, detail: string): void {
    this.#record({ name, ok: false, detail });
  }

  /** From here on unready for good: SIGTERM was received. */
  drain(): void {
    this.#draining = true;
  }

  /** End of the certificate that is served now, milliseconds since 1970; call it again at every reload. */
  serveCertificateUntil(notAfterMs: number): void {
    this.#certificateNotAfterMs = notAfterMs;
  }

  report(nowMs: number): ReadinessReport {
    const expired = this.#certificateNotAfterMs !== undefined && this.#certificateNotAfterMs <= nowMs;
    const lines = [
      ...this.#checks.values(),
      { name: "draining", ok: !this.#draining, detail: this.#draining ? "SIGTERM was received" : "" },
      { name: "certificateValid", ok: !expired, detail: expired ? expiredSince(this.#certificateNotAfterMs) : "" },
    ];
    return { ready: this.#latched && !this.#draining && !expired, lines };
  }

  #record(line: ReadinessLine & { readonly name: ReadinessCheck }): void {
    if (!this.#checks.has(line.name)) return;
    this.#checks.set(line.name, line);
    this.#latched ||= [...this.#checks.values()].every((check) => check.ok);
  }
}

function expiredSince(notAfterMs: number | undefined): string {
  return `expired at ${new Date(notAfterMs ?? 0).toISOString()}`;
}
