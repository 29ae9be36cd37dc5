import { NAMES_SHOWN_MAX } from "../limits.ts";
import { list } from "../text.ts";
import type { TargetKey } from "../world.ts";

/** What a condition says, before it gets its times. */
export interface Judgement<Reason extends string = string> {
  readonly holds: boolean;
  readonly reason: Reason;
  readonly message: string;
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
