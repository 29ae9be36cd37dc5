import { setImmediate } from "node:timers/promises";
import type { Action } from "../core/action.ts";
import { planOwned } from "../core/companions/plan-owned.ts";
import { candidates } from "../core/admission/candidates.ts";
import type { CompiledPolicy } from "../core/intent/policy.ts";
import { isAimedAt } from "../core/intent/precedence.ts";
import { type KubernetesObject, labelsOf } from "../core/kubernetes.ts";
import { CLEAN_UP_WAIT_MS } from "../core/limits.ts";
import { FAIRLEAD_GROUP, POLICY_UID_LABEL, SERVICE_KIND } from "../core/names.ts";
import { planFinalizer } from "../core/policy/finalizer.ts";
import type { OwnedPlan } from "../core/policy/owned.ts";
import { recordedOn } from "../core/policy/recorded.ts";
import { planStatus } from "../core/policy/status.ts";
import { cleanUpNews, statusNews } from "../core/policy/news.ts";
import { targetsOf, targetText } from "../core/policy/targets.ts";
import { parentsOf } from "../core/routes/people.ts";
import type { TargetKey } from "../core/world.ts";
import { isConflict, isNotFound, isStale, NotLeaderError } from "../k8s/apply.ts";
import type { EventSink, PolicyEvent } from "../k8s/events.ts";
import { type Clock, describeError, type Logger, systemClock } from "../k8s/ports.ts";
import { targetKeyOf } from "../k8s/namespaced.ts";
import type { Change } from "../k8s/change.ts";
import type { ClusterStore } from "../k8s/store.ts";
import { type AcceptedSpec, AcceptedSpecs, type StoreResult } from "./accepted-specs.ts";
import { OwnedWriter } from "./owned-writer.ts";
import { inSteps } from "./in-steps.ts";
import { identityIn, writeOwned } from "./owned-writes.ts";
import { planOnce } from "./plan-once.ts";
import { nowText, type Telemetry, type Writer } from "./ports.ts";
import { type QueueNumbers, WorkQueue } from "./queue.ts";

export interface PolicyReconcilerOptions {
  readonly store: ClusterStore;
  readonly writer: Writer;
  readonly events: EventSink;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  /** Errors of the last write to targets, by the text of the target. */
  readonly failures: ReadonlyMap<string, string>;
  readonly onQueued?: (seconds: number) => void;
  readonly fullPassMs: number;
  readonly clock?: Clock;
}

interface PolicyKey {
  readonly namespace: string;
  readonly name: string;
}

/** While thousands of targets change one after the other, status follows once a second and not with each of them. */
const STATUS_INTERVAL_MS = 1_000;
/** Reviews go between: one target takes some ten microseconds to plan. */
const TARGETS_AT_A_TIME = 200;

/**
 * Keeps what belongs to a policy itself: finalizer, stored revisions, generated routes, companions, status. Targets are written by
 * {@link Resync}; this only looks at how far they are.
 */
export class PolicyReconciler {
  readonly #options: PolicyReconcilerOptions;
  readonly #clock: Clock;
  readonly #queue: WorkQueue<PolicyKey>;
  readonly #owned: OwnedWriter;
  readonly #specs = new AcceptedSpecs();
  /** The policies that had something to say about a target when it was last looked at. */
  readonly #concerned = new Map<string, readonly string[]>();
  /** When this process first saw a policy being deleted: its own clock, whatever that of the API server says. */
  readonly #deletingSinceMs = new Map<string, number>();
  #unsubscribe: (() => void) | undefined;
  #cancelPass: (() => void) | undefined;
  #stopped = false;

  constructor(options: PolicyReconcilerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#owned = new OwnedWriter({ ...options, clock: this.#clock });
    this.#queue = new WorkQueue<PolicyKey>({
      keyOf: policyText,
      run: (key) => this.#reconcile(key),
      onError: (key, error) => this.#onError(key, error),
      onStart: (_key, waitedMs) => options.onQueued?.(waitedMs / 1_000),
      minIntervalMs: STATUS_INTERVAL_MS,
      clock: this.#clock,
    });
  }

  async start(): Promise<void> {
    await this.#options.store.whenSynced();
    if (this.#stopped) return;
    this.#unsubscribe = this.#options.store.onChange((change) => this.#onChange(change));
    this.#fullPass();
  }

  /** Final; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancelPass?.();
    this.#owned.stop();
    await this.#queue.stop();
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  get depth(): number {
    return this.#queue.size;
  }

  get numbers(): QueueNumbers {
    return this.#queue.numbers;
  }

  /** The policies that are, or were, aimed at this target have news. */
  targetChanged(key: TargetKey): void {
    const before = this.#concerned.get(targetText(key)) ?? [];
    const now = this.#remember(key);
    for (const name of new Set([...now, ...before])) this.#queue.add({ namespace: key.namespace, name });
  }

  #remember(key: TargetKey): readonly string[] {
    const object = this.#options.store.target(key);
    const names = this.#policiesOf(key, object ?? {});
    if (object === undefined || names.length === 0) this.#concerned.delete(targetText(key));
    else this.#concerned.set(targetText(key), names);
    return names;
  }

  #policiesOf(key: TargetKey, object: KubernetesObject): readonly string[] {
    const { store } = this.#options;
    const aimed = [key, ...servicesOf(key, object)].flatMap((target) => {
      const live = target === key ? object : (store.target(target) ?? {});
      return candidates(store.policiesIn(key.namespace), target.name, live).filter((p) => isAimedAt(p, target, live));
    });
    const uid = labelsOf(object)[POLICY_UID_LABEL];
    const owner = uid && store.policyObjectsIn(key.namespace).find((policy) => policy.metadata?.uid === uid);
    return [
      ...new Set([
        ...aimed.map((policy) => policy.name),
        ...(recordedOn(object)?.policies ?? []),
        ...(owner ? [owner.metadata?.name ?? ""] : []),
      ]),
    ];
  }

  #fullPass(): void {
    this.#owned.forgetOld();
    for (const policy of this.#options.store.policyObjects()) this.#queue.add(keyOf(policy));
    for (const target of this.#options.store.allTargets()) this.#remember(targetKeyOf(target));
    this.#cancelPass = this.#clock.after(this.#options.fullPassMs, () => this.#fullPass());
  }

  #onChange({ type, namespace, key, name, policyUid }: Change): void {
    if (type === "target" && key) this.targetChanged(key);
    else if (type === "policyObject" && name !== undefined) this.#policyChanged({ namespace, name });
    else
      for (const policy of this.#options.store.policyObjectsIn(namespace))
        if (policyUid === undefined || policy.metadata?.uid === policyUid) this.#queue.add(keyOf(policy));
  }

  #policyChanged(key: PolicyKey): void {
    const { store } = this.#options;
    const policy = store.policyObject(key.namespace, key.name);
    const compiled = store.compiledPolicy(key.namespace, key.name);
    if (policy === undefined) {
      this.#specs.forget(key.namespace, key.name);
      this.#owned.forgetPolicy(key.namespace, key.name);
    } else if (compiled !== undefined) this.#specs.note({ policy, compiled });
    this.#queue.add(key);
  }

  async #reconcile(key: PolicyKey): Promise<void> {
    const { store, telemetry } = this.#options;
    const policy = store.policyObject(key.namespace, key.name);
    if (policy === undefined) {
      this.#deletingSinceMs.delete(policyText(key));
      return;
    }
    const { uid = "", generation = 0 } = policy.metadata ?? {};
    const traceId = telemetry.policyTrace(uid, generation);
    const span = telemetry.span("controller.reconcile", traceId, {
      "k8s.namespace.name": key.namespace,
      "fairlead.policy.name": key.name,
    });
    const startMs = performance.now();
    const seconds = (): number => (performance.now() - startMs) / 1_000;
    try {
      const written = await this.#bringInLine(key, policy, traceId);
      telemetry.reconciled("policy", written ? "written" : "unchanged", seconds());
      span.end();
    } catch (error) {
      telemetry.reconciled("policy", isConflict(error) ? "conflict" : "failed", seconds());
      span.end(error);
      throw error;
    }
  }

  /** True when something was written. */
  async #bringInLine(key: PolicyKey, stored: KubernetesObject, traceId: string): Promise<boolean> {
    const { store } = this.#options;
    const isDeleting = Boolean(stored.metadata?.deletionTimestamp);
    if (!isDeleting) this.#deletingSinceMs.delete(policyText(key));
    // The namespace change at the end of filling, or when the namespace becomes known, brings the policy back. A
    // deletion waits for it no longer than for its targets.
    const isKnown = !store.isFilling(key.namespace) && store.namespace(key.namespace) !== undefined;
    if (!isKnown && !this.#isOverdue(key, stored)) return false;
    const turn: Turn = {
      key,
      policy: stored,
      write: (action, reason) =>
        this.#owned.write({ action, policy: key.name, reason, traceId, again: () => this.#queue.add(key) }),
    };
    const compiled = store.compiledPolicy(key.namespace, key.name);
    const owned = await this.#planOwned(stored, compiled);
    if (isDeleting) return this.#cleanUp(turn, owned);
    const { action: hold } = planFinalizer({ policy: stored, world: store, ...this.#terminating(key) });
    // Each write of the policy itself is made on the answer to the one before.
    const policy = hold === undefined ? stored : await turn.write(hold, "finalizer");
    const revisions = compiled === undefined ? NOTHING_STORED : await this.#storeRevisions(turn, { policy, compiled });
    const failure = (await this.#writeAll(owned.actions, turn)) ?? revisions.failure;
    // What somebody else wrote meanwhile is planned anew at once: nothing to tell.
    if (isStale(failure)) throw failure;
    const problem = failure === undefined ? revisions.problem : describeError(failure);
    const told = await this.#tellStatus({ key, policy, owned, problem, traceId });
    if (failure !== undefined) throw failure;
    return told || hold !== undefined || owned.actions.length + revisions.written > 0;
  }

  /** Longer in deletion than one is ever held back. */
  #isOverdue(key: PolicyKey, policy: KubernetesObject): boolean {
    return this.#deletingForMs(key, policy) >= CLEAN_UP_WAIT_MS || this.#terminating(key).namespaceTerminating;
  }

  #planOwned(policy: KubernetesObject, compiled: CompiledPolicy | undefined): Promise<OwnedPlan> {
    const { store } = this.#options;
    const { namespace = "" } = policy.metadata ?? {};
    const [routes, live] = [store.routesIn(namespace), store.companionsIn(namespace)];
    return inSteps(planOwned({ policy, compiled, routes, live, serves: (kind) => store.serves(kind), world: store }));
  }

  /** They go before the finalizer: the garbage collector knows no order, and requests would find no route. */
  async #cleanUp(turn: Turn, owned: OwnedPlan): Promise<boolean> {
    const { key, policy, write } = turn;
    const deletingForMs = this.#deletingForMs(key, policy);
    const failure = await this.#writeAll(owned.actions, turn);
    if (failure !== undefined && deletingForMs < CLEAN_UP_WAIT_MS) throw failure;
    const terms = { policy, world: this.#options.store, deletingForMs, ...this.#terminating(key) };
    const { action, giveUp = false, againInMs } = planFinalizer(terms);
    if (againInMs !== undefined) this.#queue.addAfter(key, againInMs);
    if (action === undefined) return owned.actions.length > 0;
    await write(action, "finalizer");
    this.#options.events.emit({ ...cleanUpNews(giveUp || failure !== undefined), regarding: regarding(policy) });
    return true;
  }

  #terminating({ namespace }: PolicyKey): { readonly namespaceTerminating: boolean } {
    return { namespaceTerminating: this.#options.store.namespace(namespace)?.terminating ?? false };
  }

  #writeAll(actions: readonly Action[], turn: Turn): Promise<unknown> {
    const isStillWanted = (): boolean => this.#isStillWanted(turn);
    return writeOwned(actions, { write: (action) => turn.write(action, "owned"), isStillWanted });
  }

  /** A long plan is not carried out to its end where the policy says something else by now, or this term is over. */
  #isStillWanted({ key, policy }: Turn): boolean {
    const now = this.#options.store.policyObject(key.namespace, key.name)?.metadata;
    const { uid, generation, deletionTimestamp } = policy.metadata ?? {};
    if (this.#stopped || now === undefined) return false;
    return now.uid === uid && now.generation === generation && now.deletionTimestamp === deletionTimestamp;
  }

  #storeRevisions(turn: Turn, current: AcceptedSpec): Promise<StoreResult> {
    return this.#specs.store({
      current,
      stored: this.#options.store.revisionsIn(turn.key.namespace),
      write: (action) => turn.write(action, "owned"),
      isStillWanted: () => this.#isStillWanted(turn),
    });
  }

  async #tellStatus({ key, policy, owned, problem, traceId }: Told): Promise<boolean> {
    const { store, writer, failures, events } = this.#options;
    const compiledOf = () => store.compiledPolicy(key.namespace, key.name);
    // Where nothing was to be done, that holds: whatever has changed since brings the policy back.
    const again = owned.actions.length === 0 ? owned : await this.#planOwned(policy, compiledOf());
    await this.#planTargets(key);
    // From here on nothing is waited for: of the targets the status is one of a single moment.
    const compiled = compiledOf();
    // What was just written is on its way through the watch.
    const written = new Set(problem === undefined ? owned.actions.map(identityIn) : []);
    const action = planStatus({
      policy,
      world: store,
      failures,
      outOfStep: this.#outOfStep(compiled),
      owned: {
        findings: again.findings,
        pending: again.actions.filter((action) => !written.has(identityIn(action))).length,
      },
      ...(problem !== undefined && { problem }),
      nowText: nowText(this.#clock),
    });
    if (action === undefined) return false;
    const answer = await writer.execute(action);
    for (const news of statusNews(policy, answer)) events.emit({ ...news, regarding: regarding(policy), traceId });
    return true;
  }

  /** Plans are remembered, so that the status finds them made; a few at a time, so that reviews go between. */
  async #planTargets({ namespace, name }: PolicyKey): Promise<void> {
    const { store } = this.#options;
    const compiled = store.compiledPolicy(namespace, name);
    let count = 0;
    for (const { key, object } of compiled === undefined ? [] : targetsOf(compiled, store)) {
      count += 1;
      if (count % TARGETS_AT_A_TIME === 0) await setImmediate();
      if (object !== undefined) planOnce(object, key, store);
    }
  }

  /** The targets that are still to be written. */
  #outOfStep(compiled: CompiledPolicy | undefined): ReadonlySet<string> {
    const { store } = this.#options;
    const targets = compiled === undefined ? [] : targetsOf(compiled, store);
    const waiting = targets.filter(({ key, object }) => object !== undefined && planOnce(object, key, store));
    return new Set(waiting.map(({ key }) => targetText(key)));
  }

  #deletingForMs(key: PolicyKey, { metadata }: KubernetesObject): number {
    if (!metadata?.deletionTimestamp) return 0;
    const nowMs = this.#clock.now();
    const sinceMs = this.#deletingSinceMs.get(policyText(key)) ?? nowMs;
    this.#deletingSinceMs.set(policyText(key), sinceMs);
    return Math.max(nowMs - sinceMs, nowMs - Date.parse(metadata.deletionTimestamp));
  }

  #onError(key: PolicyKey, error: unknown): void {
    // What is gone is planned anew, as is what somebody else has written meanwhile.
    if (isStale(error) || isNotFound(error) || error instanceof NotLeaderError) return;
    this.#options.log.warn({ ...key, error: describeError(error) }, "policy could not be brought in line");
  }
}

type WriteOwned = (action: Action, reason: string) => Promise<KubernetesObject>;

/** One look at one policy. */
interface Turn {
  readonly key: PolicyKey;
  /** As it was when the turn began. */
  readonly policy: KubernetesObject;
  readonly write: WriteOwned;
}

interface Told {
  readonly key: PolicyKey;
  readonly policy: KubernetesObject;
  readonly owned: OwnedPlan;
  readonly problem: string | undefined;
  readonly traceId: string;
}

const NOTHING_STORED: StoreResult = { written: 0 };

/** The Services that a route is attached to: it may be in the way of what a policy makes of them. */
function servicesOf({ kind, namespace }: TargetKey, object: KubernetesObject): readonly TargetKey[] {
  if (kind === SERVICE_KIND.kind) return [];
  const parents = parentsOf(object).filter((parent) => parent.namespace === namespace);
  return parents.map(({ name }) => ({ ...SERVICE_KIND, namespace, name }));
}

function policyText({ namespace, name }: PolicyKey): string {
  return `${namespace}/${name}`;
}

function keyOf({ metadata }: KubernetesObject): PolicyKey {
  return { namespace: metadata?.namespace ?? "", name: metadata?.name ?? "" };
}

function regarding({
  apiVersion = `${FAIRLEAD_GROUP}/v1alpha1`,
  metadata,
}: KubernetesObject): PolicyEvent["regarding"] {
  const { namespace = "", name = "", uid } = metadata ?? {};
  return { apiVersion, kind: "ResiliencePolicy", namespace, name, ...(uid !== undefined && { uid }) };
}
