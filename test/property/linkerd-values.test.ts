import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../src/core/mesh/linkerd/duration.ts";
import { type AnnotationSource, LINKERD_KEYS, type LinkerdKey } from "../../src/core/mesh/linkerd/keys.ts";
import { GRPC_CODES } from "../../src/core/mesh/linkerd/lists.ts";
import { readAnnotations } from "../../src/core/mesh/linkerd/read.ts";
import { suggestValue } from "../../src/core/mesh/linkerd/suggest.ts";
import { parseValue } from "../../src/core/mesh/linkerd/values.ts";
import { type LinkerdVersion, parseLinkerdVersion } from "../../src/core/mesh/linkerd/version.ts";

const EXECUTIONS = 100_000;
const SEED = Number(process.env["FAIRLEAD_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

const VERSIONS = ["2.14", "2.16", "edge-24.7.5", "2.19", "2.20"].map(parseLinkerdVersion) as LinkerdVersion[];
const version = fc.constantFrom(...VERSIONS);
const source = fc.constantFrom<AnnotationSource>("Service", "HTTPRoute", "GRPCRoute");
const key = fc.constantFrom<LinkerdKey>(...LINKERD_KEYS);

/** Pieces of right and wrong values, so that random text gets near the grammars. */
const piece = fc.oneof(
  fc.constantFrom("ms", "s", "m", "h", "d", "us", "+", "-", "_", ".", ",", " ", "e", "E", "%", "x", '"', ";"),
  fc.constantFrom("\u00a0", "\u0085", "\ufeff", "\u2003", "\u0661", "\uff15", "\n", "\t", "\u00b5s"),
  fc.constantFrom(
    "5xx",
    "gateway-error",
    "500",
    "504",
    "unavailable",
    "INTERNAL",
    "canceled",
    "consecutive",
    "unified",
  ),
  fc.constantFrom(
    "true",
    "yes",
    "0",
    "00",
    "18446744073709551615",
    "4294967295",
    "65535",
    "999999999999",
    "inf",
    "nan",
  ),
  fc.nat(1000).map(String),
);
const text = fc.oneof(
  { weight: 8, arbitrary: fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join("")) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
);

/** Runs the property and says which seed repeats a failure. */
function check(property: fc.IRawProperty<unknown>, numRuns: number): void {
  const result = fc.check(property as fc.IProperty<unknown>, { numRuns, seed: SEED });
  expect(result.failed ? `FAIRLEAD_SEED=${SEED}: ${fc.defaultReportMessage(result)}` : "passed").toBe("passed");
}

/**
 * What `parse_duration` computes, said a second time and differently: no shared code, integers of any size. Rust's
 * White_Space is spelled as JavaScript's \s plus NEL minus the byte order mark.
 */
function durationOracle(value: string): bigint | undefined {
  const space = "(?:(?!\\ufeff)\\s|\\u0085)*";
  const match = new RegExp(`^${space}\\+?(?<digits>\\p{Nd}+)(?<unit>[^]*?)${space}$`, "u").exec(value)?.groups;
  if (match === undefined || !/^[\x30-\x39]+$/.test(match["digits"] ?? "")) return undefined;
  const magnitude = BigInt(match["digits"] ?? "");
  const factor = new Map([
    ["ms", 1n],
    ["s", 1000n],
    ["m", 60_000n],
    ["h", 3_600_000n],
    ["d", 86_400_000n],
  ]).get(match["unit"] ?? "");
  if (factor === undefined) return match["unit"] === "" && magnitude === 0n ? 0n : undefined;
  const milliseconds = magnitude * factor;
  return milliseconds >> 64n === 0n ? milliseconds : undefined;
}

describe("Linkerd values", () => {
  test("no text makes a parser throw, and durations agree with the oracle", () => {
    const property = fc.property(text, key, version, (value, anyKey, anyVersion) => {
      parseValue(anyKey, value, anyVersion);
      const parsed = parseDuration(value);
      const expected = durationOracle(value);
      expect(parsed.ok ? parsed.value : undefined).toBe(expected === undefined ? undefined : Number(expected));
    });
    check(property, EXECUTIONS);
  }, 120_000);

  test("the fuzz meets accepted and rejected values of every kind", () => {
    const samples = fc.sample(text, { numRuns: 20_000, seed: SEED });
    for (const anyKey of LINKERD_KEYS) {
      const accepted = samples.filter((value) =>
        VERSIONS.some((anyVersion) => parseValue(anyKey, value, anyVersion).ok),
      );
      expect(accepted.length, anyKey).toBeGreaterThan(10);
      expect(accepted.length, anyKey).toBeLessThan(samples.length - 1000);
    }
  });

  test("every suggestion is accepted, and only bad values get one", () => {
    const property = fc.property(text, key, version, (value, anyKey, anyVersion) => {
      const suggestion = suggestValue(anyKey, value, anyVersion);
      if (suggestion === undefined) return;
      expect(parseValue(anyKey, suggestion, anyVersion).ok).toBe(true);
      expect(parseValue(anyKey, value, anyVersion).ok).toBe(false);
      expect(suggestion).toMatch(/^[\x21-\x7e]+$/);
    });
    check(property, 20_000);
  });

  test("an object with all suggestions taken has no problem in those keys, nor a new one", () => {
    const fitting = fc.oneof(
      text,
      fc.constantFrom("consecutive", "unified", "true", "5s", "0.5s", "1m30s", "1", "9ms"),
    );
    const property = fc.property(fc.dictionary(key, fitting), source, version, (annotations, kind, anyVersion) => {
      const { problems } = readAnnotations(annotations, kind, anyVersion);
      const answers = problems.flatMap((item) => (item.suggestion === undefined ? [] : [[item.key, item.suggestion]]));
      const unanswered = problems.filter((item) => item.suggestion === undefined).map((item) => item.key);
      const corrected = { ...annotations, ...Object.fromEntries(answers) };
      const remaining = readAnnotations(corrected, kind, anyVersion).problems.map((item) => item.key);
      expect(remaining.filter((remainingKey) => !unanswered.includes(remainingKey))).toEqual([]);
    });
    check(property, 20_000);
  });

  test("any object is read, each key gets at most one remark, and a problem never leaves its group in force", () => {
    const anyKey = fc.oneof(key, fc.constantFrom("retry.linkerd.io/", "timeout.linkerd.io/x", "__proto__", "a/b"));
    const property = fc.property(fc.dictionary(anyKey, text), source, version, (annotations, kind, anyVersion) => {
      const reading = readAnnotations(annotations, kind, anyVersion);
      const remarked = [...reading.unknown, ...reading.tooNew, ...reading.notConsulted].map(({ key }): string => key);
      const all = [...remarked, ...reading.notReadHere];
      expect(new Set(all).size).toBe(all.length);
      const refused = reading.problems.some((item) => item.drops.startsWith("the whole policy"));
      for (const { group } of refused ? [] : reading.problems) {
        const groups = group === "retry" ? (["httpRetry", "grpcRetry"] as const) : ([group] as const);
        for (const name of groups) expect(reading).not.toHaveProperty(name);
      }
    });
    check(property, 20_000);
  });

  test("canonical values round-trip", () => {
    const property = fc.property(fc.nat(Number.MAX_SAFE_INTEGER), fc.nat(100), (milliseconds, percent) => {
      expect(parseDuration(`${milliseconds}ms`)).toEqual({ ok: true, value: milliseconds });
      expect(parseDuration(formatDuration(milliseconds))).toEqual({ ok: true, value: milliseconds });
      for (const anyVersion of VERSIONS) {
        const ratio = parseValue(
          "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio",
          String(percent / 100),
          anyVersion,
        );
        expect(ratio).toEqual({ ok: true, value: Math.fround(percent / 100) });
      }
    });
    check(property, 5000);
    const codes = fc.property(fc.subarray([...GRPC_CODES], { minLength: 1 }), version, (list, anyVersion) => {
      expect(parseValue("retry.linkerd.io/grpc", list.join(","), anyVersion)).toEqual({ ok: true, value: list });
    });
    check(codes, 200);
    const statuses = fc.property(
      fc.array(fc.integer({ min: 100, max: 599 }), { minLength: 1 }),
      version,
      (list, anyVersion) => {
        const value = list.map((status) => [status, status]);
        expect(parseValue("retry.linkerd.io/http", list.join(","), anyVersion)).toEqual({ ok: true, value });
      },
    );
    check(statuses, 200);
  });
});
