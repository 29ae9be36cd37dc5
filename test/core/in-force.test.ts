import { describe, expect, test } from "vitest";
import type { Intent } from "../../src/core/intent/intent.ts";
import type { KubernetesObject, StringMap } from "../../src/core/kubernetes.ts";
import { linkerd } from "../../src/core/mesh/linkerd/linkerd.ts";
import type { InForce } from "../../src/core/mesh/mesh.ts";
import { targetKindOf } from "../../src/core/names.ts";
import { keyOf, namespace, service, worldOf } from "./worlds.ts";

const REQUEST = "timeout.linkerd.io/request";
const IDLE = "timeout.linkerd.io/idle";
const HTTP = "retry.linkerd.io/http";
const GRPC = "retry.linkerd.io/grpc";
const LIMIT = "retry.linkerd.io/limit";
const MODE = "balancer.linkerd.io/failure-accrual";
const MAX_FAILURES = "balancer.linkerd.io/failure-accrual-consecutive-max-failures";
const JITTER = "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio";

function inForce(object: KubernetesObject, others: readonly KubernetesObject[] = [], wanted: Intent = {}): InForce {
  const world = worldOf([namespace("enforce"), ...others]);
  const key = keyOf(object);
  const kind = targetKindOf(key.group, key.kind);
  if (kind === undefined) throw new Error(`${key.kind} is no target`);
  const context = { key, kind, object, namespace: world.namespace("iam"), version: world.defaults.meshVersion, world };
  return linkerd.inForce(context, wanted);
}

function route(annotations: StringMap, spec: Record<string, unknown> = {}, kind = "HTTPRoute"): KubernetesObject {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind,
    metadata: { name: "r", namespace: "iam", annotations },
    spec: { parentRefs: [{ group: "", kind: "Service", name: "user-service", port: 8080 }], ...spec },
  };
}

describe("in force on a Service", () => {
  test.each<readonly [what: string, StringMap, Intent]>([
    ["nothing without annotations", {}, {}],
    ["a timeout that a person wrote", { [REQUEST]: "2s" }, { timeout: { requestMs: 2_000 } }],
    ["no timeout of a group with a value that Linkerd drops", { [REQUEST]: "1m30s", [IDLE]: "5s" }, {}],
    [
      "a timeout beside a retry group that is dropped",
      { [REQUEST]: "2s", [HTTP]: "5xx, 429" },
      { timeout: { requestMs: 2_000 } },
    ],
    [
      "retries by both protocols, with what a limit of 0 means",
      { [HTTP]: "5xx,429", [GRPC]: "unavailable", [LIMIT]: "0" },
      { retry: { maxAttempts: 1, statusCodes: ["500-599", "429"], grpcCodes: ["unavailable"] } },
    ],
    [
      "a breaker with the defaults of what is absent",
      { [MODE]: "consecutive", [JITTER]: "0.25" },
      {
        circuitBreaker: {
          enabled: true,
          consecutiveFailures: 7,
          minPenaltyMs: 1_000,
          maxPenaltyMs: 60_000,
          jitterPercent: 25,
        },
      },
    ],
    ["no breaker that never opens", { [MODE]: "consecutive", [MAX_FAILURES]: "0" }, {}],
    ["no breaker without its mode", { [MAX_FAILURES]: "3" }, {}],
  ])("%s", (_what, annotations, settings) => {
    expect(inForce(service(annotations))).toEqual({ settings, inherited: {} });
  });

  test("nothing where Linkerd applies no policy, whatever the annotations say", () => {
    const headless = { ...service({ [REQUEST]: "2s" }), spec: { clusterIP: "None", ports: [{ port: 8080 }] } };
    expect(inForce(headless).settings).toEqual({});
    const profile = {
      apiVersion: "linkerd.io/v1alpha2",
      kind: "ServiceProfile",
      metadata: { name: "user-service.iam.svc.cluster.local", namespace: "iam" },
      spec: { routes: [{ name: "all", condition: { pathRegex: ".*" } }] },
    };
    expect(inForce(service({ [REQUEST]: "2s" }), [profile]).settings).toEqual({});
  });

  test("retries that had to leave the Service for its generated routes, as the policy has them", () => {
    const retry = { maxAttempts: 2, statusCodes: ["5xx"], grpcCodes: [] };
    const entry = { name: "orders", matches: [], retry: { maxAttempts: 0, statusCodes: [], grpcCodes: [] } };
    const wanted = { retry, routes: [entry] };
    const { settings } = inForce(service(), [], wanted);
    expect(settings).toEqual(wanted);
    expect(settings.retry).toBe(retry);
  });
});

describe("in force on a route", () => {
  const parent = service({ [REQUEST]: "2s", [IDLE]: "5s", [HTTP]: "5xx", [GRPC]: "unavailable" });

  test("what its Service has, with the Service as where it is from", () => {
    expect(inForce(route({}), [parent])).toEqual({
      settings: {
        timeout: { requestMs: 2_000, idleMs: 5_000 },
        retry: { maxAttempts: 1, statusCodes: ["500-599"], grpcCodes: [] },
      },
      inherited: { timeout: parent, retry: parent },
    });
  });

  test("gRPC codes only on a GRPCRoute", () => {
    const { settings } = inForce(route({}, {}, "GRPCRoute"), [parent]);
    expect(settings.retry).toEqual({ maxAttempts: 1, statusCodes: [], grpcCodes: ["unavailable"] });
  });

  test("a family of its own in place of the whole family of the Service", () => {
    expect(inForce(route({ [REQUEST]: "1s" }), [parent])).toEqual({
      settings: { timeout: { requestMs: 1_000 }, retry: { maxAttempts: 1, statusCodes: ["500-599"], grpcCodes: [] } },
      inherited: { retry: parent },
    });
  });

  test("nothing with one bad value, since Linkerd drops the route", () => {
    expect(inForce(route({ [REQUEST]: "1s", [HTTP]: "5xx, 429" }), [parent]).settings).toEqual({});
  });

  test("nothing without a Service as parent", () => {
    const spec = { parentRefs: [{ name: "user-service" }] };
    expect(inForce(route({ [REQUEST]: "1s" }, spec), [parent]).settings).toEqual({});
  });

  test("the longest timeout of its rules, and none where one rule has none", () => {
    const rules = (...requests: readonly (string | undefined)[]) => ({
      rules: requests.map((request) => (request === undefined ? {} : { timeouts: { request } })),
    });
    expect(inForce(route({}, rules("1s", "3s"))).settings).toEqual({ timeout: { requestMs: 3_000 } });
    expect(inForce(route({}, rules("1s", undefined))).settings).toEqual({});
    expect(inForce(route({}, rules("1s", undefined)), [parent]).settings.timeout).toEqual({ requestMs: 2_000 });
  });

  test("nothing of a Service that does not exist", () => {
    expect(inForce(route({})).settings).toEqual({});
  });
});
