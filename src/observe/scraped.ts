import { Counter, Histogram, type Registry } from "prom-client";

/**
 * Metrics of the admission path. What is counted is kept here, in plain numbers, and told to prom-client at a scrape: to
 * hash its labels takes prom-client longer than many a decision.
 */

/** Exceptions and rules come and go as long as a process runs, and a counter forgets none. */
const SERIES_MAX = 1_000;
const OTHER = "other";

/** The values of the first labels, and what was counted with no more than those. */
interface Node {
  readonly values: readonly string[];
  readonly next: Map<string, Node>;
  count: number;
}

/** A counter. Beyond a thousand combinations of labels the rest is `other`. */
export class Tally {
  readonly #root: Node = { values: [], next: new Map(), count: 0 };
  readonly #counted: Node[] = [];

  constructor(
    registry: Registry,
    options: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
  ) {
    const counted = this.#counted;
    const labelNames = [...options.labelNames];
    const counter = new Counter({
      ...options,
      labelNames,
      registers: [],
      collect() {
        this.reset();
        for (const { values, count } of counted)
          this.inc(Object.fromEntries(labelNames.map((name, index) => [name, values[index] ?? ""])), count);
      },
    });
    registry.registerMetric(counter);
  }

  /** `values` are in the order of the label names. */
  count(...values: readonly string[]): void {
    let node: Node | undefined = this.#root;
    for (const value of values) node = node?.next.get(value);
    (node ?? this.#noted(values)).count += 1;
  }

  /** Where a combination is counted that was not met before. */
  #noted(values: readonly string[]): Node {
    let node = this.#root;
    for (const value of this.#counted.length < SERIES_MAX ? values : values.map(() => OTHER)) {
      let next = node.next.get(value);
      if (next === undefined) {
        next = { values: [...node.values, value], next: new Map(), count: 0 };
        node.next.set(value, next);
      }
      node = next;
    }
    if (node.count === 0) this.#counted.push(node);
    return node;
  }
}

interface DistributionOptions {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  /** Upper ends, ascending. */
  readonly buckets: readonly number[];
}

/** Observations under one value of the label. */
interface Observed {
  /** Of each bucket alone, in their order; the last holds what is beyond all. */
  readonly counts: number[];
  sum: number;
}

/** A histogram with one label. */
export class Distribution {
  readonly #buckets: readonly number[];
  readonly #observed = new Map<string, Observed>();

  constructor(registry: Registry, options: DistributionOptions) {
    this.#buckets = options.buckets;
    registry.registerMetric(keptElsewhere(options, this.#observed));
  }

  observe(value: string, observation: number): void {
    let observed = this.#observed.get(value);
    if (observed === undefined) {
      observed = { counts: [0, ...this.#buckets.map(() => 0)], sum: 0 };
      this.#observed.set(value, observed);
    }
    let bucket = 0;
    while (bucket < this.#buckets.length && observation > (this.#buckets[bucket] as number)) bucket += 1;
    observed.counts[bucket] = (observed.counts[bucket] ?? 0) + 1;
    observed.sum += observation;
  }
}

/**
 * A histogram whose numbers are kept elsewhere: prom-client's own takes one observation after the other. Its registry asks
 * `getForPromString` where there is one, which the types do not tell.
 */
function keptElsewhere(options: DistributionOptions, observed: ReadonlyMap<string, Observed>): Histogram {
  const { name, help, label, buckets } = options;
  const make = (): Histogram =>
    new Histogram({ name, help, labelNames: [label], buckets: [...buckets], registers: [] });
  const empty = make();
  const get: Histogram["get"] = async () => {
    const values = [...observed].flatMap(([value, ofValue]) => shown(options, value, ofValue));
    return { ...(await empty.get()), values };
  };
  return Object.assign(make(), { get, getForPromString: get });
}

type Shown = Awaited<ReturnType<Histogram["get"]>>["values"];

/** As prom-client shows it: `le` comes first. */
function shown({ name, label, buckets }: DistributionOptions, value: string, { counts, sum }: Observed): Shown {
  let count = 0;
  const upTo = [...buckets, "+Inf"].map((le, index) => {
    count += counts[index] ?? 0;
    return { metricName: `${name}_bucket`, labels: { le, [label]: value }, value: count };
  });
  const labels = { [label]: value };
  const all = [
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
  return [...upTo, ...all];
}
