import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import type { RouteMatchIntent } from "../../src/core/intent/intent.ts";
import { retryOnRoute, timeoutOnRoute } from "../../src/core/intent/routes.ts";
import type { KubernetesObject, StringMap } from "../../src/core/kubernetes.ts";
import { readAnnotations } from "../../src/core/mesh/linkerd/read.ts";
import { planRoutes } from "../../src/core/routes/plan-routes.ts";
import type { World } from "../../src/core/world.ts";
import { FakeRoutes } from "../core/fake-routes.ts";
import { linkerdVersion, namespace, policy, worldOf } from "../core/worlds.ts";
import { pass } from "./scenarios.ts";

const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 120) };
vi.setConfig({ testTimeout: 30_000 + 50 * RUNS.numRuns });

const VERSION = linkerdVersion("2.20");
const HTTP = fc.constantFrom(["5xx"], ["503", "429"]);
const retried = fc.record(
  { maxAttempts: fc.constantFrom(1, 2), statusCodes: HTTP, timeout: fc.constantFrom("100ms", "200ms") },
  { requiredKeys: ["maxAttempts", "statusCodes"] },
);
const retry = fc.oneof(retried, fc.constant({ maxAttempts: 0 }));
const timeout = fc
  .record(
    { request: fc.constantFrom("2s", "9s"), idle: fc.constantFrom("1s", "500ms"), response: fc.constant("1500ms") },
    { requiredKeys: [] },
  )
  .filter((section) => Object.keys(section).length > 0);

const MATCHES = [
  { method: "GET" },
  { method: "POST" },
  { path: { value: "/a" } },
  { path: { type: "Exact", value: "/a" } },
  { path: { type: "RegularExpression", value: "/[0-9]+" }, method: "GET" },
  { headers: [{ name: "X-Canary", value: "1" }] },
];

/** Names that read alike once they are joined by hyphens. */
const NAMES = ["a", "a-b", "b", "b-8080", "fairlead-rest"];

const routes = fc
  .shuffledSubarray(MATCHES, { minLength: 1, maxLength: 4 })
  .chain((matches) =>
    fc.tuple(
      fc.constant(matches),
      fc.shuffledSubarray(NAMES, { minLength: matches.length, maxLength: matches.length }),
      fc.array(
        fc.record({ retry, timeout }, { requiredKeys: [] }).filter((sections) => Object.keys(sections).length > 0),
        { minLength: matches.length, maxLength: matches.length },
      ),
    ),
  )
  .map(([matches, names, sections]) =>
    matches.map((match, index) => ({ name: names[index], matches: [match], ...sections[index] })),
  );

const trafficSplit = fc.record(
  {
    backends: fc.uniqueArray(
      fc.record(
        { name: fc.constantFrom("a", "b", "next"), weight: fc.integer({ min: 1, max: 5 }), port: fc.constant(9090) },
        { requiredKeys: ["name", "weight"] },
      ),
      { minLength: 1, maxLength: 3, selector: ({ name }) => name },
    ),
    matches: fc.constantFrom([{ method: "PUT" }], [{ headers: [{ name: "x-new", value: "1" }] }]),
  },
  { requiredKeys: ["backends"] },
);

const aims = fc.constantFrom(
  { targetSelector: { matchLabels: { team: "iam" } } },
  { targetRefs: [{ kind: "Service", name: "b" }] },
  { targetRefs: ["a", "b-a"].map((name) => ({ kind: "Service", name })) },
);

const anyPolicy = fc
  .record({
    name: fc.constantFrom("p", "p-a", "q"),
    age: fc.constantFrom(1, 2),
    aim: aims,
    sections: fc.record({ retry, timeout, routes, trafficSplit }, { requiredKeys: [] }),
  })
  .map(({ name, age, aim, sections }) =>
    policy({ ...aim, ...sections }, { name, uid: `uid-${name}`, creationTimestamp: `2026-01-0${age}T00:00:00Z` }),
  )
  .filter((object) => compilePolicy(object).policy !== undefined);

const PORTS = [[{ port: 80 }], [{ port: 80 }, { port: 8080 }], [{ port: 80 }, { port: 3306 }], [{ port: 3306 }]];

const anyService = fc
  .record({ name: fc.constantFrom("a", "b", "b-a"), ports: fc.constantFrom(...PORTS), label: fc.boolean() })
  .map(
    ({ name, ports, label }): KubernetesObject => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace: "iam", ...(label && { labels: { team: "iam" } }) },
      spec: { ports },
    }),
  );

const named = (object: KubernetesObject) => object.metadata?.name;

interface State {
  readonly policies: readonly KubernetesObject[];
  readonly services: readonly KubernetesObject[];
}

const states: fc.Arbitrary<State> = fc.record({
  policies: fc.uniqueArray(anyPolicy, { minLength: 1, maxLength: 3, selector: named }),
  services: fc.uniqueArray(anyService, { minLength: 1, maxLength: 3, selector: named }),
});

function worldWith({ policies, services }: State, routes: readonly KubernetesObject[]): World {
  return worldOf([namespace("enforce"), ...services, ...policies, ...routes]);
}

/** What one reconcile of every policy does; each step is looked at. Policies that are gone have left their routes. */
function reconcile(state: State, fake: FakeRoutes, afterStep: () => void = () => {}): number {
  let steps = 0;
  for (const object of state.policies) {
    const world = worldWith(state, fake.list);
    const compiled = world.policiesIn("iam").find(({ name }) => name === named(object));
    for (const action of planRoutes({ policy: object, compiled, live: fake.list, world }).actions) {
      fake.execute(action);
      steps += 1;
      afterStep();
    }
  }
  return steps;
}

function settle(state: State, fake = new FakeRoutes()): FakeRoutes {
  // A policy may have to wait until another one has given its Service up.
  for (const object of [...state.policies, ...state.policies]) if (object) reconcile(state, fake);
  return fake;
}

interface Reference {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port: number;
  readonly weight?: number;
}

interface Shape {
  readonly parentRefs: readonly { readonly name: string; readonly port?: number }[];
  readonly rules: readonly { readonly matches: readonly object[]; readonly backendRefs: readonly Reference[] }[];
}

function shapeOf(route: KubernetesObject): { service: string; port: number; takesTheRest: boolean } {
  const { parentRefs, rules } = route.spec as Shape;
  const takesTheRest = JSON.stringify(rules[0]?.matches) === '[{"path":{"type":"PathPrefix","value":"/"}}]';
  return { service: parentRefs[0]?.name ?? "", port: parentRefs[0]?.port ?? 80, takesTheRest };
}

function check(property: (state: State) => void): void {
  fc.assert(fc.property(states, property), RUNS);
}

describe("generated routes", () => {
  test("reconciliation idempotency: once the plan is carried out, nothing is planned", () => {
    check((state) => {
      const fake = settle(state);
      expect(reconcile(state, fake)).toBe(0);
    });
  });

  test("owner reference integrity: every route goes with its policy, and no policy touches another's", () => {
    fc.assert(
      fc.property(states, states, (before, after) => {
        const fake = settle(before);
        const strangers = fake.list.filter(
          (route) => !after.policies.some((it) => it.metadata?.uid === route.metadata?.ownerReferences?.[0]?.uid),
        );
        settle(after, fake);
        for (const route of strangers) expect(fake.list).toContain(route);
        for (const route of fake.list) {
          const owners = route.metadata?.ownerReferences ?? [];
          const owner = [...after.policies, ...before.policies].find((it) => it.metadata?.uid === owners[0]?.uid);
          expect(owners).toEqual([
            {
              apiVersion: "fairlead.dev/v1alpha1",
              kind: "ResiliencePolicy",
              name: named(owner ?? {}),
              uid: owner?.metadata?.uid,
              controller: true,
              blockOwnerDeletion: true,
            },
          ]);
          expect(route.metadata?.labels).toEqual({
            "app.kubernetes.io/managed-by": "fairlead",
            "fairlead.dev/policy-uid": owner?.metadata?.uid,
          });
          expect(route.metadata?.namespace).toBe(owner?.metadata?.namespace);
        }
      }),
      RUNS,
    );
  });

  test("at no moment of a change has a Service routes without one that takes the rest", () => {
    fc.assert(
      fc.property(states, states, (before, after) => {
        const fake = settle(before);
        const policies = before.policies.filter((it) => !after.policies.some((other) => named(other) === named(it)));
        const withGone = {
          ...after,
          policies: [
            ...after.policies,
            ...policies.map((it) => ({
              ...it,
              metadata: { ...it.metadata, deletionTimestamp: "2026-03-01T00:00:00Z" },
            })),
          ],
        };
        const looks = (): void => {
          const shapes = fake.list.map(shapeOf);
          for (const { service, port } of shapes) {
            expect(shapes.some((it) => it.service === service && it.port === port && it.takesTheRest)).toBe(true);
          }
        };
        reconcile(withGone, fake, looks);
        reconcile(withGone, fake, looks);
      }),
      RUNS,
    );
  });

  test("the order of policies, entries and Services does not matter", () => {
    check((state) => {
      const turned = {
        policies: state.policies.toReversed().map((object) => {
          const spec = object.spec as { routes?: readonly object[] };
          return { ...object, spec: { ...spec, ...(spec.routes && { routes: spec.routes.toReversed() }) } };
        }),
        services: state.services.toReversed(),
      };
      const contents = (fake: FakeRoutes) =>
        fake.list
          .map((route) => ({ ...route, metadata: { ...route.metadata, resourceVersion: "" } }))
          .sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
      expect(contents(settle(turned))).toEqual(contents(settle(state)));
    });
  });

  test("retry mapping and timeout mapping: with its Service each route has what its entry means, whole families only", () => {
    const seen = { moved: 0, inherited: 0, filled: 0 };
    check((state) => {
      const fake = settle(state);
      for (const route of fake.list) {
        const world = worldWith(state, fake.list);
        const { service: name, takesTheRest } = shapeOf(route);
        const service = state.services.find((it) => named(it) === name) ?? {};
        const onService = keysOf(pass(world, service, undefined));
        const onRoute = keysOf(route);
        const [ofRoute, ofService] = [
          readAnnotations(onRoute, "HTTPRoute", VERSION),
          readAnnotations(onService, "Service", VERSION),
        ];
        for (const reading of [ofRoute, ofService]) {
          expect(reading).toMatchObject({ problems: [], unknown: [], notReadHere: [], tooNew: [], notConsulted: [] });
        }
        const wanted = wantedFor(world, service, takesTheRest ? undefined : matchOf(route));
        expect(ofRoute.timeouts ?? ofService.timeouts).toEqual(wanted.timeout);
        const inForce = ofRoute.httpRetry ?? ofService.httpRetry;
        expect(inForce && { limit: inForce.limit, timeoutMs: inForce.timeoutMs }).toEqual(
          wanted.retry?.maxAttempts
            ? { limit: wanted.retry.maxAttempts, timeoutMs: wanted.retry.timeoutMs }
            : undefined,
        );
        if (takesTheRest && ofRoute.httpRetry) {
          seen.moved += 1;
          expect(Object.keys(onService).filter((key) => key.startsWith("retry."))).toEqual([]);
        }
        if (takesTheRest) expect(ofRoute.timeouts).toBeUndefined();
        seen.inherited += Number(ofRoute.timeouts === undefined && ofService.timeouts !== undefined);
        seen.filled += Number(ofRoute.timeouts !== undefined && ofService.timeouts !== undefined);
      }
    });
    expect(Object.values(seen).every((times) => times > 0)).toBe(true);
  });

  test("each request is divided as the policies say, and goes to its Service where they say nothing", () => {
    const seen = { everything: 0, some: 0, nothing: 0 };
    check((state) => {
      const fake = settle(state);
      const world = worldWith(state, fake.list);
      for (const service of state.services) {
        const split = wantedFor(world, service, undefined).trafficSplit;
        const routes = fake.list.filter((route) => shapeOf(route).service === named(service));
        // Without an HTTP port there is no route, whatever policies say.
        const ports = portsOf(service);
        if (split !== undefined && ports.some((port) => port !== 3306)) expect(routes).not.toEqual([]);
        for (const route of routes) {
          const ofSplit = JSON.stringify(split?.matches[0] && asWritten(split.matches[0]));
          const isDivided = split !== undefined && (split.matches.length === 0 || matchOf(route) === ofSplit);
          const { port: asked = ports.find((port) => port !== 3306) ?? 0 } = parentOf(route);
          const own = [{ name: named(service) ?? "", weight: 1 }];
          const wanted = isDivided ? split.backends : own;
          expect(sharesOf(backendsOf(route))).toEqual(sharesOf(wanted.map((it) => ({ port: asked, ...it }))));
          seen[isDivided ? (split.matches.length === 0 ? "everything" : "some") : "nothing"] += 1;
        }
      }
    });
    expect(Object.values(seen).every((times) => times > 0)).toBe(true);
  });
});

function portsOf({ spec }: KubernetesObject): readonly number[] {
  return (spec as { readonly ports: readonly { readonly port: number }[] }).ports.map(({ port }) => port);
}

function parentOf(route: KubernetesObject): { readonly port?: number } {
  return (route.spec as Shape).parentRefs[0] ?? {};
}

/** As Linkerd reads them: it takes what has no explicit namespace, group or kind for something else. */
function backendsOf(route: KubernetesObject): readonly Reference[] {
  const backends = (route.spec as Shape).rules.flatMap(({ backendRefs }) => backendRefs);
  for (const it of backends) expect(it).toMatchObject({ group: "", kind: "Service", namespace: "iam" });
  return backends;
}

/** `service:port` with its part of the requests; a weight that is absent is 1. */
function sharesOf(backends: readonly Reference[]): Readonly<Record<string, number>> {
  const sum = backends.reduce((total, { weight = 1 }) => total + weight, 0);
  return Object.fromEntries(backends.map(({ name, port, weight = 1 }) => [`${name}:${port}`, weight / sum]));
}

function asWritten({ path, method, headers }: RouteMatchIntent): object {
  return { path, ...(method !== undefined && { method }), ...(headers.length > 0 && { headers }) };
}

function keysOf(object: KubernetesObject): StringMap {
  return Object.fromEntries(
    Object.entries(object.metadata?.annotations ?? {}).filter(([key]) => /^(retry|timeout)\.linkerd\.io\//.test(key)),
  );
}

function matchOf(route: KubernetesObject): string {
  return JSON.stringify((route.spec as Shape).rules[0]?.matches[0]);
}

/** From the policies as they are written, by the rules of docs/policy.md: first aimed by name, then older, then by name. */
function wantedFor(world: World, service: KubernetesObject, match: string | undefined) {
  const { name, labels } = service.metadata ?? {};
  const aimed = world
    .policiesIn("iam")
    .filter(({ spec }) => spec.targetRefs?.some((ref) => ref.name === name) ?? labels?.["team"] === "iam")
    .toSorted((a, b) => {
      const keys = [a, b].map((it) => `${it.spec.targetRefs ? 0 : 1} ${it.createdAt} ${it.name}`);
      return (keys[0] ?? "") < (keys[1] ?? "") ? -1 : 1;
    });
  const first = <S extends "retry" | "timeout" | "routes" | "trafficSplit">(section: S) =>
    aimed.find(({ intent }) => intent[section] !== undefined)?.intent[section];
  const entry = first("routes")?.find(({ matches }) => {
    return match === JSON.stringify(matches[0] && asWritten(matches[0]));
  });
  return {
    retry: retryOnRoute(entry?.retry, first("retry")),
    timeout: timeoutOnRoute(entry?.timeout, first("timeout")),
    trafficSplit: first("trafficSplit"),
  };
}
