import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { readAnnotations } from "../../src/core/mesh/linkerd/read.ts";
import { linkerdVersion, namespace, policy, service } from "../core/worlds.ts";
import { breakers, type Mapping, OFF, removals, retries, timeouts } from "./mapping-oracle.ts";
import { ModelCluster, refOf } from "./model-cluster.ts";
import { settle } from "./settle.ts";

const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 150) };
vi.setConfig({ testTimeout: 60_000 + 60 * RUNS.numRuns });

const PEOPLE = { note: "mine" };
const OURS = ["fairlead.dev/injected", "fairlead.dev/revision"];

function started(): ModelCluster {
  const cluster = new ModelCluster();
  for (const object of [namespace("enforce"), service(PEOPLE)]) cluster.seed(object);
  return cluster;
}

/** A person applies the policy, and the controller brings everything in line. */
function apply(cluster: ModelCluster, spec: object): void {
  const stored = cluster.all("ResiliencePolicy")[0];
  const wanted = policy(JSON.parse(JSON.stringify(spec)) as Record<string, unknown>);
  cluster.put({ ...stored, ...wanted, metadata: { ...stored?.metadata, ...wanted.metadata } });
  settle(cluster);
}

function carried(cluster: ModelCluster): Readonly<Record<string, string>> {
  const { annotations = {} } = cluster.all("Service")[0]?.metadata ?? {};
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !OURS.includes(key)));
}

/** One spec after the other gives exactly its own keys, and Linkerd takes all of them. */
function follows(mappings: fc.Arbitrary<Mapping>): void {
  const version = linkerdVersion("2.20");
  fc.assert(
    fc.property(fc.array(mappings, { minLength: 2, maxLength: 4 }), (made) => {
      const cluster = started();
      for (const { spec, keys } of made) {
        apply(cluster, spec);
        expect(carried(cluster)).toEqual({ ...PEOPLE, ...keys });
        const reading = readAnnotations(keys, "Service", version);
        expect(reading).toMatchObject({ problems: [], unknown: [], notReadHere: [], tooNew: [], notConsulted: [] });
      }
    }),
    RUNS,
  );
}

describe("what a policy says is what its Service carries", () => {
  test("circuit-breaker annotation consistency: all five keys with these values, or none", () => follows(breakers));

  test("retry mapping: the limit, both lists of codes and the timeout of a try", () => follows(retries));

  test("timeout mapping: each limit to the millisecond, and no other", () => follows(timeouts));

  test("annotation removal on disable: the keys of the section go, and nothing else, in any order", () => {
    fc.assert(
      fc.property(removals, ({ sections, order, bySwitch }) => {
        const cluster = started();
        const specs = sections.map(({ spec }) => spec);
        const left = sections.map(({ keys }) => keys);
        apply(cluster, Object.assign({}, ...specs));
        expect(carried(cluster)).toEqual(Object.assign({}, PEOPLE, ...left));
        for (const [step, index] of order.entries()) {
          left[index] = {};
          specs[index] = bySwitch ? (OFF[index] ?? {}) : {};
          const spec = Object.assign({}, ...specs) as object;
          // A policy needs a section: in place of the last one it is deleted.
          const isEmpty = Object.keys(JSON.parse(JSON.stringify(spec)) as object).length === 0;
          if (!isEmpty) apply(cluster, spec);
          else for (const made of cluster.all("ResiliencePolicy")) cluster.delete(refOf(made));
          settle(cluster);
          expect(carried(cluster), `step ${step}`).toEqual(Object.assign({}, PEOPLE, ...left));
        }
        const { annotations, labels = {} } = cluster.all("Service")[0]?.metadata ?? {};
        expect([annotations, labels]).toEqual([PEOPLE, {}]);
      }),
      RUNS,
    );
  });
});
