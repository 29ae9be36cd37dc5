import { expect } from "vitest";

/** What is seen of traffic as a policy says one thing after the other. */
export interface Course {
  readonly policy: { apply(sections: object): Promise<void>; remove(): Promise<void> };
  /** Sends requests and tells what became of them, as plain data. It begins with counts of zero each time. */
  readonly traffic: () => Promise<unknown>;
  /** The sections of the policy, each time all of them, and what is then seen; asymmetric matchers may be in it. */
  readonly steps: readonly (readonly [sections: object, seen: unknown])[];
  /** What is seen before the policy is there, and once it is deleted. */
  readonly without: unknown;
}

/** Shows that each change of a policy acts, and that the proxies are back to what they were once it is deleted. */
export async function expectToFollow({ policy, traffic, steps, without }: Course): Promise<void> {
  expect(await traffic(), "before").toEqual(without);
  try {
    for (const [sections, seen] of steps) {
      await policy.apply(sections);
      expect(await traffic(), JSON.stringify(sections)).toEqual(seen);
    }
  } finally {
    await policy.remove();
  }
  expect(await traffic(), "deleted").toEqual(without);
}

interface Matcher {
  asymmetricMatch(found: unknown): boolean;
  toString(): string;
}

/** Matches numbers from the first to the second, both included. */
export function between(least: number, most: number): Matcher {
  return {
    asymmetricMatch: (found) => typeof found === "number" && found >= least && found <= most,
    toString: () => `between ${least} and ${most}`,
  };
}

/** One false alarm in three million: five standard deviations. */
const DEVIATIONS = 5;

/** Matches how many of so many independent requests may get what this percentage of them is to get. */
export function share(percent: number, requests: number): Matcher {
  const probability = percent / 100;
  const spread = DEVIATIONS * Math.sqrt(requests * probability * (1 - probability));
  return between(requests * probability - spread, requests * probability + spread);
}
