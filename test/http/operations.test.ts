import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { VersionTaken } from "../../src/core/mesh/discovery.ts";
import { startOperationsServer, type OperationsServer } from "../../src/http/operations.ts";
import { READINESS_CHECKS, Readiness } from "../../src/http/readiness.ts";
import { createLog, errorFields, faultFields } from "../../src/observe/log.ts";
import { createMetrics } from "../../src/observe/metrics.ts";

const NOW_MS = Date.parse("2026-11-21T00:00:00Z");
let readiness: Readiness;
let server: OperationsServer;
let lines: string[];

beforeEach(async () => {
  readiness = new Readiness();
  lines = [];
  const stalenessSeconds = (): [string, number][] => [["Service", 1.25]];
  const meshVersions = (): VersionTaken[] => [
    { mesh: "Istio", revision: "canary", version: "1.24.3", source: "Service istio-system/istiod-canary" },
  ];
  server = await startOperationsServer({
    port: 0,
    host: "127.0.0.1",
    readiness,
    metrics: createMetrics({
      knownKinds: [],
      stalenessSeconds,
      meshVersions,
      certificateNotAfterMs: () => NOW_MS + 90_000,
      nowMs: () => NOW_MS,
      processMetrics: true,
    }),
    stalenessSeconds,
    meshVersions,
    nowMs: () => NOW_MS,
    log: createLog({ level: "error", destination: { write: (line) => void lines.push(line) } }).log,
  });
});

afterEach(() => server.close());

async function get(path: string): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
  return { status: response.status, text: await response.text(), headers: response.headers };
}

function passAll(): void {
  for (const name of READINESS_CHECKS) readiness.pass(name);
}

describe("startOperationsServer()", () => {
  test("is alive before it is ready", async () => {
    expect(await get("/livez")).toMatchObject({ status: 200, text: "ok\n" });
    expect(await get("/readyz")).toMatchObject({ status: 503 });
  });

  test("says what is missing", async () => {
    readiness.pass("cachesSynced");
    readiness.fail("certificateInBundle", "waiting for fairlead-mutating");
    expect((await get("/readyz?verbose")).text).toBe(
      [
        "[+]cachesSynced ok",
        "[-]certificateLoaded failed: not yet",
        "[-]certificateInBundle failed: waiting for fairlead-mutating",
        "[-]selfReview failed: not yet",
        "[+]draining ok",
        "[+]certificateValid ok",
        "staleness Service 1.3s",
        "version Istio canary 1.24.3 from Service istio-system/istiod-canary",
        "readyz check failed",
        "",
      ].join("\n"),
    );
  });

  test("shows staleness and the latch when ready", async () => {
    passAll();
    expect(await get("/readyz")).toMatchObject({ status: 200, text: "ok\n" });
    const { status, text } = await get("/readyz?verbose");
    expect(status).toBe(200);
    expect(text).toContain(
      "started: the checks of the start gate no longer count\nstaleness Service 1.3s\nversion Istio canary 1.24.3 from Service istio-system/istiod-canary\nreadyz check passed\n",
    );
  });

  test("serves metrics of the process, the world and the certificate", async () => {
    const { status, text, headers } = await get("/metrics");
    expect([status, headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    expect(text).toContain('fairlead_world_staleness_seconds{kind="Service"} 1.25');
    expect(text).toContain(
      'fairlead_mesh_version_info{mesh="Istio",revision="canary",version="1.24.3",source="Service istio-system/istiod-canary"} 1',
    );
    expect(text).toContain("fairlead_certificate_seconds_left 90");
    expect(text).toContain("process_resident_memory_bytes ");
  });

  test.each(["/", "/healthz", "/mutate/x", "/metrics/x"])("404 to %s, without x-powered-by", async (path) => {
    const { status, headers } = await get(path);
    expect([status, headers.get("x-powered-by")]).toEqual([404, null]);
  });

  test("no stack to a path that cannot be decoded", async () => {
    const { status, text } = await get("/%ff");
    expect([status, text.includes("node_modules")]).toEqual([404, false]);
  });
});

describe("Readiness", () => {
  test("latches once every check held at the same time", () => {
    passAll();
    readiness.fail("cachesSynced", "relisting");
    expect(readiness.report(NOW_MS).ready).toBe(true);
  });

  test("does not latch on checks that held one after the other", () => {
    for (const name of READINESS_CHECKS) {
      readiness.pass(name);
      readiness.fail(name, "gone again");
    }
    expect([readiness.latched, readiness.report(NOW_MS).ready]).toEqual([false, false]);
  });

  test("is unready for good once it drains", () => {
    passAll();
    readiness.drain();
    expect(readiness.report(NOW_MS).ready).toBe(false);
  });

  test("is unready while its own certificate has expired, and ready again after a reload", () => {
    passAll();
    readiness.serveCertificateUntil(NOW_MS);
    expect(readiness.report(NOW_MS)).toMatchObject({ ready: false });
    expect(readiness.report(NOW_MS).lines.at(-1)).toEqual({
      name: "certificateValid",
      ok: false,
      detail: "expired at 2026-11-21T00:00:00.000Z",
    });
    readiness.serveCertificateUntil(NOW_MS + 1);
    expect(readiness.report(NOW_MS).ready).toBe(true);
  });

  test("holds only the checks it was given", () => {
    const controller = new Readiness(["cachesSynced"]);
    controller.fail("selfReview", "not asked for");
    controller.pass("cachesSynced");
    expect(controller.report(NOW_MS).ready).toBe(true);
  });
});

describe("createLog()", () => {
  function logged(fields: Record<string, unknown>): string {
    const out: string[] = [];
    createLog({ level: "info", destination: { write: (line) => void out.push(line) } }).log.info(fields, "text");
    return out.join("");
  }

  test("writes one JSON line without pid and host", () => {
    const line = JSON.parse(logged({ uid: "1" })) as Record<string, unknown>;
    expect(Object.keys(line)).toEqual(["level", "time", "uid", "msg"]);
    expect(line["time"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Math.abs(Date.parse(line["time"] as string) - Date.now())).toBeLessThan(10_000);
  });

  test.each([
    ["an object by its name", { object: { x: "hidden" } }],
    ["an object by its shape", { found: { metadata: { name: "hidden" } } }],
    ["a patch", { patch: [{ op: "add", path: "/a", value: "hidden" }] }],
    ["a key", { anything: "-----BEGIN PRIVATE KEY-----hidden" }],
    ["the path secret", { pathSecret: "hidden" }],
    ["the message of an error that quotes", { err: new SyntaxError("Unexpected token hidden in JSON") }],
    ["the message of an error met while an object was read", { fault: new Error("found hidden") }],
    ["a key in an error", { err: new Error("-----BEGIN PRIVATE KEY-----hidden") }],
  ])("hides %s", (_name, fields) => {
    expect(logged({ uid: "1", ...fields })).not.toContain("hidden");
  });

  test("keeps type, code, message, stack and causes of an err", () => {
    const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const error = new Error("fetch failed", { cause });
    expect(errorFields(error)).toMatchObject({
      type: "Error",
      message: "fetch failed",
      cause: { code: "ECONNREFUSED", message: "connect ECONNREFUSED" },
    });
    expect(errorFields(error)["stack"]).toContain("operations.test.ts");
    expect(errorFields("text")).toEqual({ type: "string" });
  });

  test("keeps the message of a fault that only names properties", () => {
    const message = "Cannot read properties of undefined (reading 'ports')";
    expect(faultFields(new TypeError(message))).toMatchObject({ type: "TypeError", message });
    expect(faultFields(5)).toEqual({ type: "number" });
  });
});
