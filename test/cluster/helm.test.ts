import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectCarries, expectClean, Session, service } from "./session.ts";

let session: Session;
let chart: string;
beforeAll(async () => {
  session = await Session.start();
  chart = join(session.directory, "users");
  await mkdir(join(chart, "templates"), { recursive: true });
  for (const [name, content] of Object.entries(FILES)) await writeFile(join(chart, name), content);
});
afterAll(() => session?.stop());

/** A chart that brings a Service and its policy together, as an application team would write it. */
const FILES = {
  "Chart.yaml": "{apiVersion: v2, name: users, version: 0.1.0}",
  "values.yaml": "{consecutiveFailures: 5, request: 2s500ms, port: 80, policy: true, annotations: {}}",
  "templates/service.yaml": `
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  annotations: {{ toJson .Values.annotations }}
spec:
  ports: [{name: http, port: {{ .Values.port }}}]
`,
  "templates/policy.yaml": `
{{- if .Values.policy }}
apiVersion: fairlead.dev/v1alpha1
kind: ResiliencePolicy
metadata: {name: {{ .Release.Name }}}
spec:
  targetRefs:
  - {kind: Service, name: {{ .Release.Name }}}
  - {kind: Service, name: older}
  circuitBreaker: {consecutiveFailures: {{ .Values.consecutiveFailures }}}
  timeout: {request: {{ .Values.request }}}
{{- end }}
`,
};

async function helm(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await session.cluster.helm([...args, "-n", "iam"], { timeoutMs: 100_000 });
  if (code !== 0) throw new Error(`helm ${args.join(" ")} ended with ${code}: ${stderr}`);
  await session.settled("iam");
  return stdout;
}

function keys(maxFailures: number, request: string): Record<string, string> {
  const accrual = "balancer.linkerd.io/failure-accrual";
  return {
    [accrual]: "consecutive",
    [`${accrual}-consecutive-max-failures`]: String(maxFailures),
    [`${accrual}-consecutive-min-penalty`]: "1000ms",
    [`${accrual}-consecutive-max-penalty`]: "60000ms",
    [`${accrual}-consecutive-jitter-ratio`]: "0.5",
    "timeout.linkerd.io/request": request,
  };
}

const HELM = { "meta.helm.sh/release-name": "users", "meta.helm.sh/release-namespace": "iam" };

/** The Service of the chart, and one beside it that only the policy of the chart speaks of. */
async function expectBoth(maxFailures: number, request: string): Promise<void> {
  const carried = { policy: "users", keys: keys(maxFailures, request) };
  expectCarries(await session.service("iam", "users"), { ...carried, people: HELM });
  expectCarries(await session.service("iam", "older"), carried);
}

test("a release with a Service and its policy is installed, upgraded, rolled back and uninstalled", async () => {
  await session.namespace("iam", "enforce");
  await session.kubectl("create -f -", service("iam", "older"));

  await helm("install", "users", chart);
  await expectBoth(5, "2500ms");

  await helm("upgrade", "users", chart, "--set", "consecutiveFailures=9,request=1s");
  await expectBoth(9, "1000ms");

  const before = await session.service("iam", "users");
  const writes = await session.audited("iam", "users");
  await helm("upgrade", "users", chart, "--reuse-values");
  expect(await session.service("iam", "users")).toEqual(before);
  expect(await session.audited("iam", "users")).toEqual(writes);

  await helm("upgrade", "users", chart, "--reuse-values", "--set", "port=8080");
  await expectBoth(9, "1000ms");
  expect(await session.service("iam", "users")).toMatchObject({ spec: { ports: [{ port: 8080 }] } });

  await helm("rollback", "users", "1");
  await expectBoth(5, "2500ms");
  expect(await session.service("iam", "users")).toMatchObject({ spec: { ports: [{ port: 80 }] } });

  await helm("upgrade", "users", chart, "--set", "policy=false");
  expectClean(await session.service("iam", "users"), HELM);
  expectClean(await session.service("iam", "older"));

  await helm("upgrade", "users", chart, "--reset-values");
  await expectBoth(5, "2500ms");

  await helm("uninstall", "users");
  expectClean(await session.service("iam", "older"));
  expect(await session.refused("get service,rp users -n iam")).toBe(
    'Error from server (NotFound): services "users" not found\nError from server (NotFound): resiliencepolicies.fairlead.dev "users" not found\n',
  );
});

test("a release that Linkerd would take otherwise than meant fails with Fairlead's words, and the one before stays in force", async () => {
  await session.namespace("wrong", "enforce");
  await session.cluster.helm(["install", "users", chart, "-n", "wrong"]);
  await session.settled("wrong");
  const before = await session.service("wrong", "users");
  const annotations = 'annotations={"retry.linkerd.io/http":"5xx, 429"}';
  const upgrade = ["upgrade", "users", chart, "-n", "wrong", "--set-json", annotations];
  const { code, stderr } = await session.cluster.helm(upgrade);
  expect([code, stderr]).toEqual([
    1,
    'Error: UPGRADE FAILED: cannot patch "users" with kind Service: admission webhook "services.fairlead.dev" denied the request: Service wrong/users cannot be accepted, 1 problem:\n' +
      '- retry.linkerd.io/http: Found item " 429" in "5xx, 429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, without spaces; Linkerd would drop every HTTP retry setting of this Service (FL401)\n' +
      '  fix: write "5xx,429"\n',
  ]);
  await session.settled("wrong");
  expect(await session.service("wrong", "users")).toEqual(before);
});
