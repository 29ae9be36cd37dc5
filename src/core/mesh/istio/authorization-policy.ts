import type { AccessIntent, ClientIntent, RequestIntent } from "../../intent/intent.ts";
import type { StringMap } from "../../kubernetes.ts";
import type { Workload } from "./workload.ts";

/** The part of an AuthorizationPolicy that Fairlead writes. */
export interface AuthorizationPolicySpec {
  readonly selector: { readonly matchLabels: StringMap };
  readonly action: "ALLOW" | "DENY";
  /** At least one: an ALLOW without rules lets nobody in. */
  readonly rules: readonly AuthorizationRule[];
}

/** Fits a request that one of `from` and one of `to` fit. */
export interface AuthorizationRule {
  readonly from?: readonly { readonly source: Source }[];
  readonly to: readonly { readonly operation: Operation }[];
}

/** All of its fields must hold. */
export interface Source {
  readonly principals?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly ipBlocks?: readonly string[];
}

export interface Operation {
  readonly ports?: readonly string[];
  readonly notPorts?: readonly string[];
  readonly paths?: readonly string[];
  readonly methods?: readonly string[];
}

export function denySpec(entries: readonly AccessIntent[], workload: Workload): AuthorizationPolicySpec {
  return { ...selecting(workload), action: "DENY", rules: rulesOf(entries, workload) };
}

/**
 * Once an ALLOW is there, what fits none of all its rules is refused, on every port of the Pods. `guarded`: the ports of
 * the Pods that are for listed clients only, of whichever Service; what is sent to others is let through, as it was
 * before. Undefined where all of them are closed already.
 */
export function allowSpec(
  entries: readonly AccessIntent[],
  workload: Workload,
  guarded: readonly number[] | undefined,
): AuthorizationPolicySpec {
  const rules = rulesOf(entries, workload);
  const others = guarded?.map((port) => String(port));
  return {
    ...selecting(workload),
    action: "ALLOW",
    rules: others === undefined ? rules : [...rules, { to: [{ operation: { notPorts: others } }] }],
  };
}

function selecting({ labels }: Workload): Pick<AuthorizationPolicySpec, "selector"> {
  return { selector: { matchLabels: labels } };
}

/** Without a port that is known to speak HTTP there is none for requests yet, and a rule without ports is for all of them. */
function rulesOf(entries: readonly AccessIntent[], workload: Workload): readonly AuthorizationRule[] {
  const written = workload.httpPorts.length > 0 ? entries : entries.filter(({ to }) => to === undefined);
  return written.map((entry) => ruleOf(entry, workload));
}

/** A port that speaks no HTTP has no paths: Istio would drop such a rule from an ALLOW, and its paths from a DENY. */
function ruleOf({ from, to }: AccessIntent, { ports, httpPorts }: Workload): AuthorizationRule {
  const operation = {
    ports: (to === undefined ? ports : httpPorts).map(String),
    ...(to !== undefined && requestsOf(to)),
  };
  return { ...(from !== undefined && { from: sourcesOf(from) }), to: [{ operation }] };
}

/** A ServiceAccount or a namespace, each at one of the networks. Which trust domain a client is of does not count. */
function sourcesOf({ serviceAccounts, namespaces, cidrs }: ClientIntent): readonly { readonly source: Source }[] {
  const networks = cidrs.length > 0 ? { ipBlocks: cidrs } : {};
  const principals = serviceAccounts.map(({ namespace, name }) => `*/ns/${namespace}/sa/${name}`);
  const sources: readonly Source[] = [
    ...(principals.length > 0 ? [{ principals, ...networks }] : []),
    ...(namespaces.length > 0 ? [{ namespaces, ...networks }] : []),
  ];
  return (sources.length > 0 ? sources : [networks]).map((source) => ({ source }));
}

/** A prefix means whole elements of the path, and Istio's means characters. */
function requestsOf({ paths, methods }: RequestIntent): Operation {
  const written = paths.flatMap(({ type, value }) =>
    type === "Exact" ? [value] : value === "/" ? ["/*"] : [value, `${value}/*`],
  );
  return { ...(written.length > 0 && { paths: written }), ...(methods.length > 0 && { methods }) };
}
