/** The middle of several rounds, and between which values they lay. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: quantile(sorted, 0), max: quantile(sorted, 1) };
}

export function median(values: readonly number[]): number {
  return spread(values).median;
}

/** Nearest rank of values that are sorted. */
export function quantile(sorted: ArrayLike<number>, fraction: number): number {
  const rank = Math.max(0, Math.ceil(sorted.length * fraction) - 1);
  return sorted[rank] ?? Number.NaN;
}
