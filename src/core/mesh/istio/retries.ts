import type { RetryIntent } from "../../intent/intent.ts";
import { isRetried } from "../../intent/routes.ts";
import { parseStatusCode } from "../../intent/status-codes.ts";
import { istioDuration } from "./duration.ts";
import { type IstioVersion, istioHas } from "./version.ts";

/** `retries` of an entry of a VirtualService. */
export interface Retries {
  readonly attempts: number;
  readonly perTryTimeout?: string;
  readonly retryOn?: string;
}

/** Ranges for which Envoy has a word, which also covers broken connections and tries that took too long. */
const WORDS: readonly (readonly [word: string, from: number, to: number])[] = [
  ["5xx", 500, 599],
  ["gateway-error", 502, 504],
];

/** Failures that Go's net/http has a name for: Istio refuses every other code (`http.StatusText`), such as 520. */
const NAMED: readonly (readonly [from: number, to: number])[] = [
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [451, 451],
  [500, 508],
  [510, 511],
];

/** What Istio retries by itself, twice, where nothing is said (`DefaultPolicy` of pilot's retry.go). */
const DEFAULT_ATTEMPTS = 2;
const DEFAULT_RETRY_ON = ["connect-failure", "refused-stream", "unavailable", "cancelled"];

/**
 * Always with `attempts`: where it is absent Istio retries twice. A policy that says nothing about retries changes
 * nothing about them, so that default is written out.
 */
export function retriesOf(retry: RetryIntent | undefined, version: IstioVersion): Retries {
  if (retry === undefined) return defaultRetries(version);
  if (!isRetried(retry)) return { attempts: 0 };
  return {
    attempts: retry.maxAttempts,
    ...(retry.timeoutMs !== undefined && { perTryTimeout: istioDuration(retry.timeoutMs) }),
    retryOn: retryOn(retry),
  };
}

function defaultRetries(version: IstioVersion): Retries {
  const codes = istioHas(version, "defaultRetryWithout503") ? [] : ["503", "retriable-status-codes"];
  return { attempts: DEFAULT_ATTEMPTS, retryOn: [...DEFAULT_RETRY_ON, ...codes].join(",") };
}

/** Without blanks, which Istio refuses. */
function retryOn({ statusCodes, grpcCodes, timeoutMs }: RetryIntent): string {
  const words = new Set<string>();
  const codes = new Set<number>();
  for (const code of statusCodes) {
    const word = wordFor(code);
    if (word === undefined) for (const each of codesIn(code).named) codes.add(each);
    else words.add(word);
  }
  // Without one of Envoy's words a try that took too long would not be repeated.
  const repeatsTimeouts = timeoutMs !== undefined && words.size === 0;
  return [
    ...[...words].sort(),
    ...[...codes].sort((a, b) => a - b),
    ...(codes.size > 0 ? ["retriable-status-codes"] : []),
    ...grpcCodes,
    ...(repeatsTimeouts ? ["reset"] : []),
  ].join(",");
}

function wordFor(code: string): string | undefined {
  const [from, to] = parseStatusCode(code);
  return WORDS.find(([, first, last]) => first === from && last === to)?.[0];
}

/** The codes of one entry of `statusCodes` that Istio cannot retry; none where it has a word for all of them. */
export function unnamedCodes(code: string): readonly number[] {
  return wordFor(code) === undefined ? codesIn(code).unnamed : [];
}

function codesIn(code: string): { readonly named: readonly number[]; readonly unnamed: readonly number[] } {
  const [from, to] = parseStatusCode(code);
  const all = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  const isNamed = (each: number): boolean => NAMED.some(([first, last]) => first <= each && each <= last);
  return { named: all.filter(isNamed), unnamed: all.filter((each) => !isNamed(each)) };
}
