import * as fc from "fast-check";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { World } from "../../src/core/world.ts";
import { type Annotations, meshVersion, mutate, namespace, policy, service, worldOf } from "../core/worlds.ts";
import { applyPatch } from "rfc6902";

/** One write to one Service in one world; worlds and objects are made to meet in every way that matters. */
export interface Scenario {
  readonly policies: readonly KubernetesObject[];
  readonly mode: "enforce" | "warn";
  readonly version: string;
  readonly object: KubernetesObject;
  readonly old: KubernetesObject | undefined;
}

export const RECORD = "fairlead.dev/injected";
export const REVISION = "fairlead.dev/revision";

/** Few values for each key, so that people, policies and records often agree and often do not. */
export const VALUES = {
  "balancer.linkerd.io/failure-accrual": ["consecutive", "unified", "Consecutive"],
  "balancer.linkerd.io/failure-accrual-consecutive-max-failures": ["5", "7", "0", "five"],
  "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": ["1000ms", "1s", "90s", "0.5s"],
  "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": ["60000ms", "500ms", "2m"],
  "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio": ["0.5", "0.2", "200"],
  "balancer.alpha.linkerd.io/failure-accrual-success-rate-window": ["30s", "0s"],
  "balancer.alpha.linkerd.io/penalize-failures": ["true"],
  "retry.linkerd.io/http": ["5xx", "503", "5xx, 429", "200"],
  "retry.linkerd.io/grpc": ["unavailable", "NOPE"],
  "retry.linkerd.io/limit": ["2", "1", "0", "-1"],
  "retry.linkerd.io/timeout": ["300ms", "3s", "1m30s"],
  "timeout.linkerd.io/request": ["2000ms", "2s", "1s", "0"],
  "timeout.linkerd.io/idle": ["5000ms", "9s", "10"],
} as const;

const FOREIGN = ["example.com/a", "config.linkerd.io/opaque-ports", "constructor", "retry.linkerd.io/unknown", "a/b~c"];

const familyKeys: fc.Arbitrary<Annotations> = fc
  .subarray(Object.entries(VALUES), { maxLength: 6 })
  .chain((entries) => fc.record(Object.fromEntries(entries.map(([key, values]) => [key, fc.constantFrom(...values)]))));

const foreignKeys: fc.Arbitrary<Annotations> = fc
  .subarray(FOREIGN, { maxLength: 2 })
  .map((keys) => Object.fromEntries(keys.map((key) => [key, "25"])));

const record: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ policy: fc.constant("a"), revision: fc.string(), keys: familyKeys, replaced: familyKeys })
      .map((value) => JSON.stringify(value)),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ keys: fc.dictionary(fc.string(), fc.jsonValue()), replaced: fc.jsonValue() })
      .map((value) => JSON.stringify(value)),
  },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string() },
);

const labels: fc.Arbitrary<Annotations> = fc.record(
  {
    team: fc.constantFrom("iam", "shop"),
    "fairlead.dev/inject": fc.constantFrom("disabled", "enabled", "maybe"),
    [REVISION]: fc.string(),
  },
  { requiredKeys: [] },
);

const OWNED = { ownerReferences: [{ apiVersion: "a/v1", kind: "Owner", name: "o", uid: "u", controller: true }] };
const SPECS = [
  { ports: [{ port: 8080 }] },
  { ports: [{ port: 3306 }] },
  { clusterIP: "None" },
  { ports: [{ port: 25 }, { port: 80 }] },
];

const anyService: fc.Arbitrary<KubernetesObject> = fc
  .record({
    family: fc.option(familyKeys),
    foreign: foreignKeys,
    record: fc.option(record, { freq: 2 }),
    labels: fc.option(labels),
    spec: fc.oneof(
      { weight: 6, arbitrary: fc.constant(SPECS[0]) },
      { weight: 1, arbitrary: fc.constantFrom(...SPECS) },
    ),
    owned: fc.integer({ min: 0, max: 9 }),
  })
  .map((made) => {
    const annotations = { ...made.family, ...made.foreign, ...(made.record !== null && { [RECORD]: made.record }) };
    const isBare = made.family === null && Object.keys(annotations).length === 0;
    const object = service(isBare ? undefined : annotations, made.labels ?? undefined);
    return { ...object, metadata: { ...object.metadata, ...(made.owned === 0 && OWNED) }, spec: made.spec };
  });

const breaker = fc.record(
  {
    enabled: fc.constantFrom(true, false),
    consecutiveFailures: fc.constantFrom(5, 7),
    minPenalty: fc.constantFrom("1s", "90s"),
    maxPenalty: fc.constantFrom("60s", "2m"),
    jitterPercent: fc.constantFrom(20, 50),
  },
  { requiredKeys: [] },
);
const retry = fc.record(
  {
    maxAttempts: fc.constantFrom(0, 1, 2),
    statusCodes: fc.constantFrom(["5xx"], ["503", "429"]),
    grpcCodes: fc.constant(["unavailable"]),
    timeout: fc.constantFrom("300ms", "3s"),
  },
  { requiredKeys: ["maxAttempts"] },
);
const timeout = fc.record(
  { request: fc.constantFrom("2s", "1s"), idle: fc.constantFrom("5s", "9s") },
  { requiredKeys: [] },
);

const anyPolicy: fc.Arbitrary<KubernetesObject> = fc
  .record({
    name: fc.constantFrom("a", "b", "c"),
    creationTimestamp: fc.constantFrom("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
    target: fc.constantFrom({}, {}, { targetSelector: { matchLabels: { team: "iam" } } }),
    resolution: fc.constantFrom({}, { conflictResolution: "Override" }),
    sections: fc.record({ circuitBreaker: breaker, retry, timeout }, { requiredKeys: [] }),
  })
  .map(({ name, creationTimestamp, target, resolution, sections }) =>
    policy({ ...target, ...resolution, ...sections }, { name, creationTimestamp }),
  )
  .filter((object) => compilePolicy(object).policy !== undefined);

export const policies = fc.uniqueArray(anyPolicy, { maxLength: 3, selector: (object) => object.metadata?.name });

const world = {
  mode: fc.constantFrom("enforce", "warn"),
  version: fc.constantFrom("2.20", "2.20", "2.20", "2.18", "2.16", "2.15"),
} as const;

/** A write after a real injection, by other policies perhaps, and after people changed things. */
const afterInjection: fc.Arbitrary<Scenario> = fc
  .record({
    ...world,
    before: policies,
    policies,
    same: fc.boolean(),
    first: anyService,
    second: anyService,
    keeps: fc.constantFrom("all", "some", "record", "none"),
  })
  .map(({ before, same, first, second, keeps, ...rest }) => {
    const scenario = { ...rest, policies: same ? before : rest.policies };
    const old = pass(worldOfScenario({ ...scenario, policies: before }), withoutTrace(first), undefined);
    const kept = old.metadata?.annotations ?? {};
    const edits = second.metadata?.annotations ?? {};
    const { [RECORD]: ours, ...keys } = kept;
    const annotations = {
      all: kept,
      some: { ...kept, ...edits },
      record: { ...edits, ...(ours !== undefined && { [RECORD]: ours }) },
      none: { ...edits },
    }[keeps];
    const object = {
      ...second,
      metadata: { ...second.metadata, annotations: { ...annotations, ...(keeps === "all" ? keys : {}) } },
    };
    return { ...scenario, old, object };
  });

/** The old object is as the webhook left it, or has nothing of ours; the new one carries any record. */
export const scenarios: fc.Arbitrary<Scenario> = fc.oneof(
  fc.record({ ...world, policies, object: anyService, old: fc.constant(undefined) }),
  fc.record({ ...world, policies, object: anyService, old: anyService.map(withoutTrace) }),
  afterInjection,
  afterInjection,
);

/** The old object was written while the webhook was not asked, and carries any record too. */
export const forgedScenarios: fc.Arbitrary<Scenario> = fc.oneof(
  scenarios,
  fc.record({ ...world, policies, object: anyService, old: anyService }),
);

/** An object as people write it: nothing of ours on it. */
export function withoutTrace(object: KubernetesObject): KubernetesObject {
  const { [RECORD]: _record, ...annotations } = { ...object.metadata?.annotations };
  const { [REVISION]: _revision, ...kept } = { ...object.metadata?.labels };
  return { ...object, metadata: { ...object.metadata, annotations, labels: kept } };
}

export function worldOfScenario(scenario: Pick<Scenario, "policies" | "mode" | "version">): World {
  const defaults = { meshVersion: meshVersion(scenario.version) };
  return worldOf([namespace(scenario.mode), ...scenario.policies], defaults);
}

/** The mutating webhook and what the API server makes of its patch. */
export function pass(world_: World, object: KubernetesObject, old: KubernetesObject | undefined): KubernetesObject {
  const result = structuredClone(object);
  const errors = applyPatch(result, structuredClone([...mutate(world_, object, old).patch]));
  if (errors.some((error) => error !== null)) throw new Error("The patch does not apply");
  return result;
}
