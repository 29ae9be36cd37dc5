import { doorOfRules, planRuleWebhooks, type StoredWebhook } from "../core/admission/plan-rule-webhooks.ts";
import type { WebhookConfiguration } from "../core/admission/registration.ts";
import type { Phase } from "../core/admission/review.ts";
import type { RuleWebhook } from "../core/admission/rule-webhooks.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { FIELD_MANAGER } from "../core/names.ts";
import { ApiError } from "./api-error.ts";
import { type KubernetesClient, resourcePath } from "./client.ts";

const VALIDATING = "validatingwebhookconfigurations";
const RESOURCES = ["mutatingwebhookconfigurations", VALIDATING] as const;

interface StoredConfiguration extends KubernetesObject {
  readonly webhooks?: readonly StoredWebhook[];
}

/** Whether the API server asks about everything that rules judge. */
export interface RuleRegistration {
  /** `absent`: there is no configuration; `untrusted`: no entry of it carries a CA yet. */
  readonly state: "registered" | "absent" | "untrusted";
  readonly written: boolean;
}

/** The caBundle of one webhook. */
export interface InstalledBundle {
  /** Name of the resource: `mutatingwebhookconfigurations`. */
  readonly configuration: string;
  readonly webhook: string;
  /** PEM, base64 already decoded; empty when there is none. */
  readonly pem: string;
}

/** The path of each door, with the part that nobody can guess. */
export type AdmissionPaths = Readonly<Record<Phase, string>>;

/**
 * The two webhook configurations of one name. Only `register` creates; in a cluster the chart owns their existence,
 * and what is written is caBundle and path, and the entries of rules.
 */
export class WebhookConfigurations {
  readonly #client: KubernetesClient;
  readonly #name: string;
  readonly #paths: AdmissionPaths;

  constructor(client: KubernetesClient, name: string, paths: AdmissionPaths) {
    this.#client = client;
    this.#name = name;
    this.#paths = paths;
  }

  /** Creates or replaces a configuration whole (`serve --register`: development and demo). */
  async register(configuration: WebhookConfiguration): Promise<void> {
    const resource = configuration.kind === "MutatingWebhookConfiguration" ? RESOURCES[0] : RESOURCES[1];
    await this.#client.patch({
      path: this.#path(resource),
      type: "apply",
      body: configuration,
      query: { fieldManager: FIELD_MANAGER, force: true },
    });
  }

  /** A webhook that does not point at our path counts as one without a bundle: setBundle puts both right. */
  async bundles(): Promise<readonly InstalledBundle[]> {
    const found = await Promise.all(RESOURCES.map((resource) => this.#read(resource)));
    return found.flatMap((object, index) =>
      (object?.webhooks ?? []).map((webhook) => ({
        configuration: RESOURCES[index] as string,
        webhook: webhook.name,
        pem: this.#pointsHere(webhook, index)
          ? Buffer.from(webhook.clientConfig?.caBundle ?? "", "base64").toString("utf8")
          : "",
      })),
    );
  }

  /** Writes the bundle and our path into every webhook of a configuration, if that is still as it was read. */
  async setBundle(resource: string, pem: string): Promise<void> {
    const object = await this.#read(resource);
    if (object === undefined) return;
    const caBundle = Buffer.from(pem).toString("base64");
    await this.#client.patchVersion({
      path: this.#path(resource),
      resourceVersion: object.metadata?.resourceVersion,
      operations: (object.webhooks ?? []).flatMap(({ name, clientConfig }, index) => {
        const at = `/webhooks/${index}/clientConfig`;
        const bundle = { op: "add", path: `${at}/caBundle`, value: caBundle };
        const path = { op: "add", path: `${at}/service/path`, value: this.#pathOf(resource, name) };
        return clientConfig?.service === undefined ? [bundle] : [bundle, path];
      }),
      query: { fieldManager: FIELD_MANAGER },
    });
  }

  /** Writes our path where another tool keeps the bundles. True when something was written. */
  async setPaths(): Promise<boolean> {
    let changed = false;
    for (const [position, resource] of RESOURCES.entries()) {
      const object = await this.#read(resource);
      const operations = (object?.webhooks ?? []).flatMap((webhook, index) =>
        this.#pointsHere(webhook, position)
          ? []
          : [
              {
                op: "add",
                path: `/webhooks/${index}/clientConfig/service/path`,
                value: this.#pathOf(resource, webhook.name),
              },
            ],
      );
      if (object === undefined || operations.length === 0) continue;
      await this.#client.patchVersion({
        path: this.#path(resource),
        resourceVersion: object.metadata?.resourceVersion,
        operations,
        query: { fieldManager: FIELD_MANAGER },
      });
      changed = true;
    }
    return changed;
  }

  /**
   * Makes the entries of rules in the validating configuration what they are to be. Nothing is written where they are,
   * nor where there is no configuration.
   */
  async setRuleWebhooks(wanted: readonly RuleWebhook[]): Promise<RuleRegistration> {
    const object = await this.#read(VALIDATING);
    if (object === undefined) return { state: wanted.length === 0 ? "registered" : "absent", written: false };
    const { operations, complete } = planRuleWebhooks({ stored: object.webhooks ?? [], wanted, paths: this.#paths });
    if (operations.length > 0) {
      await this.#client.patchVersion({
        path: this.#path(VALIDATING),
        resourceVersion: object.metadata?.resourceVersion,
        operations,
        query: { fieldManager: FIELD_MANAGER },
      });
    }
    return { state: complete ? "registered" : "untrusted", written: operations.length > 0 };
  }

  /** A URL is written by `register` alone. */
  #pointsHere({ name, clientConfig }: StoredWebhook, index: number): boolean {
    const path = clientConfig?.service?.path;
    return clientConfig?.service === undefined || path === this.#pathOf(RESOURCES[index] ?? "", name);
  }

  #pathOf(resource: string, webhook: string): string {
    if (resource === RESOURCES[0]) return this.#paths.mutate;
    return this.#paths[doorOfRules(webhook) ?? "validate"];
  }

  async #read(resource: string): Promise<StoredConfiguration | undefined> {
    try {
      return await this.#client.get(this.#path(resource));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  #path(resource: string): string {
    return resourcePath({ group: "admissionregistration.k8s.io", version: "v1", resource, name: this.#name });
  }
}
