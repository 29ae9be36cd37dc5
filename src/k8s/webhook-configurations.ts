import type { WebhookConfiguration } from "../core/admission/registration.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { ApiError } from "./api-error.ts";
import { type KubernetesClient, resourcePath } from "./client.ts";

const RESOURCES = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] as const;
const FIELD_MANAGER = "fairlead";

/** What is read of a configuration that may come from the chart, from us, or from somebody's hand. */
interface StoredConfiguration extends KubernetesObject {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig?: {
      readonly caBundle?: string;
      readonly url?: string;
      readonly service?: { readonly path?: string };
    };
  }[];
}

/** The caBundle of one webhook. */
export interface InstalledBundle {
  /** Name of the resource: `mutatingwebhookconfigurations`. */
  readonly configuration: string;
  readonly webhook: string;
  /** PEM, base64 already decoded; empty when there is none. */
  readonly pem: string;
}

/** The two webhook configurations of one name. Only `register` creates; in a cluster the chart owns their existence. */
export class WebhookConfigurations {
  readonly #client: KubernetesClient;
  readonly #name: string;

  constructor(client: KubernetesClient, name: string) {
    this.#client = client;
    this.#name = name;
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

  async bundles(): Promise<readonly InstalledBundle[]> {
    const found = await Promise.all(RESOURCES.map((resource) => this.#read(resource)));
    return found.flatMap((object, index) =>
      (object?.webhooks ?? []).map((webhook) => ({
        configuration: RESOURCES[index] as string,
        webhook: webhook.name,
        pem: Buffer.from(webhook.clientConfig?.caBundle ?? "", "base64").toString("utf8"),
      })),
    );
  }

  /** Writes the bundle into every webhook of a configuration, if that is still as it was read. */
  async setBundle(resource: string, pem: string): Promise<void> {
    const object = await this.#read(resource);
    if (object === undefined) return;
    const caBundle = Buffer.from(pem).toString("base64");
    const webhooks = object.webhooks ?? [];
    await this.#client.patch({
      path: this.#path(resource),
      type: "json",
      body: [
        { op: "test", path: "/metadata/resourceVersion", value: object.metadata?.resourceVersion },
        ...webhooks.map((_, index) => ({
          op: "add",
          path: `/webhooks/${index}/clientConfig/caBundle`,
          value: caBundle,
        })),
      ],
      query: { fieldManager: FIELD_MANAGER },
    });
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
