import type { ResiliencePolicySpec } from "../../api/v1alpha1/resilience-policy.ts";
import { type Finding, finding } from "../finding.ts";
import { quote, showMs } from "../text.ts";
import type { Intent } from "./intent.ts";
import { failingGrpcCodes, parseStatusCode } from "./status-codes.ts";

/** What a check sees: the policy as written (for paths and absent fields) and what it means. */
export interface CheckInput {
  readonly spec: ResiliencePolicySpec;
  readonly intent: Intent;
}

type Check = (input: CheckInput) => readonly Finding[];

/** Checks across the fields of one policy, independent of mesh and cluster; each reports all it finds. */
const CHECKS: readonly Check[] = [
  penaltiesInOrder,
  jitterHasRoom,
  statusCodesAreFailures,
  perTryWithinRequest,
  triesFitIntoRequest,
  retriesSpareTheBreaker,
  requestTimeoutIsLongest,
  disabledSectionsAreEmpty,
];

export function checkIntent(input: CheckInput): readonly Finding[] {
  return CHECKS.flatMap((check) => check(input));
}

function penaltiesInOrder({ spec, intent }: CheckInput): readonly Finding[] {
  const breaker = intent.circuitBreaker;
  if (!breaker?.enabled || breaker.minPenaltyMs <= breaker.maxPenaltyMs) return [];
  const minIsDefault = spec.circuitBreaker?.minPenalty === undefined;
  const maxIsDefault = spec.circuitBreaker?.maxPenalty === undefined;
  const min = `minPenalty ${showMs(breaker.minPenaltyMs)}${minIsDefault ? " (the default)" : ""}`;
  const max = `maxPenalty ${showMs(breaker.maxPenaltyMs)}${maxIsDefault ? " (the default)" : ""}`;
  return [
    finding("FL201", minIsDefault ? "spec.circuitBreaker.maxPenalty" : "spec.circuitBreaker.minPenalty", {
      message: `Found ${min} above ${max}; Linkerd would drop the whole breaker`,
      fix: minIsDefault
        ? `set minPenalty to at most ${showMs(breaker.maxPenaltyMs)}`
        : `lower minPenalty or set maxPenalty to at least ${showMs(breaker.minPenaltyMs)}`,
    }),
  ];
}

function jitterHasRoom({ spec, intent }: CheckInput): readonly Finding[] {
  const breaker = intent.circuitBreaker;
  if (!breaker?.enabled || breaker.minPenaltyMs !== breaker.maxPenaltyMs) return [];
  if (!spec.circuitBreaker?.jitterPercent) return [];
  return [
    finding("FL208", "spec.circuitBreaker.jitterPercent", {
      message: `Found jitter ${breaker.jitterPercent}% with both penalties ${showMs(breaker.minPenaltyMs)}; penalty plus jitter is capped at maxPenalty`,
      fix: "raise maxPenalty or remove jitterPercent",
    }),
  ];
}

function statusCodesAreFailures({ intent }: CheckInput): readonly Finding[] {
  return eachStatusCode(intent, (code, path) => {
    const [from, to] = parseStatusCode(code);
    if (from >= 400) return undefined;
    const why =
      to < 200
        ? "1xx is never a final response, so it can never be retried"
        : "it contains codes that are not failures (below 400)";
    return finding("FL204", path, {
      message: `Found ${quote(code)}: ${why}`,
      fix: to >= 400 ? `write "400-${to}"` : "list failures only, such as 5xx or 429",
    });
  });
}

function eachStatusCode(
  intent: Intent,
  check: (code: string, path: string) => Finding | undefined,
): readonly Finding[] {
  const codes = intent.retry?.statusCodes ?? [];
  return codes
    .map((code, index) => check(code, `spec.retry.statusCodes[${index}]`))
    .filter((item) => item !== undefined);
}

function perTryWithinRequest({ intent }: CheckInput): readonly Finding[] {
  const perTryMs = activePerTryMs(intent);
  const requestMs = intent.timeout?.requestMs;
  if (perTryMs === undefined || requestMs === undefined || perTryMs <= requestMs) return [];
  return [
    finding("FL202", "spec.retry.timeout", {
      message: `Cannot exceed spec.timeout.request: found ${showMs(perTryMs)}, the whole request may take ${showMs(requestMs)}`,
      fix: `lower it below ${showMs(requestMs)} or raise spec.timeout.request`,
    }),
  ];
}

function triesFitIntoRequest({ intent }: CheckInput): readonly Finding[] {
  const perTryMs = activePerTryMs(intent);
  const requestMs = intent.timeout?.requestMs;
  if (perTryMs === undefined || requestMs === undefined || perTryMs > requestMs) return [];
  const tries = (intent.retry?.maxAttempts ?? 0) + 1;
  const neededMs = tries * perTryMs;
  if (neededMs <= requestMs) return [];
  return [
    finding("FL203", "spec.retry.timeout", {
      message: `${tries} tries of ${showMs(perTryMs)} need ${showMs(neededMs)}, spec.timeout.request is ${showMs(requestMs)}`,
      fix: `set spec.timeout.request to at least ${showMs(neededMs)}, or lower maxAttempts or the per-try timeout`,
    }),
  ];
}

function activePerTryMs(intent: Intent): number | undefined {
  return intent.retry && intent.retry.maxAttempts > 0 ? intent.retry.timeoutMs : undefined;
}

function retriesSpareTheBreaker({ intent }: CheckInput): readonly Finding[] {
  const { circuitBreaker: breaker, retry } = intent;
  if (!breaker?.enabled || !retry || retry.maxAttempts === 0) return [];
  const retriesFailures =
    retry.statusCodes.some((code) => parseStatusCode(code)[1] >= 500) || failingGrpcCodes(retry.grpcCodes).length > 0;
  const tries = retry.maxAttempts + 1;
  if (!retriesFailures || tries < breaker.consecutiveFailures) return [];
  return [
    finding("FL205", "spec.circuitBreaker.consecutiveFailures", {
      message: `One request makes up to ${tries} tries and consecutiveFailures is ${breaker.consecutiveFailures}: a single request can shut an endpoint`,
      fix: `raise consecutiveFailures above ${tries} or lower maxAttempts`,
    }),
  ];
}

function requestTimeoutIsLongest({ intent }: CheckInput): readonly Finding[] {
  const timeout = intent.timeout;
  const requestMs = timeout?.requestMs;
  if (!timeout || requestMs === undefined) return [];
  const shorter = [
    ["response", timeout.responseMs],
    ["idle", timeout.idleMs],
  ] as const;
  return shorter.flatMap(([name, ms]) =>
    ms === undefined || ms <= requestMs
      ? []
      : [
          finding("FL206", `spec.timeout.${name}`, {
            message: `Found ${showMs(ms)}, but spec.timeout.request ends the request after ${showMs(requestMs)}`,
            fix: `lower it below ${showMs(requestMs)} or remove it`,
          }),
        ],
  );
}

function disabledSectionsAreEmpty({ spec, intent }: CheckInput): readonly Finding[] {
  const findings: Finding[] = [];
  const breakerFields = Object.keys(spec.circuitBreaker ?? {}).filter((field) => field !== "enabled");
  if (intent.circuitBreaker?.enabled === false && breakerFields.length > 0) {
    findings.push(noEffect("spec.circuitBreaker", "enabled is false", breakerFields));
  }
  const retryFields = Object.keys(spec.retry ?? {}).filter((field) => field !== "maxAttempts");
  if (intent.retry?.maxAttempts === 0 && retryFields.length > 0) {
    findings.push(noEffect("spec.retry", "maxAttempts is 0", retryFields));
  }
  return findings;
}

function noEffect(path: string, because: string, fields: readonly string[]): Finding {
  return finding("FL207", path, {
    message: `${because}, so ${[...fields].sort().join(", ")} ${fields.length === 1 ? "does" : "do"} nothing`,
    fix: `remove ${fields.length === 1 ? "it" : "them"}, or switch the section on`,
  });
}
