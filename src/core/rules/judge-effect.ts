import { contextOf } from "../admission/decide-target.ts";
import { inject } from "../admission/inject.ts";
import { withMetadata } from "../admission/patch.ts";
import { compilePolicy, type CompiledPolicy } from "../intent/policy.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { POLICY_TARGETS_CHECKED_MAX } from "../limits.ts";
import { meshOf } from "../mesh/all.ts";
import { type AimedTarget, targetsOf, targetText } from "../policy/targets.ts";
import { worldWithPolicy } from "../policy/world-with-policy.ts";
import type { World } from "../world.ts";
import { exceptionFor } from "./exceptions.ts";
import { type Judged, standing, wasThere } from "./judge.ts";
import { KUBERNETES_LIMITS } from "./limits.ts";
import type { Resource } from "./match.ts";
import { readsOf } from "./reads.ts";
import type { CompiledRule } from "./rule.ts";
import { type RuleRun, runRule, type Violation } from "./run.ts";
import { activationFor, attributesOf, type Subject } from "./activation.ts";

export interface EffectOptions {
  /** Rules of the door for a kind of target. */
  readonly rulesOf: (resource: Resource) => readonly CompiledRule[];
  /** Units that are taken of the request's budget already. */
  readonly spent: number;
}

/**
 * A policy is judged by its effect: rules that read it run on the live targets of the policy as it was and as it is to
 * be, and what they do not say today counts against the policy. Bounded, by the number of targets and by the budget of
 * the request; what is beyond is found when the target is written, and by the audit.
 */
export function judgeEffect(subject: Subject, { rulesOf, spent }: EffectOptions): readonly Judged[] {
  const policy = policyOf(subject.object, subject);
  // The validating door says why, and refuses it.
  if (policy === undefined) return [];
  const limits = subject.world.defaults.ruleLimits ?? KUBERNETES_LIMITS;
  const after = worldWithPolicy(subject.world, policy);
  const results: Judged[] = [];
  let used = spent;
  for (const target of affectedTargets(policy, subject)) {
    const { kind, object } = target;
    if (object === undefined || object.metadata?.deletionTimestamp) continue;
    const rules = rulesOf(kind).filter(readsEffect);
    if (rules.length === 0) continue;
    const then = activationFor(writeOf(target, object, { subject, world: after }));
    const now = activationFor(writeOf(target, object, { subject, world: subject.world }));
    for (const rule of rules) {
      if (used >= limits.request) return results;
      const found = runRule(rule, then, { limits, spent: used });
      used += found.cost;
      // What ends with the budget of the request is beyond it, and no error of the rule.
      const run = used >= limits.request ? { ...found, errors: [] } : found;
      if (run.violations.length === 0 && run.errors.length === 0) continue;
      const before = runRule(rule, now, { limits, spent: used });
      used += before.cost;
      const introduced = withoutThoseOf(run, before, wasThere(then, { run: before, activation: now }));
      if (introduced === undefined || exceptionFor(rule, then.subject) !== undefined) continue;
      results.push(standing(introduced, { isTolerated: () => false, about: aboutTarget(target) }));
    }
  }
  return results;
}

function policyOf(object: KubernetesObject | undefined, { request }: Subject): CompiledPolicy | undefined {
  if (object === undefined) return undefined;
  return compilePolicy({ ...object, metadata: { ...object.metadata, namespace: request.namespace } }).policy;
}

/** Those that the policy is aimed at, and those that it was; the rest is not looked at. */
function affectedTargets(policy: CompiledPolicy, subject: Subject): readonly AimedTarget[] {
  const { world, oldObject } = subject;
  const old = policyOf(oldObject, subject);
  const targets = [
    ...targetsOf(policy, world, POLICY_TARGETS_CHECKED_MAX),
    ...(old === undefined ? [] : targetsOf(old, world, POLICY_TARGETS_CHECKED_MAX)).map((target) => ({
      ...target,
      path: "",
    })),
  ];
  const byName = new Map(targets.toReversed().map((target) => [targetText(target.key), target]));
  return [...byName.values()].toReversed().slice(0, POLICY_TARGETS_CHECKED_MAX);
}

const EFFECTS: ReadonlySet<string> = new Set(["effective", "policies", "mesh"]);
const effectReaders = new WeakMap<CompiledRule, boolean>();

/** A rule that reads nothing of it says the same whatever the policy is. */
function readsEffect(rule: CompiledRule): boolean {
  let known = effectReaders.get(rule);
  if (known === undefined) {
    const { matchConditions, variables, validations } = rule;
    const programs = [...matchConditions, ...variables, ...validations].map(({ program }) => program);
    known = programs.some((program) => readsOf(program).some(({ root }) => EFFECTS.has(root)));
    effectReaders.set(rule, known);
  }
  return known;
}

/** The write of a target by which the policy in a world takes effect there, by whoever writes the policy. */
function writeOf(
  { key, kind }: AimedTarget,
  live: KubernetesObject,
  { subject, world }: { readonly subject: Subject; readonly world: World },
): Subject {
  const { phase, nowMs, uid, attributes = {} } = subject.request;
  const request = { phase, nowMs, uid, kind, operation: "UPDATE", namespace: key.namespace, name: key.name } as const;
  const before = { ...request, object: live, oldObject: live };
  const target = contextOf({ request: before, object: live, kind }, world);
  const { annotations, labels } = inject(target, meshOf(target.namespace, world.defaults), live);
  const object = withMetadata(live, annotations, labels);
  const { userInfo } = attributes;
  const asked = { ...attributesOf(before), ...(userInfo !== undefined && { userInfo }) };
  return { request: { ...before, object, attributes: asked }, object, oldObject: live, world };
}

/** What a run says that was not so before. An error tells nothing of today either, so it stands. */
function withoutThoseOf(
  run: RuleRun,
  before: RuleRun,
  wasThereBefore: (violation: Violation) => boolean,
): RuleRun | undefined {
  const violations = run.violations.filter((violation) => !wasThereBefore(violation));
  const isNew = violations.length > 0 || run.errors.length > 0;
  return isNew ? { ...run, violations, annotations: [], cost: run.cost + before.cost } : undefined;
}

function aboutTarget({ key, path }: AimedTarget): { readonly path: string; readonly prefix: string } {
  return { path, prefix: `${key.kind} ${key.namespace}/${key.name}: ` };
}
