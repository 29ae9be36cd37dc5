import { describe, expect, test } from "vitest";
import {
  mutatingWebhookConfiguration,
  type RegistrationOptions,
  validatingWebhookConfiguration,
  type Webhook,
} from "../../src/core/admission/registration.ts";
import { EXCLUDED_NAMESPACES } from "../../src/core/names.ts";

const OPTIONS: RegistrationOptions = {
  clientConfig: { service: { name: "fairlead-admission", namespace: "mesh-ops", port: 8443 } },
  paths: { mutate: "/m-1", validate: "/v-1" },
  caBundle: "Q0E=",
  fairleadNamespace: "mesh-ops",
};

function all(options: RegistrationOptions = OPTIONS): Webhook[] {
  return [...mutatingWebhookConfiguration(options).webhooks, ...validatingWebhookConfiguration(options).webhooks];
}

function named(name: string, options?: RegistrationOptions): Webhook {
  const found = all(options).find((webhook) => webhook.name === name);
  if (found === undefined) throw new Error(`no webhook ${name}`);
  return found;
}

const notExcluded = {
  key: "kubernetes.io/metadata.name",
  operator: "NotIn",
  values: [...EXCLUDED_NAMESPACES, "mesh-ops"],
};

describe("every webhook", () => {
  test("comes in a stable order under stable names", () => {
    expect(mutatingWebhookConfiguration(OPTIONS).metadata.name).toBe("fairlead");
    expect(validatingWebhookConfiguration(OPTIONS).metadata.name).toBe("fairlead");
    expect(all().map((webhook) => [webhook.name, webhook.failurePolicy, webhook.reinvocationPolicy])).toEqual([
      ["services.inject.fairlead.dev", "Ignore", "IfNeeded"],
      ["routes.inject.fairlead.dev", "Ignore", "IfNeeded"],
      ["policies.fairlead.dev", "Fail", undefined],
      ["admission-rules.fairlead.dev", "Fail", undefined],
      ["rule-exceptions.fairlead.dev", "Fail", undefined],
      ["services.fairlead.dev", "Ignore", undefined],
      ["routes.fairlead.dev", "Ignore", undefined],
    ]);
    expect(JSON.stringify(all())).toBe(JSON.stringify(all()));
  });

  test.each(all().map((webhook) => [webhook.name, webhook] as const))("%s is harmless and quick", (_, webhook) => {
    expect(webhook).toMatchObject({
      sideEffects: "None",
      timeoutSeconds: 3,
      matchPolicy: "Equivalent",
      admissionReviewVersions: ["v1"],
    });
    for (const rule of webhook.rules) {
      expect(rule.operations).toEqual(["CREATE", "UPDATE"]);
      // Nothing of the cluster itself but what is ours.
      expect(rule.scope).toBe(rule.resources.includes("admissionrules") ? "Cluster" : "Namespaced");
      expect(rule.resources.filter((resource) => /[/*]/.test(resource))).toEqual([]);
    }
    expect(webhook.namespaceSelector.matchExpressions).toContainEqual(notExcluded);
  });
});

describe("what is sent", () => {
  test("Services and routes only from namespaces with a mode", () => {
    const opted = all().filter((webhook) =>
      webhook.namespaceSelector.matchExpressions.some(
        (expression) => expression.key === "fairlead.dev/mode" && expression.operator === "Exists",
      ),
    );
    expect(opted.map((webhook) => webhook.name)).toEqual([
      "services.inject.fairlead.dev",
      "routes.inject.fairlead.dev",
      "services.fairlead.dev",
      "routes.fairlead.dev",
    ]);
  });

  test.each([
    ["policies.fairlead.dev", "resiliencepolicies"],
    ["admission-rules.fairlead.dev", "admissionrules"],
    ["rule-exceptions.fairlead.dev", "ruleexceptions"],
  ])("to %s %s from everywhere, when they are new or their spec changes", (name, resource) => {
    const webhook = named(name);
    expect(webhook.rules.map(({ apiGroups, resources }) => [apiGroups, resources])).toEqual([
      [["fairlead.dev"], [resource]],
    ]);
    expect(webhook.namespaceSelector.matchExpressions).toEqual([notExcluded]);
    expect(webhook.matchConditions?.map((condition) => condition.expression)).toEqual([
      'request.operation == "CREATE" || object.spec != oldObject.spec',
    ]);
  });

  test.each(["routes.inject.fairlead.dev", "routes.fairlead.dev"])("routes of every version to %s", (name) => {
    expect(named(name).rules.map((rule) => [rule.apiGroups, rule.apiVersions, rule.resources])).toEqual([
      [["gateway.networking.k8s.io"], ["*"], ["httproutes", "grpcroutes"]],
      [["policy.linkerd.io"], ["*"], ["httproutes"]],
    ]);
  });

  test("an own namespace that is excluded anyway is named once", () => {
    const options = { ...OPTIONS, fairleadNamespace: "linkerd" };
    const [expression] = named("policies.fairlead.dev", options).namespaceSelector.matchExpressions;
    expect(expression?.values).toEqual(EXCLUDED_NAMESPACES);
  });
});

describe("where it is sent", () => {
  test("to a Service, mutating and validating on their own paths", () => {
    const service = { name: "fairlead-admission", namespace: "mesh-ops", port: 8443 };
    expect(named("services.inject.fairlead.dev").clientConfig).toEqual({
      service: { ...service, path: "/m-1" },
      caBundle: "Q0E=",
    });
    expect(named("services.fairlead.dev").clientConfig).toEqual({
      service: { ...service, path: "/v-1" },
      caBundle: "Q0E=",
    });
  });

  test("to a URL in development, with or without a slash at its end", () => {
    for (const url of ["https://127.0.0.1:9443", "https://127.0.0.1:9443/"]) {
      const { clientConfig } = named("routes.fairlead.dev", { ...OPTIONS, clientConfig: { url } });
      expect(clientConfig).toEqual({ url: "https://127.0.0.1:9443/v-1", caBundle: "Q0E=" });
    }
  });

  test("without caBundle where the controller fills it in", () => {
    const { caBundle: _, ...options } = OPTIONS;
    expect(all(options).filter((webhook) => "caBundle" in webhook.clientConfig)).toEqual([]);
  });
});

test("the failure policy of Services and routes is chosen apart, and only where nothing is injected", () => {
  const options = { ...OPTIONS, failurePolicy: { services: "Fail" } } as const;
  const failing = all(options).filter((webhook) => webhook.failurePolicy === "Fail");
  expect(failing.map(({ name }) => name)).toEqual([
    "policies.fairlead.dev",
    "admission-rules.fairlead.dev",
    "rule-exceptions.fairlead.dev",
    "services.fairlead.dev",
  ]);
});
