import { isKept, namesakesOf, nameTaken } from "../companions/plan-companions.ts";
import { companionsOf, sectionsLeftOut, withoutImpossible } from "../companions/wanted.ts";
import type { Finding } from "../finding.ts";
import { resolvePrecedence } from "../intent/precedence.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import type { TargetContext } from "../mesh/mesh.ts";
import { companionKindOf, type CompanionKind } from "../names.ts";
import { targetText } from "../policy/targets.ts";
import type { Json } from "../rules/shown-settings.ts";
import { type Carrier, carrierOf } from "./carrier.ts";

/** What the plan of the objects beside a Service depends on, other than the world in force. */
export interface Surroundings {
  /** Objects of people, one of which may have the name of a companion. */
  readonly ofPeople: readonly KubernetesObject[];
  /** How it stood with each target before the change, by `targetText`. */
  readonly before: ReadonlyMap<string, StoodBefore>;
}

interface StoodBefore {
  readonly inForce: Json;
  readonly carriers: readonly Carrier[];
}

/** The objects beside a Service once the controller has written and deleted what it would (core/companions). */
export interface Beside {
  readonly carriers: readonly Carrier[];
  readonly findings: readonly Finding[];
  /** What is in force there, of what would be if all that is wanted could be written. */
  readonly inForce: Json;
}

export function besideService(target: TargetContext, effective: Json, { ofPeople, before }: Surroundings): Beside {
  const { key, object, world } = target;
  const precedence = resolvePrecedence(world.policiesIn(key.namespace), key, object);
  const { wanted, findings, unwritten } = companionsOf(target, precedence, world);
  const others = ofPeople.filter(({ metadata }) => (metadata?.namespace ?? "default") === key.namespace);
  const namesakes = namesakesOf(wanted, others);
  const written = withoutImpossible(wanted, namesakes);
  const leftOut = sectionsLeftOut(wanted, written);
  const missing = new Set([...unwritten, ...leftOut]);
  const stood = before.get(targetText(key));
  const kept = (stood?.carriers ?? []).filter((carrier) => isKept(kindOf(carrier), missing));
  const guarded = kept.flatMap((carrier) => kindOf(carrier)?.guards ?? []).filter((section) => missing.has(section));
  return {
    // Of one that is kept and written again, the second is taken.
    carriers: [...kept, ...written.map((it) => carrierOf(it.object))],
    findings: [...findings.map((item) => item.finding), ...namesakes.map(nameTaken)],
    inForce: {
      ...membersOf(effective, (name) => !has(leftOut, name)),
      ...membersOf(stood?.inForce, (name) => has(guarded, name)),
    },
  };
}

function kindOf({ key }: Carrier): CompanionKind | undefined {
  return companionKindOf(key.group, key.kind);
}

function has(names: readonly string[], name: string): boolean {
  return names.includes(name);
}

function membersOf(settings: Json | undefined, isChosen: (name: string) => boolean): Json {
  return Object.fromEntries(Object.entries(settings ?? {}).filter(([name]) => isChosen(name)));
}
