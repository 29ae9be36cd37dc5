import { join } from "node:path";
import { MODE_LABEL, RECORD_ANNOTATION } from "../../src/core/names.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Workspace } from "../../src/dev/control-plane/workspace.ts";
import type { KubernetesClient } from "../../src/k8s/client.ts";
import { startClusterWithCrds } from "../cluster/support.ts";
import { AuditLog } from "./audit.ts";
import { Child } from "./child.ts";
import { changeFleet, createFleet, type Fleet, isSettled, serviceWith } from "./fleet.ts";
import { startRoles } from "./roles.ts";
import { type Account, createServiceAccount, type StartOptions } from "./servers.ts";
import { adminClient, createNamespace } from "./world.ts";

/** Fairlead in two processes, as the chart installs it, and a client beside it. */
export interface RolesStage {
  readonly controlPlane: ControlPlane;
  readonly client: KubernetesClient;
  readonly audit: AuditLog;
  readonly admission: Child;
  readonly controller: Child;
  readonly controllerAccount: Account;
  /** Every user of Fairlead, as the audit log names them. */
  readonly users: ReadonlySet<string>;
  readonly bare: Child;
  readonly bareAccount: Account;
  /** Services and the one policy that selects them all, settled. */
  readonly fleet: Fleet;
  /** Ends the controller and starts another with more flags; resolves when that one leads. */
  readonly restartController: (flags: readonly string[]) => Promise<Child>;
}

export interface RolesStageOptions {
  readonly workspace: Workspace;
  readonly dist: string;
  readonly nodeFlags: readonly string[];
  /** A profile is written only by a process that ends of itself. */
  readonly stopSignal: "SIGTERM" | "SIGKILL";
  /** Services of the fleet. */
  readonly services: number;
  readonly cleanup: (() => Promise<unknown>)[];
}

export async function startRolesStage(options: RolesStageOptions): Promise<RolesStage> {
  const { workspace, cleanup, stopSignal } = options;
  const { audit, args } = AuditLog.prepare(workspace);
  // Without the controllers: they would write endpoints for each Service, at moments of their own.
  const controlPlane = await startClusterWithCrds({ controllerManager: false, extraApiServerArgs: args });
  cleanup.push(() => controlPlane.stop());
  const client = adminClient(controlPlane);
  cleanup.push(() => Promise.resolve(client.close()));
  const start: StartOptions = { ...options, controlPlane };
  const roles = await startRoles(start, client);
  const { controller, controllerAccount, admission, users } = roles;
  cleanup.push(() => roles.stop(stopSignal));
  const bareAccount = await createServiceAccount(controlPlane, workspace, "bench-bare");
  const bare = new Child({
    args: [join(options.dist, "test/bench/bare-client.js")],
    logPath: workspace.file("bare-client.log"),
  });
  cleanup.push(() => bare.stop("SIGKILL"));
  await createNamespace(client, FLEET_NAMESPACE, { [MODE_LABEL]: "enforce" });
  const fleet = await createFleet(client, FLEET_NAMESPACE, options.services);
  await whenInjecting(client, fleet);
  await changeFleet(client, fleet);
  await waitFor("the fleet to settle", () => isSettled(client, fleet), { timeoutMs: SETTLE_TIMEOUT_MS });
  return {
    controlPlane,
    client,
    audit,
    admission: admission.child,
    controller,
    controllerAccount,
    users,
    bare,
    bareAccount,
    fleet,
    restartController: roles.restartController,
  };
}

const FLEET_NAMESPACE = "fleet";
/** Far above the goal of 30 s, so that a miss is measured and not given up. */
export const SETTLE_TIMEOUT_MS = 180_000;

/** The API server learns of a configuration by a watch: asks until it acts, without storing anything. */
async function whenInjecting(client: KubernetesClient, fleet: Fleet): Promise<void> {
  await waitFor("the webhook to inject", async () => {
    const answer = await serviceWith(client, fleet, null);
    return answer.metadata?.annotations?.[RECORD_ANNOTATION] !== undefined;
  });
}
