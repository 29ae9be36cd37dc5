import type { KubernetesObject, StringMap } from "../core/kubernetes.ts";
import { ApiError } from "./api-error.ts";
import { type KubernetesClient, resourcePath } from "./client.ts";

export interface Secret {
  readonly labels: StringMap;
  /** base64 already decoded. */
  readonly data: StringMap;
  readonly resourceVersion: string;
}

interface StoredSecret extends KubernetesObject {
  readonly data?: StringMap;
}

/** Secrets of one namespace. */
export class Secrets {
  readonly #client: KubernetesClient;
  readonly #namespace: string;

  constructor(client: KubernetesClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  async read(name: string): Promise<Secret | undefined> {
    try {
      const secret = (await this.#client.get(this.#path(name))) as StoredSecret;
      const data = Object.entries(secret.data ?? {}).map(([key, value]) => [
        key,
        Buffer.from(value, "base64").toString("utf8"),
      ]);
      return {
        labels: secret.metadata?.labels ?? {},
        data: Object.fromEntries(data),
        resourceVersion: secret.metadata?.resourceVersion ?? "",
      };
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Creates the Secret, or replaces it if it still is what was read: of two writers one gets a 409. */
  async write(
    name: string,
    { labels, data }: Pick<Secret, "labels" | "data">,
    read: Secret | undefined,
  ): Promise<void> {
    const body = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace: this.#namespace, labels, ...(read && { resourceVersion: read.resourceVersion }) },
      data: Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
      ),
    };
    if (read === undefined) await this.#client.create(this.#path(), body);
    else await this.#client.request({ method: "PUT", path: this.#path(name), body });
  }

  #path(name?: string): string {
    return resourcePath({
      group: "",
      version: "v1",
      resource: "secrets",
      namespace: this.#namespace,
      ...(name && { name }),
    });
  }
}
