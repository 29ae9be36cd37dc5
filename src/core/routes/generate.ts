import { API_VERSION } from "../../api/envelope.ts";
import { RESILIENCE_POLICY_KIND } from "../../api/v1alpha1/resilience-policy.ts";
import { isLeftAlone } from "../admission/left-alone.ts";
import { compareStrings, type Finding, finding, sortFindings } from "../finding.ts";
import type { BackendIntent, RouteMatchIntent } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { revisionOf } from "../intent/revision.ts";
import { splitIsDistinct } from "../intent/route-checks.ts";
import { type DirectedEntry, directionsOf } from "../intent/split.ts";
import { type KubernetesObject, recordsIn, type Service, type StringMap } from "../kubernetes.ts";
import { meshOf, meshOfPolicy } from "../mesh/all.ts";
import { CORE_GROUP, GATEWAY_HTTP_ROUTE, GENERATED_ANNOTATION, SERVICE_KIND } from "../names.ts";
import { controllerReference, ownedLabels } from "../policy/owned.ts";
import { precedenceWith, targetsOf } from "../policy/targets.ts";
import type { TargetKey, World } from "../world.ts";
import { contextOf, foreignRoute } from "./attached.ts";
import { decidesRoutes, routeSection } from "./deciders.ts";
import { type RouteIdentity, routeNames } from "./names.ts";
import { type AttachedRoute, isGenerated, peoplesRoutes } from "./people.ts";
import { routeSettings, type ServiceInput } from "./settings.ts";

/** One HTTPRoute of the Gateway API that a policy needs. */
export interface GeneratedRoute {
  /** The Service that it is attached to. */
  readonly target: TargetKey;
  /** Name of the entry; undefined: it takes what no entry takes. */
  readonly entry: string | undefined;
  /** Without apiVersion: the version that the API server serves is found out when it is written. */
  readonly object: KubernetesObject;
}

export interface GeneratedRoutes {
  /** By name. */
  readonly desired: readonly GeneratedRoute[];
  readonly findings: readonly Finding[];
}

interface Draft extends RouteIdentity {
  readonly target: TargetKey;
  readonly annotations: StringMap;
  readonly matches: readonly RouteMatchIntent[];
  readonly parent: { readonly port?: number };
  /** The port of the Service that the requests are for. */
  readonly askedPort: number;
  /** Empty: the Service itself. */
  readonly backends: readonly BackendIntent[];
}

const NOTHING: GeneratedRoutes = Object.freeze({ desired: Object.freeze([]), findings: Object.freeze([]) });
const EVERYTHING: readonly RouteMatchIntent[] = [{ path: { type: "PathPrefix", value: "/" }, headers: [] }];

/**
 * The HTTPRoutes that `spec.routes` and `spec.trafficSplit` ask for. For each Service they are there as a whole or not
 * at all: once a Service has one, a request that fits none gets 404, so that entries are never without the route that
 * takes the rest.
 * `targetsMax` bounds the Services that a selector is followed to.
 */
export function generatedRoutes(policy: CompiledPolicy, world: World, targetsMax?: number): GeneratedRoutes {
  if (routeSection(policy) === undefined) return NOTHING;
  const mesh = meshOfPolicy(policy.spec, meshOf(world.namespace(policy.namespace), world.defaults));
  const precedenceOf = precedenceWith(policy, world);
  const foreign = peoplesRoutes(policy.namespace, world);
  const drafts: Draft[] = [];
  const findings: Finding[] = [];
  for (const target of targetsOf(policy, world, targetsMax)) {
    const { winners } = precedenceOf(target);
    if (decidesRoutes(winners) !== policy || target.kind !== SERVICE_KIND || target.object === undefined) continue;
    const input: ServiceInput = { policy, winners, service: contextOf(target.key, world), mesh };
    const made = draftsFor(input, foreign.get(target.key.name) ?? []);
    drafts.push(...made.drafts);
    findings.push(...made.findings);
  }
  const named = withNames(policy, drafts);
  const taken = named.filter((route) => isTaken(route, policy, world));
  const blocked = new Set(taken.map(({ target }) => target.name));
  return {
    desired: named.filter(({ target }) => !blocked.has(target.name)).sort(byName),
    findings: sortFindings([...findings, ...taken.map((route) => nameTaken(route, policy))]),
  };
}

function draftsFor(
  input: ServiceInput,
  attached: readonly AttachedRoute[],
): { readonly drafts: readonly Draft[]; readonly findings: readonly Finding[] } {
  const { policy, winners, service, mesh } = input;
  const { object, key } = service;
  if (isLeftAlone(object) || !mesh.eligibility(service).eligible) return NO_DRAFTS;
  const ports = mesh.httpPorts(service);
  if (ports.length === 0) return NO_DRAFTS;
  const conflicts = attached.filter(({ port }) => port === undefined || ports.includes(port));
  if (conflicts.length > 0)
    return { drafts: [], findings: conflicts.map((route) => foreignRoute(key.name, route, policy)) };
  const settings = routeSettings(input);
  const routes = winners.routes?.intent.routes;
  const trafficSplit = winners.trafficSplit?.intent.trafficSplit;
  const both = { ...(routes && { routes }), ...(trafficSplit && { trafficSplit }) };
  // Of two policies, which are told (FL325): of two routes with one match the older one would answer.
  const isDistinct = splitIsDistinct(both).length === 0;
  const directions = directionsOf(isDistinct ? both : { ...(routes && { routes }) });
  const entries: readonly (DirectedEntry | undefined)[] = [...directions.entries, undefined];
  // A route without a port stands for every port; with one, the Gateway API's oldest CRDs would drop it.
  const isOnlyPort = recordsIn((object as Service).spec?.ports).length === 1;
  const drafts = ports.flatMap((port) =>
    entries.map((entry) => ({
      policy: policy.name,
      service: key.name,
      entry: entry?.name,
      port: ports.length > 1 ? port : undefined,
      target: key,
      annotations: entry === undefined ? settings.rest : settings.of(entry),
      matches: entry?.matches ?? EVERYTHING,
      parent: isOnlyPort ? {} : { port },
      askedPort: port,
      backends: entry === undefined ? directions.rest : entry.backends,
    })),
  );
  return { drafts, findings: settings.findings };
}

const NO_DRAFTS = Object.freeze({ drafts: Object.freeze([]), findings: Object.freeze([]) });

function withNames(policy: CompiledPolicy, drafts: readonly Draft[]): readonly GeneratedRoute[] {
  const identities = drafts.map(({ policy, service, entry, port }) => ({ policy, service, entry, port }));
  const names = routeNames(identities);
  return drafts.map((draft, index) => ({
    target: draft.target,
    entry: draft.entry,
    object: routeObject(policy, draft, names[index] ?? ""),
  }));
}

/** Everything that has a default is written out: groups and namespaces mean something else where they are absent. */
function routeObject(policy: CompiledPolicy, draft: Draft, name: string): KubernetesObject {
  const { annotations, matches, parent, askedPort, backends } = draft;
  const { namespace } = policy;
  const service = { group: CORE_GROUP, kind: "Service", name: draft.service, namespace };
  const backendRefs =
    backends.length === 0
      ? [{ ...service, port: askedPort }]
      : backends.map(({ name: to, port = askedPort, weight }) => ({ ...service, name: to, port, weight }));
  const owner = ownerOf(policy);
  const object = {
    kind: GATEWAY_HTTP_ROUTE.kind,
    metadata: { name, namespace, labels: ownedLabels(owner), ownerReferences: [controllerReference(owner)] },
    spec: {
      parentRefs: [{ ...service, ...parent }],
      rules: [{ matches: matches.map(routeMatch), backendRefs }],
    },
  };
  const hash = revisionOf([object, annotations]);
  return {
    ...object,
    metadata: { ...object.metadata, annotations: { ...annotations, [GENERATED_ANNOTATION]: hash } },
  };
}

function routeMatch({ path, method, headers }: RouteMatchIntent): object {
  return { path, ...(method !== undefined && { method }), ...(headers.length > 0 && { headers }) };
}

/** The policy as its generated objects refer to it. */
function ownerOf({ namespace, name, uid }: CompiledPolicy): KubernetesObject {
  return { apiVersion: API_VERSION, kind: RESILIENCE_POLICY_KIND, metadata: { namespace, name, uid } };
}

/** What a namesake that was deleted has left goes by itself; planRoutes waits for that. */
function isTaken({ object }: GeneratedRoute, policy: CompiledPolicy, world: World): boolean {
  const { namespace = "", name = "" } = object.metadata ?? {};
  const { group, kind } = GATEWAY_HTTP_ROUTE;
  const live = world.target({ group, kind, namespace, name });
  if (live === undefined) return false;
  const owners = recordsIn(live.metadata?.ownerReferences);
  return (
    !isGenerated(live) || !owners.some((owner) => owner.kind === RESILIENCE_POLICY_KIND && owner.name === policy.name)
  );
}

function nameTaken({ object, target }: GeneratedRoute, policy: CompiledPolicy): Finding {
  const name = object.metadata?.name ?? "";
  return finding("FL318", `spec.${routeSection(policy)}`, {
    message: `HTTPRoute ${name} exists and is not of this policy, so Service ${target.name} gets no routes`,
    fix: "delete it, or rename the policy or the entry",
  });
}

function byName(a: GeneratedRoute, b: GeneratedRoute): number {
  return compareStrings(a.object.metadata?.name ?? "", b.object.metadata?.name ?? "");
}
