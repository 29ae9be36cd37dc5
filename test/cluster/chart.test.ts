import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ruleExceptionSpec } from "../../src/api/v1alpha1/rule-exception.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { structuralSchema } from "../../src/gen/structural.ts";
import { CHART, deploymentsIn, NAMESPACE, type Rendered, renderChart } from "./chart-support.ts";
import { kubectl } from "./support.ts";

let cluster: ControlPlane;
beforeAll(async () => {
  cluster = await startControlPlane({ controllerManager: false });
  await kubectl(cluster, ["create", "namespace", NAMESPACE]);
});
afterAll(() => cluster?.stop());

function named(objects: readonly Rendered[]): readonly string[] {
  return objects.map(({ kind, metadata }) => `${kind} ${metadata?.name}`).sort();
}

function find(objects: readonly Rendered[], name: string): Rendered | undefined {
  return objects.find(({ kind, metadata }) => `${kind} ${metadata?.name}` === name);
}

const FLAGS = [
  "--namespace=fairlead",
  "--operations-port=8080",
  "--log-level=info",
  "--rule-cost-limit=80000",
  "--request-cost-limit=150000",
];
const AUDIT = ["--audit-period=1h"];
const LEASE = ["--lease-duration=15s", "--lease-renew-deadline=10s", "--lease-retry-period=2s"];
const CERTIFICATE_DIRECTORY = "/etc/fairlead/certificates";

const ALWAYS = [
  "ClusterRole fairlead-admission",
  "ClusterRole fairlead-controller",
  "ClusterRole fairlead-policy-edit",
  "ClusterRole fairlead-policy-view",
  "ClusterRole fairlead-rule-admin",
  "ClusterRole fairlead-rule-view",
  "ClusterRoleBinding fairlead-admission",
  "ClusterRoleBinding fairlead-controller",
  "CustomResourceDefinition admissionrules.fairlead.dev",
  "CustomResourceDefinition resiliencepolicies.fairlead.dev",
  "CustomResourceDefinition ruleexceptions.fairlead.dev",
  "Deployment fairlead-admission",
  "Deployment fairlead-controller",
  "MutatingWebhookConfiguration fairlead",
  "PodDisruptionBudget fairlead-admission",
  "PodDisruptionBudget fairlead-controller",
  "Role fairlead-admission",
  "Role fairlead-controller",
  "RoleBinding fairlead-admission",
  "RoleBinding fairlead-controller",
  "Service fairlead-admission",
  "Service fairlead-controller",
  "ServiceAccount fairlead-admission",
  "ServiceAccount fairlead-controller",
  "ValidatingWebhookConfiguration fairlead",
];
const MODE_GUARD = [
  "ClusterRole fairlead-mode-admin",
  "ValidatingAdmissionPolicy fairlead-mode-guard",
  "ValidatingAdmissionPolicyBinding fairlead-mode-guard",
];
const EXEMPT_GUARD = [
  "ClusterRole fairlead-exempt-admin",
  "ValidatingAdmissionPolicy fairlead-exempt-guard",
  "ValidatingAdmissionPolicyBinding fairlead-exempt-guard",
];
const SECTION_GUARD = [
  "ClusterRole fairlead-change-authorization",
  "ClusterRole fairlead-change-mtls",
  "ClusterRole fairlead-inject-faults",
  "ClusterRole fairlead-limit-requests",
  "ValidatingAdmissionPolicy fairlead-section-guard",
  "ValidatingAdmissionPolicyBinding fairlead-section-guard",
];
const GUARDS = [...MODE_GUARD, ...EXEMPT_GUARD, ...SECTION_GUARD];
const SELF_MANAGED = ["Role fairlead-controller-certificates", "RoleBinding fairlead-controller-certificates"];

describe("what the chart renders", () => {
  test("with the default values: two roles, each with its own flags, account and volumes", async () => {
    const objects = await renderChart(cluster);
    expect(named(objects)).toEqual([...ALWAYS, ...GUARDS, ...SELF_MANAGED].sort());
    expect(deploymentsIn(objects)).toEqual([
      {
        name: "fairlead-admission",
        namespace: "fairlead",
        serviceAccount: "fairlead-admission",
        args: ["serve", "--role=admission", ...FLAGS, "--port=8443", `--certificate-dir=${CERTIFICATE_DIRECTORY}`],
        env: {},
        fieldEnv: {},
        mounts: {
          [CERTIFICATE_DIRECTORY]: [
            {
              kind: "Secret",
              name: "fairlead-tls",
              optional: true,
              files: { "tls.crt": "tls.crt", "tls.key": "tls.key", "ca.crt": "ca.crt" },
            },
            { kind: "Secret", name: "fairlead-path", optional: true, files: { path: "path" } },
          ],
        },
      },
      {
        name: "fairlead-controller",
        namespace: "fairlead",
        serviceAccount: "fairlead-controller",
        args: ["serve", "--role=controller", ...FLAGS, "--certificates=self-managed", ...AUDIT, ...LEASE],
        env: {},
        fieldEnv: { POD_NAME: "metadata.name" },
        mounts: {},
      },
    ]);
  });

  test("pods that are allowed nothing, spread over nodes and zones, and never all away at once", async () => {
    const objects = await renderChart(cluster);
    for (const role of ["admission", "controller"]) {
      expect(find(objects, `Deployment fairlead-${role}`)).toMatchObject({
        spec: {
          replicas: 2,
          template: {
            spec: {
              priorityClassName: "system-cluster-critical",
              securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
              terminationGracePeriodSeconds: 30,
              topologySpreadConstraints: [
                { topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "ScheduleAnyway" },
                { topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway" },
              ],
              containers: [
                {
                  image: "fairlead:0.1.0",
                  securityContext: {
                    allowPrivilegeEscalation: false,
                    readOnlyRootFilesystem: true,
                    capabilities: { drop: ["ALL"] },
                  },
                  livenessProbe: { httpGet: { path: "/livez", port: "operations" } },
                  readinessProbe: { httpGet: { path: "/readyz", port: "operations" } },
                  startupProbe: { httpGet: { path: "/livez", port: "operations" } },
                  resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { memory: "512Mi" } },
                },
              ],
            },
          },
        },
      });
      expect(find(objects, `PodDisruptionBudget fairlead-${role}`)).toMatchObject({
        spec: {
          maxUnavailable: 1,
          selector: {
            matchLabels: {
              "app.kubernetes.io/name": "fairlead",
              "app.kubernetes.io/instance": "fairlead",
              "app.kubernetes.io/component": role,
            },
          },
        },
      });
    }
  });

  test("the flags of mesh, rules, log and leases, an image by digest, and no priority class", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const values =
      "mesh=linkerd,meshVersion=2.18,logLevel=debug,priorityClassName=,controller.leaseDuration=30s,rules.requestCostLimit=2000000";
    const objects = await renderChart(cluster, [
      "--set",
      `${values},image.repository=hub/fairlead,image.digest=${digest}`,
    ]);
    const shared = ["--namespace=fairlead", "--operations-port=8080", "--log-level=debug"];
    const [admission, controller] = deploymentsIn(objects);
    const limits = ["--rule-cost-limit=80000", "--request-cost-limit=2000000"];
    expect(admission?.args.slice(2, 9)).toEqual([...shared, ...limits, "--mesh=linkerd", "--mesh-version=2.18"]);
    expect(controller?.args.at(-3)).toBe("--lease-duration=30s");
    const { template } = (find(objects, "Deployment fairlead-admission")?.spec ?? {}) as { template?: unknown };
    expect(template).toMatchObject({ spec: { containers: [{ image: `hub/fairlead@${digest}` }] } });
    expect(template).not.toHaveProperty("spec.priorityClassName");
  });

  test("variables of one's own for both roles", async () => {
    const env = 'env=[{"name":"OTEL_EXPORTER_OTLP_ENDPOINT","value":"http://collector:4318"}]';
    const deployments = deploymentsIn(await renderChart(cluster, ["--set-json", env]));
    expect(deployments.map((deployment) => [deployment.env, deployment.fieldEnv])).toEqual([
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }, {}],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }, { POD_NAME: "metadata.name" }],
    ]);
  });

  test("a client CA is mounted and named", async () => {
    const [admission] = deploymentsIn(await renderChart(cluster, ["--set", "admission.clientCA=api-server-ca"]));
    expect(admission?.args.at(-1)).toBe("--client-ca=/etc/fairlead/client-ca/ca.crt");
    expect(admission?.mounts["/etc/fairlead/client-ca"]).toEqual([
      { kind: "ConfigMap", name: "api-server-ca", optional: false, files: undefined },
    ]);
  });

  test("a NetworkPolicy lets only the API server reach the admission port", async () => {
    const values = "networkPolicy.enabled=true,networkPolicy.apiServerCIDRs={172.16.0.0/28,fd00::/64}";
    const objects = await renderChart(cluster, ["--set", values]);
    expect(find(objects, "NetworkPolicy fairlead-admission")?.spec).toMatchObject({
      policyTypes: ["Ingress"],
      ingress: [
        {
          ports: [{ port: "admission" }],
          from: [{ ipBlock: { cidr: "172.16.0.0/28" } }, { ipBlock: { cidr: "fd00::/64" } }],
        },
        { ports: [{ port: "operations" }] },
      ],
    });
    const scraped = "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring";
    const limited = await renderChart(cluster, ["--set", values, "--set", scraped]);
    expect(find(limited, "NetworkPolicy fairlead-controller")?.spec).toMatchObject({
      ingress: [
        {
          ports: [{ port: "operations" }],
          from: [{ namespaceSelector: { matchLabels: { team: "monitoring" } } }],
        },
      ],
    });
  });

  test("without a guard neither its policy nor its ClusterRole", async () => {
    const objects = await renderChart(cluster, ["--set", "modeGuard.enabled=false"]);
    expect(named(objects)).toEqual([...ALWAYS, ...EXEMPT_GUARD, ...SECTION_GUARD, ...SELF_MANAGED].sort());
    const others = await renderChart(cluster, ["--set", "exemptGuard.enabled=false,sectionGuard.enabled=false"]);
    expect(named(others)).toEqual([...ALWAYS, ...MODE_GUARD, ...SELF_MANAGED].sort());
  });

  test("the exempt guard asks for the right to every rule that an exception can name", async () => {
    const guard = find(await renderChart(cluster), "ValidatingAdmissionPolicy fairlead-exempt-guard");
    const { validations = [] } = (guard?.spec ?? {}) as {
      readonly validations?: readonly { readonly expression: string }[];
    };
    const { maxItems } = structuralSchema(ruleExceptionSpec.shape.rules, "rules");
    expect(validations.map(({ expression }) => /rules\[(\d+)\]/.exec(expression)?.[1])).toEqual(
      Array.from({ length: Number(maxItems) }, (_, index) => String(index)),
    );
  });

  test("with cert-manager: its objects, its CA in both configurations, and no right to a key", async () => {
    const objects = await renderChart(cluster, ["--set", "certManager.enabled=true"]);
    const made = [
      "Certificate fairlead-cert-manager-ca",
      "Certificate fairlead-tls",
      "Issuer fairlead",
      "Issuer fairlead-self-signed",
    ];
    expect(named(objects)).toEqual([...ALWAYS, ...GUARDS, ...made].sort());
    expect(find(objects, "Certificate fairlead-tls")?.spec).toMatchObject({
      secretName: "fairlead-tls",
      dnsNames: ["fairlead-admission.fairlead.svc", "localhost"],
      issuerRef: { group: "cert-manager.io", kind: "Issuer", name: "fairlead" },
    });
    for (const kind of ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]) {
      expect(find(objects, `${kind} fairlead`)?.metadata?.annotations).toEqual({
        "cert-manager.io/inject-ca-from": "fairlead/fairlead-tls",
      });
    }
    expect(deploymentsIn(objects)[1]?.args).toContain("--certificates=external");
  });

  test("with an issuer of one's own only the serving certificate", async () => {
    const values =
      "certManager.enabled=true,certManager.issuerRef.name=corporate,certManager.issuerRef.kind=ClusterIssuer";
    const objects = await renderChart(cluster, ["--set", values]);
    expect(named(objects)).toEqual([...ALWAYS, ...GUARDS, "Certificate fairlead-tls"].sort());
    expect(find(objects, "Certificate fairlead-tls")?.spec).toMatchObject({
      issuerRef: { group: "cert-manager.io", kind: "ClusterIssuer", name: "corporate" },
    });
  });
});

test.each<readonly [string, string]>([
  ["admission.replica=3", "at '/admission': additional properties 'replica' not allowed"],
  ["admission.replicas=0", "at '/admission/replicas': minimum: got 0, want 1"],
  ["failurePolicy.services=fail", "at '/failurePolicy/services': value must be one of 'Ignore', 'Fail'"],
  ["networkPolicy.enabled=true", "at '/networkPolicy/apiServerCIDRs': minItems: got 0, want 1"],
  ["image.repository=", "at '/image/repository': minLength: got 0, want 1"],
  ["controller.leaseDuration=15", "at '/controller/leaseDuration': got number, want string"],
])("the schema refuses %s", async (values, problem) => {
  const { code, stderr } = await cluster.helm(["template", "fairlead", CHART, "--set", values]);
  expect([code, stderr]).toEqual([
    1,
    `Error: values don't meet the specifications of the schema(s) in the following chart(s):\nfairlead:\n- ${problem}\n\n`,
  ]);
});

test.each([
  "",
  "networkPolicy.enabled=true,networkPolicy.apiServerCIDRs={172.16.0.0/28},admission.clientCA=ca,failurePolicy.routes=Fail",
  "image.pullSecrets={hub},nodeSelector.pool=system,tolerations[0].operator=Exists,priorityClassName=",
])("the API server accepts every object with the values %j", async (values) => {
  const { stdout } = await cluster.helm(["template", "fairlead", CHART, "-n", NAMESPACE, "--set", values]);
  const applied = await kubectl(cluster, ["apply", "--dry-run=server", "--validate=strict", "-f", "-"], stdout);
  const lines = applied.trimEnd().split("\n");
  expect(lines.filter((line) => !line.endsWith(" created (server dry run)"))).toEqual([]);
  expect(lines.length).toBe((await renderChart(cluster, ["--set", values])).length);
});
