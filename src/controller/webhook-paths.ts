import { describeError, type Logger } from "../k8s/ports.ts";
import type { WebhookConfigurations } from "../k8s/webhook-configurations.ts";

/** A path that somebody overwrites is right again after this time. */
const CHECK_INTERVAL_MS = 10_000;

export interface WebhookPathsOptions {
  readonly configurations: WebhookConfigurations;
  readonly mayWrite: () => boolean;
  readonly log: Logger;
}

/** Keeps the admission path in the webhook configurations where another tool keeps certificates and bundles. */
export class WebhookPaths {
  readonly #options: WebhookPathsOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: WebhookPathsOptions) {
    this.#options = options;
  }

  /** Now, and from then on now and then. Never rejects. */
  check(): Promise<void> {
    clearTimeout(this.#timer);
    this.#running = this.#running.then(() => this.#bringInLine());
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #bringInLine(): Promise<void> {
    const { configurations, mayWrite, log } = this.#options;
    try {
      if (!this.#stopped && mayWrite() && (await configurations.setPaths())) log.info({}, "webhook paths set");
    } catch (error) {
      log.warn({ error: describeError(error) }, "webhook paths could not be set");
    }
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.check(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }
}
