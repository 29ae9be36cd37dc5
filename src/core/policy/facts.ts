import { decide } from "../admission/decide.ts";
import { modeOf } from "../admission/mode.ts";
import { compareStrings, type Finding } from "../finding.ts";
import type { FindingCode } from "../findings.ts";
import { compilePolicy, type CompiledPolicy } from "../intent/policy.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { meshOf, meshOfPolicy } from "../mesh/all.ts";
import { FAIRLEAD_GROUP, type MeshName, type Mode } from "../names.ts";
import type { TargetKey, World } from "../world.ts";
import { recordedOn } from "./recorded.ts";
import { type TargetFact, targetFacts } from "./target-facts.ts";
import { targetOfText, targetText } from "./targets.ts";

/** How far the objects are that carry settings beside the targets: generated routes and companions. */
export interface OwnedFacts {
  /** Those that deny keep an object from being written; the others are warnings. */
  readonly findings: readonly Finding[];
  /** Objects that are still to be written or deleted. */
  readonly pending?: number;
}

export interface StatusInput {
  /** As stored, with its status. */
  readonly policy: KubernetesObject;
  readonly world: World;
  /** Errors of the last write, by the text of the target; those of targets of other policies are passed over. */
  readonly failures: ReadonlyMap<string, string>;
  readonly owned?: OwnedFacts;
  /** What of the policy's own objects (stored revisions, generated routes, companions) could not be written. */
  readonly problem?: string;
  /** As in {@link FactsInput}. */
  readonly outOfStep?: ReadonlySet<string>;
  /** RFC 3339. */
  readonly nowText: string;
}

/** All that the conditions are made from. */
export interface PolicyFacts {
  readonly namespace: string;
  readonly excluded: boolean;
  /** Undefined: not opted in, or excluded. */
  readonly mode: Mode | undefined;
  readonly accepted: boolean;
  readonly findings: readonly Finding[];
  /** The text of the denial; empty when accepted. */
  readonly denial: string;
  /** As far as it can be read; undefined when its shape is wrong. */
  readonly readable: CompiledPolicy | undefined;
  /** The mesh whose settings the targets get; undefined where the policy cannot be read. */
  readonly mesh: MeshName | undefined;
  /** False where the labels of Services are not kept, so that what a selector matches cannot be told. */
  readonly targetsKnown: boolean;
  /** By name. */
  readonly targets: readonly TargetFact[];
  /** By the text of the target. */
  readonly failures: readonly { readonly key: TargetKey; readonly error: string }[];
  readonly owned: OwnedFacts;
  readonly problem: string | undefined;
}

/**
 * Objects of people where Fairlead would generate one, names that are taken, and policies beside which the mesh cannot do it. A
 * policy is refused for them when it is written; of one that was there before they tell that it is in conflict, not that it is wrong.
 */
export const CONFLICTS: ReadonlySet<FindingCode> = new Set(["FL315", "FL318", "FL320", "FL325"]);

/** Warnings of a section that is not in force yet: nobody should take for guarded what is not. */
export const AWAITED: ReadonlySet<FindingCode> = new Set(["FL328"]);

const NOTHING_OWNED: OwnedFacts = Object.freeze({ findings: Object.freeze([]) });

export function factsOf(input: StatusInput): PolicyFacts {
  const { policy, world, outOfStep, owned = NOTHING_OWNED } = input;
  const { namespace = "default", name = "" } = policy.metadata ?? {};
  const { readable } = compilePolicy(policy);
  const { mode } = modeOf(namespace, world);
  // Of Services in namespaces that did not opt in only the names are kept in memory.
  const targetsKnown = readable !== undefined && (mode !== undefined || readable.spec.targetRefs !== undefined);
  const targets = targetsKnown ? targetFacts({ policy: readable, world, ...(outOfStep && { outOfStep }) }) : [];
  const verdict = decide(
    {
      phase: "validate",
      nowMs: 0,
      uid: "",
      kind: { group: FAIRLEAD_GROUP, kind: "ResiliencePolicy" },
      operation: "UPDATE",
      namespace,
      name,
      object: policy,
      oldObject: policy,
    },
    world,
  );
  return {
    namespace,
    excluded: world.defaults.excludedNamespaces.has(namespace),
    mode,
    accepted: !verdict.findings.some((item) => item.severity === "deny" && !CONFLICTS.has(item.code)),
    findings: verdict.findings.filter((item) => targetsKnown || item.code !== "FL302"),
    denial: verdict.message,
    readable,
    mesh: readable && meshOfPolicy(readable.spec, meshOf(world.namespace(namespace), world.defaults)).name,
    targetsKnown,
    targets,
    failures: failuresOf(input, targets),
    owned,
    problem: input.problem,
  };
}

/** Those of the targets, and of targets that the policy has left and that still carry its settings. */
function failuresOf({ policy, world, failures }: StatusInput, targets: readonly TargetFact[]): PolicyFacts["failures"] {
  if (failures.size === 0) return [];
  const { namespace = "default", name = "" } = policy.metadata ?? {};
  const own = new Set(targets.map(({ key }) => targetText(key)));
  return [...failures]
    .map(([text, error]) => ({ text, key: targetOfText(text), error }))
    .filter(({ text, key }) => {
      if (key.namespace !== namespace || own.has(text)) return own.has(text);
      const object = world.target(key);
      return object !== undefined && recordedOn(object)?.policies.includes(name) === true;
    })
    .sort((a, b) => compareStrings(a.text, b.text))
    .map(({ key, error }) => ({ key, error }));
}
