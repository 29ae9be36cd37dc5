import * as fc from "fast-check";
import { type Request, range } from "./istio-reader.ts";

/** Sections of policies about requests, and requests that meet them, for both meshes. */

/** With the codes that each stands for. */
export const CODES = new Map([
  ["5xx", range(500, 599)],
  ["gateway-error", [502, 503, 504]],
  ["502-504", [502, 503, 504]],
  ["500-503", [500, 501, 502, 503]],
  ["429", [429]],
  ["503", [503]],
]);
export const duration = fc.constantFrom("1ms", "250ms", "1s", "1s500ms", "1m", "2h");
export const retry = fc.oneof(
  fc.constant({ maxAttempts: 0 }),
  fc.record(
    {
      maxAttempts: fc.integer({ min: 1, max: 10 }),
      statusCodes: fc.subarray([...CODES.keys()], { minLength: 1 }),
      grpcCodes: fc.subarray(["cancelled", "internal", "unavailable"], { minLength: 1 }),
      timeout: duration,
    },
    { requiredKeys: ["maxAttempts", "statusCodes"] },
  ),
);
export const timeout = fc.record({ request: duration });
const PATHS = ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/7"];
const METHODS = ["GET", "POST"];
export const match = fc
  .record(
    {
      path: fc.oneof(
        fc.record({ value: fc.constantFrom("/a", "/a/b", "/a/") }),
        fc.record({ type: fc.constant("Exact"), value: fc.constantFrom("/a", "/a/b", "/ab") }),
        fc.record({ type: fc.constant("RegularExpression"), value: fc.constantFrom("/[0-9]+", "/a.*") }),
      ),
      method: fc.constantFrom(...METHODS),
      headers: fc.constantFrom(
        [{ name: "X-Tenant", value: "big" }],
        [{ name: "x-tenant", type: "RegularExpression", value: "b.*" }],
      ),
    },
    { requiredKeys: [] },
  )
  .filter((made) => Object.keys(made).length > 0);
export const routes = fc
  .array(
    fc
      .record(
        { matches: fc.array(match, { minLength: 1, maxLength: 2 }), retry, timeout },
        { requiredKeys: ["matches"] },
      )
      .filter((entry) => entry.retry !== undefined || entry.timeout !== undefined),
    { minLength: 1, maxLength: 3 },
  )
  .map((entries) => entries.map((entry, index) => ({ name: `r${index}`, ...entry })));
const backends = fc
  .uniqueArray(
    fc.record(
      {
        name: fc.constantFrom("user-service", "next", "last"),
        weight: fc.integer({ min: 0, max: 5 }),
        port: fc.constant(9090),
      },
      { requiredKeys: ["name", "weight"] },
    ),
    { minLength: 1, maxLength: 3, selector: ({ name }) => name },
  )
  .filter((list) => list.some(({ weight }) => weight > 0));
export const trafficSplit = fc.record(
  { backends, matches: fc.array(match, { minLength: 1, maxLength: 2 }) },
  { requiredKeys: ["backends"] },
);
export const request: fc.Arbitrary<Request> = fc.record({
  method: fc.constantFrom(...METHODS),
  path: fc.constantFrom(...PATHS),
  headers: fc.constantFrom({}, { "x-tenant": "big" }, { "x-tenant": "bit" }),
});

export interface Retry {
  readonly maxAttempts: number;
  readonly statusCodes?: readonly string[];
  readonly grpcCodes?: readonly string[];
  readonly timeout?: string;
}
export interface Match {
  readonly path?: { readonly type?: string; readonly value: string };
  readonly method?: string;
  readonly headers?: readonly { readonly name: string; readonly type?: string; readonly value: string }[];
}

/** By the words of docs/policy.md, whatever the compiler does. */
export function fits(
  { path, method, headers = [] }: Match,
  { method: found, path: at, headers: given }: Request,
): boolean {
  const whole = (text: string, expression: string): boolean => new RegExp(`^(?:${expression})$`, "u").test(text);
  const prefix = (path?.value ?? "").replace(/\/$/, "");
  const isPath =
    path === undefined ||
    (path.type === "Exact" && at === path.value) ||
    (path.type === "RegularExpression" && whole(at, path.value)) ||
    (path.type === undefined && (at === prefix || at.startsWith(`${prefix}/`)));
  return (
    isPath &&
    (method === undefined || method === found) &&
    headers.every(({ name, type, value }) => {
      const text = given[name.toLowerCase()];
      return text !== undefined && (type === undefined ? text === value : whole(text, value));
    })
  );
}

/** The order of the Gateway API; the meshes place regular expressions last. */
export function specificity({ path, method, headers = [] }: Match): readonly number[] {
  const kind = path === undefined ? 1 : path.type === "Exact" ? 2 : path.type === undefined ? 1 : 0;
  const length = path === undefined ? 1 : path.value.length > 1 ? path.value.replace(/\/$/, "").length : 1;
  return [kind, length, method === undefined ? 0 : 1, headers.length];
}

export function compare(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, at) => value !== b[at]);
  return index < 0 ? 0 : (b[index] ?? 0) - (a[index] ?? 0);
}
