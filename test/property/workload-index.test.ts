import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { podSelectorOf, workloadsIn } from "../../src/core/mesh/workload-index.ts";
import { ENVOY_FILTER, PEER_AUTHENTICATION, SERVER } from "../../src/core/names.ts";
import { selectorRelation } from "../../src/core/selectors.ts";
import { worldOf } from "../core/worlds.ts";

const labels = fc.dictionary(fc.constantFrom("app", "tier", "version"), fc.constantFrom("a", "b", "c", "d"));
const expression = fc.record({
  key: fc.constantFrom("app", "tier"),
  operator: fc.constantFrom("In", "NotIn", "Exists", "DoesNotExist"),
  values: fc.array(fc.constantFrom("a", "b")),
});
const selector = fc.option(
  fc.record({ matchLabels: labels, matchExpressions: fc.array(expression) }, { requiredKeys: [] }),
);

const KINDS = [
  { kind: SERVER, version: "v1beta3", specOf: (it: unknown) => ({ podSelector: it }) },
  { kind: PEER_AUTHENTICATION, version: "v1", specOf: (it: unknown) => ({ selector: it }) },
  {
    kind: ENVOY_FILTER,
    version: "v1alpha3",
    specOf: (it: { readonly matchLabels?: unknown } | null) => ({ workloadSelector: { labels: it?.matchLabels } }),
  },
] as const;

test.each(KINDS)("no $kind.kind that may choose the Pods is overlooked", ({ kind, version, specOf }) => {
  fc.assert(
    fc.property(fc.array(selector, { maxLength: 12 }), labels, (selectors, wanted) => {
      const objects = selectors.map(
        (it, index): KubernetesObject => ({
          apiVersion: `${kind.group}/${version}`,
          kind: kind.kind,
          metadata: { name: `object-${index}`, namespace: "iam" },
          spec: specOf(it),
        }),
      );
      const near = workloadsIn("iam", kind, worldOf(objects)).near(wanted);
      const concerned = objects.filter((object) => selectorRelation(podSelectorOf(object), wanted) !== "apart");
      expect(near).toEqual(expect.arrayContaining(concerned));
      expect(new Set(near).size).toBe(near.length);
      expect(near.length).toBeLessThanOrEqual(objects.length);
    }),
  );
});
