import { companionFindings } from "../companions/wanted.ts";
import { type Finding, finding } from "../finding.ts";
import { compilePolicy, type CompiledPolicy } from "../intent/policy.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { POLICY_TARGETS_CHECKED_MAX } from "../limits.ts";
import { meshOf, meshOfPolicy, noMeshShown } from "../mesh/all.ts";
import { meshChosenBy } from "../mesh/choice.ts";
import { guessedVersion, meshVersionIn } from "../mesh/discovery.ts";
import type { MeshCompiler } from "../mesh/mesh.ts";
import { obstaclesTo, sectionsIn } from "../mesh/pods.ts";
import { CORE_GROUP, MODE_LABEL, targetKindOf } from "../names.ts";
import { type AimedTarget, targetsOf } from "../policy/targets.ts";
import { worldWithPolicy } from "../policy/world-with-policy.ts";
import { generatedRoutes } from "../routes/generate.ts";
import type { World } from "../world.ts";
import { ownedByController } from "./left-alone.ts";
import { modeOf } from "./mode.ts";
import { judgeOwn, withNamespace } from "./own-kind.ts";
import { backendFindings } from "./policy-backends.ts";
import { conflicts } from "./policy-conflicts.ts";
import type { AdmissionRequest, Verdict } from "./review.ts";

/** A write of a ResiliencePolicy: it must compile, and the mesh must do what it says. */
export function decidePolicy(request: AdmissionRequest, object: KubernetesObject, world: World): Verdict {
  const { readable, findings: ownFindings } = compilePolicy(withNamespace(object, request.namespace));
  if (readable === undefined) return judgeOwn(request, ownFindings, world);
  // A new policy decided nothing before, even where the watch was faster than this review.
  const before = world
    .policiesIn(readable.namespace)
    .filter((other) => request.operation !== "CREATE" || other.name !== readable.name);
  return judgeOwn(request, [...ownFindings, ...inTheWorld(readable, before, world)], world);
}

/** What the mesh and the cluster make of a policy. */
function inTheWorld(policy: CompiledPolicy, before: readonly CompiledPolicy[], world: World): readonly Finding[] {
  const namespace = world.namespace(policy.namespace);
  const mesh = meshOfPolicy(policy.spec, meshOf(namespace, world.defaults));
  const targets = targetsOf(policy, world, POLICY_TARGETS_CHECKED_MAX);
  const found = [
    ...meshFindings(policy, mesh, world),
    ...missingFindings(policy, targets),
    ...targets.flatMap((target) => targetFindings({ target, policy, mesh }, world)),
    ...backendFindings({ policy, targets, mesh }, world),
    ...conflicts({ policy, targets, before }, world),
    ...generatedRoutes(policy, world, POLICY_TARGETS_CHECKED_MAX).findings,
    ...companionFindings(policy, worldWithPolicy(world, policy), POLICY_TARGETS_CHECKED_MAX),
  ];
  return [
    ...namespaceFindings(policy, world),
    // The labels of a namespace choose its control plane.
    ...(namespace === undefined ? [] : guessedVersion(mesh.name, namespace, world)),
    ...(isMeshGuessed(policy, world) ? found.map((item) => ofGuessedMesh(item, policy, mesh)) : found),
  ];
}

/** A policy may come faster than the watch brings the namespace that was created right before it. */
function isMeshGuessed({ namespace, spec }: CompiledPolicy, world: World): boolean {
  return (
    world.namespace(namespace) === undefined && world.defaults.mesh === undefined && meshChosenBy(spec) === undefined
  );
}

/** A guess refuses nothing: the status of the policy tells what the mesh cannot do as soon as it is known. */
function ofGuessedMesh(item: Finding, { namespace }: CompiledPolicy, mesh: MeshCompiler): Finding {
  if (item.severity !== "deny") return item;
  const message = `If namespace ${namespace}, which is not known yet, is ${mesh.name}'s: ${item.message}`;
  return { ...item, severity: "warn", message };
}

function namespaceFindings(policy: CompiledPolicy, world: World): readonly Finding[] {
  const { namespace } = policy;
  const { mode, findings } = modeOf(namespace, world);
  if (mode !== undefined) return [...findings, ...withoutMesh(policy, world)];
  if (world.defaults.excludedNamespaces.has(namespace)) {
    const message = `Namespace ${namespace} is never touched, so the policy has no effect`;
    return [
      finding("FL309", "metadata.namespace", {
        message,
        fix: "put the policy beside its Services, in a namespace of your own",
      }),
    ];
  }
  const message = `Namespace ${namespace} is not opted in, so the policy has no effect yet`;
  return [
    finding("FL308", "metadata.namespace", {
      message,
      fix: `kubectl label namespace ${namespace} ${MODE_LABEL}=enforce`,
    }),
  ];
}

function withoutMesh({ namespace, spec }: CompiledPolicy, world: World): readonly Finding[] {
  const none = meshChosenBy(spec) === undefined ? noMeshShown(world.namespace(namespace), world.defaults) : undefined;
  return none === undefined ? [] : [{ ...none, path: "spec.mesh" }];
}

/** What the mesh cannot do, or does differently, for each kind of target of the policy. */
function meshFindings(policy: CompiledPolicy, mesh: MeshCompiler, world: World): readonly Finding[] {
  const kinds = new Set(
    policy.spec.targetRefs?.map((ref) => targetKindOf(ref.group ?? CORE_GROUP, ref.kind)) ?? [
      targetKindOf(CORE_GROUP, "Service"),
    ],
  );
  const version = meshVersionIn(world.namespace(policy.namespace), world);
  return [...kinds].flatMap((kind) => (kind ? mesh.compile(policy.intent, kind, version).findings : []));
}

/** What is aimed at and is not there. */
function missingFindings(policy: CompiledPolicy, targets: readonly AimedTarget[]): readonly Finding[] {
  if (policy.spec.targetRefs === undefined && targets.length === 0) {
    const message = `No Service in namespace ${policy.namespace} has these labels yet`;
    const fix = "check the labels; the policy applies as soon as one has them";
    return [finding("FL302", "spec.targetSelector", { message, fix })];
  }
  return targets
    .filter(({ object }) => object === undefined)
    .map(({ key, path }) => {
      const message = `${key.kind} ${key.namespace}/${key.name} does not exist yet`;
      return finding("FL301", path, {
        message,
        fix: "create it, or correct the name; the policy applies as soon as it exists",
      });
    });
}

interface TargetInput {
  readonly target: AimedTarget;
  readonly policy: CompiledPolicy;
  readonly mesh: MeshCompiler;
}

/** Why the mesh, or another controller, keeps the policy from acting on one target. */
function targetFindings({ target, policy, mesh }: TargetInput, world: World): readonly Finding[] {
  const { key, kind, object, path } = target;
  if (object === undefined) return [];
  const namespace = world.namespace(policy.namespace);
  const context = { key, kind, object, namespace, version: meshVersionIn(namespace, world), world };
  const owned = ownedByController(object);
  const obstacles = obstaclesTo(sectionsIn(policy.intent), object, mesh.eligibility(context));
  const found = [...obstacles, ...mesh.shadows(context), ...(owned ? [owned] : [])];
  return found.map((item) => ({ ...item, path, message: `${key.kind} ${key.name}: ${item.message}` }));
}
