import { Counter, Histogram, type Registry } from "prom-client";

/**
 * Metrics of the admission path. What is counted is kept here and told to prom-client at a scrape, or many at once: to hash
 * its labels takes prom-client longer than many a decision.
 */

/** Exceptions and rules come and go as long as a process runs, and a counter forgets none. */
const SERIES_MAX = 1_000;
const OTHER = "other";

/** A counter. Beyond a thousand combinations of labels the rest is `other`. */
export class Tally {
  readonly #totals = new Map<string, { readonly values: readonly string[]; count: number }>();

  constructor(
    registry: Registry,
    options: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
  ) {
    const totals = this.#totals;
    const labelNames = [...options.labelNames];
    const counter = new Counter({
      ...options,
      labelNames,
      registers: [],
      collect() {
        this.reset();
        for (const { values, count } of totals.values())
          this.inc(Object.fromEntries(labelNames.map((name, index) => [name, values[index] ?? ""])), count);
      },
    });
    registry.registerMetric(counter);
  }

  /** `values` are in the order of the label names, and hold no blanks. */
  count(...values: readonly string[]): void {
    const key = values.join(" ");
    const total = this.#totals.get(key);
    if (total !== undefined) total.count += 1;
    else if (this.#totals.size < SERIES_MAX || values.every((value) => value === OTHER))
      this.#totals.set(key, { values, count: 1 });
    else this.count(...values.map(() => OTHER));
  }
}

/** So many observations are told at once: one after the other, each takes a fraction of what it would alone. */
const BATCH = 256;

/** A histogram with one label. */
export class Batches {
  readonly #waiting = new Map<string, number[]>();
  readonly #tell: (value: string, observations: number[]) => void;

  constructor(
    registry: Registry,
    options: { readonly name: string; readonly help: string; readonly label: string; readonly buckets: number[] },
  ) {
    const { name, help, label, buckets } = options;
    const waiting = this.#waiting;
    const tell = (value: string, observations: number[]): void => {
      const ofValue = histogram.labels({ [label]: value });
      for (const each of observations) ofValue.observe(each);
      observations.length = 0;
    };
    const histogram = new Histogram({
      name,
      help,
      labelNames: [label],
      buckets,
      registers: [],
      collect() {
        for (const [value, observations] of waiting) tell(value, observations);
      },
    });
    registry.registerMetric(histogram);
    this.#tell = tell;
  }

  observe(value: string, observation: number): void {
    let waiting = this.#waiting.get(value);
    if (waiting === undefined) this.#waiting.set(value, (waiting = []));
    if (waiting.push(observation) >= BATCH) this.#tell(value, waiting);
  }
}
