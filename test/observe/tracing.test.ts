import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { trace } from "@opentelemetry/api";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createLog } from "../../src/observe/log.ts";
import { policyTrace, traceOf } from "../../src/observe/trace-context.ts";
import { createTracing, NO_TRACING, type Tracing } from "../../src/observe/tracing.ts";
import { Collector } from "./collector.ts";

/** No version 4 UUID of a cluster: only its text matters. */
const UID = "8a7f2f5e-3c0b-4b0f-9d53-1f6b0f6a2c11";
const TRACE = policyTrace(UID, 3);
/** Another trace, as an API server with tracing sends it. */
const API_SERVER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const collectors: Collector[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(collectors.splice(0).map((collector) => collector.stop()));
});

async function startCollector(mode?: "answer" | "hang"): Promise<Collector> {
  const collector = await Collector.start(mode);
  collectors.push(collector);
  return collector;
}

interface Started {
  readonly tracing: Tracing;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

async function start(variables: Readonly<Record<string, string>>): Promise<Started> {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  const lines: Record<string, unknown>[] = [];
  const { log } = createLog({ level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });
  return { tracing: await createTracing(process.env, log), lines };
}

async function refusingPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A process of its own that runs a program with the URL of tracing.ts as argument; its standard output. */
function runProgram(program: string, env: Readonly<Record<string, string>>): string {
  const { PATH } = process.env;
  const args = ["--input-type=module", "-e", program, new URL("../../src/observe/tracing.ts", import.meta.url).href];
  const child = spawnSync(process.execPath, args, { env: { PATH, ...env }, encoding: "utf8", timeout: 7_000 });
  expect(child).toMatchObject({ signal: null, status: 0, stderr: "" });
  return child.stdout;
}

describe("off", () => {
  test.each([
    ["nothing is set", {}],
    ["the endpoint is empty", { OTEL_EXPORTER_OTLP_ENDPOINT: " " }],
    ["the SDK is disabled", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_SDK_DISABLED: "TRUE" }],
    ["traces go nowhere", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_TRACES_EXPORTER: "none" }],
    ["traces go elsewhere", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_TRACES_EXPORTER: "zipkin" }],
  ])("while %s", async (_, variables) => {
    expect((await start(variables)).tracing).toBe(NO_TRACING);
  });

  test("every span is the same one, and has no traceparent", async () => {
    const span = NO_TRACING.span("admission.review", { traceId: TRACE });
    expect(NO_TRACING.span("controller.write", { traceId: TRACE })).toBe(span);
    span.setAttributes({ a: 1 });
    span.end(new Error("nobody sees this"));
    expect(span.traceparent()).toBeUndefined();
    expect(NO_TRACING.enabled).toBe(false);
    await NO_TRACING.shutdown();
  });

  test("no module of OpenTelemetry is loaded; on, they are", () => {
    expect(loadedModules({})).toEqual({ enabled: false, packages: [] });
    expect(loadedModules({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" })).toEqual({
      enabled: true,
      packages: expect.arrayContaining(["api", "exporter-trace-otlp-http", "resources", "sdk-trace"]),
    });
  });
});

/** Packages under @opentelemetry that a process has resolved once tracing is made. */
function loadedModules(env: Readonly<Record<string, string>>): unknown {
  const program = `
    import { registerHooks } from "node:module";
    const urls = [];
    registerHooks({ resolve(specifier, context, next) {
      const found = next(specifier, context);
      urls.push(found.url);
      return found;
    } });
    const { createTracing } = await import(process.argv[1]);
    const { enabled } = await createTracing(process.env, undefined);
    const packages = new Set(urls.flatMap((url) => /@opentelemetry\\/([^/]+)/.exec(url)?.[1] ?? []));
    process.stdout.write(JSON.stringify({ enabled, packages: [...packages] }));`;
  return JSON.parse(runProgram(program, env));
}

describe("ids", () => {
  test("the trace of a policy generation is the first half of a SHA-256", () => {
    expect(policyTrace(UID, 3)).toBe(createHash("sha256").update(`${UID}/3`).digest("hex").slice(0, 32));
    expect(policyTrace(UID, 3)).toBe("2933497d6dba93f2e1c2edb49cd788a2");
    expect(policyTrace(UID, 4)).not.toBe(policyTrace(UID, 3));
  });

  test("tracing on and tracing off agree on it", async () => {
    const { tracing } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: (await startCollector()).url });
    expect(tracing.enabled).toBe(true);
    expect(tracing.policyTrace(UID, 3)).toBe(NO_TRACING.policyTrace(UID, 3));
    await tracing.shutdown();
  });

  test.each([
    ["as the specification shows it", API_SERVER, true],
    ["not sampled", API_SERVER.replace(/01$/, "00"), false],
    ["with flags of the future", API_SERVER.replace(/01$/, "03"), true],
    ["of a later version with more parts", `${API_SERVER.replace(/^00/, "01")}-more`, true],
  ])("a traceparent %s is read", (_, header, sampled) => {
    expect(traceOf(header)).toEqual({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      sampled,
    });
  });

  test.each([
    ["absent", undefined],
    ["empty", ""],
    ["cut short", API_SERVER.slice(0, -1)],
    ["in capitals", API_SERVER.toUpperCase()],
    ["of version ff", API_SERVER.replace(/^00/, "ff")],
    ["of version 00 with more parts", `${API_SERVER}-more`],
    ["with a trace of zeros", API_SERVER.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32))],
    ["with a span of zeros", API_SERVER.replace("b7ad6b7169203331", "0".repeat(16))],
    ["with two lines", `${API_SERVER}\n`],
  ])("a traceparent that is %s is none", (_, header) => {
    expect(traceOf(header)).toBeUndefined();
  });
});

describe("on", () => {
  test("spans of one policy generation from two processes share the trace and the span above", async () => {
    const collector = await startCollector();
    const admission = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const controller = await start({});
    const attributes = { "k8s.namespace.name": "iam", "fairlead.decision": "patched", absent: undefined };
    admission.tracing.span("admission.review", { traceId: TRACE, attributes }).end();
    const reconcile = controller.tracing.span("controller.reconcile", {
      traceId: controller.tracing.policyTrace(UID, 3),
    });
    controller.tracing.span("controller.write", { traceId: TRACE, parent: reconcile.traceparent() }).end();
    reconcile.setAttributes({ "fairlead.targets": 2 });
    reconcile.end();
    await Promise.all([admission.tracing.shutdown(), controller.tracing.shutdown()]);

    expect(new Set(collector.paths)).toEqual(new Set(["/v1/traces"]));
    const byName = Object.fromEntries(collector.spans.map((span) => [span.name, span]));
    expect(Object.keys(byName).sort()).toEqual(["admission.review", "controller.reconcile", "controller.write"]);
    expect(new Set(collector.spans.map((span) => span.traceId))).toEqual(new Set([TRACE]));
    expect(new Set(collector.spans.map((span) => span.resource["service.name"]))).toEqual(new Set(["fairlead"]));
    expect(byName["admission.review"]).toMatchObject({
      parentSpanId: TRACE.slice(16),
      attributes: { "k8s.namespace.name": "iam", "fairlead.decision": "patched" },
    });
    expect(Object.keys(byName["admission.review"]?.attributes ?? {})).not.toContain("absent");
    expect(byName["controller.reconcile"]).toMatchObject({
      parentSpanId: TRACE.slice(16),
      attributes: { "fairlead.targets": 2 },
    });
    expect(byName["controller.write"]?.parentSpanId).toBe(byName["controller.reconcile"]?.spanId);
    expect([...admission.lines, ...controller.lines]).toEqual([]);
  });

  test("a span of the API server's trace lies under its span; one of a policy's trace has a link to it", async () => {
    const collector = await startCollector();
    const { tracing } = await start({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/here` });
    const traceId = traceOf(API_SERVER)?.traceId ?? "";
    tracing.span("admission.review", { traceId, parent: API_SERVER }).end();
    tracing.span("admission.review", { traceId: TRACE, parent: API_SERVER }).end();
    await tracing.shutdown();
    expect(collector.paths).toEqual(["/here"]);
    expect(collector.spans).toMatchObject([
      { traceId, parentSpanId: "b7ad6b7169203331", links: [] },
      { traceId: TRACE, parentSpanId: TRACE.slice(16), links: [{ traceId, spanId: "b7ad6b7169203331" }] },
    ]);
  });

  test("of an error only its kind is exported", async () => {
    const collector = await startCollector();
    const { tracing } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const errors = [
      new TypeError("hush: a part of an object"),
      Object.assign(new Error("hush"), { status: 409 }),
      Object.assign(new Error("hush"), { code: "ECONNRESET" }),
      "hush",
    ];
    for (const error of errors) tracing.span("controller.write", { traceId: TRACE }).end(error);
    await tracing.shutdown();
    expect(collector.spans.map((span) => span.attributes["error.type"])).toEqual([
      "TypeError",
      "409",
      "ECONNRESET",
      "string",
    ]);
    // 2 is ERROR in OTLP.
    expect(collector.spans.map((span) => span.status)).toEqual(errors.map(() => ({ code: 2 })));
    expect(collector.bodies.join("")).not.toContain("hush");
  });

  test("a start in the past counts, and times are finer than a millisecond", async () => {
    const collector = await startCollector();
    const { tracing, lines } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    tracing.span("admission.review", { traceId: TRACE, startMs: performance.now() - 250 }).end();
    for (let count = 0; count < 20; count += 1) {
      const startMs = performance.now();
      const span = tracing.span("admission.review", { traceId: TRACE, startMs });
      while (performance.now() < startMs + 0.3);
      span.end();
    }
    await tracing.shutdown();
    const durationsNs = collector.spans.map((span) => BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano));
    expect(durationsNs.length).toBe(21);
    expect(durationsNs[0]).toBeGreaterThanOrEqual(249_999_000n);
    // A microsecond is what a double holds of the milliseconds since 1970.
    expect(durationsNs.filter((duration) => duration < 299_000n)).toEqual([]);
    expect(lines).toEqual([]);
  });

  test("name, attributes and headers come from the environment", async () => {
    const collector = await startCollector();
    const { tracing } = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=blue",
      OTEL_RESOURCE_ATTRIBUTES: "k8s.cluster.name=east,service.name=loses",
      OTEL_SERVICE_NAME: "fairlead-east",
    });
    tracing.span("admission.review", { traceId: TRACE }).end();
    await tracing.shutdown();
    expect(collector.headers[0]).toMatchObject({ "x-tenant": "blue", "content-type": "application/json" });
    expect(collector.spans[0]?.resource).toMatchObject({
      "service.name": "fairlead-east",
      "k8s.cluster.name": "east",
      "telemetry.sdk.language": "nodejs",
    });
  });

  test("nothing of it is global but the log of OpenTelemetry's own problems", async () => {
    const { tracing } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: (await startCollector()).url });
    expect(globalKinds()).toEqual(["diag"]);
    expect(trace.getTracer("of somebody else").startSpan("theirs").isRecording()).toBe(false);
    await tracing.shutdown();
    expect(globalKinds()).toEqual([]);
  });
});

/** What is registered where OpenTelemetry's API keeps its globals. */
function globalKinds(): readonly string[] {
  const globals: unknown = Reflect.get(globalThis, Symbol.for("opentelemetry.js.api.1"));
  return Object.keys(globals ?? {}).filter((name) => name !== "version");
}

describe("sampling", () => {
  async function sampledGenerations(variables: Readonly<Record<string, string>>): Promise<readonly number[]> {
    const collector = await startCollector();
    const { tracing } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...variables });
    for (let generation = 1; generation <= 40; generation += 1) {
      const traceId = tracing.policyTrace(UID, generation);
      tracing.span("controller.reconcile", { traceId, attributes: { generation } }).end();
    }
    await tracing.shutdown();
    return collector.spans.map((span) => Number(span.attributes["generation"]));
  }
  const ALL = Array.from({ length: 40 }, (_, index) => index + 1);

  test.each([
    ["always_on", ALL],
    ["always_off", []],
    ["parentbased_always_on", ALL],
    ["parentbased_always_off", []],
    ["traceidratio", ALL],
  ])("%s", async (OTEL_TRACES_SAMPLER, expected) => {
    expect(await sampledGenerations({ OTEL_TRACES_SAMPLER })).toEqual(expected);
  });

  test("a ratio takes the same generations in every process", async () => {
    const OTEL_TRACES_SAMPLER_ARG = "0.5";
    const plain = await sampledGenerations({ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG });
    const ofParent = await sampledGenerations({
      OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
      OTEL_TRACES_SAMPLER_ARG,
    });
    expect(ofParent).toEqual(plain);
    expect(plain.length).toBeGreaterThan(5);
    expect(plain.length).toBeLessThan(35);
  });

  test("what the API server did not sample stays unsampled", async () => {
    const collector = await startCollector();
    const { tracing } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const parent = API_SERVER.replace(/01$/, "00");
    tracing.span("admission.review", { traceId: traceOf(parent)?.traceId ?? "", parent }).end();
    await tracing.shutdown();
    expect(collector.spans).toEqual([]);
  });

  test("a sampler that is not known is told, and all is sampled", async () => {
    const collector = await startCollector();
    const { tracing, lines } = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER: "jaeger_remote",
    });
    tracing.span("admission.review", { traceId: TRACE }).end();
    await tracing.shutdown();
    expect(collector.spans.length).toBe(1);
    expect(lines).toMatchObject([
      { problem: "found OTEL_TRACES_SAMPLER jaeger_remote, which is not known here: all is sampled" },
    ]);
  });
});

test("what OpenTelemetry complains of is in the log", async () => {
  const { tracing, lines } = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: (await startCollector()).url,
    OTEL_EXPORTER_OTLP_TIMEOUT: "soon",
  });
  expect(lines).toMatchObject([
    { level: "warn", problem: expect.stringContaining("OTEL_EXPORTER_OTLP_TIMEOUT"), suppressed: 0 },
  ]);
  await tracing.shutdown();
});

describe("a collector that", () => {
  /** Two seconds are promised; the rest is for a busy machine. */
  const SHUTDOWN_MAX_MS = 3_500;

  test("refuses connections costs one log line, and does not hold up the end", async () => {
    const { tracing, lines } = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://me:pw@127.0.0.1:${await refusingPort()}`,
    });
    for (let count = 0; count < 10; count += 1) tracing.span("controller.write", { traceId: TRACE }).end();
    const startMs = performance.now();
    await tracing.shutdown();
    expect(performance.now() - startMs).toBeLessThan(SHUTDOWN_MAX_MS);
    expect(lines).toMatchObject([
      {
        level: "warn",
        msg: "spans may be lost; look at the collector and the OTEL_ variables",
        suppressed: 0,
      },
    ]);
    expect(JSON.stringify(lines)).not.toContain("me:pw");
    tracing.span("controller.write", { traceId: TRACE }).end();
    await tracing.shutdown();
  });

  test("never answers does not hold up the end", async () => {
    const collector = await startCollector("hang");
    const { tracing, lines } = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_TIMEOUT: "30000",
    });
    tracing.span("controller.write", { traceId: TRACE }).end();
    const startMs = performance.now();
    await tracing.shutdown();
    expect(performance.now() - startMs).toBeLessThan(SHUTDOWN_MAX_MS);
    expect(collector.spans.length).toBe(1);
    expect(lines).toMatchObject([{ problem: "the last export took longer than 2000 ms" }]);
  });

  test("refuses connections does not keep the process alive", async () => {
    const port = await refusingPort();
    const program = `
      const { createTracing } = await import(process.argv[1]);
      const tracing = await createTracing(process.env, { warn: () => process.stdout.write("told") });
      tracing.span("controller.write", { traceId: "${TRACE}" }).end();
      await tracing.shutdown();`;
    expect(runProgram(program, { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` })).toBe("told");
  });
});
