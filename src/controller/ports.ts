import type { Action } from "../core/action.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { Clock } from "../k8s/ports.ts";

/** One span of a trace; ended exactly once. */
export interface Span {
  end(error?: unknown): void;
}

/** What is told about each piece of work, made by the composition root from metrics, traces and the log. */
export interface Telemetry {
  /** One look at a target or policy is over. */
  reconciled(what: "target" | "policy", result: ReconcileResult, seconds: number): void;
  /** Something changed what Fairlead had written. */
  drift(kind: string): void;
  /** One write of the controller, for the audit log: who, what, when, why. */
  wrote(write: AuditedWrite): void;
  /** The trace of one generation of a policy (32 hexadecimal digits), the same in every process. */
  policyTrace(uid: string, generation: number): string;
  span(
    name: "controller.reconcile" | "controller.write",
    traceId: string,
    attributes: Readonly<Record<string, string>>,
  ): Span;
}

export type ReconcileResult = "unchanged" | "written" | "conflict" | "failed";

export interface AuditedWrite {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly action: Action["kind"];
  /** True where settings were written directly, because the webhook had not acted. */
  readonly direct?: boolean;
  readonly why: {
    /** What made it necessary, such as `repaired`. */
    readonly reason: string;
    readonly policy: string;
    readonly revision?: string;
  };
  readonly traceId: string | undefined;
}

/** The one writer, or a stand-in of tests. */
export interface Writer<A = Action> {
  execute(action: A): Promise<KubernetesObject>;
}

/** To the second, as the API server writes its own times. */
export function nowText(clock: Pick<Clock, "now">): string {
  return `${new Date(clock.now()).toISOString().slice(0, -".000Z".length)}Z`;
}
