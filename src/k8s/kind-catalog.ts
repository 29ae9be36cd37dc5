import { setImmediate } from "node:timers/promises";
import { isRecord, own } from "../api/problem.ts";
import { isForbiddenGroup, type ResourceName, type RuleKind } from "../core/rules/kinds.ts";
import { readKinds, type ServedKind } from "../core/rules/openapi-kinds.ts";
import type { Shape } from "../core/rules/schema-shape.ts";
import type { KubernetesClient } from "./client.ts";
import { type Clock, describeError, type Logger, Pause, systemClock } from "./ports.ts";

export interface KindCatalogOptions {
  readonly client: Pick<KubernetesClient, "request">;
  readonly log: Logger;
  readonly clock?: Clock | undefined;
}

/** The index is some kilobytes and names a hash of each document, so a CRD that came or changed is read within a minute. */
const PERIOD_MS = 60_000;
/** Of all shapes together, in characters. Kubernetes 1.36 alone has 250,000 (0.5 MB of memory); beyond this, kinds stay unknown. */
const TEXT_LENGTH_MAX = 8 * 1024 * 1024;

/** A kind as it is kept: its shape as JSON, which takes a tenth of the memory and is read when a rule is written. */
interface KeptKind extends Omit<ServedKind, "shape"> {
  readonly text: string;
}

interface Document {
  /** With the hash of its content. */
  readonly url: string;
  readonly kinds: readonly KeptKind[];
}

/**
 * The kinds that the API server serves, with their fields, for checking rules when they are written. It is read from
 * `/openapi/v3`, which every client may read, ahead of time: a review asks no API server.
 */
export class KindCatalog {
  readonly #options: KindCatalogOptions;
  readonly #pause: Pause;
  readonly #abort = new AbortController();
  readonly #documents = new Map<string, Document>();
  #loop: Promise<void> | undefined;

  constructor(options: KindCatalogOptions) {
    this.#options = options;
    this.#pause = new Pause(options.clock ?? systemClock);
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#pause.cut();
    await this.#loop;
  }

  /** Undefined while nothing is known of it. Of several versions the most stable one stands for `*`. */
  kind({ group, version, resource }: ResourceName): RuleKind | undefined {
    const [found] = [...this.#documents.values()]
      .flatMap(({ kinds }) => kinds)
      .filter((kind) => kind.group === group && kind.resource === resource)
      .filter((kind) => version === "*" || kind.version === version)
      .toSorted((one, other) => stability(other.version) - stability(one.version));
    if (found === undefined) return undefined;
    const { kind, namespaced, text } = found;
    return { kind, namespaced, shape: JSON.parse(text) as Shape };
  }

  /** Characters kept. */
  get textLength(): number {
    let length = 0;
    for (const { kinds } of this.#documents.values()) for (const { text } of kinds) length += text.length;
    return length;
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.refresh();
      } catch (error) {
        const fields = { error: describeError(error) };
        if (!this.#abort.signal.aborted) this.#options.log.warn(fields, "kinds of the API server could not be read");
      }
      if (!this.#abort.signal.aborted) await this.#pause.wait(PERIOD_MS);
    }
  }

  /** Reads what is new; one document after the other, with room for reviews in between. */
  async refresh(): Promise<void> {
    const urls = documentUrls(await this.#get("/openapi/v3"));
    for (const path of this.#documents.keys()) if (!urls.has(path)) this.#documents.delete(path);
    for (const [path, url] of urls) {
      if (this.#documents.get(path)?.url === url) continue;
      const kinds = readKinds(await this.#get(url)).map(({ shape, ...kind }) => ({
        ...kind,
        text: JSON.stringify(shape),
      }));
      this.#documents.delete(path);
      this.#documents.set(path, { url, kinds: this.#fitting(path, kinds) });
      await setImmediate();
    }
  }

  async #get(path: string): Promise<unknown> {
    const { body } = await this.#options.client.request({ method: "GET", path, signal: this.#abort.signal });
    // The API server sends the index as plain text.
    return typeof body === "string" ? JSON.parse(body) : body;
  }

  #fitting(path: string, kinds: readonly KeptKind[]): readonly KeptKind[] {
    const length = kinds.reduce((sum, { text }) => sum + text.length, 0);
    if (this.textLength + length <= TEXT_LENGTH_MAX) return kinds;
    this.#options.log.warn(
      { path, length },
      "schemas are too large to be kept: rules about these kinds are not checked",
    );
    return [];
  }
}

/** The documents that rules may need, by group and version. */
function documentUrls(index: unknown): ReadonlyMap<string, string> {
  const paths = own(index, "paths");
  const urls = new Map<string, string>();
  for (const [path, entry] of Object.entries(isRecord(paths) ? paths : {})) {
    const match = /^(?:api|apis\/([^/]+))\/[^/]+$/.exec(path);
    const url = own(entry, "serverRelativeURL");
    if (match !== null && typeof url === "string" && !isForbiddenGroup(match[1] ?? "")) urls.set(path, url);
  }
  return urls;
}

/** `v2` before `v1` before `v1beta1` before `v1alpha1` (kube-aware version priority). */
function stability(version: string): number {
  const [, major = "0", stage, minor = "0"] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
  const rank = stage === undefined ? 2 : stage === "beta" ? 1 : 0;
  return rank * 1_000_000 + Number(major) * 1_000 + Number(minor);
}
