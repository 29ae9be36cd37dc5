import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { type Request, range } from "./istio-reader.ts";

/**
 * What the proxy of a client does with a request to a Service, read anew from Linkerd's documentation and not from what
 * writes its annotations and routes. What Linkerd would drop without a word is an error here.
 */

interface Match {
  readonly path?: { readonly type: "Exact" | "PathPrefix" | "RegularExpression"; readonly value: string };
  readonly method?: string;
  readonly headers?: readonly { readonly name: string; readonly type?: string; readonly value: string }[];
}

interface Backend {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port?: number;
  readonly weight?: number;
}

interface RouteSpec {
  readonly parentRefs: readonly { readonly group?: string; readonly kind?: string; readonly name: string }[];
  readonly rules: readonly {
    readonly matches: readonly Match[];
    readonly backendRefs?: readonly Backend[];
    readonly timeouts?: object;
    readonly retry?: object;
  }[];
}

/** Times in milliseconds. */
export interface ClientSettings {
  readonly retry: Retries | undefined;
  readonly timeouts: Timeouts;
  /** `name:port` with its part of the requests, 0 to 1. */
  readonly shares: Readonly<Record<string, number>>;
}

export interface Retries {
  readonly limit: number;
  readonly statusCodes: ReadonlySet<number>;
  readonly grpcCodes: ReadonlySet<string>;
  readonly perTryMs: number | undefined;
}

export type Timeouts = Readonly<Partial<Record<"request" | "response" | "idle", number>>>;

/** Undefined: 404, because the Service has routes and none of them fits. */
export function settingsFor(
  service: KubernetesObject,
  routes: readonly KubernetesObject[],
  { request, port }: { readonly request: Request; readonly port: number },
): ClientSettings | undefined {
  const { name = "", namespace = "" } = service.metadata ?? {};
  const attached = routes.filter(({ spec }) =>
    (spec as RouteSpec).parentRefs.some((it) => it.group === "" && it.kind === "Service" && it.name === name),
  );
  const own = { timeouts: timeoutsOn(service), retry: retriesOn(service, ["http", "grpc"]) };
  const unshared = { [`${name}:${port}`]: 1 };
  if (attached.length === 0) return { retry: own.retry, timeouts: own.timeouts ?? {}, shares: unshared };
  const fitting = attached
    .flatMap((route) =>
      (route.spec as RouteSpec).rules.flatMap((rule) => rule.matches.map((match) => ({ route, rule, match }))),
    )
    .filter(({ match }) => fits(match, request))
    .sort((a, b) => order(request)(a.match, b.match));
  const [first] = fitting;
  if (first === undefined) return undefined;
  const { route, rule } = first;
  if (rule.timeouts !== undefined || rule.retry !== undefined)
    throw new Error("Linkerd reads that by version or never");
  // A family is inherited as a whole or not at all.
  return {
    retry: retriesOn(route, ["http"]) ?? own.retry,
    timeouts: timeoutsOn(route) ?? own.timeouts ?? {},
    shares: rule.backendRefs === undefined ? unshared : sharesOf(rule.backendRefs, namespace),
  };
}

function sharesOf(backends: readonly Backend[], namespace: string): Readonly<Record<string, number>> {
  const sum = backends.reduce((total, { weight = 1 }) => total + weight, 0);
  if (sum === 0) throw new Error("Weights that are all 0 stop the proxy");
  return Object.fromEntries(
    backends.flatMap(({ group, kind, namespace: of, name, port, weight = 1 }) => {
      const isExplicit = group === "" && kind === "Service" && of === namespace && port !== undefined;
      if (!isExplicit) throw new Error(`Linkerd takes ${name} for something else`);
      return weight === 0 ? [] : [[`${name}:${port}`, weight / sum] as const];
    }),
  );
}

/** By how much of the path is matched: all of it but by a prefix; then those with a method, then by headers. */
function order({ path: at }: Request): (a: Match, b: Match) => number {
  const counted = ({ path, method, headers = [] }: Match): readonly number[] => {
    const { type = "PathPrefix", value = "/" } = path ?? {};
    return [type === "PathPrefix" ? value.length : at.length, Number(method !== undefined), headers.length];
  };
  return (a, b) => {
    const [left, right] = [counted(a), counted(b)];
    const index = left.findIndex((value, place) => value !== right[place]);
    return index < 0 ? 0 : (right[index] ?? 0) - (left[index] ?? 0);
  };
}

function fits({ path, method, headers = [] }: Match, request: Request): boolean {
  return (
    (path === undefined || fitsPath(path, request.path)) &&
    (method === undefined || method === request.method) &&
    headers.every(({ name, type = "Exact", value }) => {
      const found = request.headers[name.toLowerCase()];
      return found !== undefined && (type === "Exact" ? found === value : isWhole(found, value));
    })
  );
}

/** A prefix is one of whole elements. */
function fitsPath({ type, value }: NonNullable<Match["path"]>, found: string): boolean {
  if (type === "Exact") return found === value;
  if (type === "RegularExpression") return isWhole(found, value);
  return value === "/" || found === value || found.startsWith(value.endsWith("/") ? value : `${value}/`);
}

function isWhole(text: string, expression: string): boolean {
  return new RegExp(`^(?:${expression})$`, "u").test(text);
}

function annotation(object: KubernetesObject, key: string): string | undefined {
  return object.metadata?.annotations?.[key];
}

/** Undefined where none is set. */
function timeoutsOn(object: KubernetesObject): Timeouts | undefined {
  const found = (["request", "response", "idle"] as const).flatMap((name) => {
    const text = annotation(object, `timeout.linkerd.io/${name}`);
    return text === undefined ? [] : [[name, milliseconds(text)] as const];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** Of the two lists those that the kind of object has; undefined where no key is set. */
function retriesOn(object: KubernetesObject, lists: readonly ("http" | "grpc")[]): Retries | undefined {
  const { http, grpc, limit, timeout } = Object.fromEntries(
    ["http", "grpc", "limit", "timeout"].map((name) => [name, annotation(object, `retry.linkerd.io/${name}`)]),
  );
  if ([http, grpc, limit, timeout].every((value) => value === undefined)) return undefined;
  if (grpc !== undefined && !lists.includes("grpc")) throw new Error("Linkerd reads no gRPC codes here");
  if (http === undefined && grpc === undefined) throw new Error("Without a list no status is retried");
  // A limit of 0 counts as absent, which is 1.
  if (limit === undefined || !/^[1-9][0-9]*$/.test(limit)) throw new Error(`Nobody means a limit of ${limit}`);
  return {
    limit: Number(limit),
    statusCodes: new Set(http === undefined ? [] : http.split(",").flatMap(statuses)),
    grpcCodes: new Set(grpc === undefined ? [] : grpc.split(",").map(grpcCode)),
    perTryMs: timeout === undefined ? undefined : milliseconds(timeout),
  };
}

function statuses(item: string): readonly number[] {
  if (item === "5xx") return range(500, 599);
  if (item === "gateway-error") return range(502, 504);
  const [, from = "", to = from] = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/.exec(item) ?? [];
  if (from === "" || Number(from) > Number(to)) throw new Error(`Linkerd drops the list with "${item}"`);
  return range(Number(from), Number(to));
}

function grpcCode(item: string): string {
  const known = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];
  if (!known.includes(item)) throw new Error(`Linkerd drops the list with "${item}"`);
  return item;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** One whole number and one unit; zero is a deadline of now, or none, and nobody writes it. */
function milliseconds(text: string): number {
  const [, digits = "", unit = ""] = /^([0-9]+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(digits) * (UNITS[unit] ?? Number.NaN);
  if (!(ms > 0)) throw new Error(`Linkerd drops the duration "${text}"`);
  return ms;
}

export interface Breaker {
  readonly failures: number;
  readonly minPenaltyMs: number;
  readonly maxPenaltyMs: number;
  readonly jitter: number;
}

/** It is read from the Service that clients ask for, and from no route. */
export function breakerOn(service: KubernetesObject): Breaker | undefined {
  const prefix = "balancer.linkerd.io/failure-accrual";
  const mode = annotation(service, prefix);
  const read = (name: string): string => annotation(service, `${prefix}-consecutive-${name}`) ?? "absent";
  if (mode === undefined) return undefined;
  if (mode !== "consecutive") throw new Error(`Nobody here writes ${mode}`);
  const made = {
    failures: Number(read("max-failures")),
    minPenaltyMs: milliseconds(read("min-penalty")),
    maxPenaltyMs: milliseconds(read("max-penalty")),
    jitter: Number(read("jitter-ratio")),
  };
  const isRead = made.failures > 0 && made.minPenaltyMs <= made.maxPenaltyMs && made.jitter >= 0 && made.jitter <= 100;
  if (!isRead) throw new Error("Linkerd drops the breaker, or never opens it");
  return made;
}
