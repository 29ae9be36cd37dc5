import { strict as assert } from "node:assert";
import { FileWorld } from "../../src/cli/file-world.ts";
import type { Phase } from "../../src/core/admission/review.ts";
import { decide } from "../../src/core/admission/decide.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { MODE_LABEL } from "../../src/core/names.ts";
import { compileRule } from "../../src/core/rules/compile-rule.ts";
import { SERVE_LIMITS } from "../../src/core/rules/limits.ts";
import type { CompiledRule } from "../../src/core/rules/rule.ts";
import type { World } from "../../src/core/world.ts";
import { CLUSTER_DOMAIN, parseMeshVersion } from "../../src/config.ts";
import type { Plan } from "./limits.ts";
import { spread, type Spread } from "./statistics.ts";
import { manyRules, NESTED_LOOP, ruleObject } from "./typical-rules.ts";
import { BENCH_PRODUCT, service, SHOP } from "./world.ts";

export interface OfflineResult {
  readonly rules: number;
  readonly serviceKB: number;
  /** Of rules, not of writes. */
  readonly evaluationsPerSecond: Spread;
  /** CPU until the nested loop was cut off, on a Service with so many ports: what it holds the event loop for. */
  readonly cutOffMs: Spread;
  readonly cutOffPorts: number;
}

const RULES = 10;
const SERVICE_BYTES = 5_000;
/** As many as a Service may have before the API server's own limits on its size matter. */
const CUT_OFF_PORTS = 1_000;
const CUT_OFF_ROUNDS = 20;
const WINDOW_MS = 300;

/** Rules in this process, without HTTP: how many evaluations fit into a second, and how soon a hostile one is cut off. */
export function measureOffline(plan: Plan): OfflineResult {
  const typical = manyRules(RULES).map((object) => compiled(object));
  const padded = withPadding({ ...service("bench", BENCH_PRODUCT) }, SERVICE_BYTES);
  const world = worldOf(typical);
  const review = (phase: Phase, object: KubernetesObject, within: World) =>
    decide({ ...REQUEST, phase, name: "bench", object, oldObject: undefined }, within);
  const { rules = [] } = review("rules-fail", padded, world);
  assert.equal(rules.length, RULES, "every rule applies");
  const rounds = Array.from({ length: plan.handlerRounds + 1 }, () => {
    const startMs = performance.now();
    let reviews = 0;
    while (performance.now() - startMs < WINDOW_MS) {
      review("rules-fail", padded, world);
      reviews += 1;
    }
    return ((reviews * RULES) / (performance.now() - startMs)) * 1_000;
  });
  const hostile = worldOf([compiled(ruleObject("nested-loop", NESTED_LOOP), Number.POSITIVE_INFINITY)]);
  const wide = withPorts(CUT_OFF_PORTS);
  const cutOff = Array.from({ length: CUT_OFF_ROUNDS }, () => {
    const before = process.cpuUsage();
    const verdict = review("rules-fail", wide, hostile);
    const { user, system } = process.cpuUsage(before);
    assert.equal(verdict.rules?.[0]?.outcome, "error", "the nested loop is cut off");
    return (user + system) / 1_000;
  });
  return {
    rules: RULES,
    serviceKB: JSON.stringify(padded).length / 1_000,
    // The first window compiles.
    evaluationsPerSecond: spread(rounds.slice(1)),
    cutOffMs: spread(cutOff),
    cutOffPorts: CUT_OFF_PORTS,
  };
}

const REQUEST = {
  nowMs: 0,
  uid: "bench",
  kind: { group: "", kind: "Service" },
  operation: "CREATE",
  namespace: SHOP,
} as const;

function compiled(object: KubernetesObject, costMax?: number): CompiledRule {
  const options = { kinds: { ruleKind: () => undefined }, excludedNamespaces: new Set<string>() };
  const { rule, findings } = compileRule(object, { ...options, ...(costMax !== undefined && { costMax }) });
  assert(rule !== undefined, `a rule of the benchmark compiles: ${JSON.stringify(findings)}`);
  return rule;
}

/** One namespace in enforce mode, with these rules and a policy that puts a breaker on what the benchmark creates. */
function worldOf(rules: readonly CompiledRule[]): World {
  const namespace = {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: SHOP,
      labels: { [MODE_LABEL]: "enforce" },
      annotations: { "linkerd.io/inject": "enabled" },
    },
  };
  const policy = {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name: "bench", namespace: SHOP },
    spec: { targetSelector: { matchLabels: { "app.kubernetes.io/part-of": BENCH_PRODUCT } }, circuitBreaker: {} },
  };
  const world = new FileWorld([namespace, policy], {
    unknownNamespaceMode: "enforce",
    mesh: undefined,
    meshVersion: parseMeshVersion(),
    excludedNamespaces: new Set(),
    clusterDomain: CLUSTER_DOMAIN,
    ruleLimits: SERVE_LIMITS,
  });
  world.accept(policy);
  return Object.assign(world, { rules: () => rules });
}

/** With an annotation that makes it so many bytes of JSON. */
export function withPadding(object: KubernetesObject, bytes: number): KubernetesObject {
  const { metadata } = object;
  const padding = "x".repeat(Math.max(0, bytes - JSON.stringify(object).length));
  return {
    ...object,
    metadata: { ...metadata, annotations: { ...metadata?.annotations, "example.com/notes": padding } },
  };
}

function withPorts(count: number): KubernetesObject {
  const ports = Array.from({ length: count }, (_, index) => ({ name: `p${index}`, port: 1_024 + index }));
  return { ...service("bench", BENCH_PRODUCT), spec: { ports } };
}
