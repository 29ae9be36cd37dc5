import { decide } from "../admission/decide.ts";
import { type Finding, sortFindings } from "../finding.ts";
import { annotationsOf, type KubernetesObject } from "../kubernetes.ts";
import { isFamilyKey } from "../mesh/all.ts";
import type { TargetContext } from "../mesh/mesh.ts";
import { SERVICE_KIND, targetKindOf } from "../names.ts";
import { targetText } from "../policy/targets.ts";
import { generatedRoutes } from "../routes/generate.ts";
import { meshVersionIn } from "../mesh/discovery.ts";
import { effectOn } from "../rules/in-effect.ts";
import type { Json } from "../rules/shown-settings.ts";
import type { TargetKey, World } from "../world.ts";
import { besideService, type Surroundings } from "./beside.ts";
import { type Carrier, carrierOf } from "./carrier.ts";
import { plainSettings } from "./plain-settings.ts";

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
export function standingsOf(
  keys: readonly TargetKey[],
  world: World,
  around: Surroundings,
): ReadonlyMap<string, Standing> {
  const routes = routesIn(new Set(keys.map(({ namespace }) => namespace)), world);
  const standings = keys.flatMap((key): readonly (readonly [string, Standing])[] => {
    const standing = standingOf(key, world, around);
    if (standing === undefined) return [];
    const carriers = [...standing.carriers, ...(routes.get(targetText(key)) ?? [])];
    return [[targetText(key), { ...standing, carriers }]];
  });
  return new Map(standings);
}

function standingOf(key: TargetKey, world: World, around: Surroundings): Standing | undefined {
  const [object, kind] = [world.target(key), targetKindOf(key.group, key.kind)];
  if (object === undefined || kind === undefined) return undefined;
  const namespace = world.namespace(key.namespace);
  const target = { key, kind, object, namespace, version: meshVersionIn(namespace, world), world };
  const { effective, mesh } = effectOn(target, object);
  const settings = plainSettings(effective);
  const { carriers, findings, inForce } =
    kind === SERVICE_KIND ? besideService(target, settings, around) : { carriers: [], findings: [], inForce: settings };
  return {
    key,
    mesh,
    inForce,
    carriers: [...ownAnnotations(key, object), ...carriers],
    findings: sortFindings([...judged(target), ...findings]),
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
