import { contextOf } from "../admission/decide-target.ts";
import { inject } from "../admission/inject.ts";
import { withMetadata } from "../admission/patch.ts";
import { type Finding, finding } from "../finding.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { meshOf } from "../mesh/all.ts";
import type { AimedTarget } from "../policy/targets.ts";
import type { World } from "../world.ts";
import { type Activation, activationFor, attributesOf, type Subject } from "./activation.ts";
import { affectedBy, affectedKinds } from "./affected.ts";
import { exceptionFor } from "./exceptions.ts";
import { type Judged, standing, wasThere } from "./judge.ts";
import { KUBERNETES_LIMITS } from "./limits.ts";
import type { Resource } from "./match.ts";
import { readsOf } from "./reads.ts";
import type { CompiledRule } from "./rule.ts";
import { type RuleBudget, runRule } from "./run.ts";

export interface EffectOptions {
  /** Rules of the door for a kind of target. */
  readonly rulesOf: (resource: Resource) => readonly CompiledRule[];
  /** Units that are taken of the request's budget already. */
  readonly spent: number;
}

export interface EffectJudgement {
  readonly judged: readonly Judged[];
  /** That not everything was looked at. */
  readonly findings: readonly Finding[];
}

/**
 * A policy is judged by its effect on its targets, a Service by its effect on its routes: rules that read it run on the
 * live objects as they would be with the write and as they are, and what they do not say today counts against the write.
 * Bounded, by the number of objects and by the budget of the request, and it says so where it ends.
 */
export function judgeEffect(subject: Subject, { rulesOf, spent }: EffectOptions): EffectJudgement {
  const kinds = affectedKinds(subject.request).filter((kind) => readersIn(rulesOf(kind)).length > 0);
  const affected = kinds.length === 0 ? undefined : affectedBy(subject);
  if (affected === undefined) return NOTHING;
  const limits = subject.world.defaults.ruleLimits ?? KUBERNETES_LIMITS;
  const targets = affected.targets.filter(
    ({ kind, object }) => kinds.includes(kind) && object !== undefined && !object.metadata?.deletionTimestamp,
  );
  const judged: Judged[] = [];
  let [used, done] = [spent, 0];
  for (const target of targets) {
    const effect = effectOf(target, subject, affected.after);
    for (const rule of readersIn(rulesOf(target.kind))) {
      const found = judgeOne(rule, effect, { limits, spent: used });
      used += found.cost;
      if (found.judged !== undefined) judged.push(found.judged);
    }
    if (used >= limits.request) break;
    done++;
  }
  const all = `${affected.isMore ? "more than " : ""}${targets.length}`;
  const isWhole = done === targets.length && !affected.isMore;
  return { judged, findings: isWhole ? [] : [notWhole(done, all, done < targets.length)] };
}

const NOTHING: EffectJudgement = Object.freeze({ judged: Object.freeze([]), findings: Object.freeze([]) });

/** One object on which a write changes what is in force. */
interface Effect {
  readonly target: AimedTarget;
  readonly after: Activation;
  readonly before: Activation;
}

function effectOf(target: AimedTarget, subject: Subject, after: World): Effect {
  const live = target.object ?? {};
  return {
    target,
    after: activationFor(writeOf(target, live, { subject, world: after })),
    before: activationFor(writeOf(target, live, { subject, world: subject.world })),
  };
}

function judgeOne(
  rule: CompiledRule,
  { target, after, before }: Effect,
  { limits, spent }: RuleBudget,
): { readonly judged?: Judged; readonly cost: number } {
  if (spent >= limits.request) return { cost: 0 };
  const found = runRule(rule, after, { limits, spent });
  // What ends with the budget of the request is beyond it, and no error of the rule.
  const run = spent + found.cost >= limits.request ? { ...found, errors: [] } : found;
  if (run.violations.length === 0 && run.errors.length === 0) return { cost: run.cost };
  const isTolerant = rule.existingViolations === "Allow";
  const earlier = isTolerant ? runRule(rule, before, { limits, spent: spent + run.cost }) : undefined;
  const cost = run.cost + (earlier?.cost ?? 0);
  // Nor can it be told then what was so before.
  if (earlier !== undefined && spent + cost >= limits.request) return { cost };
  const isOld = earlier === undefined ? () => false : wasThere(after, { run: earlier, activation: before });
  const violations = run.violations.filter((violation) => !isOld(violation));
  // An error tells nothing of today either, so it stands.
  const isNew = violations.length > 0 || run.errors.length > 0;
  if (!isNew || exceptionFor(rule, after.subject) !== undefined) return { cost };
  const introduced = { ...run, violations, annotations: [], cost };
  return { judged: standing(introduced, { isTolerated: () => false, about: aboutTarget(target) }), cost };
}

function notWhole(done: number, all: string, isCut: boolean): Finding {
  const end = isCut ? ", then the budget of the request ended" : "";
  const more = isCut ? ", or raise --request-cost-limit" : "";
  return finding("FL728", "", {
    message: `Rules were asked about the effect on ${done} of ${all} objects${end}`,
    fix: `look at the audit for the others${more}`,
  });
}

const EFFECTS: ReadonlySet<string> = new Set(["effective", "policies", "mesh"]);
/** By the list of rules, of which there is one for each resource: every write of a Service asks. */
const readers = new WeakMap<readonly CompiledRule[], readonly CompiledRule[]>();

function readersIn(rules: readonly CompiledRule[]): readonly CompiledRule[] {
  let known = readers.get(rules);
  if (known === undefined) readers.set(rules, (known = rules.filter(readsEffect)));
  return known;
}

const effectReaders = new WeakMap<CompiledRule, boolean>();

/** A rule that reads nothing of it says the same whatever the policy is. */
export function readsEffect(rule: CompiledRule): boolean {
  let known = effectReaders.get(rule);
  if (known === undefined) {
    const { matchConditions, variables, validations } = rule;
    const programs = [...matchConditions, ...variables, ...validations].map(({ program }) => program);
    known = programs.some((program) => readsOf(program).some(({ root }) => EFFECTS.has(root)));
    effectReaders.set(rule, known);
  }
  return known;
}

/** The write of a target by which what is in a world takes effect there, by whoever brings that about. */
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

function aboutTarget({ key, path }: AimedTarget): { readonly path: string; readonly prefix: string } {
  return { path, prefix: `${key.kind} ${key.namespace}/${key.name}: ` };
}
