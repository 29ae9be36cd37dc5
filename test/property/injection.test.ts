import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { groupOfKey, meshOf } from "../../src/core/mesh/all.ts";
import { compileForLinkerd } from "../../src/core/mesh/linkerd/compile.ts";
import { readAnnotations } from "../../src/core/mesh/linkerd/read.ts";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import { WARNING_LENGTH_MAX, WARNINGS_MAX } from "../../src/core/limits.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { TARGET_KINDS } from "../../src/core/names.ts";
import { candidates } from "../../src/core/admission/candidates.ts";
import { decide } from "../../src/core/admission/decide.ts";
import { mixedInjection, pureInjection, wantedGroups } from "../../src/core/admission/inject.ts";
import { metadataPatch } from "../../src/core/admission/patch.ts";
import { resolvePrecedence } from "../../src/core/intent/precedence.ts";
import { type Annotations, keyOf, linkerdVersion, mutate, policy, service, validate, worldOf } from "../core/worlds.ts";
import {
  pass,
  policies,
  RECORD,
  REVISION,
  type Scenario,
  scenarios,
  forgedScenarios,
  withoutTrace,
  worldOfScenario,
} from "./scenarios.ts";

/** PROPERTY_RUNS=20000 hunts for rare states; fast-check prints seed and path of what it finds. */
const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 300) };
const TIMEOUT_MS = 30_000 + 20 * RUNS.numRuns;
vi.setConfig({ testTimeout: TIMEOUT_MS });

function annotationsOf(object: KubernetesObject): Annotations {
  return { ...object.metadata?.annotations };
}

/** An object without empty maps: the API server does not store them. */
function stored(object: KubernetesObject): KubernetesObject {
  const metadata = Object.entries({ ...object.metadata }).filter(
    ([field, map]) => !["annotations", "labels"].includes(field) || Object.keys(map as object).length > 0,
  );
  return { ...object, metadata: Object.fromEntries(metadata) };
}

function familyOf(object: KubernetesObject): Annotations {
  return Object.fromEntries(Object.entries(annotationsOf(object)).filter(([key]) => groupOfKey(key) !== undefined));
}

function reversed<T extends object>(value: T): T {
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, isPlain(member) ? reversed(member) : member]),
  ) as T;
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type Property = (scenario: Scenario, world: ReturnType<typeof worldOfScenario>) => void;

function check(property: Property, among: fc.Arbitrary<Scenario> = scenarios): void {
  fc.assert(
    fc.property(among, (scenario) => property(scenario, worldOfScenario(scenario))),
    RUNS,
  );
}

describe("injection", () => {
  test("f(f(x)) = f(x), and the validating webhook says the same of both", () => {
    check(({ object, old }, world) => {
      const once = pass(world, object, old);
      const twice = pass(world, once, old);
      expect(twice).toEqual(once);
      expect(validate(world, twice, old)).toEqual(validate(world, once, old));
      expect(validate(world, once, old).findings.map((item) => item.code)).not.toContain("FL505");
    });
  });

  test("what was written is in line at the next write: f(x, f(x)) = f(x)", () => {
    check(({ object, old }, world) => {
      const once = pass(world, object, old);
      expect(pass(world, once, once)).toEqual(once);
    });
  });

  test("inject, then remove: the original object", () => {
    check(({ object, ...rest }) => {
      const original = withoutTrace(object);
      const injected = pass(worldOfScenario(rest), original, undefined);
      const removed = pass(worldOfScenario({ ...rest, policies: [] }), injected, injected);
      const lost = mutate(worldOfScenario(rest), original).findings.map((item) => item.path);
      const expected = Object.entries(annotationsOf(original)).filter(
        ([key]) => !lost.some((path) => path.includes(`"${key}"`)),
      );
      expect(stored(removed)).toEqual(
        stored({ ...original, metadata: { ...original.metadata, annotations: Object.fromEntries(expected) } }),
      );
    });
  });

  test("what a policy emits on a bare object parses, to the intended values, on every kind and version", () => {
    fc.assert(
      fc.property(
        policies,
        fc.constantFrom(...TARGET_KINDS),
        fc.constantFrom("2.14", "2.16", "2.18", "2.20"),
        (made, kind, text) => {
          const version = linkerdVersion(text);
          for (const object of made) {
            const intent = compilePolicy(object).policy?.intent ?? {};
            const { groups } = compileForLinkerd(intent, kind, version);
            const reading = readAnnotations(
              Object.assign({}, ...groups.map((group) => group.annotations)),
              kind.kind,
              version,
            );
            expect(reading).toMatchObject({ problems: [], unknown: [], notReadHere: [], tooNew: [], notConsulted: [] });
            const { circuitBreaker: breaker, timeout, retry } = intent;
            const annotated = version.minor >= 16;
            const withBreaker = breaker?.enabled === true && kind.kind === "Service";
            expect(reading.accrual?.maxFailures).toBe(withBreaker ? breaker.consecutiveFailures : undefined);
            expect(reading.accrual?.minPenaltyMs).toBe(withBreaker ? breaker.minPenaltyMs : undefined);
            expect(reading.accrual?.maxPenaltyMs).toBe(withBreaker ? breaker.maxPenaltyMs : undefined);
            expect(reading.accrual?.jitterRatio).toBe(
              withBreaker ? Math.fround(breaker.jitterPercent / 100) : undefined,
            );
            expect(reading.timeouts).toEqual(annotated ? timeout : undefined);
            const written = reading.httpRetry ?? reading.grpcRetry;
            if (written !== undefined) {
              expect(written.limit).toBe(retry?.maxAttempts);
              expect(written.timeoutMs).toBe(retry?.timeoutMs);
            } else {
              expect(!annotated || !retry?.maxAttempts || kind.kind !== "Service").toBe(true);
            }
          }
        },
      ),
      RUNS,
    );
  });

  test("what is injected never adds a value that the mesh drops", () => {
    check(({ object, old }, world) => {
      const after = validate(world, pass(world, object, old), old);
      const denied = (codes: typeof after.findings) =>
        codes.filter((item) => item.code.startsWith("FL40")).map((item) => item.path);
      const written = familyOf(pass(world, object, old));
      const unchanged = denied(after.findings).every((path) => {
        const key = /"(.*)"/.exec(path)?.[1] ?? "";
        const remembered =
          JSON.stringify(old?.metadata?.annotations?.[RECORD] ?? "") + (annotationsOf(object)[RECORD] ?? "");
        return written[key] === annotationsOf(object)[key] || remembered.includes(key);
      });
      expect(unchanged).toBe(true);
    });
  });

  test("the short way gives what the long way gives", () => {
    let short = 0;
    check(({ object, old }, world) => {
      const key = keyOf(object);
      const kind = TARGET_KINDS[0];
      const namespace = world.namespace(key.namespace);
      const target = { key, kind, object, namespace, version: world.defaults.meshVersion, world };
      const wanted = wantedGroups(target, meshOf(namespace, world.defaults));
      const oldText = old?.metadata?.annotations?.[RECORD];
      const pure = pureInjection(wanted, annotationsOf(object), oldText);
      if (pure === undefined) return;
      short += 1;
      const mixed = mixedInjection(target, wanted, oldText);
      const patches = [pure, mixed].map(({ annotations, labels }) => metadataPatch(object, annotations, labels));
      expect(patches[0]).toEqual(patches[1]);
      expect([pure.findings, pure.lost]).toEqual([mixed.findings, mixed.lost]);
    });
    expect(short).toBeGreaterThan(0);
  });

  test("the order of policies, fields and keys does not matter", () => {
    check((scenario, world) => {
      const { object, old } = scenario;
      const other = worldOfScenario({ ...scenario, policies: scenario.policies.map(reversed).reverse() });
      const turned = pass(other, reversed(object), old && reversed(old));
      expect(turned).toEqual(pass(world, object, old));
      expect(annotationsOf(turned)[RECORD]).toBe(annotationsOf(pass(world, object, old))[RECORD]);
      expect(validate(other, turned, old && reversed(old))).toEqual(validate(world, pass(world, object, old), old));
    });
  });

  test("a foreign mutator in between changes nothing of ours", () => {
    check(({ object, old }, world) => {
      const once = pass(world, object, old);
      const extra = {
        ...once.metadata?.annotations,
        "foreign.example.com/added": "x",
        "linkerd.io/created-by": "injector",
      };
      const foreign = reversed({ ...once, metadata: { ...once.metadata, annotations: extra } });
      expect(pass(world, foreign, old)).toEqual(foreign);
    });
  });

  test("no record makes Fairlead touch a key outside the families and its own two", () => {
    check(({ object, old }, world) => {
      const after = pass(world, object, old);
      for (const [map, own] of [
        ["annotations", RECORD],
        ["labels", REVISION],
      ] as const) {
        const [was, is] = [{ ...object.metadata?.[map] }, { ...after.metadata?.[map] }];
        for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) {
          if (was[key] === is[key]) continue;
          expect(key === own || (map === "annotations" && groupOfKey(key) !== undefined), key).toBe(true);
        }
      }
      const { annotations: _a, labels: _l, ...metadata } = { ...after.metadata };
      const { annotations: _b, labels: _m, ...metadataBefore } = { ...object.metadata };
      expect({ ...after, metadata }).toEqual({ ...object, metadata: metadataBefore });
    }, forgedScenarios);
  });

  test("the record that is left names only keys of the families that are on the object with these values", () => {
    check(({ object, old }, world) => {
      const after = annotationsOf(pass(world, object, old));
      const text = after[RECORD];
      if (text === undefined) return;
      const { keys, replaced = {} } = JSON.parse(text) as { keys: Annotations; replaced?: Annotations };
      for (const [key, value] of Object.entries(keys)) expect(after[key]).toBe(value);
      for (const key of [...Object.keys(keys), ...Object.keys(replaced)]) expect(groupOfKey(key)).toBeDefined();
      expect(Object.keys(keys).length + Object.keys(replaced).length).toBeGreaterThan(0);
    }, forgedScenarios);
  });

  test("patches are minimal: each operation changes something, and no path comes twice", () => {
    check(({ object, old }, world) => {
      const { patch } = mutate(world, object, old);
      expect(new Set(patch.map((operation) => operation.path)).size).toBe(patch.length);
      for (const operation of patch) {
        const [, , map = "", key] = operation.path.split("/");
        const before = { ...(object.metadata as Record<string, object>)[map] } as Annotations;
        if (key === undefined) {
          expect((object.metadata as Record<string, object>)[map]).toBeUndefined();
          continue;
        }
        const name = key.replaceAll("~1", "/").replaceAll("~0", "~");
        expect(operation.op).toBe(name in before ? (operation.op === "remove" ? "remove" : "replace") : "add");
        if ("value" in operation) expect(operation.value).not.toBe(before[name]);
      }
    }, forgedScenarios);
  });

  test("audit mode tells what enforce would have found, and touches nothing", () => {
    check(({ object, old, ...rest }) => {
      const enforce = worldOfScenario({ ...rest, mode: "enforce" });
      const audit = worldOfScenario({ ...rest, mode: "audit" as "warn" });
      expect(mutate(audit, object, old).patch).toEqual([]);
      const told = validate(audit, object, old);
      expect(told).toMatchObject({ allowed: true, warnings: [], mode: "audit" });
      const happened = validate(enforce, pass(enforce, object, old), old);
      const codes = (findings: typeof told.findings) =>
        [...new Set(findings.map((item) => `${item.code} ${item.path}`))].sort();
      const gone = codes(mutate(enforce, object, old).findings);
      expect(codes(told.findings)).toEqual([...new Set([...codes(happened.findings), ...gone])].sort());
    });
  });

  test("warnings are few, short and of one line; only deny findings refuse", () => {
    check(({ object, old, mode }, world) => {
      for (const verdict of [mutate(world, object, old), validate(world, object, old)]) {
        expect(verdict.warnings.length).toBeLessThanOrEqual(WARNINGS_MAX + 1);
        for (const warning of verdict.warnings) {
          expect(warning.length).toBeLessThanOrEqual(WARNING_LENGTH_MAX);
          expect(warning).not.toMatch(/\p{Cc}/u);
        }
        const denies = verdict.findings.some((item) => item.severity === "deny");
        expect(verdict.allowed).toBe(!denies || mode === "warn");
        expect(verdict.message === "").toBe(verdict.allowed);
      }
    }, forgedScenarios);
  });

  test("the generator reaches every state that matters", () => {
    const seen = new Map<string, number>();
    const count = (state: string, holds: boolean) => seen.set(state, (seen.get(state) ?? 0) + Number(holds));
    for (const scenario of fc.sample(scenarios, { numRuns: 2000, seed: 7 })) {
      const world = worldOfScenario(scenario);
      const { object, old } = scenario;
      const after = pass(world, object, old);
      const { findings } = validate(world, after, old);
      const record = annotationsOf(after)[RECORD] ?? "";
      count("created", old === undefined);
      count("updated", old !== undefined);
      count("patched", mutate(world, object, old).patch.length > 0);
      count("untouched", mutate(world, object, old).patch.length === 0);
      count("several policies", world.policiesIn("iam").length > 1);
      count("record kept", record !== "");
      count("values replaced", record.includes('"replaced"'));
      count("several policies in force", /"policy":"\w,\w/.test(record));
      count("record removed", annotationsOf(object)[RECORD] !== undefined && record === "");
      count(
        "keys removed",
        Object.keys(familyOf(object)).some((key) => !(key in familyOf(after))),
      );
      count(
        "values restored",
        Object.keys(familyOf(after)).some((key) => !(key in familyOf(object)) && !record.includes(`"${key}"`)),
      );
      count("lost for good", mutate(world, object, old).findings.length > 0);
      count("denied", !validate(world, after, old).allowed);
      count(
        "old mistake tolerated",
        old !== undefined && findings.some((item) => item.code === "FL401" && item.severity === "warn"),
      );
      for (const code of ["FL303", "FL304", "FL401", "FL402", "FL403", "FL502", "FL503", "FL504", "FL601", "FL310"]) {
        count(
          code,
          findings.some((item) => item.code === code),
        );
      }
    }
    expect([...seen].filter(([, times]) => times < 20)).toEqual([]);
  });
});

describe("many policies", () => {
  const selectors = [{ team: "iam" }, { team: "iam", tier: "web" }, { tier: "web" }, { team: "shop" }];
  const many = fc
    .array(
      fc.record({
        target: fc.option(fc.constantFrom(...selectors)),
        name: fc.constantFrom("user-service", "other"),
        age: fc.nat(2),
        idle: fc.nat(50),
      }),
      { minLength: 6, maxLength: 24 },
    )
    .map((made) =>
      made.map(({ target, name, age, idle }, index) => {
        const aim =
          target === null ? { targetRefs: [{ kind: "Service", name }] } : { targetSelector: { matchLabels: target } };
        return policy(
          { ...aim, timeout: { idle: `${idle + 1}s` } },
          { name: `p${index}`, creationTimestamp: `2026-01-0${age + 1}T00:00:00Z` },
        );
      }),
    );

  test("the index of policies leaves out none that is aimed at a target, and hands none out twice", () => {
    fc.assert(
      fc.property(many, fc.subarray(["team", "tier", "constructor"]), (objects, keys) => {
        const target = service(undefined, Object.fromEntries(keys.map((key) => [key, key === "team" ? "iam" : "web"])));
        const all = worldOf(objects).policiesIn("iam");
        const found = candidates(all, "user-service", target);
        expect(new Set(found).size).toBe(found.length);
        expect(resolvePrecedence(found, keyOf(target), target)).toEqual(resolvePrecedence(all, keyOf(target), target));
      }),
      RUNS,
    );
  });
});

describe("decide()", () => {
  const KEYS = ["__proto__", "constructor", "toString", "hasOwnProperty", RECORD, "retry.linkerd.io/http", REVISION];
  const key = fc.oneof(fc.constantFrom(...KEYS.slice(1)), fc.string());
  const strings = fc.dictionary(key, fc.string());
  const json = fc.jsonValue({ maxDepth: 3 });
  const spec = fc.oneof(
    json,
    fc.record({ ports: json, clusterIP: json, type: json, parentRefs: json, rules: json }, { requiredKeys: [] }),
    fc.record({
      parentRefs: fc.array(fc.record({ kind: fc.constant("Service"), group: fc.constant(""), name: json })),
      rules: fc.array(fc.record({ timeouts: json, retry: json })),
    }),
    fc.record({ ports: fc.array(fc.record({ port: json, protocol: json, appProtocol: json }, { requiredKeys: [] })) }),
    fc.record(
      { targetRefs: json, targetSelector: json, circuitBreaker: json, retry: json, timeout: json, mesh: json },
      { requiredKeys: [] },
    ),
  );
  const metadata = fc.record(
    {
      name: fc.string(),
      generateName: fc.string(),
      namespace: fc.string(),
      labels: strings,
      annotations: strings,
      deletionTimestamp: fc.constant(""),
      ownerReferences: fc.array(fc.dictionary(key, json)),
    },
    { requiredKeys: [] },
  );
  const object = fc.record(
    { apiVersion: fc.string(), kind: fc.string(), metadata, spec },
    { requiredKeys: ["metadata"] },
  );
  const kinds = [
    ...TARGET_KINDS,
    { group: "fairlead.dev", kind: "ResiliencePolicy" },
    { group: "constructor", kind: "__proto__" },
  ];

  test("never throws on what the decoder lets through, and always answers in shape", () => {
    fc.assert(
      fc.property(
        policies,
        object,
        fc.option(object, { nil: undefined }),
        fc.constantFrom(...kinds),
        (made, ...[next, old, kind]) => {
          const world = worldOfScenario({ policies: made, mode: "enforce", version: "2.20" });
          for (const phase of ["mutate", "validate"] as const) {
            const request = {
              phase,
              nowMs: 0,
              uid: "u",
              kind,
              operation: old ? "UPDATE" : "CREATE",
              namespace: "iam",
              name: "user-service",
              object: next as unknown as KubernetesObject,
              oldObject: old as unknown as KubernetesObject | undefined,
            } as const;
            const verdict = decide(request, world);
            expect(verdict.warnings.length).toBeLessThanOrEqual(WARNINGS_MAX + 1);
            for (const warning of verdict.warnings) {
              expect(warning.length).toBeLessThanOrEqual(WARNING_LENGTH_MAX);
              expect(warning).not.toMatch(/\p{Cc}/u);
            }
            expect(verdict.allowed).toBe(verdict.message === "");
          }
          expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
        },
      ),
      RUNS,
    );
  });
});
