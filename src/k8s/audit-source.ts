import { REPORT_NAME, REPORTS } from "../core/audit/report.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../core/names.ts";
import { ApiError } from "./api-error.ts";
import { type KubernetesClient, type ListOptions, type ResourceRef, resourcePath } from "./client.ts";

/** What the audit reads of the API server beyond the world: kinds that nobody watches, and the reports. Nothing is kept. */
export class AuditSource {
  readonly #client: KubernetesClient;
  /** What the API server serves changes with CRDs, so it is looked up once for each run. */
  readonly #versions = new Map<string, string | undefined>();
  #reportsVersion: string | undefined;

  constructor(client: KubernetesClient) {
    this.#client = client;
  }

  /** Before each run. */
  async begin(): Promise<void> {
    this.#versions.clear();
    this.#reportsVersion = await this.#client.servedVersion(REPORTS);
  }

  /** Whether the CRD of reports is installed. */
  get reportsServed(): boolean {
    return this.#reportsVersion !== undefined;
  }

  /** Objects of a namespace page by page; otherwise why they cannot be listed. */
  async list(
    resource: ResourceRef,
    namespace: string,
    onPage: ListOptions["onPage"],
  ): Promise<"forbidden" | "absent" | undefined> {
    const version = await this.#versionOf(resource);
    if (version === undefined) return "absent";
    try {
      await this.#client.list(resourcePath({ ...resource, version, namespace }), { onPage });
      return undefined;
    } catch (error) {
      if (error instanceof ApiError && error.status === 403) return "forbidden";
      if (error instanceof ApiError && error.status === 404) return "absent";
      throw error;
    }
  }

  /** The report of a namespace, be it ours or not. */
  async report(namespace: string): Promise<KubernetesObject | undefined> {
    const version = this.#reportsVersion ?? "";
    try {
      return await this.#client.get(resourcePath({ ...REPORTS, version, namespace, name: REPORT_NAME }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** The namespaces in which there is a report of ours. */
  async reportedNamespaces(): Promise<readonly string[]> {
    if (this.#reportsVersion === undefined) return [];
    let namespaces: string[] = [];
    await this.#client.list(resourcePath({ ...REPORTS, version: this.#reportsVersion }), {
      query: { labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}` },
      onPage: (items, first) => {
        if (first) namespaces = [];
        for (const { metadata } of items) namespaces.push(metadata?.namespace ?? "");
      },
    });
    return namespaces;
  }

  async #versionOf(resource: ResourceRef): Promise<string | undefined> {
    const key = `${resource.resource}.${resource.group}`;
    if (!this.#versions.has(key)) this.#versions.set(key, await this.#client.servedVersion(resource));
    return this.#versions.get(key);
  }
}
