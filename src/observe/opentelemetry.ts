import { type Context, diag, DiagLogLevel, type Link, ROOT_CONTEXT, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Span as SdkSpan, SpanContext, Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  defaultResource,
  detectResources,
  type Resource,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Logger } from "pino";
import { problemReporter } from "./opentelemetry-problems.ts";
import { type RootDecision, samplersOf } from "./opentelemetry-sampler.ts";
import { policyTrace, traceOf } from "./trace-context.ts";
import type { Span, SpanAttributes, SpanName, SpanOptions, Tracing } from "./tracing.ts";

const SCOPE = "fairlead";
const DEFAULT_SERVICE_NAME = "fairlead";
/** What a process that is to end waits for a collector. */
const SHUTDOWN_MS = 2_000;
/**
 * OpenTelemetry's own default is 10 s, and its retries keep a process alive for as long; a collector that needs more
 * than this is as good as down. OTEL_EXPORTER_OTLP_TIMEOUT wins.
 */
const EXPORT_TIMEOUT_MS = 2_000;

/** Traces with OpenTelemetry's packages, which read their part of the environment themselves. */
export function startOpenTelemetry(env: NodeJS.ProcessEnv, log: Logger): Tracing {
  const report = problemReporter(log, () => performance.now());
  const quiet = (): void => undefined;
  // The one thing of OpenTelemetry that is global to the process: its packages have no other way to report.
  diag.setLogger(
    { error: report, warn: report, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const { sampler, sampleRoot } = samplersOf(env, report);
  const hasTimeout = Boolean(env["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"] || env["OTEL_EXPORTER_OTLP_TIMEOUT"]);
  const exporter = new OTLPTraceExporter(hasTimeout ? {} : { timeoutMillis: EXPORT_TIMEOUT_MS });
  const provider = new TracerProvider({
    resource: resourceOfEnvironment(),
    sampler,
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer(SCOPE);
  let stopping: Promise<void> | undefined;
  return {
    enabled: true,
    policyTrace,
    span: (name, options) => new RecordedSpan(startSpan(name, options, { tracer, sampleRoot })),
    shutdown: () => (stopping ??= shutdown(provider, report)),
  };
}

function resourceOfEnvironment(): Resource {
  return defaultResource()
    .merge(resourceFromAttributes({ "service.name": DEFAULT_SERVICE_NAME }))
    .merge(detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }));
}

interface SpanParts {
  readonly tracer: Tracer;
  readonly sampleRoot: RootDecision;
}

function startSpan(name: SpanName, options: SpanOptions, { tracer, sampleRoot }: SpanParts): SdkSpan {
  const { traceId, startMs, attributes } = options;
  const given = traceOf(options.parent);
  const parent = given && { traceId: given.traceId, spanId: given.spanId, traceFlags: Number(given.sampled) };
  const isSameTrace = parent?.traceId === traceId;
  const above = isSameTrace ? parent : derivedParent(traceId, sampleRoot(traceId));
  const links: Link[] = parent === undefined || isSameTrace ? [] : [{ context: { ...parent, isRemote: true } }];
  return tracer.startSpan(
    name,
    { links, ...(attributes && { attributes }), ...(startMs !== undefined && { startTime: startMs }) },
    under({ ...above, isRemote: true }),
  );
}

function under(parent: SpanContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, parent);
}

/** A span that nobody exports, the same in every process: the only way to hand the SDK a trace id is under a parent. */
function derivedParent(traceId: string, isSampled: boolean): SpanContext {
  return { traceId, spanId: traceId.slice(traceId.length / 2), traceFlags: Number(isSampled) };
}

class RecordedSpan implements Span {
  readonly #span: SdkSpan;

  constructor(span: SdkSpan) {
    this.#span = span;
  }

  setAttributes(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes);
  }

  traceparent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  }

  end(error?: unknown): void {
    if (error !== undefined) {
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
      this.#span.setAttribute("error.type", errorType(error));
    }
    // Without a time the SDK ends a span that was given its start on a whole millisecond.
    this.#span.end(performance.now());
  }
}

/** The HTTP status, the code of Node, or the name of the class: few values, as the conventions want. */
function errorType(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  if ("status" in error && typeof error.status === "number") return String(error.status);
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

async function shutdown(provider: TracerProvider, report: (problem: string) => void): Promise<void> {
  const { promise: deadline, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve(`the last export took longer than ${SHUTDOWN_MS} ms`), SHUTDOWN_MS);
  const flushed = provider.shutdown().catch((error: unknown) => `the last export failed: ${errorType(error)}`);
  const problem = await Promise.race([flushed, deadline]);
  clearTimeout(timer);
  if (typeof problem === "string") report(problem);
  diag.disable();
}
