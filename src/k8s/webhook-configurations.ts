import type { WebhookConfiguration } from "../core/admission/registration.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { FIELD_MANAGER } from "../core/names.ts";
import { ApiError } from "./api-error.ts";
import { type KubernetesClient, resourcePath } from "./client.ts";

const RESOURCES = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] as const;

/** What is read of a configuration that may come from the chart, from us, or from somebody's hand. */
interface StoredWebhook {
  readonly name: string;
  readonly clientConfig?: { readonly caBundle?: string; readonly service?: { readonly path?: string } };
}

interface StoredConfiguration extends KubernetesObject {
  readonly webhooks?: readonly StoredWebhook[];
}

/** The caBundle of one webhook. */
export interface InstalledBundle {
  /** Name of the resource: `mutatingwebhookconfigurations`. */
  readonly configuration: string;
  readonly webhook: string;
  /** PEM, base64 already decoded; empty when there is none. */
  readonly pem: string;
}

/** Paths of the two doors, with the part that nobody can guess. */
export interface AdmissionPaths {
  readonly mutate: string;
  readonly validate: string;
}

/**
 * The two webhook configurations of one name. Only `register` creates; in a cluster the chart owns their existence,
 * and caBundle and path alone are written.
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
      operations: (object.webhooks ?? []).flatMap(({ clientConfig }, index) => {
        const at = `/webhooks/${index}/clientConfig`;
        const bundle = { op: "add", path: `${at}/caBundle`, value: caBundle };
        const path = { op: "add", path: `${at}/service/path`, value: this.#pathOf(resource) };
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
          : [{ op: "add", path: `/webhooks/${index}/clientConfig/service/path`, value: this.#pathOf(resource) }],
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

  /** A URL is written by `register` alone. */
  #pointsHere({ clientConfig }: StoredWebhook, index: number): boolean {
    return clientConfig?.service === undefined || clientConfig.service.path === this.#pathOf(RESOURCES[index] ?? "");
  }

  #pathOf(resource: string): string {
    return resource === RESOURCES[0] ? this.#paths.mutate : this.#paths.validate;
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
