import { type Finding, finding } from "../finding.ts";
import { quote, showMs } from "../text.ts";
import type { Intent } from "./intent.ts";
import { isRetried } from "./routes.ts";
import { failingGrpcCodes, parseStatusCode } from "./status-codes.ts";

/** Requests that have the same settings: those of a policy as a whole, or those of one entry of its routes. */
export interface RequestScope {
  /** What is in force for them. */
  readonly intent: Omit<Intent, "routes">;
  /** Where a field in force is written: `spec.timeout.request` or `spec.routes[1].timeout.request`. */
  readonly pathOf: (field: RequestField) => string;
  /** False for what an entry takes from the policy. */
  readonly isOwn: (field: RequestField) => boolean;
}

export type RequestField = `retry.${"maxAttempts" | "statusCodes" | "timeout"}` | `timeout.${TimeoutField}`;
type TimeoutField = "request" | "response" | "idle";

/** Checks across the fields that act on one request; each reports all it finds. */
export function checkRequests(scope: RequestScope): readonly Finding[] {
  return [
    ...statusCodesAreFailures(scope),
    ...perTryWithinRequest(scope),
    ...triesFitIntoRequest(scope),
    ...retriesSpareTheBreaker(scope),
    ...requestTimeoutIsLongest(scope),
  ];
}

function statusCodesAreFailures({ intent, pathOf }: RequestScope): readonly Finding[] {
  return (intent.retry?.statusCodes ?? []).flatMap((code, index) => {
    const [from, to] = parseStatusCode(code);
    if (from >= 400) return [];
    const why =
      to < 200
        ? "1xx is never a final response, so it can never be retried"
        : "it contains codes that are not failures (below 400)";
    return [
      finding("FL204", `${pathOf("retry.statusCodes")}[${index}]`, {
        message: `Found ${quote(code)}: ${why}`,
        fix: to >= 400 ? `write "400-${to}"` : "list failures only, such as 5xx or 429",
      }),
    ];
  });
}

function perTryWithinRequest({ intent, pathOf, isOwn }: RequestScope): readonly Finding[] {
  const perTryMs = activePerTryMs(intent);
  const requestMs = intent.timeout?.requestMs;
  if (perTryMs === undefined || requestMs === undefined || perTryMs <= requestMs) return [];
  const [perTry, request] = [pathOf("retry.timeout"), pathOf("timeout.request")];
  if (!isOwn("retry.timeout") && isOwn("timeout.request")) {
    return [
      finding("FL202", request, {
        message: `Cannot be below ${perTry}, which holds here too: found ${showMs(requestMs)}, a try may take ${showMs(perTryMs)}`,
        fix: `raise it to at least ${showMs(perTryMs)}, or give the entry a retry with a shorter timeout`,
      }),
    ];
  }
  return [
    finding("FL202", perTry, {
      message: `Cannot exceed ${request}: found ${showMs(perTryMs)}, the whole request may take ${showMs(requestMs)}`,
      fix: `lower it below ${showMs(requestMs)} or raise ${request}`,
    }),
  ];
}

function triesFitIntoRequest({ intent, pathOf, isOwn }: RequestScope): readonly Finding[] {
  const perTryMs = activePerTryMs(intent);
  const requestMs = intent.timeout?.requestMs;
  if (perTryMs === undefined || requestMs === undefined || perTryMs > requestMs) return [];
  const tries = (intent.retry?.maxAttempts ?? 0) + 1;
  const neededMs = tries * perTryMs;
  if (neededMs <= requestMs) return [];
  const request = pathOf("timeout.request");
  const own = (["retry.timeout", "retry.maxAttempts", "timeout.request"] as const).find(isOwn);
  return [
    finding("FL203", pathOf(own ?? "retry.timeout"), {
      message: `${tries} tries of ${showMs(perTryMs)} need ${showMs(neededMs)}, ${request} is ${showMs(requestMs)}`,
      fix: `set ${request} to at least ${showMs(neededMs)}, or lower maxAttempts or the per-try timeout`,
    }),
  ];
}

/** Undefined where nothing is retried, or a try may take as long as the request. */
export function activePerTryMs({ retry }: RequestScope["intent"]): number | undefined {
  return isRetried(retry) ? retry.timeoutMs : undefined;
}

function retriesSpareTheBreaker({ intent, pathOf, isOwn }: RequestScope): readonly Finding[] {
  const { circuitBreaker: breaker, retry } = intent;
  if (!breaker?.enabled || !isRetried(retry) || !isOwn("retry.maxAttempts")) return [];
  const retriesFailures =
    retry.statusCodes.some((code) => parseStatusCode(code)[1] >= 500) || failingGrpcCodes(retry.grpcCodes).length > 0;
  const tries = retry.maxAttempts + 1;
  if (!retriesFailures || tries < breaker.consecutiveFailures) return [];
  const attempts = pathOf("retry.maxAttempts");
  const isOfEntry = attempts.startsWith("spec.routes");
  return [
    finding("FL205", isOfEntry ? attempts : "spec.circuitBreaker.consecutiveFailures", {
      message: `One request makes up to ${tries} tries and consecutiveFailures is ${breaker.consecutiveFailures}: a single request can shut an endpoint`,
      fix: `raise consecutiveFailures above ${tries} or lower maxAttempts`,
    }),
  ];
}

/** A limit that an entry takes from the policy may be longer than its own request timeout: then it just never fires. */
function requestTimeoutIsLongest({ intent, pathOf, isOwn }: RequestScope): readonly Finding[] {
  const timeout = intent.timeout;
  const requestMs = timeout?.requestMs;
  if (!timeout || requestMs === undefined) return [];
  const shorter = [
    ["timeout.response", timeout.responseMs],
    ["timeout.idle", timeout.idleMs],
  ] as const;
  const request = pathOf("timeout.request");
  return shorter.flatMap(([field, ms]) =>
    ms === undefined || ms <= requestMs || !isOwn(field)
      ? []
      : [
          finding("FL206", pathOf(field), {
            message: `Found ${showMs(ms)}, but ${request} ends the request after ${showMs(requestMs)}`,
            fix: `lower it below ${showMs(requestMs)} or remove it`,
          }),
        ],
  );
}
