import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { parseDurationMs } from "../../src/api/v1alpha1/common.ts";
import { companionsOf } from "../../src/core/companions/wanted.ts";
import { resolvePrecedence } from "../../src/core/intent/precedence.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { keyOf, meshVersion, namespace, policy, service, validate, worldOf } from "../core/worlds.ts";
import { type Http, protobufMs, type Request, type RequestSettings, settingsFor } from "./istio-reader.ts";
import {
  CODES,
  compare,
  duration,
  fits,
  type Match,
  match,
  request,
  type Retry,
  retry,
  routes,
  specificity,
  timeout,
  trafficSplit,
} from "./request-specs.ts";

const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 200) };
vi.setConfig({ testTimeout: 30_000 + 50 * RUNS.numRuns });

const faultInjection = fc.record(
  {
    abort: fc.record({ percent: fc.integer({ min: 1, max: 100 }), status: fc.constantFrom(418, 503) }),
    delay: fc.record({ percent: fc.integer({ min: 1, max: 100 }), duration }),
    matches: fc.array(match, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: ["abort"] },
);
const circuitBreaker = fc.record(
  {
    consecutiveFailures: fc.integer({ min: 1, max: 20 }),
    minPenalty: fc.constantFrom("1ms", "1s", "30s"),
    maxEjectionPercent: fc.integer({ min: 1, max: 100 }),
    enabled: fc.boolean(),
  },
  { requiredKeys: [] },
);
interface Spec {
  readonly retry?: Retry;
  readonly timeout?: { readonly request: string };
  readonly routes?: readonly {
    readonly matches: readonly Match[];
    readonly retry?: Retry;
    readonly timeout?: { readonly request: string };
  }[];
  readonly trafficSplit?: {
    readonly backends: readonly { readonly name: string; readonly weight: number; readonly port?: number }[];
    readonly matches?: readonly Match[];
  };
  readonly faultInjection?: {
    readonly abort: { readonly percent: number; readonly status: number };
    readonly delay?: { readonly percent: number; readonly duration: string };
    readonly matches?: readonly Match[];
  };
}
const NONE = { attempts: 2, perTryMs: undefined, statusCodes: new Set<number>() };

function retryOf(own: Retry | undefined, ofService: Retry | undefined) {
  const made = own ?? ofService;
  if (made === undefined) return { ...NONE, grpcCodes: new Set(["unavailable", "cancelled"]) };
  const none = new Set<string>();
  if (made.maxAttempts === 0) return { ...NONE, attempts: 0, grpcCodes: none };
  const perTry = made.timeout ?? (ofService?.maxAttempts === 0 ? undefined : ofService?.timeout);
  return {
    attempts: made.maxAttempts,
    perTryMs: perTry === undefined ? undefined : parseDurationMs(perTry),
    statusCodes: new Set(made.statusCodes?.flatMap((code) => CODES.get(code) ?? [])),
    grpcCodes: new Set(made.grpcCodes),
  };
}

/** What the policy says of a request; undefined where two entries fit it equally well. */
function wantedFor(spec: Spec, made: Request): RequestSettings | undefined {
  const split = spec.trafficSplit;
  // A split with matches stands beside the entries.
  const apart: NonNullable<Spec["routes"]> = split?.matches === undefined ? [] : [{ matches: split.matches }];
  const fitting = [...(spec.routes ?? []), ...apart]
    .flatMap((entry) => entry.matches.map((one) => ({ entry, one })))
    .filter(({ one }) => fits(one, made))
    .sort((a, b) => compare(specificity(a.one), specificity(b.one)));
  const [first, second] = fitting;
  const { abort, delay, matches } = spec.faultInjection ?? {};
  const hasFault = abort !== undefined && (matches === undefined || matches.some((one) => fits(one, made)));
  const isFaultEntry = hasFault && matches !== undefined;
  if (first && second && first.entry !== second.entry && !isFaultEntry) {
    if (compare(specificity(first.one), specificity(second.one)) === 0) return undefined;
  }
  // Requests with faults of their own are told apart before every entry.
  const entry = isFaultEntry ? undefined : first?.entry;
  const isDivided =
    split !== undefined && (split.matches === undefined || (entry !== undefined && apart.includes(entry)));
  const request = entry?.timeout?.request ?? spec.timeout?.request;
  return {
    ...retryOf(entry?.retry, spec.retry),
    timeoutMs: request === undefined ? undefined : parseDurationMs(request),
    shares: isDivided ? sharesOf(split.backends) : { [HOST]: 1 },
    abort: hasFault ? [abort.percent, abort.status] : undefined,
    delay: hasFault && delay ? [delay.percent, parseDurationMs(delay.duration)] : undefined,
  };
}

const DOMAIN = ".iam.svc.cluster.local";
const HOST = `user-service${DOMAIN}`;

function sharesOf(list: NonNullable<Spec["trafficSplit"]>["backends"]): Readonly<Record<string, number>> {
  const sum = list.reduce((total, { weight }) => total + weight, 0);
  const shares = list.map(({ name, weight, port }) => [
    name + DOMAIN + (port === undefined ? "" : `:${port}`),
    weight / sum,
  ]);
  return Object.fromEntries(shares.filter(([, share]) => share !== 0));
}

const specs = fc
  .record({ retry, timeout, routes, trafficSplit, faultInjection, circuitBreaker }, { requiredKeys: [] })
  .filter((made) => Object.keys(made).length > 0);
const NAMESPACE = namespace("enforce", { labels: { "istio-injection": "enabled" } });

/** The spec of each object by its kind; undefined where the policy is refused. */
function compiled(spec: object, version: string): ReadonlyMap<string, KubernetesObject["spec"]> | undefined {
  const object = policy(spec as Record<string, unknown>, { uid: "u" });
  const target = service();
  const world = worldOf([NAMESPACE, target, object], { meshVersion: meshVersion(version) });
  if (!validate(world, object).allowed) return undefined;
  const precedence = resolvePrecedence(world.policiesIn("iam"), keyOf(target), target);
  const { wanted } = companionsOf({ key: keyOf(target), object: target }, precedence, world);
  return new Map(wanted.map((companion) => [companion.kind.kind, companion.object.spec]));
}

test("every request meets in the VirtualService what the policy says of it", () => {
  fc.assert(
    fc.property(specs, request, fc.constantFrom("1.25", "1.31"), (spec, made, version) => {
      const objects = compiled(spec, version);
      fc.pre(objects !== undefined);
      const { http } = (objects.get("VirtualService") ?? { http: undefined }) as { readonly http?: readonly Http[] };
      const { circuitBreaker: _breaker, ...others } = spec;
      expect(http === undefined).toBe(Object.keys(others).length === 0);
      const wanted = wantedFor(spec, made);
      if (http !== undefined && wanted !== undefined) expect(settingsFor(http, made)).toEqual(wanted);
    }),
    RUNS,
  );
});

test("the DestinationRule shuts endpoints out as the policy says", () => {
  fc.assert(
    fc.property(circuitBreaker, fc.constantFrom("1.20", "1.31"), (section, version) => {
      const rule = compiled({ circuitBreaker: section }, version)?.get("DestinationRule") as
        | { readonly trafficPolicy: { readonly outlierDetection: Readonly<Record<string, string | number>> } }
        | undefined;
      expect(rule === undefined).toBe(section.enabled === false);
      if (rule === undefined) return;
      const detection = rule.trafficPolicy.outlierDetection;
      expect(detection).toMatchObject({
        consecutive5xxErrors: section.consecutiveFailures ?? 7,
        maxEjectionPercent: section.maxEjectionPercent ?? 100,
      });
      expect(protobufMs(String(detection["baseEjectionTime"]))).toBe(parseDurationMs(section.minPenalty ?? "1s"));
      expect(protobufMs(String(detection["interval"]))).toBeGreaterThanOrEqual(1_000);
    }),
    RUNS,
  );
});
