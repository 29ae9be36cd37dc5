import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { isNotFound } from "../../src/k8s/apply.ts";
import { type KubernetesClient, resourcePath } from "../../src/k8s/client.ts";

/** The kinds of Istio that istiod keeps and these tests write, with the version in which they are read. */
const ISTIO_RESOURCES = [
  { group: "networking.istio.io", version: "v1", kind: "VirtualService" },
  { group: "networking.istio.io", version: "v1", kind: "DestinationRule" },
  { group: "networking.istio.io", version: "v1", kind: "Sidecar" },
  { group: "networking.istio.io", version: "v1alpha3", kind: "EnvoyFilter" },
  { group: "security.istio.io", version: "v1", kind: "PeerAuthentication" },
  { group: "security.istio.io", version: "v1", kind: "AuthorizationPolicy" },
];
const APPLY_QUERY = { fieldManager: "data-plane-tests", force: true, fieldValidation: "Strict" };
export const ISTIO_KINDS: ReadonlySet<string> = new Set(ISTIO_RESOURCES.map(({ kind }) => kind));

/** Writes an object as `kubectl apply --server-side` does, so that a field that the kind does not know is refused. */
export async function applyObject(client: KubernetesClient, object: KubernetesObject): Promise<void> {
  await client.patch({ path: pathOf(object), type: "apply", body: object, query: APPLY_QUERY });
}

/** Writes the status of an object, which is a write of its own. */
export async function applyStatus(client: KubernetesClient, object: KubernetesObject): Promise<void> {
  await client.patch({ path: `${pathOf(object)}/status`, type: "apply", body: object, query: APPLY_QUERY });
}

/** Deletes an object; that it is gone already is no error. */
export async function deleteObject(client: KubernetesClient, object: KubernetesObject): Promise<void> {
  try {
    await client.delete(pathOf(object));
  } catch (error) {
    if (!(error instanceof ApiError && isNotFound(error))) throw error;
  }
}

/** Every object of Istio at the API server, as `kind/namespace/name@resourceVersion`. */
export async function listIstioObjects(client: KubernetesClient): Promise<readonly string[]> {
  const keys: string[] = [];
  for (const { kind, ...ref } of ISTIO_RESOURCES) {
    const onPage = (items: readonly KubernetesObject[]) => {
      for (const { metadata } of items) keys.push(versionKey({ kind, metadata: metadata ?? {} }));
    };
    await client.list(resourcePath({ ...ref, resource: pluralOf(kind) }), { onPage });
  }
  return keys.sort();
}

interface Versioned {
  readonly kind: string;
  readonly metadata: {
    readonly name?: string | undefined;
    readonly namespace?: string | undefined;
    readonly resourceVersion?: string | undefined;
  };
}

export function versionKey({ kind, metadata }: Versioned): string {
  return `${kind}/${metadata.namespace ?? ""}/${metadata.name ?? ""}@${metadata.resourceVersion ?? ""}`;
}

function pathOf(object: KubernetesObject): string {
  const [group = "", version = group] = object.apiVersion?.includes("/")
    ? object.apiVersion.split("/")
    : ["", object.apiVersion];
  const { name, namespace } = object.metadata ?? {};
  if (object.kind === undefined || name === undefined) throw new Error("Cannot write an object without kind and name");
  return resourcePath({
    group,
    version,
    resource: pluralOf(object.kind),
    name,
    ...(namespace === undefined ? {} : { namespace }),
  });
}

function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  return singular.endsWith("y") ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}
