import type { KubernetesObject } from "../../src/core/kubernetes.ts";

/**
 * What the proxy of a Pod does with requests that come in, read anew from the documentation of PeerAuthentication,
 * AuthorizationPolicy and of Envoy's local rate limit, and not from what writes them.
 */

/** A connection to a port of the Pod. One by plain text has no identity. */
export interface Inbound {
  readonly port: number;
  /** False: the port carries something else than HTTP, and there is no method and no path. */
  readonly isHttp: boolean;
  readonly identity: { readonly trustDomain: string; readonly namespace: string; readonly account: string } | undefined;
  /** IPv4. */
  readonly address: string;
  readonly method: string;
  readonly path: string;
}

export interface Treatment {
  /** Whether plain text is refused on the port. */
  readonly isStrict: boolean;
  readonly isLetIn: boolean;
  /** Of all requests to the port together; undefined: no limit. */
  readonly perSecond: number | undefined;
}

interface Source {
  readonly principals?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly ipBlocks?: readonly string[];
}

interface Operation {
  readonly ports?: readonly string[];
  readonly notPorts?: readonly string[];
  readonly paths?: readonly string[];
  readonly methods?: readonly string[];
}

interface Rule {
  readonly from?: readonly { readonly source: Source }[];
  readonly to?: readonly { readonly operation: Operation }[];
}

interface Policy {
  readonly action?: string;
  readonly rules?: readonly Rule[];
}

/** `objects`: those that select the Pod; `namespaceMode` is what holds where none of them says anything. */
export function treatmentOf(
  objects: readonly KubernetesObject[],
  inbound: Inbound,
  namespaceMode: "STRICT" | "PERMISSIVE",
): Treatment {
  const specs = <T>(kind: string) => objects.filter((object) => object.kind === kind).map(({ spec }) => spec as T);
  const policies = specs<Policy>("AuthorizationPolicy");
  const fitting = (action: string) =>
    policies
      .filter((policy) => (policy.action ?? "ALLOW") === action)
      .map(({ rules = [] }) => rules.some((rule) => fits(rule, inbound, action)));
  const [denies, allows] = [fitting("DENY"), fitting("ALLOW")];
  return {
    isStrict: modeOf(specs("PeerAuthentication"), inbound.port, namespaceMode) === "STRICT",
    // What is denied is refused first; once there is an ALLOW, what none of them fits is refused as well.
    isLetIn: !denies.includes(true) && (allows.length === 0 || allows.includes(true)),
    perSecond: rateOf(specs("EnvoyFilter"), inbound),
  };
}

interface PeerAuthentication {
  readonly mtls?: { readonly mode?: string };
  readonly portLevelMtls?: Readonly<Record<string, { readonly mode?: string }>>;
}

function modeOf([spec]: readonly PeerAuthentication[], port: number, ofNamespace: string): string {
  const said = (mode: string | undefined): string | undefined => (mode === "UNSET" ? undefined : mode);
  return said(spec?.portLevelMtls?.[String(port)]?.mode) ?? said(spec?.mtls?.mode) ?? ofNamespace;
}

/** Without HTTP an ALLOW loses each rule that speaks of it, and a DENY only what the rule says of it. */
function fits({ from, to }: Rule, inbound: Inbound, action: string): boolean {
  const sources = from === undefined || from.some(({ source }) => fitsSource(source, inbound));
  const operations = to === undefined || to.some(({ operation }) => fitsOperation(operation, inbound, action));
  return sources && operations;
}

function fitsSource({ principals, namespaces, ipBlocks }: Source, { identity, address }: Inbound): boolean {
  if (principals === undefined && namespaces === undefined && ipBlocks === undefined)
    throw new Error("Istio refuses a source without fields");
  const principal = identity && `${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.account}`;
  const isOne = (texts: readonly string[] | undefined, found: string | undefined): boolean =>
    texts === undefined || (found !== undefined && texts.some((text) => fitsText(text, found)));
  return (
    isOne(principals, principal) &&
    isOne(namespaces, identity?.namespace) &&
    (ipBlocks === undefined || ipBlocks.some((block) => isWithin(address, block)))
  );
}

function fitsOperation(operation: Operation, { port, isHttp, method, path }: Inbound, action: string): boolean {
  const { ports, notPorts, paths, methods } = operation;
  if (Object.keys(operation).length === 0) throw new Error("Istio refuses an operation without fields");
  const isPort = (ports?.includes(String(port)) ?? true) && !(notPorts?.includes(String(port)) ?? false);
  if (!isHttp) return isPort && (action === "DENY" || (paths === undefined && methods === undefined));
  return (
    isPort &&
    (paths?.some((text) => fitsText(text, path)) ?? true) &&
    (methods?.some((text) => fitsText(text, method)) ?? true)
  );
}

/** A star at one end stands for any text there, and one alone for any text but the empty one. */
function fitsText(text: string, found: string): boolean {
  if (text === "*") return found !== "";
  if (text.startsWith("*")) return found.endsWith(text.slice(1));
  return text.endsWith("*") ? found.startsWith(text.slice(0, -1)) : found === text;
}

export function isWithin(address: string, block: string): boolean {
  const [network = "", length = ""] = block.split("/");
  const bitsOf = (text: string): string =>
    text
      .split(".")
      .map((octet) => Number(octet).toString(2).padStart(8, "0"))
      .join("");
  return bitsOf(address).startsWith(bitsOf(network).slice(0, Number(length)));
}

interface EnvoyFilter {
  readonly configPatches: readonly {
    readonly applyTo: string;
    readonly match: { readonly context: string; readonly listener?: { readonly portNumber?: number } };
    readonly patch: { readonly operation: string; readonly value: { readonly typed_config: RateLimit } };
  }[];
}

interface RateLimit {
  readonly stat_prefix: string;
  readonly token_bucket: {
    readonly max_tokens: number;
    readonly tokens_per_fill: number;
    readonly fill_interval: string;
  };
  readonly filter_enabled?: Fraction;
  readonly filter_enforced?: Fraction;
}

interface Fraction {
  readonly default_value: { readonly numerator: number; readonly denominator: string };
}

/** Both fractions are none where nothing is said. */
function rateOf(filters: readonly EnvoyFilter[], { port, isHttp }: Inbound): number | undefined {
  const patch = filters
    .flatMap(({ configPatches }) => configPatches)
    .find(({ match }) => (match.listener?.portNumber ?? port) === port);
  if (patch === undefined || !isHttp) return undefined;
  if (patch.applyTo !== "HTTP_FILTER" || patch.match.context !== "SIDECAR_INBOUND")
    throw new Error(`Found a filter of ${patch.applyTo} ${patch.match.context}`);
  const {
    token_bucket: bucket,
    filter_enabled: counts,
    filter_enforced: refuses,
    stat_prefix,
  } = patch.patch.value.typed_config;
  const isAlways = (fraction: Fraction | undefined): boolean =>
    fraction?.default_value.numerator === 100 && fraction.default_value.denominator === "HUNDRED";
  if (stat_prefix === "" || bucket.fill_interval !== "1s") throw new Error("Envoy refuses the filter");
  return isAlways(counts) && isAlways(refuses) ? Math.min(bucket.max_tokens, bucket.tokens_per_fill) : undefined;
}
