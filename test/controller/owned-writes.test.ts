import { expect, test } from "vitest";
import type { Action } from "../../src/core/action.ts";
import { writeOwned } from "../../src/controller/owned-writes.ts";

function refOf(name: string, service = "a"): Action & { readonly kind: "apply" } {
  const ref = { group: "gateway.networking.k8s.io", resource: "httproutes", namespace: "shop", name };
  return { kind: "apply", ref, service, object: {}, resourceVersion: undefined };
}

function route(service: string, name: string): Action {
  return refOf(name, service);
}

function deletion(name: string): Action {
  return { kind: "delete", ref: refOf(name).ref, uid: "u", resourceVersion: "1" };
}

const PLAN = [
  route("a", "a-rest"),
  route("a", "a-orders"),
  route("b", "b-rest"),
  route("b", "b-orders"),
  deletion("old"),
];

async function names(refused: readonly string[], stopAfter = Number.POSITIVE_INFINITY) {
  const tried: string[] = [];
  const error = await writeOwned(PLAN, {
    isStillWanted: () => tried.length < stopAfter,
    write: (action) => {
      const name = "ref" in action ? action.ref.name : "";
      tried.push(name);
      return refused.includes(name) ? Promise.reject(new Error(name)) : Promise.resolve();
    },
  });
  return { tried, error };
}

test("writes everything in its order", async () => {
  expect(await names([])).toEqual({ tried: ["a-rest", "a-orders", "b-rest", "b-orders", "old"], error: undefined });
});

test("where a route fails, the others of its Service and the deletions wait, and other Services get theirs", async () => {
  expect(await names(["a-rest"])).toEqual({ tried: ["a-rest", "b-rest", "b-orders"], error: new Error("a-rest") });
  expect((await names(["b-orders", "a-orders"])).error).toEqual(new Error("a-orders"));
});

test("ends where the plan is no longer wanted", async () => {
  expect((await names([], 2)).tried).toEqual(["a-rest", "a-orders"]);
});
