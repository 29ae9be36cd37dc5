import { NO_TRACING } from "../../src/observe/tracing.ts";
import { Buffer } from "node:buffer";
import forge from "node-forge";
import { type AdmissionDeps, answer, type Call } from "../../src/http/admission.ts";
import { ALLOWED, type Verdict } from "../../src/core/admission/review.ts";
import type { World } from "../../src/core/world.ts";
import { createAuthority, type PemPair, signLeaf } from "../../src/controller/certificate-material.ts";
import { type AdmissionServer, type AdmissionServerOptions, startAdmissionServer } from "../../src/http/server.ts";
import { createLog } from "../../src/observe/log.ts";
import { createMetrics, type Metrics } from "../../src/observe/metrics.ts";

export const UID = "705ab4f5-6393-11e8-b7cc-42010a800002";
/** When the reviews of tests are answered: 2026-11-26T12:00:00Z. */
export const REVIEWED_MS = Date.UTC(2026, 10, 26, 12);
export const SECRET = "0123456789abcdef0123456789abcdef";

/** A review as kube-apiserver 1.36 sends it for `kubectl apply` of a Service, shortened only in managedFields. */
export function serviceReview(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  const service = {
    kind: "Service",
    apiVersion: "v1",
    metadata: {
      name: "user-service",
      namespace: "iam",
      uid: "c9c6c1b4-1f2e-4d5e-9a55-2f1f1a3f0c11",
      creationTimestamp: "2026-11-21T10:00:00Z",
      labels: { "app.kubernetes.io/name": "user-service", team: "iam" },
      annotations: { "kubectl.kubernetes.io/last-applied-configuration": '{"apiVersion":"v1","kind":"Service"}\n' },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name: "user-service", uid: "1" }],
      managedFields: [
        {
          manager: "kubectl-client-side-apply",
          operation: "Update",
          apiVersion: "v1",
          time: "2026-11-21T10:00:00Z",
          fieldsType: "FieldsV1",
          fieldsV1: { "f:metadata": { "f:labels": { ".": {}, "f:team": {} } }, "f:spec": { "f:ports": { ".": {} } } },
        },
      ],
    },
    spec: { ports: [{ name: "http", protocol: "TCP", port: 80, targetPort: 8080 }], type: "ClusterIP" },
    status: { loadBalancer: {} },
  };
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: UID,
      kind: { group: "", version: "v1", kind: "Service" },
      resource: { group: "", version: "v1", resource: "services" },
      requestKind: { group: "", version: "v1", kind: "Service" },
      requestResource: { group: "", version: "v1", resource: "services" },
      name: "user-service",
      namespace: "iam",
      operation: "CREATE",
      userInfo: { username: "kubernetes-admin", groups: ["system:authenticated"] },
      object: service,
      oldObject: null,
      dryRun: false,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1", fieldManager: "kubectl-client-side-apply" },
      ...overrides,
    },
  };
}

/** No traces, no controller. */
export const UNTRACED = {
  tracing: NO_TRACING,
  traces: { policyTrace: NO_TRACING.policyTrace, traceOf: () => undefined },
  controllerUser: "system:serviceaccount:fairlead:fairlead-controller",
} as const;

export function call(value: unknown): Call {
  return { body: bytes(value) };
}

export function bytes(value: unknown): Buffer {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
}

/** No world is looked at in these tests: `decide` is a stub. */
export const NO_WORLD = {} as World;

export function testMetrics(): Metrics {
  return createMetrics({
    knownKinds: [{ group: "", kind: "Service" }],
    meshVersions: () => [],
    stalenessSeconds: () => [["Service", 2]],
    certificateNotAfterMs: () => undefined,
    nowMs: () => 0,
    processMetrics: false,
  });
}

export interface Rig {
  readonly deps: AdmissionDeps;
  /** Parsed log lines. */
  readonly lines: Record<string, unknown>[];
}

export function rig(decide: AdmissionDeps["decide"] = () => ALLOWED): Rig {
  const lines: Record<string, unknown>[] = [];
  const { log } = createLog({
    level: "debug",
    destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  return {
    deps: {
      decide,
      world: NO_WORLD,
      log,
      metrics: testMetrics(),
      monotonicMs: () => performance.now(),
      nowMs: () => REVIEWED_MS,
      ...UNTRACED,
    },
    lines,
  };
}

export function verdict(overrides: Partial<Verdict>): Verdict {
  return { ...ALLOWED, ...overrides };
}

export interface TestAuthority {
  readonly authority: PemPair;
  readonly leaf: PemPair;
}

export async function testCertificates(): Promise<TestAuthority> {
  const nowMs = Date.now();
  const authority = await createAuthority(nowMs);
  return { authority, leaf: await signLeaf(authority, { names: ["localhost", "127.0.0.1"], nowMs }) };
}

/** A real TLS server on a free port of the loopback address, with the real handler behind it. */
export async function startTestServer(
  certificates: TestAuthority,
  options: Partial<AdmissionServerOptions> & { readonly rig?: Rig } = {},
): Promise<AdmissionServer> {
  const { deps } = options.rig ?? rig();
  return startAdmissionServer({
    ...certificates.leaf,
    port: 0,
    host: "127.0.0.1",
    pathSecret: SECRET,
    answer: (door, call) => answer(door, call, deps),
    log: deps.log,
    metrics: deps.metrics,
    ...options,
  });
}

/** A client certificate: what an API server presents when its AdmissionConfiguration says so. */
export async function signClient(authority: PemPair, commonName: string): Promise<PemPair> {
  const { certPem, keyPem } = await signLeaf(authority, { names: [commonName], nowMs: Date.now() });
  const certificate = forge.pki.certificateFromPem(certPem);
  certificate.setSubject([{ name: "commonName", value: commonName }]);
  certificate.setExtensions([{ name: "extKeyUsage", clientAuth: true }]);
  certificate.sign(forge.pki.privateKeyFromPem(authority.keyPem), forge.md.sha256.create());
  return { certPem: forge.pki.certificateToPem(certificate), keyPem };
}
