import { QUOTED_LENGTH_MAX } from "./limits.ts";

/** A found value as messages show it: quoted on one line, control characters escaped, cut when long. */
export function quote(value: string): string {
  return JSON.stringify(cut(value));
}

/** Cut when long. */
export function cut(text: string): string {
  return text.length > QUOTED_LENGTH_MAX ? `${text.slice(0, QUOTED_LENGTH_MAX)}…` : text;
}

/** `a`, `a and b`, `a, b and c`. */
export function list(items: readonly string[]): string {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
}

/** `an HTTPRoute`, `a Service`. */
export function withArticle(kind: string): string {
  return /^(?:[AEIO]|HTTP)/.test(kind) ? `an ${kind}` : `a ${kind}`;
}

/** Milliseconds for people: the largest unit that divides them. */
export function showMs(ms: number): string {
  for (const [unit, size] of [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
  ] as const) {
    if (ms !== 0 && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** In bytes. Half of a surrogate pair alone counts as U+FFFD, which Go's JSON decoder makes of it. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (isHalf(unit, HIGH_HALF) && isHalf(text.charCodeAt(at + 1), LOW_HALF)) {
      bytes += 4;
      at++;
    } else {
      bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    }
  }
  return bytes;
}

/** The six bits that tell the halves of a surrogate pair. */
const HALF_MASK = 0xfc00;
const HIGH_HALF = 0xd800;
const LOW_HALF = 0xdc00;

function isHalf(unit: number, half: number): boolean {
  return (unit & HALF_MASK) === half;
}
