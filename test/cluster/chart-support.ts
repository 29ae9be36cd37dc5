import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";

export const CHART = join(import.meta.dirname, "..", "..", "charts", "fairlead");
export const NAMESPACE = "fairlead";

/** Where the files of one volume come from: a projected volume has several. */
export interface VolumeSource {
  readonly kind: "Secret" | "ConfigMap";
  readonly name: string;
  readonly optional: boolean;
  /** File by key; undefined: every key under its own name. */
  readonly files: Readonly<Record<string, string>> | undefined;
}

/** What the kubelet would start a container of a Deployment with. */
export interface RenderedDeployment {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly args: readonly string[];
  /** Plain values by name. */
  readonly env: Readonly<Record<string, string>>;
  /** Variables that the kubelet fills in, by name: `POD_NAME: metadata.name`. */
  readonly fieldEnv: Readonly<Record<string, string>>;
  /** By mount path. */
  readonly mounts: Readonly<Record<string, readonly VolumeSource[]>>;
}

/** The objects of the chart, as `helm template` prints them. */
export async function renderChart(cluster: ControlPlane, flags: readonly string[] = []): Promise<readonly Rendered[]> {
  const { code, stdout, stderr } = await cluster.helm(["template", "fairlead", CHART, "-n", NAMESPACE, ...flags]);
  if (code !== 0) throw new Error(`helm template ${flags.join(" ")} ended with ${code}: ${stderr}`);
  return parseAllDocuments(stdout, { version: "1.1" })
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null);
}

/** How each Deployment among the objects starts its container. */
export function deploymentsIn(objects: readonly Rendered[]): readonly RenderedDeployment[] {
  return objects.filter((object) => object.kind === "Deployment").map((object) => startOf(object as Deployment));
}

/** An object of the chart; tests look into it by `toMatchObject`. */
export type Rendered = KubernetesObject & { readonly spec?: unknown };

interface Items {
  readonly items?: readonly { readonly key: string; readonly path: string }[];
  readonly optional?: boolean;
}

interface Volume {
  readonly name: string;
  readonly secret?: Items & { readonly secretName: string };
  readonly configMap?: Items & { readonly name: string };
  readonly projected?: {
    readonly sources: readonly {
      readonly secret?: Items & { readonly name: string };
      readonly configMap?: Items & { readonly name: string };
    }[];
  };
}

interface Deployment extends KubernetesObject {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly volumes?: readonly Volume[];
        readonly containers: readonly {
          readonly args?: readonly string[];
          readonly env?: readonly {
            readonly name: string;
            readonly value?: string;
            readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
          }[];
          readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
        }[];
      };
    };
  };
}

function startOf({ metadata, spec }: Deployment): RenderedDeployment {
  const pod = spec.template.spec;
  const [container, ...others] = pod.containers;
  if (container === undefined || others.length > 0) throw new Error(`Found ${pod.containers.length} containers`);
  const volumes = new Map(pod.volumes?.map((volume) => [volume.name, sourcesOf(volume)]));
  const env = container.env ?? [];
  return {
    name: metadata?.name ?? "",
    namespace: metadata?.namespace ?? "",
    serviceAccount: pod.serviceAccountName,
    args: container.args ?? [],
    env: Object.fromEntries(env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]))),
    fieldEnv: Object.fromEntries(
      env.flatMap(({ name, valueFrom }) =>
        valueFrom?.fieldRef === undefined ? [] : [[name, valueFrom.fieldRef.fieldPath]],
      ),
    ),
    mounts: Object.fromEntries(
      (container.volumeMounts ?? []).map(({ name, mountPath }) => [mountPath, volumes.get(name) ?? []]),
    ),
  };
}

function sourcesOf({ secret, configMap, projected }: Volume): readonly VolumeSource[] {
  if (secret !== undefined) return [source("Secret", { ...secret, name: secret.secretName })];
  if (configMap !== undefined) return [source("ConfigMap", configMap)];
  return (projected?.sources ?? []).flatMap((part) => [
    ...(part.secret === undefined ? [] : [source("Secret", part.secret)]),
    ...(part.configMap === undefined ? [] : [source("ConfigMap", part.configMap)]),
  ]);
}

function source(
  kind: VolumeSource["kind"],
  { name, items, optional }: Items & { readonly name: string },
): VolumeSource {
  const files = items && Object.fromEntries(items.map(({ key, path }) => [key, path]));
  return { kind, name, optional: optional ?? false, files };
}
