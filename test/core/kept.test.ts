import { expect, test } from "vitest";
import { Kept } from "../../src/core/kept.ts";

test("what was made from a text is made once", () => {
  const kept = new Kept<object>();
  const first = kept.get("a", () => ({}));
  expect(kept.get("a", () => ({}))).toBe(first);
  expect(kept.get("b", () => ({}))).not.toBe(first);
});

test("what cannot be made is tried again, and what is made of a long text is not kept", () => {
  const kept = new Kept<object>();
  expect(kept.get("a", () => undefined)).toBeUndefined();
  expect(kept.get("a", () => ({}))).toEqual({});
  const long = "x".repeat(2_001);
  expect(kept.get(long, () => ({}))).not.toBe(kept.get(long, () => ({})));
});

test("it begins anew when it is full", () => {
  const kept = new Kept<object>();
  const first = kept.get("0", () => ({}));
  for (let index = 1; index < 500; index += 1) kept.get(String(index), () => ({}));
  expect(kept.get("0", () => ({}))).toBe(first);
  kept.get("500", () => ({}));
  expect(kept.get("0", () => ({}))).not.toBe(first);
});
