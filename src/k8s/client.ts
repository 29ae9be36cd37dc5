import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { ApiError, readBody, toError } from "./api-error.ts";
import type { Cluster } from "./config.ts";
import { describeError } from "./ports.ts";
import { Transport } from "./transport.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `/api/v1/namespaces/shop/services/web`, see {@link resourcePath}. */
  readonly path: string;
  readonly query?: Query | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly contentType?: string;
  /** For the whole exchange, waiting for a free connection included. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ApiResponse {
  readonly status: number;
  /** Parsed JSON; a string when the server answered something else. */
  readonly body: unknown;
}

export const PATCH_TYPES = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

export interface PatchRequest {
  readonly path: string;
  readonly type: keyof typeof PATCH_TYPES;
  readonly body: unknown;
  /** `fieldManager`, `force`, `dryRun`. */
  readonly query?: Query;
  readonly timeoutMs?: number;
}

export interface WriteOptions {
  readonly query?: Query;
  readonly timeoutMs?: number;
}

/** What an object must still be to be deleted. */
export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface OperationsRequest {
  readonly path: string;
  /** The version that was read; a write to any other version is a conflict. */
  readonly resourceVersion: string | undefined;
  /** RFC 6902. */
  readonly operations: readonly object[];
  readonly query?: Query;
  readonly timeoutMs?: number;
}

type OnPage<Result> = (items: readonly KubernetesObject[], first: boolean) => Result;

export interface ListOptions {
  readonly query?: Query;
  readonly signal?: AbortSignal;
  /** For each page. */
  readonly timeoutMs?: number;
  /**
   * Objects of one page; the next page is asked for when this has ended. `first` is true for the first page, also when
   * paging had to start again: forget the earlier ones.
   */
  readonly onPage: OnPage<void> | OnPage<Promise<void>>;
}

export interface ResourceRef {
  readonly group: string;
  /** Plural, lower case: `services`. */
  readonly resource: string;
}

/** Half of the 60 s after which the API server gives up a request (kube-apiserver `--request-timeout`). */
const REQUEST_TIMEOUT_MS = 30_000;
/** Page size of client-go's pager. */
const PAGE_SIZE = 500;
/** A continue token lives as long as etcd's compaction interval, five minutes; more restarts than this are hopeless. */
const LIST_RESTARTS_MAX = 3;

export class KubernetesClient {
  readonly #transport: Transport;

  constructor(cluster: Cluster) {
    this.#transport = new Transport(cluster);
  }

  /** Throws {@link ApiError} for an answer other than 2xx, another Error when there was no answer. */
  async request(request: ApiRequest): Promise<ApiResponse> {
    const deadline = new AbortController();
    const abort = () => deadline.abort(request.signal?.reason);
    if (request.signal?.aborted) abort();
    request.signal?.addEventListener("abort", abort, { once: true });
    const timeoutMs = request.timeoutMs ?? REQUEST_TIMEOUT_MS;
    const timer = setTimeout(() => deadline.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      const first = await this.#exchange(request, deadline.signal);
      if (first.status !== 401) return checked(first);
      this.#transport.refreshCredentials();
      return checked(await this.#exchange(request, deadline.signal));
    } catch (error) {
      if (error instanceof ApiError) throw error;
      const why = describeError(deadline.signal.aborted ? deadline.signal.reason : error);
      throw new Error(`Cannot ${request.method} ${request.path}: ${why}`, { cause: error });
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener("abort", abort);
    }
  }

  /** A response without end: resolves at the headers. Destroy it, or abort the signal, to stop. */
  async stream(request: { path: string; query?: Query; signal: AbortSignal }): Promise<Readable> {
    const response = await this.#transport.send({
      method: "GET",
      path: request.path + queryString(request.query),
      signal: request.signal,
      longLived: true,
    });
    response.setEncoding("utf8");
    if (response.statusCode === 200) return response;
    if (response.statusCode === 401) this.#transport.refreshCredentials();
    throw toError(response, await readBody(response));
  }

  async get(path: string): Promise<KubernetesObject> {
    return objectIn(await this.request({ method: "GET", path }));
  }

  async create(path: string, body: KubernetesObject, options: WriteOptions = {}): Promise<KubernetesObject> {
    return objectIn(
      await this.request({ query: options.query, timeoutMs: options.timeoutMs, method: "POST", path, body }),
    );
  }

  /** With preconditions a conflict where the object is another one; what is left of it is returned. */
  async delete(path: string, preconditions?: Preconditions): Promise<KubernetesObject> {
    const body = preconditions && { apiVersion: "v1", kind: "DeleteOptions", preconditions };
    return objectIn(await this.request({ method: "DELETE", path, body }));
  }

  async patch(patch: PatchRequest): Promise<KubernetesObject> {
    const { type, ...rest } = patch;
    return objectIn(await this.request({ method: "PATCH", contentType: PATCH_TYPES[type], ...rest }));
  }

  /**
   * JSON Patch of an object that must still be as it was read, else an {@link ApiError} 409. The API server answers a
   * failed `test` and any other operation that does not fit with the same 422 and the same words ("the server rejected
   * our request due to an error in our request"), so the object tells which it was.
   */
  async patchVersion(request: OperationsRequest): Promise<KubernetesObject> {
    const { operations, resourceVersion, ...rest } = request;
    const test = { op: "test", path: "/metadata/resourceVersion", value: resourceVersion };
    try {
      return await this.patch({ ...rest, type: "json", body: [test, ...operations] });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 422)) throw error;
      const found = (await this.get(request.path)).metadata?.resourceVersion;
      if (found === resourceVersion) throw error;
      const message = `The object has changed: found resourceVersion ${found}, want ${resourceVersion}`;
      throw new ApiError({ status: 409, reason: "Conflict", message }, { cause: error });
    }
  }

  /** Lists by pages and returns the resourceVersion from which to watch. */
  async list(path: string, options: ListOptions): Promise<string> {
    let restarts = 0;
    let token: string | undefined;
    for (;;) {
      const query: Query = { ...options.query, limit: PAGE_SIZE, continue: token };
      const { signal, timeoutMs } = options;
      let page: ListBody;
      try {
        page = (await this.request({ method: "GET", path, query, timeoutMs, signal })).body as ListBody;
      } catch (error) {
        const expired = error instanceof ApiError && error.status === 410 && token !== undefined;
        if (!expired || restarts >= LIST_RESTARTS_MAX) throw error;
        restarts += 1;
        token = undefined;
        continue;
      }
      if (!Array.isArray(page.items)) throw new Error(`Cannot list ${path}: the answer holds no items`);
      await options.onPage(
        page.items.map((item) => withType(item, page)),
        token === undefined,
      );
      token = page.metadata?.continue || undefined;
      if (token === undefined) return page.metadata?.resourceVersion ?? "";
    }
  }

  /**
   * The version under which a resource is served, the group's preferred one first; undefined when it is not served.
   * The preferred version is the group's, so it need not hold the resource (policy.linkerd.io is such a group).
   */
  async servedVersion(ref: ResourceRef, signal?: AbortSignal): Promise<string | undefined> {
    if (ref.group === "") return "v1";
    const group = (await this.#getOrAbsent(`/apis/${ref.group}`, signal)) as GroupBody | undefined;
    if (group === undefined) return undefined;
    const preferred = group.preferredVersion?.version;
    const others = (group.versions ?? []).map((entry) => entry.version).filter((version) => version !== preferred);
    for (const version of preferred === undefined ? others : [preferred, ...others]) {
      const list = (await this.#getOrAbsent(`/apis/${ref.group}/${version}`, signal)) as ResourcesBody | undefined;
      if (list?.resources?.some((entry) => entry.name === ref.resource)) return version;
    }
    return undefined;
  }

  /** Closes idle connections; running requests end with an error. */
  close(): void {
    this.#transport.close();
  }

  async #exchange(request: ApiRequest, signal: AbortSignal): Promise<Exchange> {
    const response = await this.#transport.send({
      method: request.method,
      path: request.path + queryString(request.query),
      payload: request.body === undefined ? undefined : JSON.stringify(request.body),
      contentType: request.contentType,
      signal,
    });
    return { status: response.statusCode ?? 0, response, text: await readBody(response) };
  }

  async #getOrAbsent(path: string, signal: AbortSignal | undefined): Promise<unknown> {
    try {
      return (await this.request({ method: "GET", path, signal })).body;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }
}

/** `/apis/apps/v1/namespaces/shop/deployments/web`; without namespace and name: all of them. */
export function resourcePath(ref: ResourceRef & { version: string; namespace?: string; name?: string }): string {
  const root = ref.group === "" ? `/api/${ref.version}` : `/apis/${ref.group}/${ref.version}`;
  const scope = ref.namespace === undefined ? "" : `/namespaces/${encodeURIComponent(ref.namespace)}`;
  const name = ref.name === undefined ? "" : `/${encodeURIComponent(ref.name)}`;
  return `${root}${scope}/${ref.resource}${name}`;
}

interface Exchange {
  readonly status: number;
  readonly response: IncomingMessage;
  readonly text: string;
}

interface ListBody {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: { readonly continue?: string; readonly resourceVersion?: string };
  readonly items?: readonly KubernetesObject[];
}

interface GroupBody {
  readonly preferredVersion?: { readonly version?: string };
  readonly versions?: readonly { readonly version: string }[];
}

interface ResourcesBody {
  readonly resources?: readonly { readonly name: string }[];
}

/** Items of a list of built-in kinds carry neither apiVersion nor kind. */
function withType(item: KubernetesObject, list: ListBody): KubernetesObject {
  if (item.kind !== undefined || list.apiVersion === undefined) return item;
  return { apiVersion: list.apiVersion, kind: (list.kind ?? "").replace(/List$/, ""), ...item };
}

function checked(exchange: Exchange): ApiResponse {
  const { status, response, text } = exchange;
  if (status < 200 || status > 299) throw toError(response, text);
  const json = response.headers["content-type"]?.includes("json") ?? false;
  return { status, body: json ? parseJson(text) : text };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // V8's own message quotes the text, which may be a Secret: not for a log.
    throw new Error(`the answer of ${text.length} characters is not JSON`);
  }
}

function objectIn(response: ApiResponse): KubernetesObject {
  return response.body as KubernetesObject;
}

function queryString(query: Query | undefined): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(key, String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}
