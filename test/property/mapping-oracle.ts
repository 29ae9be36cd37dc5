import * as fc from "fast-check";

/** What a policy says, and what Linkerd is to read from a Service because of it, said a second time. */
export interface Mapping {
  readonly spec: object;
  readonly keys: Readonly<Record<string, string>>;
}

interface Duration {
  readonly text: string;
  readonly ms: number;
}

const UNITS = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;

const duration: fc.Arbitrary<Duration> = fc
  .subarray([...UNITS], { minLength: 1 })
  .chain((units) =>
    fc.tuple(...units.map(([unit, ms]) => fc.integer({ min: 1, max: 99 }).map((n) => [n, unit, ms] as const))),
  )
  .map((parts) => ({
    text: parts.map(([count, unit]) => `${count}${unit}`).join(""),
    ms: parts.reduce((total, [count, , ms]) => total + count * ms, 0),
  }));

const ACCRUAL = "balancer.linkerd.io/failure-accrual";

/** Every key of a breaker, or none. */
export const breakers: fc.Arbitrary<Mapping> = fc
  .record({
    enabled: fc.constantFrom(undefined, true, true, false),
    consecutiveFailures: fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
    minPenalty: fc.option(duration, { nil: undefined }),
    maxPenalty: fc.option(duration, { nil: undefined }),
    jitterPercent: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
  })
  .filter(({ minPenalty, maxPenalty }) => (minPenalty?.ms ?? 1_000) <= (maxPenalty?.ms ?? 60_000))
  .map(({ minPenalty, maxPenalty, ...made }) => ({
    spec: { circuitBreaker: { ...made, minPenalty: minPenalty?.text, maxPenalty: maxPenalty?.text } },
    keys:
      made.enabled === false
        ? {}
        : {
            [ACCRUAL]: "consecutive",
            [`${ACCRUAL}-consecutive-max-failures`]: String(made.consecutiveFailures ?? 7),
            [`${ACCRUAL}-consecutive-min-penalty`]: `${minPenalty?.ms ?? 1_000}ms`,
            [`${ACCRUAL}-consecutive-max-penalty`]: `${maxPenalty?.ms ?? 60_000}ms`,
            [`${ACCRUAL}-consecutive-jitter-ratio`]: String((made.jitterPercent ?? 50) / 100),
          },
  }));

const STATUS_CODES = ["5xx", "gateway-error", "500-504", "503", "429", "404"];
const GRPC_CODES = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];

export const retries: fc.Arbitrary<Mapping> = fc
  .record({
    maxAttempts: fc.integer({ min: 0, max: 10 }),
    statusCodes: fc.subarray(STATUS_CODES),
    grpcCodes: fc.subarray(GRPC_CODES),
    timeout: fc.option(duration, { nil: undefined }),
  })
  .filter(({ maxAttempts, statusCodes, grpcCodes }) => maxAttempts === 0 || statusCodes.length + grpcCodes.length > 0)
  .map(({ maxAttempts, statusCodes, grpcCodes, timeout }) => {
    const http = statusCodes.length > 0;
    const grpc = grpcCodes.length > 0;
    const codes = { ...(http && { statusCodes }), ...(grpc && { grpcCodes }) };
    const keys = {
      ...(http && { "retry.linkerd.io/http": statusCodes.join(",") }),
      ...(grpc && { "retry.linkerd.io/grpc": grpcCodes.join(",") }),
      "retry.linkerd.io/limit": String(maxAttempts),
      ...(timeout && { "retry.linkerd.io/timeout": `${timeout.ms}ms` }),
    };
    return { spec: { retry: { maxAttempts, ...codes, timeout: timeout?.text } }, keys: maxAttempts === 0 ? {} : keys };
  });

export const timeouts: fc.Arbitrary<Mapping> = fc
  .subarray(["request", "response", "idle"], { minLength: 1 })
  .chain((fields) => fc.tuple(...fields.map((field) => duration.map((value) => [field, value] as const))))
  .map((entries) => ({
    spec: { timeout: Object.fromEntries(entries.map(([field, { text }]) => [field, text])) },
    keys: Object.fromEntries(entries.map(([field, { ms }]) => [`timeout.linkerd.io/${field}`, `${ms}ms`])),
  }));

/** The three sections, none of which is refused because of another, and the order in which they are switched off. */
export const removals = fc.record({
  sections: fc
    .tuple(breakers, retries, timeouts)
    .filter(([, { spec }]) => (spec as { retry: { timeout?: string } }).retry.timeout === undefined),
  order: fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
  /** By a switch, where the section has one, else by leaving it out. */
  bySwitch: fc.boolean(),
});

/** What the section is replaced by when it is switched off. */
export const OFF: readonly object[] = [
  { circuitBreaker: { enabled: false } },
  { retry: { maxAttempts: 0 } },
  { timeout: undefined },
];
