import { ruleWebhooks } from "../core/admission/rule-webhooks.ts";
import type { MergeAction } from "../core/action.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { planRuleStatus, type RegistrationState } from "../core/rules/status.ts";
import type { World } from "../core/world.ts";
import { isConflict, isNotFound, NotLeaderError } from "../k8s/apply.ts";
import { type Clock, describeError, type Logger, systemClock } from "../k8s/ports.ts";
import type { ClusterStore } from "../k8s/store.ts";
import type { WebhookConfigurations } from "../k8s/webhook-configurations.ts";
import { nowText, type Writer } from "./ports.ts";

export interface RuleRegistrarOptions {
  readonly store: World & Pick<ClusterStore, "onChange" | "ruleObjects" | "ruleProblems" | "whenSynced">;
  readonly configurations: Pick<WebhookConfigurations, "setRuleWebhooks">;
  /** Of the status of rules. */
  readonly writer: Writer<MergeAction>;
  readonly mayWrite: () => boolean;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** Rules that are applied together are registered together; one that is applied alone is in force within a second. */
const GATHER_MS = 200;
/** An entry that somebody changes or takes away (`kubectl replace` of the manifests) is right again after this time. */
const CHECK_INTERVAL_MS = 10_000;
/** After a conflict or an error. */
const RETRY_MS = 1_000;

/**
 * Keeps the webhook entries of rules what the rules need, and says in the status of each rule whether it is in force.
 * Every replica has one; only the leader's does anything.
 */
export class RuleRegistrar {
  readonly #options: RuleRegistrarOptions;
  readonly #clock: Clock;
  #unsubscribe: (() => void) | undefined;
  #cancel: (() => void) | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();
  #started = false;
  #stopped = false;

  constructor(options: RuleRegistrarOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Waits for the world: to look earlier would take entries away whose rules are not known yet. */
  async start(): Promise<void> {
    const { store } = this.#options;
    await store.whenSynced();
    if (this.#stopped) return;
    this.#started = true;
    this.#unsubscribe = store.onChange(({ type }) => {
      if (type === "rule") this.#schedule(GATHER_MS);
    });
    await this.check();
  }

  /** Looks at everything now, after the look that is under way; before the start is over at nothing. Never rejects. */
  check(): Promise<void> {
    this.#running = this.#running.then(() => this.#look());
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancel?.();
    await this.#running;
  }

  /** The earliest of what was asked for. */
  #schedule(delayMs: number): void {
    const dueMs = this.#clock.now() + delayMs;
    if (this.#stopped || dueMs >= this.#dueMs) return;
    this.#cancel?.();
    this.#dueMs = dueMs;
    this.#cancel = this.#clock.after(delayMs, () => void this.check());
  }

  async #look(): Promise<void> {
    this.#cancel?.();
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (this.#stopped || !this.#started) return;
    const isDone = this.#options.mayWrite() ? await this.#bringInLine() : true;
    this.#schedule(isDone ? CHECK_INTERVAL_MS : RETRY_MS);
  }

  /** False where it has to be tried again soon. */
  async #bringInLine(): Promise<boolean> {
    const registration = await this.#register();
    const told = await Promise.all(
      [...this.#options.store.ruleObjects()].map((rule) => this.#tell(rule, registration)),
    );
    return registration === "registered" && told.every(Boolean);
  }

  async #register(): Promise<RegistrationState> {
    const { store, configurations, log } = this.#options;
    const wanted = ruleWebhooks(store.rules(), store.defaults.excludedNamespaces);
    try {
      const { state, written } = await configurations.setRuleWebhooks(wanted);
      if (written) log.info({ entries: wanted.map(({ name }) => name) }, "webhook entries of rules written");
      return state;
    } catch (error) {
      if (!isConflict(error))
        log.warn({ error: describeError(error) }, "webhook entries of rules could not be written");
      return "failed";
    }
  }

  async #tell(rule: KubernetesObject, registration: RegistrationState): Promise<boolean> {
    const { store, writer, log } = this.#options;
    const problems = store.ruleProblems(rule.metadata?.name ?? "");
    const action = planRuleStatus({ rule, problems, registration, nowText: nowText(this.#clock) });
    if (action === undefined) return true;
    try {
      await writer.execute(action);
      return true;
    } catch (error) {
      // The watch brings what was written meanwhile, and with it the next look.
      if (isConflict(error) || isNotFound(error) || error instanceof NotLeaderError) return true;
      log.warn({ rule: rule.metadata?.name, error: describeError(error) }, "status of a rule could not be written");
      return false;
    }
  }
}
