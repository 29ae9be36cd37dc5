import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { annotationsOf, type KubernetesObject } from "../../src/core/kubernetes.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { gatewayApiCrdPaths, istioCrdPaths, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { RIGHTS_AUDIT_POLICY, type UsedRights, usedRights } from "./audited-rights.ts";
import { CHART, NAMESPACE } from "./chart-support.ts";
import { type Pod, Workloads } from "./pods.ts";
import { kubectl, REPORT_CRD } from "./support.ts";

interface Status {
  readonly observedGeneration?: number;
  readonly currentRevision?: string;
  readonly appliedCount?: number;
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

interface EventObject {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly involvedObject: { readonly kind: string; readonly name: string };
}

/** A control plane with a release of the chart, and pods that can be started as its Deployments say. */
export class ChartCluster {
  readonly cluster: ControlPlane;
  /** Of an administrator. */
  readonly client: KubernetesClient;
  readonly workloads: Workloads;
  /** Files of the test; removed at the end. */
  readonly directory: string;

  private constructor(parts: Pick<ChartCluster, "cluster" | "client" | "directory">) {
    this.cluster = parts.cluster;
    this.client = parts.client;
    this.directory = parts.directory;
    this.workloads = new Workloads(parts);
  }

  /** Installs the chart; no pod runs yet. `values` as `helm --set` has them. */
  static async install(values: string): Promise<ChartCluster> {
    const directory = await mkdtemp(join(tmpdir(), "fairlead-chart-"));
    await writeFile(join(directory, "audit-policy.yaml"), RIGHTS_AUDIT_POLICY);
    const cluster = await startControlPlane({
      crdPaths: [...(await gatewayApiCrdPaths()), ...(await linkerdCrdPaths()), REPORT_CRD, ...(await istioCrdPaths())],
      extraApiServerArgs: [
        `--audit-policy-file=${join(directory, "audit-policy.yaml")}`,
        `--audit-log-path=${join(directory, "audit.log")}`,
      ],
    });
    const client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
    const release = new ChartCluster({ cluster, client, directory });
    try {
      await release.run(`create namespace ${NAMESPACE}`);
      // As some GitOps tools make it, for rights that name single Secrets.
      await release.run(`create secret generic fairlead-path -n ${NAMESPACE}`);
      await release.helm("install", "fairlead", CHART, "--set", values);
      return release;
    } catch (error) {
      await release.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.workloads.stop();
    this.client.close();
    await this.cluster.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  async helm(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.cluster.helm([...args, "-n", NAMESPACE]);
    if (code !== 0) throw new Error(`helm ${args.join(" ")} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** kubectl, with the words of one string. */
  run(args: string, input?: object): Promise<string> {
    return kubectl(this.cluster, args.split(" "), input && JSON.stringify(input));
  }

  apply(...items: readonly object[]): Promise<string> {
    return this.run("apply -f -", { apiVersion: "v1", kind: "List", items });
  }

  /** What kubectl says when it must fail. */
  async refusal(args: string, input: object): Promise<string> {
    const { code, stderr } = await this.cluster.kubectl(args.split(" "), { input: JSON.stringify(input) });
    expect(code, stderr).toBe(1);
    return stderr;
  }

  async get<T = KubernetesObject>(args: string): Promise<T> {
    return JSON.parse(await this.run(`get ${args} -o json`)) as T;
  }

  async list<T = KubernetesObject>(args: string): Promise<readonly T[]> {
    return (await this.get<{ readonly items: readonly T[] }>(args)).items;
  }

  /** Waits until the newest spec of a policy is on `count` targets; returns its revision. */
  async whenApplied(namespace: string, name: string, count = 1): Promise<string> {
    let revision = "";
    await waitFor(`${name} to be applied`, async () => {
      const { metadata, status = {} } = await this.get<KubernetesObject & { readonly status?: Status }>(
        `rp ${name} -n ${namespace}`,
      );
      const isReady = status.conditions?.some((it) => it.type === "Ready" && it.status === "True") ?? false;
      revision = status.currentRevision ?? "";
      return isReady && status.observedGeneration === metadata?.generation && status.appliedCount === count;
    });
    return revision;
  }

  async whenAnnotated(namespace: string, service: string, annotation: Readonly<Record<string, string>>): Promise<void> {
    await waitFor(`${service} to have ${JSON.stringify(annotation)}`, async () => {
      const found = annotationsOf(await this.get(`service ${service} -n ${namespace}`));
      return Object.entries(annotation).every(([key, value]) => found[key] === value);
    });
  }

  /** Waits for an Event with exactly this text: `count type reason kind/name: message`. */
  async whenEvent(namespace: string, text: string): Promise<void> {
    let seen: readonly string[] = [];
    const isThere = async (): Promise<boolean> => {
      const events = await this.list<EventObject>(`events -n ${namespace}`);
      seen = events.map(
        ({ type, reason, message, count, involvedObject: { kind, name } }) =>
          `${count} ${type} ${reason} ${kind}/${name}: ${message}`,
      );
      return seen.includes(text);
    };
    // What is there in its place is shown.
    await waitFor("the Event", isThere, { timeoutMs: 10_000, intervalMs: 100 }).catch(() => undefined);
    expect(seen).toContain(text);
  }

  /** The controllers that say that they lead. */
  async leaders(): Promise<readonly Pod[]> {
    const controllers = this.workloads.of("controller");
    const answers = await Promise.all(controllers.map((pod) => pod.ask("/metrics")));
    return controllers.filter((_, index) => /^fairlead_leader 1$/m.test(answers[index] ?? ""));
  }

  /** What the two ServiceAccounts have asked so far. */
  usedRights(): Promise<UsedRights> {
    return usedRights(join(this.directory, "audit.log"));
  }
}
