import { setTimeout as delay } from "node:timers/promises";
import { virtualService } from "../dataplane/istio-objects.ts";
import { applyObject } from "../dataplane/api.ts";
import { type ApiObject, hostOf, NAMESPACE, service } from "../dataplane/objects.ts";
import { send } from "../dataplane/traffic.ts";
import { requestTo } from "../dataplane/workloads.ts";
import type { Plan } from "./limits.ts";
import type { MeshStage } from "./mesh-stage.ts";
import { quantile } from "./statistics.ts";

export interface ProxyResult {
  readonly changes: number;
  /** From the request of the write until the proxy answers as it says. */
  readonly handMs: Percentiles;
  readonly policyMs: Percentiles;
  /** Of that, until the API server has answered the write of the policy, and that of what Fairlead makes of it. */
  readonly policyWrittenMs: Percentiles;
  readonly companionWrittenMs: Percentiles;
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
}

/**
 * So many Services whose VirtualServices a client writes, and as many whose policies it writes, one after the other: the
 * controller looks at one policy once a second at most, and people change one less often than that.
 */
const SERVICES = 8;
/** The proxy answers itself, with a status that says which change it is at; no backend is asked. */
const FIRST_STATUS = 430;
const STATUSES = 60;
/** Asked no more often, so that the question does not take the cores from what is measured. */
const POLL_MS = 2;
const LIMIT_MS = 30_000;

/** The same change by both in turn: another status for every request of a Service. The first of each is not counted. */
export async function measureProxy(stage: MeshStage, plan: Plan): Promise<ProxyResult> {
  const hand: number[] = [];
  const policy: PolicyChange[] = [];
  for (let step = 0; step < SERVICES + plan.proxyChanges; step++) {
    const status = FIRST_STATUS + (step % STATUSES);
    const [byHand, byPolicy] = [`by-hand-${step % SERVICES}`, `by-policy-${step % SERVICES}`];
    const isFirst = step < SERVICES;
    if (isFirst) for (const name of [byHand, byPolicy]) await applyObject(stage.client, service(name, 1));
    const handMs = await changeByHand(stage, byHand, status);
    const change = await changeByPolicy(stage, byPolicy, status);
    if (isFirst) continue;
    hand.push(handMs);
    policy.push(change);
  }
  await stage.mesh.settle();
  return {
    changes: plan.proxyChanges,
    handMs: percentiles(hand),
    policyMs: percentiles(policy.map(({ inForceMs }) => inForceMs)),
    policyWrittenMs: percentiles(policy.map(({ policyWrittenMs }) => policyWrittenMs)),
    companionWrittenMs: percentiles(policy.map(({ companionWrittenMs }) => companionWrittenMs)),
  };
}

async function changeByHand(stage: MeshStage, name: string, status: number): Promise<number> {
  const route = [{ destination: { host: hostOf(name) } }];
  const fault = { abort: { httpStatus: status, percentage: { value: 100 } } };
  const startMs = Date.now();
  await applyObject(stage.client, virtualService(name, [{ fault, route }]));
  await untilAnswered(stage, name, status);
  return Date.now() - startMs;
}

interface PolicyChange {
  readonly inForceMs: number;
  readonly policyWrittenMs: number;
  readonly companionWrittenMs: number;
}

async function changeByPolicy(stage: MeshStage, name: string, status: number): Promise<PolicyChange> {
  const startMs = Date.now();
  await applyObject(stage.client, faultPolicy(name, status));
  const policyWrittenMs = Date.now() - startMs;
  await untilAnswered(stage, name, status);
  const inForceMs = Date.now() - startMs;
  const written = (await stage.audit.writes(startMs)).find(
    ({ resource, user, code }) => resource === "virtualservices" && stage.roles.users.has(user) && code === 200,
  );
  return { inForceMs, policyWrittenMs, companionWrittenMs: (written?.answeredMs ?? Number.NaN) - startMs };
}

/** A policy that answers every request of a Service with this status. */
export function faultPolicy(name: string, status: number): ApiObject {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name, namespace: NAMESPACE },
    spec: { targetRefs: [{ kind: "Service", name }], faultInjection: { abort: { percent: 100, status } } },
  };
}

/** Asks for a Service until the proxy answers with this status. */
export async function untilAnswered({ caller }: MeshStage, name: string, status: number): Promise<void> {
  const limitMs = performance.now() + LIMIT_MS;
  while ((await send(requestTo(name, caller))).status !== status) {
    if (performance.now() > limitMs) throw new Error(`The proxy has not answered for ${name} with ${status}`);
    await delay(POLL_MS);
  }
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95) };
}
