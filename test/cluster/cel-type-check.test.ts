/**
 * What kube-controller-manager warns of in the status of a ValidatingAdmissionPolicy, our checker refuses, in the same
 * words; what it does not warn of, ours takes.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { readShape } from "../../src/core/rules/schema-shape.ts";
import { shapeType } from "../../src/core/rules/schema-types.ts";
import { SERVICE } from "../../src/core/rules/schemas/service.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { renderRuleSchemas } from "../../src/dev/rule-schemas.ts";
import { outcome } from "../rules/check-support.ts";
import { kubectl } from "./support.ts";

const EXPRESSIONS = [
  "object.spec.type == 'LoadBalancer'",
  "object.spec.replcas > 3",
  "object.spec.ports.all(p, p.port > 0)",
  "object.spec.ports.all(p, p.prot == 'TCP')",
  "object.spec.ports.all(p, p.port > 'a')",
  "object.spec.ports.exists(p, p.nme == 'http')",
  "object.spec.ports.exists_one(p, p.name == 1)",
  "object.spec.ports.filter(p, p.port > 80).all(p, p.nodeport > 1)",
  "object.spec.ports.map(p, p.port).exists(x, x == 'a')",
  "object.spec.ports[0].targetPort == 'http'",
  "object.spec.ports[0].targetPort.foo == 1",
  "object.spec.ports['a'].port == 1",
  "object.spec.ports[0].port + 'a' == ''",
  "object.spec.ports.port == 80",
  "object.spec.ports == oldObject.spec.ports",
  "object.spec.ports == oldObject.spec.type",
  "object.spec.ports == null",
  "object.spec == null",
  "has(object.spec.type)",
  "has(object.spec.typ)",
  "!has(object.spec.nodPorts)",
  "object.spec.?clusterIP.orValue('') == ''",
  "object.spec.?clusterIPp.orValue('') == ''",
  "object.spec.?clusterIP.orValue(1) == 1",
  "object.?spec.?ports[?0].?name.orValue('') == ''",
  "object.metadata.name.startsWith('a')",
  "object.metadata.name.startsWith(object.spec.ports)",
  "object.metadata.name == 1",
  "object.metadata.namespace == 'x'",
  "object.metadata.labels['app'] == 'x'",
  "object.metadata.labels['app'] == 1",
  "object.metadata.labels[1] == 'x'",
  "object.metadata.annotations.all(k, k.startsWith('a'))",
  "object.metadata.annotations.all(k, v, v > 1)",
  "'a' in object.metadata.annotations",
  "1 in object.metadata.annotations",
  "'a' in object.spec",
  "object.metadata.creationTimestamp < timestamp('2020-01-01T00:00:00Z')",
  "object.metadata.creationTimestamp.startsWith('2')",
  "timestamp(object.metadata.creationTimestamp) < timestamp('2020-01-01T00:00:00Z')",
  "object['spec'].type == 'x'",
  "object.spec.type.all(c, c == 'x')",
  "object.spec.type > 3",
  "object.spec.type.matches(object.spec.clusterIPs)",
  "object.spec.externalIPs.size() == 0 && object.spec.sessionAffinityConfig.clientIP.timeoutSeconds > 10",
  "object.spec.selector.size() > 0 ? object.spec.type == 'a' : object.spec.typo == 'a'",
  "object.status.loadBalancer.ingress.all(i, ip(i.ip).family() == 4)",
  "object.status.loadBalancer.ingress.all(i, i.hostname == '' || i.port == 1)",
  "has(object.spec.ports[0].prot)",
  "object.spec.?sessionAffinityConfg.hasValue()",
  "object.spec.?ports.orValue([])[0].nme == 'a'",
  "object.spec.ports.map(p, p.port) == ['a']",
  "object.spec.externalIPs == [1]",
  "object.spec.externalIPs + ['a'] == []",
  "object.spec.externalIPs + [1] == []",
  "1 in object.spec.externalIPs",
  "object.spec.selector == {'app': 1}",
  "object.spec.selector.all(k, object.spec.selector[k] > 1)",
  "object.spec.selector.exists(k, v, v == 1)",
  "object.spec.ports.map(p, p.nme).size() > 0",
  "object.spec.healthCheckNodePort.startsWith('3')",
  "object.spec.healthCheckNodePort == '30000'",
  "quantity(object.spec.healthCheckNodePort).isInteger()",
  "isIP(object.spec.externalIPs)",
  "duration(object.spec.ports) > duration('1s')",
  "sets.contains(object.spec.externalIPs, [1])",
  "object.spec.externalIPs.sum() == 1",
  "object.spec.type && true",
  "!object.spec.type",
  "oldObject.spec.replcas == 1",
];

/** What is wrong without knowing the kind; the API server does not store it. */
const REFUSED = [
  "object.spec.type.matches('[')",
  "object.spec.type.matches('a{2000}')",
  "object.spec.type.find('(') == ''",
  "duration('1 hour') > duration('1s')",
  "timestamp('2020-13-01') < timestamp('2020-01-01T00:00:00Z')",
  "int('a') == 1",
  "object.spec.type",
  "1 + 1",
  "'text'",
  "[1, 'a'].size() == 2",
  "{'a': 1, 'b': 'x'}.size() == 2",
  "objct.spec.type == 'a'",
  "variables.missing == 1",
  "params.a == 1",
  "object.spec.type.startWith('a')",
  "object.spec.ports.any(p, p.port == 1)",
  "'%s %d'.format(['a', 'b']) == ''",
  "'a'.size(1) == 1",
  "object.spec.type.split(1).size() > 0",
  "object.spec.type.substring('a') == ''",
  "object.spec.type.replace('a') == ''",
  "object.spec.type.find('[a-z]', 1) == ''",
  "cidr(object.spec.clusterIP).containsIP(1)",
  "object.spec.externalIPs.join(1) == ''",
  "object.spec.publishNotReadyAddresses ? 1 == 1 : object.spec.type",
];

/** Kubernetes stores these, and each of their runs is an error: only we read literals of its own types when a rule is written. */
const REFUSED_BY_US = [
  "quantity('1KB').isInteger()",
  "ip('1.2.3').family() == 4",
  "cidr('10.0.0.0/33').prefixLength() == 8",
  "url('::').getHost() == ''",
  "semver('1.x').major() == 1",
];

const POLICY = z.object({
  status: z.object({
    typeChecking: z.object({
      expressionWarnings: z.array(z.object({ fieldRef: z.string(), warning: z.string() })).default([]),
    }),
  }),
});
const OPENAPI = z.object({ components: z.object({ schemas: z.record(z.string(), z.unknown()) }) });

let controlPlane: ControlPlane;

beforeAll(async () => {
  controlPlane = await startControlPlane();
});

afterAll(async () => {
  await controlPlane?.stop();
});

test("the type checker of kube-controller-manager and ours agree on every expression", async () => {
  const policy = policyOf("checked", EXPRESSIONS);
  await kubectl(controlPlane, ["create", "--filename=-"], JSON.stringify(policy));
  const warned = await readWarnings();
  const variables = { object: shapeType(SERVICE, "Service"), oldObject: shapeType(SERVICE, "Service") };
  const ours = EXPRESSIONS.map((expression) => ({ expression, found: outcome(expression, { variables }) }));
  expect(ours).toEqual(
    EXPRESSIONS.map((expression, index) => {
      const warning = warned.get(`spec.validations[${index}].expression`);
      return { expression, found: warning ?? expect.not.stringContaining("ERROR") };
    }),
  );
  expect(warned.size).toBeGreaterThan(20);
});

function policyOf(name: string, expressions: readonly string[]) {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["services"] }],
      },
      validations: expressions.map((expression) => ({ expression })),
    },
  };
}

test("what the API server does not store is a problem for us too", async () => {
  const expressions = [...REFUSED, ...REFUSED_BY_US];
  const stored = await Promise.all(
    expressions.map(async (expression) => ((await isStored(expression)) ? [expression] : [])),
  );
  const variables = { object: shapeType(SERVICE, "Service"), oldObject: shapeType(SERVICE, "Service") };
  // A rule is refused for a problem, and for a result that is no bool.
  const taken = expressions.filter((expression) => outcome(expression, { variables, strictLiterals: true }) === "bool");
  expect({ stored: stored.flat(), taken }).toEqual({ stored: REFUSED_BY_US, taken: [] });
});

async function isStored(expression: string): Promise<boolean> {
  const input = JSON.stringify(policyOf("refused", [expression]));
  const args = ["create", "--dry-run=server", "--filename=-"];
  const { code, stderr } = await controlPlane.kubectl(args, { input });
  // Any other reason would say nothing about the expression.
  if (code !== 0) expect(stderr).toMatch(/is invalid: .*spec\.validations\[0\]\.expression: /s);
  return code === 0;
}

/** The warnings by field, without the kind before them and the number that the kind's type gets at random. */
async function readWarnings(): Promise<ReadonlyMap<string, string>> {
  let warnings: ReadonlyMap<string, string> | undefined;
  await waitFor(
    "the type checking of the policy",
    async () => {
      const text = await kubectl(controlPlane, ["get", "validatingadmissionpolicy", "checked", "--output=json"]);
      const { success, data } = POLICY.safeParse(JSON.parse(text));
      if (!success) return false;
      const texts = data.status.typeChecking.expressionWarnings.map(
        ({ fieldRef, warning }) =>
          [
            fieldRef,
            warning
              .replace("/v1, Kind=Service: ", "")
              .replace(/Service\d+/g, "Service")
              .trim(),
          ] as const,
      );
      warnings = new Map(texts);
      return true;
    },
    { timeoutMs: 60_000, intervalMs: 200 },
  );
  return warnings ?? new Map();
}

test("the shapes are those of the pinned Kubernetes and Gateway API; run node src/dev/rule-schemas.ts", async () => {
  for (const { path, text } of await renderRuleSchemas()) expect(readFileSync(path, "utf8"), path).toBe(text);
});

test("the OpenAPI document that the API server serves gives the same shape", async () => {
  const { components } = OPENAPI.parse(JSON.parse(await kubectl(controlPlane, ["get", "--raw=/openapi/v3/api/v1"])));
  expect(readShape(components.schemas["io.k8s.api.core.v1.Service"], components.schemas)).toEqual(SERVICE);
});
