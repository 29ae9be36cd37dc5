import { setImmediate } from "node:timers/promises";
import { auditObject } from "../core/audit/audit-object.ts";
import { Collected } from "../core/audit/collected.ts";
import { isOurReport, planReport, REPORT_NAME } from "../core/audit/report.ts";
import { auditedResources, resourceText } from "../core/audit/resources.ts";
import { modeOf } from "../core/admission/mode.ts";
import type { ApplyAction, DeleteAction } from "../core/action.ts";
import { compareStrings } from "../core/finding.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { Resource } from "../core/rules/match.ts";
import type { World } from "../core/world.ts";
import { isNotFound, isStale, NotLeaderError } from "../k8s/apply.ts";
import type { AuditSource } from "../k8s/audit-source.ts";
import { backoffDelayMs, type Clock, describeError, type Logger, systemClock } from "../k8s/ports.ts";
import type { Change } from "../k8s/change.ts";
import type { ClusterStore } from "../k8s/store.ts";
import type { AuditState, Unlisted } from "./audit-state.ts";
import type { Work } from "./leader-work.ts";
import type { Writer } from "./ports.ts";

export interface RuleAuditOptions {
  readonly store: World &
    Pick<ClusterStore, "onChange" | "whenSynced" | "isFilling" | "policyObjectsIn" | "namespaces">;
  readonly source: Pick<AuditSource, "begin" | "list" | "report" | "reportedNamespaces" | "reportsServed">;
  readonly writer: Writer<ApplyAction | DeleteAction>;
  /** Kept beyond one term, for the metrics. */
  readonly state: AuditState;
  /** How often everything is looked at without a reason. */
  readonly periodMs: number;
  /** Called at the end of each look. */
  readonly onRun: (seconds: number) => void;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** Changes come in bursts, such as a directory of rules: they are looked at together. */
const GATHER_MS = 1_000;
/** From the end of one look to the next, and at least as many times as long as the look took. */
const REST_MS = 2_000;
const REST_FACTOR = 9;
/** After looks of which some part failed. */
const BACKOFF = { baseMs: REST_MS, capMs: 5 * 60_000 };
/** What changes no setting: the status and the revisions of policies, and how many endpoints there are. */
const UNHEEDED: ReadonlySet<Change["type"]> = new Set(["policyObject", "owned", "endpoints"]);
/** Reviews and everything else go between: no rule takes longer than its budget, 50 ms, most take microseconds. */
const SLICE_MS = 10;

/**
 * Judges what exists in the namespaces that opted in, by the same rules as writes, and tells it in metrics and reports.
 * A change of a rule makes everything worth a look, a change of a policy or an exception its namespace.
 */
export class RuleAudit implements Work {
  readonly #options: RuleAuditOptions;
  readonly #clock: Clock;
  readonly #dirty = new Set<string>();
  #everything = true;
  /** The rules that were last seen, and what they read: the store hands out the same ones until they change. */
  #judgedBy: readonly unknown[] = [];
  #unsubscribe: (() => void) | undefined;
  #cancelRun: (() => void) | undefined;
  #cancelPeriod: (() => void) | undefined;
  #notBeforeMs = 0;
  /** In a row. */
  #failedRuns = 0;
  #running: Promise<void> | undefined;
  #sliceStartMs = 0;
  #stopped = false;

  constructor(options: RuleAuditOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async start(): Promise<void> {
    await this.#options.store.whenSynced();
    if (this.#stopped) return;
    this.#hasOtherRules();
    this.#unsubscribe = this.#options.store.onChange((change) => this.#onChange(change));
    this.#periodic();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancelRun?.();
    this.#cancelPeriod?.();
    await this.#running;
    this.#options.state.clear();
  }

  #periodic(): void {
    this.#everything = true;
    this.#arm();
    this.#cancelPeriod = this.#clock.after(this.#options.periodMs, () => this.#periodic());
  }

  #onChange({ type, namespace }: Change): void {
    // A status that was written is a change of a rule as well.
    if (type === "rule" && !this.#hasOtherRules()) return;
    // Objects are judged when they are written; one that was wrong may be right now.
    if (type === "target" && !this.#options.state.hasResults(namespace)) return;
    if (UNHEEDED.has(type)) return;
    if (type === "rule") this.#everything = true;
    else this.#dirty.add(namespace);
    this.#arm();
  }

  #hasOtherRules(): boolean {
    const { store } = this.#options;
    const rules = store.rules();
    const params = rules.map(({ params: from }) =>
      from.kind === "configMap" ? store.paramsConfigMap(from.name) : from,
    );
    const [now, before] = [[...rules, ...params], this.#judgedBy];
    this.#judgedBy = now;
    return now.length !== before.length || now.some((item, index) => item !== before[index]);
  }

  #arm(): void {
    if (this.#stopped || this.#cancelRun !== undefined || this.#running !== undefined) return;
    const delayMs = Math.max(GATHER_MS, this.#notBeforeMs - this.#clock.now());
    this.#cancelRun = this.#clock.after(delayMs, () => {
      this.#cancelRun = undefined;
      this.#running = this.#run();
    });
  }

  async #run(): Promise<void> {
    const { log, state, source, onRun } = this.#options;
    const startMs = this.#clock.now();
    const isFull = this.#everything;
    const asked = [...this.#dirty];
    this.#everything = false;
    this.#dirty.clear();
    const failedBefore = state.errors;
    let objects = 0;
    try {
      await source.begin();
      const namespaces = isFull ? await this.#allNamespaces() : asked;
      this.#checkWildcards();
      for (const namespace of namespaces) {
        if (this.#stopped) return;
        objects += await this.#auditNamespace(namespace);
      }
      state.ended({ isFull, objects, endMs: this.#clock.now() });
    } catch (error) {
      this.#everything ||= isFull;
      for (const namespace of asked) this.#dirty.add(namespace);
      state.failed();
      log.warn({ error: describeError(error) }, "rule audit failed");
    } finally {
      const endMs = this.#clock.now();
      onRun((endMs - startMs) / 1_000);
      this.#failedRuns = state.errors === failedBefore ? 0 : this.#failedRuns + 1;
      const backoffMs = backoffDelayMs(this.#failedRuns, BACKOFF, () => 1);
      this.#notBeforeMs = endMs + Math.max(REST_MS, REST_FACTOR * (endMs - startMs), backoffMs);
      this.#running = undefined;
      if (this.#everything || this.#dirty.size > 0) this.#arm();
    }
  }

  /** Those that opted in, and those in which something is left from when they were. */
  async #allNamespaces(): Promise<readonly string[]> {
    const { store, source, state } = this.#options;
    const names = [...store.namespaces()].map(({ name }) => name).filter((name) => this.#isAudited(name));
    const reported = await source.reportedNamespaces();
    for (const name of reported) state.setReported(name, true);
    return [...new Set([...names, ...state.namespaces(), ...reported])].sort();
  }

  #isAudited(namespace: string): boolean {
    const { store } = this.#options;
    return (
      store.rules().length > 0 &&
      modeOf(namespace, store).mode !== undefined &&
      store.namespace(namespace) !== undefined
    );
  }

  /** Returns how many objects were looked at. */
  async #auditNamespace(namespace: string): Promise<number> {
    const { store, state, log } = this.#options;
    // The change at the end of filling brings it back.
    if (store.isFilling(namespace)) return 0;
    const collected = new Collected();
    try {
      if (this.#isAudited(namespace)) {
        await this.#judge(sorted([...store.targetsIn(namespace), ...store.policyObjectsIn(namespace)]), collected);
        await this.#judgeListed(namespace, collected);
      }
      // Cut short, it would say of what was not looked at that it is clean.
      if (this.#stopped) return 0;
      state.set(namespace, collected);
      await this.#report(namespace, collected);
    } catch (error) {
      if (error instanceof NotLeaderError) return collected.objects;
      // What is gone or was written meanwhile is looked at anew.
      if (!isStale(error) && !isNotFound(error)) {
        state.failed();
        log.warn({ namespace, error: describeError(error) }, "namespace could not be audited");
      }
      if (store.namespace(namespace) !== undefined) this.#dirty.add(namespace);
    }
    return collected.objects;
  }

  async #judgeListed(namespace: string, collected: Collected): Promise<void> {
    const { store, source } = this.#options;
    for (const resource of auditedResources(store.rules()).listed) {
      const before = collected.copy();
      const unlisted = await source.list(resource, namespace, async (items, first) => {
        if (first) collected.reset(before);
        await this.#judge(items, collected, resource);
      });
      this.#tellUnlisted(resource, unlisted);
    }
  }

  async #judge(objects: readonly KubernetesObject[], collected: Collected, resource?: Resource): Promise<void> {
    const world = this.#options.store;
    for (const object of objects) {
      collected.objects += 1;
      const options = { world, nowMs: this.#clock.now(), ...(resource && { resource }) };
      for (const results of auditObject(object, options)) {
        collected.add(results);
        if (this.#isSliceOver()) await this.#nextSlice();
        if (this.#stopped) return;
      }
      // Where no rule is about the object there was no step.
      if (this.#isSliceOver()) await this.#nextSlice();
    }
  }

  #isSliceOver(): boolean {
    return performance.now() - this.#sliceStartMs >= SLICE_MS;
  }

  async #nextSlice(): Promise<void> {
    await setImmediate();
    this.#sliceStartMs = performance.now();
  }

  #checkWildcards(): void {
    const { listed, wildcards } = auditedResources(this.#options.store.rules());
    this.#options.state.keepUnlisted(new Set([...listed, ...wildcards].map(resourceText)));
    for (const resource of wildcards) this.#tellUnlisted(resource, "wildcard");
  }

  #tellUnlisted(resource: Resource, why: Unlisted | undefined): void {
    const { state, log } = this.#options;
    const name = resourceText(resource);
    if (state.setUnlisted(name, why) && why !== undefined) {
      log.warn({ resource: name, why }, "rules match a resource that is not audited; see docs/operations.md");
    }
  }

  async #report(namespace: string, { results, totals }: Collected): Promise<void> {
    const { source, writer, state, log } = this.#options;
    if (!source.reportsServed || (results.length === 0 && !state.isReported(namespace))) return;
    const found = await source.report(namespace);
    const nowSeconds = Math.floor(this.#clock.now() / 1_000);
    const action = planReport({ namespace, results, totals, found, nowSeconds });
    if (found !== undefined && !isOurReport(found)) {
      log.warn({ namespace, name: REPORT_NAME }, "a report of this name is not Fairlead's, so none is written");
    }
    state.setReported(namespace, results.length > 0);
    if (action === undefined) return;
    await writer.execute(action);
    log.info({ namespace, action: action.kind, ...totals }, "report written");
  }
}

/** In the same order after every start, so that a report that holds only the first results stays the same. */
function sorted(objects: readonly KubernetesObject[]): readonly KubernetesObject[] {
  const textOf = ({ kind = "", apiVersion = "", metadata }: KubernetesObject): string =>
    `${kind}.${apiVersion} ${metadata?.name ?? ""}`;
  return objects.toSorted((a, b) => compareStrings(textOf(a), textOf(b)));
}
