import { setTimeout as delay } from "node:timers/promises";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { AuditedWrite } from "./audit.ts";
import type { Child } from "./child.ts";
import type { Plan } from "./limits.ts";
import type { RolesStage } from "./roles-stage.ts";
import { loggedLine } from "./servers.ts";

export interface SettledResult {
  readonly windowMs: number;
  readonly resyncPeriod: string;
  /** Every write of Fairlead's two users in the window, Leases aside. */
  readonly writes: number;
  /** What they were, such as `patch services`, where there were any. */
  readonly what: readonly string[];
  /** From the start of the controller until the window begins: a new leader finds everything done. */
  readonly writesAtStart: number;
  readonly leaseWrites: number;
  /** Targets that the full passes of the window queued. */
  readonly looks: number;
  /** CPU of the controller in the window, as a part of one core. */
  readonly controllerCpu: number;
}

const RESYNC_PERIOD = "5s";

/** A new controller, with a short resync period, where nobody writes: so neither should it. */
export async function measureSettled(stage: RolesStage, plan: Plan): Promise<SettledResult> {
  const startedMs = Date.now();
  const controller = await stage.restartController([`--resync-period=${RESYNC_PERIOD}`]);
  const adds = (): Promise<number> => targetsQueued(controller);
  const first = await adds();
  // From the second full pass on.
  await waitFor("a full pass", async () => (await adds()) > first);
  const [beginMs, before, looksBefore] = [Date.now(), await controller.ask("usage"), await adds()];
  await delay(plan.settledMs);
  const after = await controller.ask("usage");
  const looks = (await adds()) - looksBefore;
  const endMs = Date.now();
  const ours = (await stage.audit.writes(startedMs)).filter(
    ({ user, receivedMs }) => stage.users.has(user) && receivedMs < endMs,
  );
  const others = ours.filter(({ resource }) => resource !== "leases");
  const inWindow = (write: AuditedWrite): boolean => write.receivedMs >= beginMs;
  return {
    windowMs: endMs - beginMs,
    resyncPeriod: RESYNC_PERIOD,
    writes: others.filter(inWindow).length,
    what: [...new Set(others.filter(inWindow).map(({ verb, resource }) => `${verb} ${resource}`))],
    writesAtStart: others.filter((write) => !inWindow(write)).length,
    leaseWrites: ours.filter((write) => write.resource === "leases" && inWindow(write)).length,
    looks,
    controllerCpu: (after.cpuMicros - before.cpuMicros) / 1_000 / (endMs - beginMs),
  };
}

async function targetsQueued(controller: Child): Promise<number> {
  const { operations } = loggedLine(controller.logPath, "serving") as { readonly operations: number };
  const text = await (await fetch(`http://127.0.0.1:${operations}/metrics`)).text();
  return Number(/^fairlead_queue_adds_total\{queue="targets"\} (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
}
