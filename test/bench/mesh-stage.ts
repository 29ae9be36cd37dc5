import { MODE_LABEL } from "../../src/core/names.ts";
import { Workspace } from "../../src/dev/control-plane/workspace.ts";
import type { KubernetesClient } from "../../src/k8s/client.ts";
import { FAIRLEAD_CRDS } from "../cluster/support.ts";
import { applyObject } from "../dataplane/api.ts";
import { type Member, Mesh } from "../dataplane/mesh.ts";
import { NAMESPACE } from "../dataplane/objects.ts";
import { Workloads } from "../dataplane/workloads.ts";
import { AuditLog } from "./audit.ts";
import type { MeshOrder } from "./mesh-order.ts";
import { type Roles, startRoles } from "./roles.ts";

/** A mesh with one client behind a proxy, and Fairlead in two processes, as the chart installs it. */
export interface MeshStage {
  readonly mesh: Mesh;
  readonly client: KubernetesClient;
  readonly audit: AuditLog;
  readonly caller: Member;
  readonly roles: Roles;
}

/** As istiod is installed. The tests give it less, since they wait for it again and again. */
export const DEBOUNCE = "100ms";

/** What ends the stage is added to the mesh. */
export async function startMeshStage({ tools, dist, nodeFlags, stopSignal }: MeshOrder): Promise<MeshStage> {
  const workspace = await Workspace.create("fairlead-bench-mesh-");
  const { audit, args: apiServerArgs } = AuditLog.prepare(workspace);
  const mesh = await Mesh.start(tools, { crdPaths: [FAIRLEAD_CRDS], apiServerArgs, debounce: DEBOUNCE });
  mesh.onStop(() => workspace.remove());
  const { client, cluster: controlPlane } = mesh;
  const labels = { [MODE_LABEL]: "enforce", "istio-injection": "enabled" };
  await applyObject(client, { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels } });
  const roles = await startRoles({ workspace, controlPlane, dist, nodeFlags }, client);
  mesh.onStop(() => roles.stop(stopSignal));
  return { mesh, client, audit, caller: await new Workloads(mesh).addClient("caller"), roles };
}
