import { isRecord } from "../../api/problem.ts";
import type { ApplyAction, DeleteAction } from "../action.ts";
import { compareStrings } from "../finding.ts";
import { canonicalJson } from "../intent/revision.ts";
import { type KubernetesObject, labelsOf, recordsIn } from "../kubernetes.ts";
import { REPORT_MESSAGE_LENGTH_MAX, REPORT_RESULTS_MAX } from "../limits.ts";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../names.ts";
import { bounded } from "../policy/condition-text.ts";
import type { AuditResult } from "./audit-object.ts";

/** Group, version and name of the reports of https://openreports.io. */
export const REPORTS = { group: "openreports.io", resource: "reports" } as const;
const API_VERSION = "openreports.io/v1alpha1";
/** One report a namespace. */
export const REPORT_NAME = "fairlead";
const SOURCE = "fairlead";

export interface ReportInput {
  readonly namespace: string;
  readonly results: readonly AuditResult[];
  /** How many there are, where `results` are only the first of them. */
  readonly totals: Readonly<Record<AuditResult["result"], number>>;
  /** The report that is stored; undefined where there is none. */
  readonly found: KubernetesObject | undefined;
  /** Seconds since 1970. */
  readonly nowSeconds: number;
}

/**
 * The write that makes the report of a namespace right; undefined where it is. It holds what fails and nothing else, and
 * goes when nothing fails. A result keeps the time at which it was first reported, so the same results are no write.
 */
export function planReport(input: ReportInput): ApplyAction | DeleteAction | undefined {
  const { namespace, results, totals, found, nowSeconds } = input;
  const { uid = "", resourceVersion = "" } = found?.metadata ?? {};
  const ref = { ...REPORTS, namespace, name: REPORT_NAME };
  if (found !== undefined && !isOurReport(found)) return undefined;
  if (results.length === 0) return found && { kind: "delete", ref, uid, resourceVersion };
  const since = timesOf(found);
  const content = {
    source: SOURCE,
    scope: { apiVersion: "v1", kind: "Namespace", name: namespace },
    configuration: { limits: { maxResults: REPORT_RESULTS_MAX, statusFilter: ["fail", "error"] } },
    summary: { pass: 0, fail: totals.fail, warn: 0, error: totals.error, skip: 0 },
    results: results
      .toSorted((a, b) => compareStrings(placeOf(a), placeOf(b)))
      .slice(0, REPORT_RESULTS_MAX)
      .map(toResult)
      .map((item) => ({ ...item, timestamp: since.get(identityOf(item)) ?? { seconds: nowSeconds, nanos: 0 } })),
  };
  if (found !== undefined && canonicalJson(contentOf(found, content)) === canonicalJson(content)) return undefined;
  const object = {
    apiVersion: API_VERSION,
    kind: "Report",
    metadata: { name: REPORT_NAME, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
    ...content,
  };
  return { kind: "apply", ref, service: "", object, resourceVersion: found?.metadata?.resourceVersion };
}

/** A report of this name that somebody else keeps is not ours to write or to delete. */
export function isOurReport(report: KubernetesObject): boolean {
  return report.metadata?.name === REPORT_NAME && labelsOf(report)[MANAGED_BY_LABEL] === MANAGED_BY;
}

/** What belongs to one object stands together. */
function placeOf({ object, rule, message }: AuditResult): string {
  return [object.kind, object.apiVersion, object.name, rule, message].join(" ");
}

interface ReportResult {
  readonly timestamp?: unknown;
  readonly [field: string]: unknown;
}

/** Severities and results of Fairlead are words of the report as well. */
function toResult({ rule, result, severity, message, fix, object }: AuditResult): ReportResult {
  return {
    source: SOURCE,
    policy: rule,
    result,
    severity,
    message: bounded(message, REPORT_MESSAGE_LENGTH_MAX),
    resources: [object],
    ...(fix !== "" && { properties: { fix: bounded(fix, REPORT_MESSAGE_LENGTH_MAX) } }),
  };
}

function identityOf(result: ReportResult): string {
  return canonicalJson({ ...result, timestamp: undefined });
}

function timesOf(report: KubernetesObject | undefined): ReadonlyMap<string, unknown> {
  const { results } = (report ?? {}) as { readonly results?: readonly ReportResult[] };
  return new Map(
    recordsIn(results).flatMap((item) => (isRecord(item.timestamp) ? [[identityOf(item), item.timestamp]] : [])),
  );
}

/** The fields that we write; what others add beside them is theirs. */
function contentOf(report: KubernetesObject, content: object): object {
  return Object.fromEntries(Object.keys(content).map((field) => [field, (report as Record<string, unknown>)[field]]));
}
