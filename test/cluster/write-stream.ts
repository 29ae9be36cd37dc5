import { setInterval } from "node:timers/promises";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { type KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { policy, service } from "./session.ts";

const NAMESPACE = "stream";
/** A write of each kind so often: more than people and GitOps tools do. */
const PACE_MS = 25;
const SERVICES = resourcePath({ group: "", version: "v1", resource: "services", namespace: NAMESPACE });
const POLICY = resourcePath({
  group: "fairlead.dev",
  version: "v1alpha1",
  resource: "resiliencepolicies",
  namespace: NAMESPACE,
  name: "p",
});

/** Changes a policy and creates a Service over and over, both through Fairlead, until told to stop. */
export class WriteStream {
  #written = 0;
  #isRunning = true;
  readonly #client: KubernetesClient;
  readonly #failures: string[] = [];
  readonly #loop: Promise<void>;

  constructor(client: KubernetesClient) {
    this.#client = client;
    this.#loop = this.#run();
  }

  /** Returns what went wrong. */
  async stop(): Promise<readonly string[]> {
    this.#isRunning = false;
    await this.#loop;
    return this.#failures;
  }

  async wroteMore(): Promise<void> {
    const before = this.#written;
    await waitFor("more writes", () => this.#written >= before + 20);
  }

  async #run(): Promise<void> {
    const metadata = { name: NAMESPACE, labels: { "fairlead.dev/mode": "enforce" } };
    await this.#client.create("/api/v1/namespaces", { metadata });
    for await (const _ of setInterval(PACE_MS)) {
      if (!this.#isRunning) break;
      const timeout = { request: `${1 + (this.#written % 9)}s` };
      const body = policy(NAMESPACE, "p", { targetRefs: [{ kind: "Service", name: "none" }], timeout });
      const query = { fieldManager: "stream", force: true };
      await this.#attempt(() => this.#client.patch({ path: POLICY, type: "apply", query, body }));
      const created = service(NAMESPACE, `web-${this.#written}`) as KubernetesObject;
      await this.#attempt(() => this.#client.create(SERVICES, created));
    }
  }

  async #attempt(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
      this.#written += 1;
    } catch (error) {
      this.#failures.push((error as Error).message);
    }
  }
}
