import { expect } from "vitest";
import type { Mesh } from "./mesh.ts";
import type { ApiObject } from "./objects.ts";

/** How something comes to be in force, and goes again. Each ends when the proxies do as they are told. */
export interface Delivery {
  apply(): Promise<void>;
  takeBack(): Promise<void>;
}

/** Objects of the mesh as a person would write them. */
export function handWritten(mesh: Mesh, ...objects: readonly ApiObject[]): Delivery {
  return { apply: () => mesh.apply(objects), takeBack: () => mesh.remove(objects) };
}

/** What is seen of traffic, as plain data; an expectation may hold asymmetric matchers. */
export interface Scenario {
  readonly delivery: Delivery;
  /** Sends requests and tells what became of them. It begins with counts of zero each time. */
  readonly traffic: () => Promise<unknown>;
  readonly inForce: unknown;
  readonly without: unknown;
}

/** Shows that something acts, and that the proxies are back to what they were once it is taken back. */
export async function expectToActAndGo({ delivery, traffic, inForce, without }: Scenario): Promise<void> {
  expect(await traffic(), "before").toEqual(without);
  await delivery.apply();
  try {
    expect(await traffic(), "in force").toEqual(inForce);
  } finally {
    await delivery.takeBack();
  }
  expect(await traffic(), "taken back").toEqual(without);
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
