import { MODE_LABEL } from "../../src/core/names.ts";
import { FAIRLEAD_CRDS, startInProcess } from "../cluster/support.ts";
import { applyObject } from "./api.ts";
import type { Backend } from "./backend.ts";
import type { Member, Mesh } from "./mesh.ts";
import { NAMESPACE } from "./objects.ts";
import { startMesh } from "./provided.ts";
import { Subject } from "./subject.ts";
import { POD_PORT, type ServedPort, Workloads } from "./workloads.ts";

/** A namespace in which only {@link Stage.stranger} runs. */
export const ELSEWHERE = "elsewhere";

/** The Services that lead to the one Pod of "pay", each to a port of its own. */
export const AT_PAY = {
  pay: { name: "pay", port: POD_PORT },
  admin: { name: "pay-admin", port: 9090 },
  nodes: { name: "pay-nodes", port: 7070, isHeadless: true },
  ledger: { name: "pay-ledger", port: 5432, protocol: "tcp" },
} as const satisfies Readonly<Record<string, ServedPort>>;

/** A mesh with Fairlead beside it, and all that runs in it. It takes seconds to make, so that all tests share one. */
export interface Stage {
  readonly mesh: Mesh;
  /** Clients of the namespace of the Services, each with the ServiceAccount of its name, and one of another namespace. */
  readonly client: Member;
  readonly guest: Member;
  readonly stranger: Member;
  /** The Service "user", with two backends that no proxy stands before, as the client finds it; and what may follow it. */
  readonly user: Subject;
  readonly next: Backend;
  /** The Service "pay", whose one backend has a proxy before it, at the address; see {@link AT_PAY}. */
  readonly pay: { readonly backend: Backend; readonly address: string };
  /** Waits until Fairlead has done all that follows from what it has seen. */
  readonly idle: () => Promise<void>;
}

export async function startStage(): Promise<Stage> {
  const mesh = await startMesh([FAIRLEAD_CRDS]);
  try {
    return await furnish(mesh);
  } catch (error) {
    await mesh.stop();
    throw error;
  }
}

async function furnish(mesh: Mesh): Promise<Stage> {
  const labels = { [MODE_LABEL]: "enforce", "istio-injection": "enabled" };
  await applyObject(mesh.client, { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels } });
  await applyObject(mesh.client, { apiVersion: "v1", kind: "Namespace", metadata: { name: ELSEWHERE } });
  const workloads = new Workloads(mesh);
  const client = await workloads.addClient("client");
  const guest = await workloads.addClient("guest");
  const stranger = await workloads.addClient("stranger", ELSEWHERE);
  const user = new Subject({ service: "user", client, backends: await workloads.addService("user", 2) });
  const [next] = await workloads.addService("user-next");
  if (next === undefined) throw new Error("user-next has no backend");
  const pay = await workloads.addProxiedService("pay", [AT_PAY.admin, AT_PAY.nodes, AT_PAY.ledger]);
  const fairlead = await startInProcess(mesh.cluster);
  mesh.onStop(() => fairlead.stop());
  const idle = async () => fairlead.work.current?.idle();
  return { mesh, client, guest, stranger, user, next, pay, idle };
}
