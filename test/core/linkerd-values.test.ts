import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type AnnotationSource, KEY_SPECS, LINKERD_KEYS, type LinkerdKey } from "../../src/core/mesh/linkerd/keys.ts";
import { readAnnotations } from "../../src/core/mesh/linkerd/read.ts";
import type { Reading } from "../../src/core/mesh/linkerd/reading.ts";
import { suggestValue } from "../../src/core/mesh/linkerd/suggest.ts";
import { parseValue } from "../../src/core/mesh/linkerd/values.ts";
import { parseLinkerdVersion } from "../../src/core/mesh/linkerd/version.ts";

/** One row of test/golden/linkerd-values; its README says what the members mean. */
interface Row {
  readonly key: LinkerdKey;
  readonly versions: readonly Band[];
  readonly value: string;
  readonly companions?: Readonly<Record<string, string>>;
  readonly source?: AnnotationSource;
  readonly verdict: "accepted" | "rejected" | "ignored";
  readonly effective: unknown;
  readonly proxyRefuses?: boolean;
  readonly cite: string;
  readonly why: string;
}

const BANDS = {
  "2.14-2.15": ["2.14", "stable-2.14.10", "v2.15", "enterprise-2.15.3", "edge-24.7.4"],
  "2.16-2.19": ["2.16.3", "version-2.17", "enterprise-2.18.1", "2.19", "edge-24.7.5", "edge-26.6.1"],
  "2.20": ["2.20", "2.21", "edge-26.6.2", "edge-26.8.3"],
} as const;
type Band = keyof typeof BANDS;

const ROWS_PER_KEY_AND_BAND_MIN = 25;
const DIRECTORY = new URL("../golden/linkerd-values/", import.meta.url);
const ROWS: readonly Row[] = readdirSync(DIRECTORY)
  .filter((name) => name.endsWith(".json"))
  .flatMap((name) => JSON.parse(readFileSync(new URL(name, DIRECTORY), "utf8")) as Row[]);

/** Where the value of a key shows up in a reading. */
const EFFECTS: Readonly<Record<LinkerdKey, (reading: Reading) => unknown>> = {
  "balancer.linkerd.io/failure-accrual": (reading) => reading.accrual?.mode,
  "balancer.linkerd.io/failure-accrual-consecutive-max-failures": (reading) => reading.accrual?.maxFailures,
  "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": (reading) => reading.accrual?.minPenaltyMs,
  "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": (reading) => reading.accrual?.maxPenaltyMs,
  "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio": (reading) => reading.accrual?.jitterRatio,
  "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold": (reading) =>
    reading.accrual?.successRate?.threshold,
  "balancer.alpha.linkerd.io/failure-accrual-success-rate-window": (reading) => reading.accrual?.successRate?.windowMs,
  "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests": (reading) =>
    reading.accrual?.successRate?.minRequests,
  "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after": (reading) => reading.honorRetryAfter,
  "balancer.alpha.linkerd.io/penalize-failures": (reading) => reading.loadBiaser !== undefined,
  "balancer.alpha.linkerd.io/load-biaser-penalty": (reading) => reading.loadBiaser?.penaltyMs,
  "balancer.alpha.linkerd.io/load-biaser-max-retry-after": (reading) => reading.loadBiaser?.maxRetryAfterMs,
  "retry.linkerd.io/http": (reading) => reading.httpRetry?.statusRanges,
  "retry.linkerd.io/grpc": (reading) => reading.grpcRetry?.codes,
  "retry.linkerd.io/limit": (reading) => (reading.httpRetry ?? reading.grpcRetry)?.limit,
  "retry.linkerd.io/timeout": (reading) => (reading.httpRetry ?? reading.grpcRetry)?.timeoutMs,
  "timeout.linkerd.io/request": (reading) => reading.timeouts?.requestMs,
  "timeout.linkerd.io/response": (reading) => reading.timeouts?.responseMs,
  "timeout.linkerd.io/idle": (reading) => reading.timeouts?.idleMs,
};

/** What the port says about a row, in the table's terms. */
function outcome(row: Row, version: string): Pick<Row, "verdict" | "effective" | "proxyRefuses"> {
  const reading = read({ ...row.companions, [row.key]: row.value }, version, row.source);
  const ignored = [...reading.notReadHere, ...[...reading.tooNew, ...reading.notConsulted].map(({ key }) => key)];
  const refusals = reading.problems.filter(({ drops }) => drops.startsWith("the whole policy"));
  const proxyRefuses = refusals.length > 0 && { proxyRefuses: true };
  if (ignored.includes(row.key)) return { verdict: "ignored", effective: null };
  if (reading.problems.length > refusals.length) return { verdict: "rejected", effective: null };
  return { verdict: "accepted", effective: EFFECTS[row.key](reading) ?? null, ...proxyRefuses };
}

function read(annotations: Readonly<Record<string, string>>, version: string, source?: AnnotationSource): Reading {
  return readAnnotations(annotations, source ?? "Service", known(version));
}

function known(text: string) {
  const version = parseLinkerdVersion(text);
  if (version === undefined) throw new Error(`Cannot parse the version ${text}`);
  return version;
}

describe("the port against the table of linkerd2's own verdicts", () => {
  test.each(LINKERD_KEYS)("%s", (key) => {
    for (const row of ROWS.filter((candidate) => candidate.key === key)) {
      const { verdict, effective, proxyRefuses } = row;
      for (const version of row.versions.flatMap((band) => BANDS[band])) {
        const expected = { verdict, effective, ...(proxyRefuses === true && { proxyRefuses }) };
        expect(outcome(row, version), `${version}: ${JSON.stringify(row)}`).toEqual(expected);
      }
    }
  });

  test.each(LINKERD_KEYS)(`has at least ${ROWS_PER_KEY_AND_BAND_MIN} rows per band for %s`, (key) => {
    for (const band of Object.keys(BANDS) as Band[]) {
      const values = new Set(
        ROWS.filter((row) => row.key === key && row.versions.includes(band)).map((row) => row.value),
      );
      expect(values.size, band).toBeGreaterThanOrEqual(ROWS_PER_KEY_AND_BAND_MIN);
    }
  });

  test("every row names its source and reason", () => {
    expect(ROWS.filter((row) => row.cite === "" || row.why === "" || row.versions.length === 0)).toEqual([]);
  });
});

test("the defaults of KEY_SPECS are the ones in force", () => {
  const reading = read(
    {
      "balancer.linkerd.io/failure-accrual": "unified",
      "balancer.alpha.linkerd.io/penalize-failures": "true",
      "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after": "false",
      "retry.linkerd.io/http": "5xx",
    },
    "2.20",
  );
  for (const key of LINKERD_KEYS) {
    const spec = KEY_SPECS[key];
    if (!("default" in spec) || key.endsWith("penalize-failures")) continue;
    expect(parseValue(key, spec.default, known("2.20")), key).toEqual({ ok: true, value: EFFECTS[key](reading) });
  }
});

describe("suggestValue()", () => {
  const rows: readonly (readonly [LinkerdKey, string, string | undefined, string?])[] = [
    ["retry.linkerd.io/http", "5xx, 429", "5xx,429"],
    ["retry.linkerd.io/http", "5XX,abc", "5XX"],
    ["retry.linkerd.io/http", "504-500", "500-504"],
    ["retry.linkerd.io/http", "500 \u2013 504; 429", "500-504,429"],
    ["retry.linkerd.io/http", "50x,4xx", "500-509,400-499"],
    ["retry.linkerd.io/http", "2xx", undefined],
    ["retry.linkerd.io/http", "Gateway_Error", "gateway-error"],
    ["retry.linkerd.io/http", '["5xx", "429"]', "5xx,429"],
    ["retry.linkerd.io/http", "abc", undefined],
    ["retry.linkerd.io/http", "5xx", undefined],
    ["retry.linkerd.io/grpc", "Unavailable, internal", "Unavailable,internal"],
    ["retry.linkerd.io/grpc", "DEADLINE_EXCEEDED,canceled,14,unknown", "deadline-exceeded,cancelled,unavailable"],
    ["retry.linkerd.io/grpc", "ResourceExhausted", "resource-exhausted"],
    ["retry.linkerd.io/limit", "3.0", "3"],
    ["retry.linkerd.io/limit", " 3 ", "3"],
    ["retry.linkerd.io/limit", "1_000", "1000"],
    ["retry.linkerd.io/limit", "1,000", "1000"],
    ["retry.linkerd.io/limit", "1e3", "1000"],
    ["retry.linkerd.io/limit", "\uff13", "3"],
    ["retry.linkerd.io/limit", "3.5", undefined],
    ["retry.linkerd.io/limit", "70000", undefined],
    ["retry.linkerd.io/limit", "-1", undefined],
    ["timeout.linkerd.io/request", "0.5s", "500ms"],
    ["timeout.linkerd.io/request", "1m30s", "90s"],
    ["timeout.linkerd.io/request", "10", "10s"],
    ["timeout.linkerd.io/request", "10 s", "10s"],
    ["timeout.linkerd.io/request", "10S", "10s"],
    ["timeout.linkerd.io/request", "10 seconds", "10s"],
    ["timeout.linkerd.io/request", "1.1s", "1100ms"],
    ["timeout.linkerd.io/request", "2000us", "2ms"],
    ["timeout.linkerd.io/request", "5us", undefined],
    ["timeout.linkerd.io/request", "0.0s", undefined],
    ["timeout.linkerd.io/request", "-5s", undefined],
    ["timeout.linkerd.io/request", "\ufeff10s", "10s"],
    ["timeout.linkerd.io/request", "soon", undefined],
    ["balancer.linkerd.io/failure-accrual", "Consecutive", "consecutive"],
    ["balancer.linkerd.io/failure-accrual", "unified", "consecutive", "2.19"],
    ["balancer.linkerd.io/failure-accrual", "off", undefined, "2.19"],
    ["balancer.linkerd.io/failure-accrual", "unifed ", "unified"],
    ["balancer.linkerd.io/failure-accrual", "p2c", undefined],
    ["balancer.linkerd.io/failure-accrual-consecutive-max-failures", " 7", "7", "2.19"],
    ["balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio", "50%", "0.5"],
    ["balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio", "0,5", "0.5"],
    ["balancer.alpha.linkerd.io/penalize-failures", "Yes", "true"],
    ["balancer.alpha.linkerd.io/penalize-failures", "off", "false"],
    ["balancer.alpha.linkerd.io/penalize-failures", "maybe", undefined],
  ];

  const cases = rows.map(([key, value, expected, version = "2.20"]) => ({ key, value, expected, version }));
  test.each(cases)("$key: $value becomes $expected in $version", ({ key, value, expected, version }) => {
    expect(suggestValue(key, value, known(version))).toBe(expected);
  });
});
