import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { renderKubeconfig } from "../../src/dev/control-plane/kubeconfig.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { NAMESPACE, type Rendered, renderChart } from "./chart-support.ts";

const RBAC = "rbac.authorization.k8s.io";

/** What `serve --register` does beside the work of the two roles; it is for development and not in the chart. */
const REGISTER = {
  name: "fairlead-register",
  rules: [
    { apiGroups: [""], resources: ["namespaces"], verbs: ["create"] },
    {
      apiGroups: ["admissionregistration.k8s.io"],
      resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
      verbs: ["create", "patch"],
    },
  ],
};

/** Groups of users that have what the chart gives to the ServiceAccount of that name. */
export const CONTROLLERS = "fairlead-controller";
export const ADMISSIONS = "fairlead-admission";
/** What both roles in one process need, with `--register`. */
const BOTH_ROLES: readonly string[] = [ADMISSIONS, CONTROLLERS, REGISTER.name];

const granted = new WeakMap<ControlPlane, Promise<void>>();

/** A kubeconfig of a user with the rights of these groups and no others, so not those of an administrator. */
export async function kubeconfigOf(
  cluster: ControlPlane,
  user: string,
  groups: readonly string[] = BOTH_ROLES,
): Promise<string> {
  const rights = granted.get(cluster) ?? grant(cluster);
  granted.set(cluster, rights);
  const [client] = await Promise.all([cluster.issueClient({ user, groups }), rights]);
  const path = join(cluster.directory, `${user}.kubeconfig`);
  await writeFile(path, renderKubeconfig({ url: cluster.url, caPem: cluster.caPem, client }));
  return path;
}

/** Applies the RBAC objects of the chart as they are, with a group beside each ServiceAccount. */
async function grant(cluster: ControlPlane): Promise<void> {
  const rendered = await renderChart(cluster, ["--show-only", "templates/rbac.yaml"]);
  const { name, rules } = REGISTER;
  const items = [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } },
    ...rendered.map((object) => (isBinding(object) ? withGroups(object) : object)),
    { apiVersion: `${RBAC}/v1`, kind: "ClusterRole", metadata: { name }, rules },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: RBAC, kind: "ClusterRole", name },
      subjects: [{ apiGroup: RBAC, kind: "Group", name }],
    },
  ];
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  const { code, stderr } = await cluster.kubectl(["apply", "-f", "-"], { input });
  if (code !== 0) throw new Error(`The rights of the chart could not be applied: ${stderr}`);
  await whenInForce(cluster);
}

interface Binding extends Rendered {
  readonly subjects: readonly { readonly name: string }[];
}

function isBinding(object: Rendered): object is Binding {
  return "subjects" in object;
}

function withGroups(binding: Binding): object {
  const groups = binding.subjects.map(({ name }) => ({ apiGroup: RBAC, kind: "Group", name }));
  return { ...binding, subjects: [...binding.subjects, ...groups] };
}

/** The authorizer hears of each kind of object by itself, a moment after it was written, and in that order. */
async function whenInForce(cluster: ControlPlane): Promise<void> {
  const last = [
    { resource: "namespaces", verb: "create" },
    { resource: "secrets", verb: "update", namespace: NAMESPACE, name: "fairlead-tls" },
  ];
  const client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
  try {
    await waitFor("the rights of the chart to be in force", async () => {
      const answers = await Promise.all(
        last.map((resourceAttributes) =>
          client.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
            spec: { user: "fairlead", groups: BOTH_ROLES, resourceAttributes },
          }),
        ),
      );
      return answers.every(
        (answer) => (answer as { readonly status?: { readonly allowed?: boolean } }).status?.allowed,
      );
    });
  } finally {
    client.close();
  }
}
