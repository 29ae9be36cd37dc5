import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { LeaseTiming } from "../../src/k8s/lease-step.ts";
import {
  mutatingWebhookConfiguration,
  REGISTRATION_NAME,
  validatingWebhookConfiguration,
} from "../../src/core/admission/registration.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { LEASE_NAME } from "../../src/core/uninstall.ts";
import { KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { Secrets } from "../../src/k8s/secrets.ts";
import { WebhookConfigurations } from "../../src/k8s/webhook-configurations.ts";
import { type AdmissionRole, startAdmissionRole } from "../../src/roles/admission.ts";
import { admissionPaths } from "../../src/roles/path-secret.ts";
import { ADMISSIONS, CONTROLLERS, kubeconfigOf } from "./rights.ts";
import { serveConfig, startClusterWithCrds } from "./support.ts";

const OWN_NAMESPACE = "fairlead";
const LEASE_PATH = resourcePath({
  group: "coordination.k8s.io",
  version: "v1",
  resource: "leases",
  namespace: OWN_NAMESPACE,
  name: LEASE_NAME,
});

const AUDIT_POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  verbs: [create, update, patch, delete]
  userGroups: [fairlead-controller]
- level: None
`;

/** One write of a controller replica, as the API server's audit log has it. */
export interface ControllerWrite {
  readonly user: string;
  readonly verb: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly code: number;
  readonly resourceVersion: string;
}

/** Told to a controller replica: which signal it sends itself when so many more writes have been answered. */
export interface SignalAfter {
  readonly signal: "SIGKILL" | "SIGSTOP";
  readonly writes: number;
}

/** A controller replica that can be killed, stopped and continued. */
export class ControllerProcess {
  readonly name: string;
  leading = false;
  operationsUrl = "";
  readonly #process: ChildProcess;
  #armed = 0;

  constructor(name: string, config: object) {
    this.name = name;
    this.#process = spawn(process.execPath, [join(import.meta.dirname, "controller-child.ts")], {
      env: { ...process.env, CONTROLLER_CONFIG: JSON.stringify(config) },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#process.on("message", (message: { leading?: boolean; operationsUrl?: string; armed?: boolean }) => {
      this.leading = message.leading ?? this.leading;
      this.operationsUrl = message.operationsUrl ?? this.operationsUrl;
      if (message.armed) this.#armed += 1;
    });
  }

  get alive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Goes on after a SIGSTOP. */
  resume(): void {
    this.#process.kill("SIGCONT");
  }

  /** Dies or stops when this many more writes have been answered. */
  async signalAfter(signal: "SIGKILL" | "SIGSTOP", writes: number): Promise<void> {
    const before = this.#armed;
    this.#process.send({ signal, writes } satisfies SignalAfter);
    await waitFor(`${this.name} to be armed`, () => this.#armed > before);
  }

  async kill(): Promise<void> {
    if (!this.alive) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGCONT");
    this.#process.kill("SIGKILL");
    await exited;
  }

  async whenLeading(): Promise<void> {
    await waitFor(`${this.name} to lead`, () => {
      if (!this.alive) throw new Error(`${this.name} has ended`);
      return this.leading;
    });
  }
}

/** Fairlead as a cluster runs it: admission in this process, controllers as processes of their own. */
export class RolesCluster {
  readonly cluster: ControlPlane;
  readonly client: KubernetesClient;
  readonly #directory: string;
  readonly #lease: LeaseTiming;
  readonly #controllers: ControllerProcess[] = [];
  #admission: AdmissionRole | undefined;

  private constructor(parts: {
    cluster: ControlPlane;
    client: KubernetesClient;
    directory: string;
    lease: LeaseTiming;
  }) {
    this.cluster = parts.cluster;
    this.client = parts.client;
    this.#directory = parts.directory;
    this.#lease = parts.lease;
  }

  /** One controller leads, and the API server asks admission, when it resolves. */
  static async start(lease: LeaseTiming): Promise<{ readonly roles: RolesCluster; readonly first: ControllerProcess }> {
    const directory = await mkdtemp(join(tmpdir(), "fairlead-roles-"));
    await writeFile(join(directory, "audit-policy.yaml"), AUDIT_POLICY);
    const cluster = await startClusterWithCrds({
      extraApiServerArgs: [
        `--audit-policy-file=${join(directory, "audit-policy.yaml")}`,
        `--audit-log-path=${join(directory, "audit.log")}`,
      ],
    });
    const client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
    const roles = new RolesCluster({ cluster, client, directory, lease });
    try {
      const first = await roles.controller("controller-1");
      await first.whenLeading();
      await roles.#startAdmission();
      return { roles, first };
    } catch (error) {
      await roles.stop();
      throw error;
    }
  }

  /** Starts a replica under a user of its own, by which the audit log tells replicas apart. */
  async controller(name: string): Promise<ControllerProcess> {
    const kubeconfigPath = await kubeconfigOf(this.cluster, name, [CONTROLLERS]);
    const config = serveConfig({ kubeconfigPath }, { role: "controller", identity: name, lease: this.#lease });
    const child = new ControllerProcess(name, config);
    this.#controllers.push(child);
    await waitFor(`${name} to start`, () => {
      if (!child.alive) throw new Error(`${name} has ended; FAIRLEAD_TEST_LOG=info shows why`);
      return child.operationsUrl !== "";
    });
    return child;
  }

  /** What a leader that ends in peace does: the next one need not wait for the Lease of a dead one to expire. */
  async freeLease(): Promise<void> {
    await this.client.patch({ path: LEASE_PATH, type: "merge", body: { spec: { holderIdentity: "" } } });
  }

  /** Kills every controller replica, so that the next test starts its own. */
  async killControllers(): Promise<void> {
    await Promise.all(this.#controllers.map((child) => child.kill()));
  }

  /** Every write of controllers so far. */
  async writes(): Promise<readonly ControllerWrite[]> {
    const text = await readFile(join(this.#directory, "audit.log"), "utf8");
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => {
        const event = JSON.parse(line) as AuditEvent;
        const { resource, subresource = "", namespace = "", name = "" } = event.objectRef;
        return {
          user: event.user.username,
          verb: event.verb,
          resource,
          subresource,
          namespace,
          name: name || (event.requestObject?.metadata?.name ?? ""),
          code: event.responseStatus.code,
          resourceVersion: event.responseObject?.metadata?.resourceVersion ?? "",
        };
      });
  }

  async stop(): Promise<void> {
    await this.killControllers();
    await this.#admission?.stop();
    this.client.close();
    await this.cluster.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Does what the kubelet does for the pod: mounts the two Secrets as files, whole or not at all. */
  async #mountSecrets(): Promise<string> {
    const secrets = new Secrets(this.client, OWN_NAMESPACE);
    const files: Record<string, string> = {};
    await waitFor("the certificate of the leader", async () => {
      for (const name of ["fairlead-tls", "fairlead-path"]) Object.assign(files, (await secrets.read(name))?.data);
      return files["tls.crt"] !== undefined && files["path"] !== undefined;
    });
    const [written, mounted] = [join(this.#directory, "written"), join(this.#directory, "mounted")];
    await mkdir(written);
    for (const [name, text] of Object.entries(files)) await writeFile(join(written, name), text);
    await rename(written, mounted);
    return mounted;
  }

  async #startAdmission(): Promise<void> {
    const certificateDir = await this.#mountSecrets();
    const kubeconfigPath = await kubeconfigOf(this.cluster, "admission", [ADMISSIONS]);
    const config = serveConfig({ kubeconfigPath }, { role: "admission", certificateDir });
    this.#admission = await startAdmissionRole(config, pino({ level: process.env["FAIRLEAD_TEST_LOG"] ?? "silent" }));
    const path = (await readFile(join(certificateDir, "path"), "utf8")).trim();
    const caBundle = (await readFile(join(certificateDir, "ca.crt"))).toString("base64");
    const paths = admissionPaths(path);
    const configurations = new WebhookConfigurations(this.client, REGISTRATION_NAME, paths);
    const options = {
      clientConfig: { url: this.#admission.admissionUrl },
      paths,
      caBundle,
      fairleadNamespace: OWN_NAMESPACE,
    };
    await configurations.register(mutatingWebhookConfiguration(options));
    await configurations.register(validatingWebhookConfiguration(options));
  }
}

interface AuditEvent {
  readonly user: { readonly username: string };
  readonly verb: string;
  readonly objectRef: {
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly requestObject?: { readonly metadata?: { readonly name?: string } };
  readonly responseObject?: { readonly metadata?: { readonly resourceVersion?: string } };
  readonly responseStatus: { readonly code: number };
}
