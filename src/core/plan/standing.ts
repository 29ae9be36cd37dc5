import { decide } from "../admission/decide.ts";
import { companionsOf } from "../companions/wanted.ts";
import { type Finding, sortFindings } from "../finding.ts";
import { resolvePrecedence } from "../intent/precedence.ts";
import { annotationsOf, groupOf, type KubernetesObject } from "../kubernetes.ts";
import { isFamilyKey } from "../mesh/all.ts";
import type { TargetContext } from "../mesh/mesh.ts";
import { GATEWAY_GROUP, GENERATED_ANNOTATION, SERVICE_KIND, targetKindOf } from "../names.ts";
import { targetText } from "../policy/targets.ts";
import { generatedRoutes } from "../routes/generate.ts";
import { meshVersionIn } from "../mesh/discovery.ts";
import { effectOn } from "../rules/in-effect.ts";
import type { Json } from "../rules/shown-settings.ts";
import type { TargetKey, World } from "../world.ts";
import { plainSettings } from "./plain-settings.ts";

/** An object that carries settings of a target, by identity; the version is left out, as the controller finds it out. */
export type CarrierKey = TargetKey;

/** One object with what it carries. */
export interface Carrier {
  readonly key: CarrierKey;
  /** Annotations, spec or both, without what Fairlead keeps its books by. */
  readonly content: Json;
}

/** How it stands with one target: what is in force there, in the words of a policy, and which objects carry that. */
export interface Standing {
  readonly key: TargetKey;
  /** As rules see `mesh`. */
  readonly mesh: Json;
  /** As rules see `effective`, with durations as text. */
  readonly inForce: Json;
  readonly carriers: readonly Carrier[];
  /** What an update of the target that changes nothing would be told, and what keeps objects from standing beside it. */
  readonly findings: readonly Finding[];
}

/** How it stands with each of these targets that exists, by `targetText`. The world holds what is in force only. */
export function standingsOf(keys: readonly TargetKey[], world: World): ReadonlyMap<string, Standing> {
  const routes = routesIn(new Set(keys.map(({ namespace }) => namespace)), world);
  const standings = keys.flatMap((key): readonly (readonly [string, Standing])[] => {
    const standing = standingOf(key, world);
    if (standing === undefined) return [];
    const carriers = [...standing.carriers, ...(routes.get(targetText(key)) ?? [])];
    return [[targetText(key), { ...standing, carriers }]];
  });
  return new Map(standings);
}

function standingOf(key: TargetKey, world: World): Standing | undefined {
  const [object, kind] = [world.target(key), targetKindOf(key.group, key.kind)];
  if (object === undefined || kind === undefined) return undefined;
  const namespace = world.namespace(key.namespace);
  const target = { key, kind, object, namespace, version: meshVersionIn(namespace, world), world };
  const { effective, mesh } = effectOn(target, object);
  const { wanted, findings } =
    kind === SERVICE_KIND
      ? companionsOf(target, resolvePrecedence(world.policiesIn(key.namespace), key, object), world)
      : { wanted: [], findings: [] };
  return {
    key,
    mesh,
    inForce: plainSettings(effective),
    carriers: [...ownAnnotations(key, object), ...wanted.map(({ object: beside }) => carrierOf(beside))],
    findings: sortFindings([...judged(target), ...findings.map((item) => item.finding)]),
  };
}

function judged({ key, kind, object, world }: TargetContext): readonly Finding[] {
  const { namespace, name } = key;
  const request = { phase: "validate", nowMs: 0, uid: "", kind, operation: "UPDATE", namespace, name } as const;
  return decide({ ...request, object, oldObject: object }, world).findings;
}

/** The settings that stand on the target itself, whoever wrote them. */
function ownAnnotations(key: TargetKey, object: KubernetesObject): readonly Carrier[] {
  const found = annotationsOf(object);
  const names = Object.keys(found).filter(isFamilyKey).sort();
  if (names.length === 0) return [];
  return [{ key, content: { annotations: Object.fromEntries(names.map((name) => [name, found[name]])) } }];
}

/** The routes that policies generate in these namespaces, by the Service that they are for. */
function routesIn(namespaces: ReadonlySet<string>, world: World): ReadonlyMap<string, readonly Carrier[]> {
  const policies = [...namespaces].flatMap((namespace) => world.policiesIn(namespace));
  const routes = policies.flatMap((policy) => generatedRoutes(policy, world).desired);
  const byTarget = Map.groupBy(routes, ({ target }) => targetText(target));
  return new Map([...byTarget].map(([target, items]) => [target, items.map(({ object }) => carrierOf(object))]));
}

function carrierOf(object: KubernetesObject): Carrier {
  const { apiVersion, kind = "", metadata, spec } = object;
  const { [GENERATED_ANNOTATION]: _, ...annotations } = annotationsOf(object);
  return {
    // A generated route has no version yet, and is of the Gateway API.
    key: {
      group: apiVersion === undefined ? GATEWAY_GROUP : groupOf(apiVersion),
      kind,
      namespace: metadata?.namespace ?? "default",
      name: metadata?.name ?? "",
    },
    content: { ...(Object.keys(annotations).length > 0 && { annotations }), spec },
  };
}
