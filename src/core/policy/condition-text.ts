import type { ResiliencePolicyStatus } from "../../api/v1alpha1/resilience-policy.ts";
import { CONDITION_MESSAGE_LENGTH_MAX, NAMES_SHOWN_MAX } from "../limits.ts";
import { list } from "../text.ts";
import type { TargetKey } from "../world.ts";

/** What a condition says, before it gets its times. */
export interface Judgement<Reason extends string = string> {
  readonly holds: boolean;
  readonly reason: Reason;
  readonly message: string;
}

export type Condition = NonNullable<ResiliencePolicyStatus["conditions"]>[number];

export interface ConditionTimes {
  /** The stored conditions, whose times stay until their status changes. */
  readonly before: readonly Condition[] | undefined;
  readonly generation: number | undefined;
  readonly nowText: string;
}

/** Judgements as the API server stores them. */
export function toConditions(
  judgements: readonly (readonly [type: string, judgement: Judgement])[],
  { before, generation, nowText }: ConditionTimes,
): readonly Condition[] {
  return judgements.map(([type, { holds, reason, message }]) => {
    const status = holds ? "True" : "False";
    const last = before?.find((condition) => condition.type === type);
    return {
      type,
      status,
      ...(generation !== undefined && { observedGeneration: generation }),
      lastTransitionTime: last?.status === status ? last.lastTransitionTime : nowText,
      reason,
      message: bounded(message, CONDITION_MESSAGE_LENGTH_MAX),
    };
  });
}

/** `Service cart, HTTPRoute cart and 3 more`. */
export function nameTargets(keys: readonly TargetKey[]): string {
  const shown = keys.slice(0, NAMES_SHOWN_MAX).map(({ kind, name }) => `${kind} ${name}`);
  const more = keys.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : list(shown);
}

/** `1 target`, `3 targets`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** At most so many characters, all of them whole; control characters become blanks unless lines are wanted. */
export function bounded(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text.toWellFormed() : `${text.slice(0, lengthMax - 1)}…`.toWellFormed();
}

export function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
