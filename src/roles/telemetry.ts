import type { Logger } from "pino";
import type { Action } from "../core/action.ts";
import type { Telemetry } from "../controller/ports.ts";
import { auditFields } from "../observe/audit.ts";
import type { ControllerMetrics } from "../observe/controller-metrics.ts";
import type { Tracing } from "../observe/tracing.ts";

/** As the API server names what an action does. */
const OPERATIONS: Readonly<Record<Action["kind"], string>> = {
  label: "UPDATE",
  patch: "UPDATE",
  merge: "UPDATE",
  create: "CREATE",
  apply: "APPLY",
  delete: "DELETE",
};

/** What the controller tells, sent to metrics, traces and the audit log. */
export function createTelemetry(log: Logger, metrics: ControllerMetrics, tracing: Tracing): Telemetry {
  return {
    reconciled: (what, result, seconds) => metrics.reconciled(what, result, seconds),
    drift: (kind) => metrics.drift(kind),
    wrote({ kind, group, namespace, name, action, direct, why, traceId }) {
      const operation = OPERATIONS[action];
      const what = { user: undefined, group, kind, namespace, name, operation, decision: "written" };
      const { reason, policy, revision } = why;
      log.info({ ...auditFields({ ...what, policy, revision, traceId }), reason, direct }, "write");
    },
    policyTrace: (uid, generation) => tracing.policyTrace(uid, generation),
    span: (name, traceId, attributes) => tracing.span(name, { traceId, attributes }),
  };
}
