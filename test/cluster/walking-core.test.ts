import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Fairlead } from "../../src/main.ts";
import { kubectl, startClusterWithCrds, startInProcess } from "./support.ts";

let cluster: ControlPlane;
let fairlead: Fairlead;

const POLICY = `
apiVersion: fairlead.dev/v1alpha1
kind: ResiliencePolicy
metadata: {name: user-service, namespace: iam}
spec:
  targetRefs: [{kind: Service, name: user-service}]
  circuitBreaker: {consecutiveFailures: 5}
  timeout: {request: 2s500ms}
`;

function service(name: string, annotations = "{}"): string {
  return `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: iam, annotations: ${annotations}}, spec: {ports: [{port: 80}]}}`;
}

beforeAll(async () => {
  cluster = await startClusterWithCrds();
  fairlead = await startInProcess(cluster);
  await kubectl(cluster, ["create", "namespace", "iam"]);
  await kubectl(cluster, ["label", "namespace", "iam", "fairlead.dev/mode=enforce"]);
});

afterAll(async () => {
  await fairlead?.stop();
  await cluster?.stop();
});

async function annotations(name: string): Promise<Record<string, string>> {
  const object = JSON.parse(await kubectl(cluster, ["get", "service", name, "-n", "iam", "-o", "json"]));
  return object.metadata.annotations ?? {};
}

describe("a real API server asks Fairlead", () => {
  test("a Service is injected in the write that creates it", async () => {
    await kubectl(cluster, ["apply", "-f", "-"], POLICY);
    await waitFor("the policy in the world", () => fairlead.store.policiesIn("iam").length === 1);
    await kubectl(cluster, ["create", "-f", "-"], service("user-service"));
    expect(await annotations("user-service")).toMatchObject({
      "balancer.linkerd.io/failure-accrual": "consecutive",
      "balancer.linkerd.io/failure-accrual-consecutive-max-failures": "5",
      "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": "1000ms",
      "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": "60000ms",
      "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio": "0.5",
      "timeout.linkerd.io/request": "2500ms",
    });
  });

  test("a value that Linkerd would drop is refused with the value that works", async () => {
    const manifest = service("bad", '{retry.linkerd.io/http: "5xx, 429"}');
    const { code, stderr } = await cluster.kubectl(["create", "-f", "-"], { input: manifest });
    expect(code).toBe(1);
    expect(stderr).toBe(
      'Error from server (Forbidden): error when creating "STDIN": admission webhook "services.fairlead.dev" denied the request: ' +
        "Service iam/bad cannot be accepted, 1 problem:\n" +
        '- retry.linkerd.io/http: Found item " 429" in "5xx, 429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, ' +
        "without spaces; Linkerd would drop every HTTP retry setting of this Service (FL401)\n" +
        '  fix: write "5xx,429"\n',
    );
  });

  test("a Service follows a policy that comes after it, and is clean again when the policy goes", async () => {
    await kubectl(cluster, ["create", "-f", "-"], service("late"));
    expect(await annotations("late")).toEqual({});
    await kubectl(cluster, ["apply", "-f", "-"], POLICY.replaceAll("user-service", "late"));
    await waitFor("injection", async () => (await annotations("late"))["timeout.linkerd.io/request"] === "2500ms");
    await kubectl(cluster, ["delete", "resiliencepolicy", "late", "-n", "iam"]);
    await waitFor("removal", async () => Object.keys(await annotations("late")).length === 0);
  });
});
