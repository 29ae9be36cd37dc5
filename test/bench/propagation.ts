import { strict as assert } from "node:assert";
import { REVISION_LABEL } from "../../src/core/names.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { AuditedWrite } from "./audit.ts";
import type { PatchAnswer, PatchMessage } from "./bare-client.ts";
import { changeFleet, type Fleet, isSettled, MAX_FAILURES, patchesOf, serviceWith } from "./fleet.ts";
import { PATCH_CONCURRENCY, type Plan } from "./limits.ts";
import { type RolesStage, SETTLE_TIMEOUT_MS } from "./roles-stage.ts";
import { spread, type Spread } from "./statistics.ts";

export interface PropagationResult {
  readonly services: number;
  readonly rounds: number;
  /** From the first request received to the last answer. */
  readonly bareMs: Spread;
  /** From the policy write received to the last answer to a write of a Service. */
  readonly fairleadMs: Spread;
  /** Of that, until the first write of a Service is received: the controller waits for admission to hear of the change. */
  readonly firstWriteMs: Spread;
  /** Round by round. */
  readonly ratio: Spread;
  /** CPU of the two processes of Fairlead in one propagation. */
  readonly controllerCpuMs: Spread;
  readonly admissionCpuMs: Spread;
  /** Of admission while the bare client writes. */
  readonly bareAdmissionCpuMs: Spread;
  /** Writes of Services that were answered otherwise than 200, in all rounds. */
  readonly refused: number;
  /** Of the controller after a full collection, before and after all rounds. */
  readonly heapStartMiB: number;
  readonly heapEndMiB: number;
}

interface Run {
  readonly elapsedMs: number;
  readonly firstWriteMs: number;
  readonly controllerCpuMs: number;
  readonly admissionCpuMs: number;
  readonly refused: number;
}

/** The same change to the same Services by both in turn; who begins alternates. */
export async function measurePropagation(stage: RolesStage, plan: Plan): Promise<PropagationResult> {
  const { fleet } = stage;
  await runBare(stage);
  await runFairlead(stage, fleet);
  const heapMiB = async (): Promise<number> => ((await stage.controller.ask("heap")).heapBytes ?? NaN) / BYTES_PER_MIB;
  const heapStartMiB = await heapMiB();
  const rounds: { bare: Run; fairlead: Run }[] = [];
  for (let round = 0; round < plan.propagationRounds; round++) {
    if (round % 2 === 0) {
      const bare = await runBare(stage);
      rounds.push({ bare, fairlead: await runFairlead(stage, fleet) });
    } else {
      const fairlead = await runFairlead(stage, fleet);
      rounds.push({ bare: await runBare(stage), fairlead });
    }
  }
  return {
    services: fleet.size,
    rounds: rounds.length,
    bareMs: spread(rounds.map(({ bare }) => bare.elapsedMs)),
    fairleadMs: spread(rounds.map(({ fairlead }) => fairlead.elapsedMs)),
    firstWriteMs: spread(rounds.map(({ fairlead }) => fairlead.firstWriteMs)),
    ratio: spread(rounds.map(({ bare, fairlead }) => fairlead.elapsedMs / bare.elapsedMs)),
    controllerCpuMs: spread(rounds.map(({ fairlead }) => fairlead.controllerCpuMs)),
    admissionCpuMs: spread(rounds.map(({ fairlead }) => fairlead.admissionCpuMs)),
    bareAdmissionCpuMs: spread(rounds.map(({ bare }) => bare.admissionCpuMs)),
    refused: rounds.reduce((sum, { fairlead }) => sum + fairlead.refused, 0),
    heapStartMiB,
    heapEndMiB: await heapMiB(),
  };
}

/**
 * The policy is changed while the controller is held still; the clock runs once admission has heard of it and the bare
 * client has every request ready. The controller then finds everything done.
 */
async function runBare(stage: RolesStage): Promise<Run> {
  const { client, fleet, controller, bare, bareAccount, controlPlane } = stage;
  const startMs = Date.now();
  controller.pause();
  try {
    await changeFleet(client, fleet);
    const patches = await patchesOf(client, fleet, await newLabel(stage));
    const { url: server, caPem } = controlPlane;
    await tell(bare, {
      order: { server, caPem, token: bareAccount.token, concurrency: PATCH_CONCURRENCY, patches },
    });
    const admissionBefore = await stage.admission.ask("usage");
    await tell(bare, "go");
    const admissionAfter = await stage.admission.ask("usage");
    controller.resume();
    await whenSettled(stage, fleet);
    const writes = await serviceWrites(stage, fleet, { user: bareAccount.user, sinceMs: startMs });
    assert.equal(writes.length, fleet.size, "the bare client writes each Service once");
    return {
      elapsedMs: lastAnswerMs(writes) - firstMs(writes),
      firstWriteMs: 0,
      controllerCpuMs: 0,
      admissionCpuMs: (admissionAfter.cpuMicros - admissionBefore.cpuMicros) / MICROS_PER_MS,
      refused: 0,
    };
  } finally {
    controller.resume();
  }
}

const MICROS_PER_MS = 1_000;
const BYTES_PER_MIB = 1024 * 1024;

/** Time from the write of the policy to the last answer, both as the API server has them. */
export async function runFairlead(stage: RolesStage, fleet: Fleet): Promise<Run> {
  const { client, audit, controller, admission, controllerAccount } = stage;
  const before = { controller: await controller.ask("usage"), admission: await admission.ask("usage") };
  const startMs = Date.now();
  await changeFleet(client, fleet);
  await whenSettled(stage, fleet);
  const after = { controller: await controller.ask("usage"), admission: await admission.ask("usage") };
  const changedMs = (await audit.writes(startMs)).find(({ resource }) => resource === "resiliencepolicies")?.receivedMs;
  const all = await serviceWrites(stage, fleet, { user: controllerAccount.user, sinceMs: startMs });
  const writes = all.filter(({ code }) => code === 200);
  assert.equal(writes.length, fleet.size, "the controller writes each Service once");
  return {
    elapsedMs: lastAnswerMs(writes) - (changedMs ?? Number.NaN),
    firstWriteMs: firstMs(writes) - (changedMs ?? Number.NaN),
    controllerCpuMs: (after.controller.cpuMicros - before.controller.cpuMicros) / MICROS_PER_MS,
    admissionCpuMs: (after.admission.cpuMicros - before.admission.cpuMicros) / MICROS_PER_MS,
    refused: all.length - writes.length,
  };
}

export async function whenSettled({ client, controller }: RolesStage, fleet: Fleet): Promise<void> {
  const settled = (): Promise<boolean> => {
    controller.assertAlive();
    return isSettled(client, fleet);
  };
  // Seldom: the status follows once a second, and every question takes time from what is measured.
  await waitFor(`${fleet.size} Services to follow`, settled, { timeoutMs: SETTLE_TIMEOUT_MS, intervalMs: 200 });
}

/** The label that admission writes now; asked without storing anything, until it knows the changed policy. */
async function newLabel({ client, fleet }: RolesStage): Promise<string> {
  let label: string | undefined;
  await waitFor("admission to hear of the change", async () => {
    const { metadata: { annotations = {}, labels = {} } = {} } = await serviceWith(client, fleet, null);
    if (annotations[MAX_FAILURES] === String(fleet.failures)) label = labels[REVISION_LABEL];
    return label !== undefined;
  });
  return label ?? "";
}

async function tell(bare: RolesStage["bare"], message: PatchMessage): Promise<void> {
  const heard = bare.receive<PatchAnswer>();
  bare.send(message);
  const answer = await heard;
  if (typeof answer === "object") throw new Error(`The bare client failed: ${answer.failure}`);
}

async function serviceWrites(
  { audit }: RolesStage,
  { namespace }: Fleet,
  { user, sinceMs }: { readonly user: string; readonly sinceMs: number },
): Promise<readonly AuditedWrite[]> {
  const writes = await audit.writes(sinceMs);
  return writes.filter(
    (write) => write.user === user && write.resource === "services" && write.namespace === namespace,
  );
}

function firstMs(writes: readonly AuditedWrite[]): number {
  return writes.reduce((least, { receivedMs }) => Math.min(least, receivedMs), Number.POSITIVE_INFINITY);
}

function lastAnswerMs(writes: readonly AuditedWrite[]): number {
  return writes.reduce((most, { answeredMs }) => Math.max(most, answeredMs), 0);
}
