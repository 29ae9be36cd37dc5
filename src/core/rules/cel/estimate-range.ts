/** A least and a most, of units of cost or of items; the most is Infinity where nothing bounds it. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

export const UNKNOWN: Range = { min: 0, max: Number.POSITIVE_INFINITY };

/** What reading a character costs (common.StringTraversalCostFactor of cel-go). */
export const PER_CHARACTER = 0.1;
/** What a character of a regular expression costs for each unit of the text (RegexStringLengthCostFactor). */
export const PER_PATTERN_CHARACTER = 0.25;

export function fixed(value: number): Range {
  return { min: value, max: value };
}

export function add(...ranges: readonly Range[]): Range {
  return {
    min: ranges.reduce((sum, { min }) => sum + min, 0),
    max: ranges.reduce((sum, { max }) => sum + max, 0),
  };
}

export function multiply(one: Range, other: Range): Range {
  return { min: product(one.min, other.min), max: product(one.max, other.max) };
}

/** Times a number, rounded up. */
export function scale({ min, max }: Range, factor: number): Range {
  return { min: Math.ceil(product(min, factor)), max: Math.ceil(product(max, factor)) };
}

/** From the least of both to the most of both. */
export function union(one: Range, other: Range): Range {
  return { min: Math.min(one.min, other.min), max: Math.max(one.max, other.max) };
}

/** Nothing of what has no bound is nothing. */
function product(one: number, other: number): number {
  return one === 0 || other === 0 ? 0 : one * other;
}
