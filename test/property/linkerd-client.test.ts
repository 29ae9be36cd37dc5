import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { parseDurationMs } from "../../src/api/v1alpha1/common.ts";
import { planRoutes } from "../../src/core/routes/plan-routes.ts";
import { FakeRoutes } from "../core/fake-routes.ts";
import { meshVersion, namespace, policy, service, validate, worldOf } from "../core/worlds.ts";
import { breakerOn, type ClientSettings, settingsFor } from "./linkerd-client-reader.ts";
import type { Request } from "./istio-reader.ts";
import {
  CODES,
  compare,
  duration,
  fits,
  type Match,
  request,
  type Retry,
  retry,
  routes,
  trafficSplit,
} from "./request-specs.ts";
import { pass } from "./scenarios.ts";

const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 150) };
vi.setConfig({ testTimeout: 30_000 + 50 * RUNS.numRuns });

type Timeout = Readonly<Partial<Record<"request" | "response" | "idle", string>>>;
type Backends = readonly { readonly name: string; readonly weight: number; readonly port?: number }[];

interface Spec {
  readonly circuitBreaker?: Breaker;
  readonly retry?: Retry;
  readonly timeout?: Timeout;
  readonly routes?: readonly {
    readonly matches: readonly Match[];
    readonly retry?: Retry;
    readonly timeout?: Timeout;
  }[];
  readonly trafficSplit?: { readonly backends: Backends; readonly matches?: readonly Match[] };
}

interface Breaker {
  readonly enabled?: boolean;
  readonly consecutiveFailures?: number;
  readonly minPenalty?: string;
  readonly maxPenalty?: string;
  readonly jitterPercent?: number;
}

const timeout = fc
  .record({ request: duration, response: duration, idle: duration }, { requiredKeys: [] })
  .filter((made) => Object.keys(made).length > 0);
const circuitBreaker: fc.Arbitrary<Breaker> = fc.record(
  {
    enabled: fc.boolean(),
    consecutiveFailures: fc.integer({ min: 1, max: 20 }),
    minPenalty: fc.constantFrom("1ms", "1s", "30s"),
    maxPenalty: fc.constantFrom("30s", "5m"),
    jitterPercent: fc.integer({ min: 0, max: 100 }),
  },
  { requiredKeys: [] },
);
const specs: fc.Arbitrary<Spec> = fc
  .record({ circuitBreaker, retry, timeout, routes, trafficSplit }, { requiredKeys: [] })
  .filter((made) => Object.keys(made).length > 0);
const versions = fc.constantFrom("2.14", "2.15", "2.16", "2.17", "2.18", "2.19", "2.20");
const NAMESPACE = namespace("enforce", { annotations: { "linkerd.io/inject": "enabled" } });
const PORT = 8080;

/** What stands in the cluster once webhook and controller are done; undefined where the policy is refused. */
function written(spec: Spec, version: string) {
  const object = policy({ ...spec }, { uid: "u" });
  const defaults = { meshVersion: meshVersion(version) };
  const { allowed, findings } = validate(worldOf([NAMESPACE, service()], defaults), object);
  if (!allowed) return undefined;
  const fake = new FakeRoutes();
  const world = worldOf([NAMESPACE, service(), object], defaults);
  const [compiled] = world.policiesIn("iam");
  for (const action of planRoutes({ policy: object, compiled, live: [], world }).actions) fake.execute(action);
  return { service: pass(world, service(), undefined), routes: fake.list, paths: findings.map(({ path }) => path) };
}

/** By the words of docs/policy.md; undefined where two entries fit a request equally well. */
function wantedFor(spec: Spec, made: Request): ClientSettings | undefined {
  const split = spec.trafficSplit;
  const apart: NonNullable<Spec["routes"]> = split?.matches === undefined ? [] : [{ matches: split.matches }];
  const [first, second] = [...(spec.routes ?? []), ...apart]
    .flatMap((entry) => entry.matches.map((one) => ({ entry, one })))
    .filter(({ one }) => fits(one, made))
    .sort((a, b) => compare(specificity(a.one, made), specificity(b.one, made)));
  const isTie = first && second && compare(specificity(first.one, made), specificity(second.one, made)) === 0;
  if (isTie && first.entry !== second.entry) return undefined;
  const entry = first?.entry;
  const isDivided =
    split !== undefined && (split.matches === undefined || (entry !== undefined && apart.includes(entry)));
  const limits = Object.entries({ ...spec.timeout, ...entry?.timeout });
  return {
    retry: retryFor(spec, entry?.retry),
    timeouts: Object.fromEntries(limits.map(([name, text]) => [name, parseDurationMs(text)])),
    shares: sharesOf(isDivided ? split.backends : [{ name: "user-service", weight: 1 }]),
  };
}

/** By the words of docs/linkerd.md: the more of the path, then a method, then the more headers. */
function specificity({ path, method, headers = [] }: Match, { path: at }: Request): readonly number[] {
  const isPrefix = path !== undefined && path.type === undefined;
  const length = path === undefined ? 1 : isPrefix ? path.value.replace(/\/$/, "").length : at.length;
  return [length, Number(method !== undefined), headers.length];
}

/** An entry that asks for none moves the retries of the Service to routes, where Linkerd reads no gRPC codes. */
function retryFor(spec: Spec, own: Retry | undefined): ClientSettings["retry"] {
  const made = own ?? spec.retry;
  if (made === undefined || made.maxAttempts === 0) return undefined;
  const perTry = made.timeout ?? (spec.retry?.maxAttempts === 0 ? undefined : spec.retry?.timeout);
  return {
    limit: made.maxAttempts,
    statusCodes: new Set(made.statusCodes?.flatMap((code) => CODES.get(code) ?? [])),
    grpcCodes: new Set(own !== undefined || isMoved(spec) ? [] : made.grpcCodes),
    perTryMs: perTry === undefined ? undefined : parseDurationMs(perTry),
  };
}

function isMoved({ retry: ofService, routes: entries = [] }: Spec): boolean {
  return (ofService?.maxAttempts ?? 0) > 0 && entries.some((entry) => entry.retry?.maxAttempts === 0);
}

function sharesOf(list: Backends): Readonly<Record<string, number>> {
  const sum = list.reduce((total, { weight }) => total + weight, 0);
  const counted = list.filter(({ weight }) => weight > 0);
  return Object.fromEntries(counted.map(({ name, weight, port = PORT }) => [`${name}:${port}`, weight / sum]));
}

test("every request is treated by its client as the policy says, in every version; what is left out is told", () => {
  const seen = { refused: 0, routed: 0, moved: 0 };
  fc.assert(
    fc.property(specs, request, versions, (spec, made, version) => {
      const found = written(spec, version);
      seen.refused += Number(found === undefined);
      if (found === undefined) return;
      const wanted = wantedFor(spec, made);
      if (wanted === undefined) return;
      expect(settingsFor(found.service, found.routes, { request: made, port: PORT })).toEqual(wanted);
      seen.routed += Number(found.routes.length > 0);
      if (!isMoved(spec) || spec.retry?.grpcCodes === undefined) return;
      seen.moved += 1;
      expect(found.paths).toContain("spec.retry.grpcCodes");
    }),
    RUNS,
  );
  expect(Object.values(seen).every((times) => times > 0)).toBe(true);
});

test("the breaker shuts endpoints out as the policy says, and none is one that is switched off", () => {
  fc.assert(
    fc.property(circuitBreaker, versions, (section, version) => {
      const found = written({ circuitBreaker: section }, version);
      fc.pre(found !== undefined);
      const { consecutiveFailures = 7, minPenalty = "1s", maxPenalty = "60s", jitterPercent = 50 } = section;
      const wanted = {
        failures: consecutiveFailures,
        minPenaltyMs: parseDurationMs(minPenalty),
        maxPenaltyMs: parseDurationMs(maxPenalty),
        jitter: jitterPercent / 100,
      };
      expect(breakerOn(found.service)).toEqual(section.enabled === false ? undefined : wanted);
    }),
    RUNS,
  );
});
