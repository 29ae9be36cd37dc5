/** What an audit line tells of one write. */
export interface AuditedWrite {
  /** `request.userInfo.username` of the AdmissionReview; undefined: Fairlead's controller wrote. */
  readonly user: string | undefined;
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** As the API server names it: CREATE, UPDATE, DELETE. */
  readonly operation: string;
  /** What Fairlead made of it; a `decision` of the metrics, or `written`, `conflict`, `failed` of the controller. */
  readonly decision: string;
  /** Why: the policy and the revision that were applied, or the codes of the findings. */
  readonly policy?: string | undefined;
  readonly revision?: string | undefined;
  readonly findings?: readonly string[] | undefined;
  readonly traceId?: string | undefined;
}

const CONTROLLER = "fairlead";

/**
 * The fields of a log line with `audit: true`; the line itself carries the time. pino leaves out what is undefined.
 * `trace_id` is how OpenTelemetry wants it named in logs that are JSON.
 */
export function auditFields(write: AuditedWrite): Readonly<Record<string, unknown>> {
  const { findings } = write;
  return {
    audit: true,
    user: write.user ?? CONTROLLER,
    operation: write.operation,
    group: write.group,
    kind: write.kind,
    namespace: write.namespace,
    name: write.name,
    decision: write.decision,
    policy: write.policy,
    revision: write.revision,
    findings: findings === undefined || findings.length === 0 ? undefined : findings,
    trace_id: write.traceId,
  };
}
