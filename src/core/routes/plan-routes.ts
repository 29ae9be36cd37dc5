import { isRecord } from "../../api/problem.ts";
import type { ApplyAction, DeleteAction, ObjectRef } from "../action.ts";
import { modeOf } from "../admission/mode.ts";
import { compareStrings, type Finding, finding } from "../finding.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { canonicalJson } from "../intent/revision.ts";
import { groupOf, type KubernetesObject } from "../kubernetes.ts";
import { GATEWAY_HTTP_ROUTE } from "../names.ts";
import { hasAllOf, isChangedByOthers } from "../policy/in-line.ts";
import { isOwnedBy, isPlanned, NOTHING_OWNED, type OwnedPlan } from "../policy/owned.ts";
import type { World } from "../world.ts";
import { routeSection } from "./deciders.ts";
import { type GeneratedRoute, type GeneratedRoutes, generatedRoutes } from "./generate.ts";
import { isGenerated } from "./people.ts";

export interface RoutesInput {
  /** As stored. */
  readonly policy: KubernetesObject;
  /** Undefined where it cannot be compiled, or is being deleted. */
  readonly compiled: CompiledPolicy | undefined;
  /** The HTTPRoutes of the namespace, others than generated ones too; undefined: the API server serves none. */
  readonly live: readonly KubernetesObject[] | undefined;
  readonly world: World;
}

const NO_ROUTES: GeneratedRoutes = Object.freeze({ desired: Object.freeze([]), findings: Object.freeze([]) });

/**
 * What brings the generated routes of one policy in line; nothing where they are. The route that takes the rest comes
 * before every other and goes after it, so that no request ever finds routes and fits none.
 */
export function planRoutes(input: RoutesInput): OwnedPlan {
  const { policy, compiled, live, world } = input;
  if (!isPlanned(policy, compiled, world)) return NOTHING_OWNED;
  const { namespace = "default", deletionTimestamp } = policy.metadata ?? {};
  const { mode } = modeOf(namespace, world);
  const isWanted = compiled !== undefined && !deletionTimestamp && mode !== undefined;
  const { desired, findings } = isWanted ? generatedRoutes(compiled, world) : NO_ROUTES;
  if (live === undefined) {
    return desired.length === 0
      ? { ...NOTHING_OWNED, findings }
      : { actions: [], findings: [...findings, notServed(compiled)] };
  }
  const byName = new Map(live.filter(isHttpRoute).map((route) => [nameOf(route), route]));
  const isInTheWay = (route: KubernetesObject | undefined): boolean =>
    route !== undefined && (Boolean(route.metadata?.deletionTimestamp) || !isOurs(route, policy));
  // Where one route has to wait until another is gone, those of its Service wait with it.
  const waiting = new Set(
    desired.filter((it) => isInTheWay(byName.get(nameOf(it.object)))).map((it) => it.target.name),
  );
  const applies = desired
    .filter(({ target }) => !waiting.has(target.name))
    .sort(restFirst)
    .flatMap((route) => applyAction(route, byName.get(nameOf(route.object))));
  const wanted = new Set(desired.map(({ object }) => nameOf(object)));
  const deletes = [...byName.values()]
    .filter((route) => !isInTheWay(route) && !wanted.has(nameOf(route)))
    .sort(restLast)
    .map(deleteAction);
  return { actions: [...applies, ...deletes], findings };
}

function restFirst(a: GeneratedRoute, b: GeneratedRoute): number {
  return Number(a.entry !== undefined) - Number(b.entry !== undefined);
}

function restLast(a: KubernetesObject, b: KubernetesObject): number {
  return Number(takesTheRest(a)) - Number(takesTheRest(b)) || compareStrings(nameOf(a), nameOf(b));
}

function notServed(policy: CompiledPolicy | undefined): Finding {
  return finding("FL319", `spec.${policy && routeSection(policy)}`, {
    message: "The API server serves no HTTPRoute of gateway.networking.k8s.io, so the section has no effect",
    fix: "install the CRDs of the Gateway API",
  });
}

function isHttpRoute({ apiVersion = "", kind }: KubernetesObject): boolean {
  return kind === GATEWAY_HTTP_ROUTE.kind && groupOf(apiVersion) === GATEWAY_HTTP_ROUTE.group;
}

/** By label and owner: a copy that somebody made has the labels only. */
function isOurs(route: KubernetesObject, policy: KubernetesObject): boolean {
  return isGenerated(route) && isOwnedBy(route, policy);
}

/** No entry may fit every request (FL209). */
function takesTheRest(route: KubernetesObject): boolean {
  const [match, ...more] = matchesOf(route.spec);
  return more.length === 0 && canonicalJson(match ?? null) === canonicalJson(REST);
}

const REST = { path: { type: "PathPrefix", value: "/" } };

function applyAction({ object, target }: GeneratedRoute, live: KubernetesObject | undefined): readonly ApplyAction[] {
  if (live !== undefined && isInLine(live, object)) return [];
  const { resourceVersion } = live?.metadata ?? {};
  const repairs = live !== undefined && isChangedByOthers(live, object);
  const action = { kind: "apply", ref: refOf(object), service: target.name, object, resourceVersion } as const;
  return [{ ...action, ...(repairs && { repairs }) }];
}

function deleteAction(route: KubernetesObject): DeleteAction {
  const { uid = "", resourceVersion = "" } = route.metadata ?? {};
  return { kind: "delete", ref: refOf(route), uid, resourceVersion };
}

function refOf({ metadata }: KubernetesObject): ObjectRef {
  const { group, resource } = GATEWAY_HTTP_ROUTE;
  return { group, resource, namespace: metadata?.namespace ?? "default", name: metadata?.name ?? "" };
}

function nameOf({ metadata }: KubernetesObject): string {
  return metadata?.name ?? "";
}

/** More matches than wanted would mean other requests. */
function isInLine(live: KubernetesObject, wanted: KubernetesObject): boolean {
  return hasAllOf(live, wanted) && canonicalJson(matchesOf(live.spec)) === canonicalJson(matchesOf(wanted.spec));
}

/** Of every rule; ours have one rule each. */
function matchesOf(spec: unknown): readonly unknown[] {
  const rules = isRecord(spec) && Array.isArray(spec["rules"]) ? (spec["rules"] as readonly unknown[]) : [];
  return rules.flatMap((rule) => (isRecord(rule) && Array.isArray(rule["matches"]) ? rule["matches"] : []));
}
